"""Handle Ctrl-C between two measurements: the current measurement completes, no further one starts."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from hwlearn.network.network import Network


class Interrupted(Exception):
    """Ctrl-C was pressed; raised between two measurements."""


@contextmanager
def stop_on_interrupt(network: Network) -> Iterator[None]:
    """Raise `Interrupted` after the current measurement on the first Ctrl-C; the second raises immediately."""
    if threading.current_thread() is not threading.main_thread():
        yield  # signals reach the main thread only
        return
    requested = False

    def on_signal(number: int, frame: FrameType | None) -> None:
        nonlocal requested
        if requested:
            raise KeyboardInterrupt
        requested = True

    watcher = network.on_measured

    def after_measurement(samples: int) -> None:
        if watcher is not None:
            watcher(samples)
        if requested:
            raise Interrupted

    before = signal.signal(signal.SIGINT, on_signal)
    network.on_measured = after_measurement
    try:
        yield
    finally:
        network.on_measured = watcher
        signal.signal(signal.SIGINT, before)
