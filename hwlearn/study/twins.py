"""Open simulated networks by the backend ``sim``, as a bench file does."""

from __future__ import annotations

from typing import Any

from hwlearn.circuit.topology import Topology
from hwlearn.lab.bench.backends import find_backend
from hwlearn.network.limits import Limits
from hwlearn.network.network import Network


def open_twin(topology: Topology, limits: Limits, **settings: Any) -> Network:
    """Return a simulated network.

    Parameters
    ----------
    topology : Topology
    limits : Limits
    **settings
        Keys of ``[backend]`` with ``kind = "sim"``.

    Raises
    ------
    SetupError
        If a setting is wrong, or the simulator is not installed.
    """
    backend, checked = find_backend({"kind": "sim", **settings}, "study")
    return backend.open(checked, topology, limits)
