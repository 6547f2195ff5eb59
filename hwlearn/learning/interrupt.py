"""Stop between two measurements: the current measurement completes, no further one starts."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Final

from hwlearn.errors import HwlearnError
from hwlearn.network.network import Network
from hwlearn.network.wrapped import WrappedNetwork


class Interrupted(KeyboardInterrupt):
    """Ctrl-C was pressed, or `request_stop` called; raised between two measurements."""


class _Watch:
    """A training or calibration that is running on a network."""

    def __init__(self, network: Network) -> None:
        self.hardware, self.requested = _hardware(network), False


_running: Final[list[_Watch]] = []


def request_stop(network: Network) -> bool:
    """Make whatever is running on this network stop after the current measurement, as Ctrl-C does.

    It may be called from any thread, also from an event loop.

    Returns
    -------
    bool
        Whether something was running.
    """
    hardware, found = _hardware(network), False
    for watch in tuple(_running):
        if watch.hardware is hardware:
            watch.requested = found = True
    return found


@contextmanager
def stop_on_interrupt(network: Network) -> Iterator[None]:
    """Raise `Interrupted` after the current measurement on the first Ctrl-C; the second raises immediately.

    The network is reserved for this thread. If this or another error that is none of this package ends the block,
    every output is switched off. Python delivers signals to the main thread only, so in other threads only
    `request_stop` acts. A Ctrl-C that the program ignores, as a job in the background does, stays ignored.
    """
    watch, watcher = _Watch(network), network.on_measured

    def after_measurement(samples: int) -> None:
        if watcher is not None:
            watcher(samples)
        if watch.requested:
            raise Interrupted

    network.on_measured = after_measurement
    _running.append(watch)
    try:
        with network.reserved(), _on_ctrl_c(watch):
            yield
    except HwlearnError:
        raise  # the drivers have switched off, or nothing was applied
    except BaseException:
        network.switch_off()
        raise
    finally:
        _running.remove(watch)
        network.on_measured = watcher


@contextmanager
def _on_ctrl_c(watch: _Watch) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.getsignal(signal.SIGINT)
    if before is None or before == signal.SIG_IGN:  # None: a handler that is not Python's and cannot be restored
        yield
        return

    def on_signal(number: int, frame: FrameType | None) -> None:
        if watch.requested:
            raise KeyboardInterrupt
        watch.requested = True

    signal.signal(signal.SIGINT, on_signal)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _hardware(network: Network) -> Network:
    """Return the innermost network: the one that its backend opened."""
    while isinstance(network, WrappedNetwork):
        network = network.network
    return network
