"""Open a network with a guardian that is ready before any output can be switched on."""

from __future__ import annotations

import logging
from collections.abc import Callable

from pydantic import BaseModel

from hwlearn.lab.bench.guardian.guardian import Guardian
from hwlearn.lab.bench_file.file import BenchFile
from hwlearn.network.backend import Backend, HaltsOutputs
from hwlearn.network.network import Network

log = logging.getLogger("hwlearn")


def open_guarded(
    file: BenchFile, backend: Backend, settings: BaseModel, open_network: Callable[[], Network]
) -> Network:
    """Return the network that a function opens, with a guardian for it; closing the network ends the guardian.

    If the guardian switches off or ends by itself, every output is switched off and the network is revoked: it
    raises a `NetworkError` with the reason from then on.

    Raises
    ------
    NetworkError
        If the guardian cannot be started or is not ready; the network is closed.
    """
    guardian = Guardian(file.backend.kind, settings, file.where, file.safety.guardian_timeout)
    try:
        network = open_network()
    except BaseException:
        guardian.stop()
        raise
    network.on_closed = guardian.stop

    def on_loss(reason: str) -> None:
        log.critical("%s: outputs are switched off: %s", file.where, reason)
        network.revoke(reason)
        if isinstance(backend, HaltsOutputs):
            backend.halt_open(reason)

    try:
        guardian.wait_until_ready()
    except BaseException:
        network.close()
        raise
    guardian.protect(on_loss)
    return network
