"""Ctrl-C between two measurements: what is being measured is finished, nothing after it is begun."""

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
    """Turn the first Ctrl-C into `Interrupted` after the current measurement; the second acts at once."""
    if threading.current_thread() is not threading.main_thread():
        yield  # signals reach the main thread only
        return
    asked = False

    def on_signal(number: int, frame: FrameType | None) -> None:
        nonlocal asked
        if asked:
            raise KeyboardInterrupt
        asked = True

    watcher = network.on_measured

    def after_measurement(samples: int) -> None:
        if watcher is not None:
            watcher(samples)
        if asked:
            raise Interrupted

    before = signal.signal(signal.SIGINT, on_signal)
    network.on_measured = after_measurement
    try:
        yield
    finally:
        network.on_measured = watcher
        signal.signal(signal.SIGINT, before)
