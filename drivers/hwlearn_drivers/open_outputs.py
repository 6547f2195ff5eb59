"""The instruments whose outputs may be on, and the ways out of a program that must not leave them so.

Whoever forgets to close an instrument, or is told to end by SIGTERM, leaves it switched off. The signal
handler is installed only while instruments are open, from the main thread, and passes the signal on.
"""

from __future__ import annotations

import atexit
import signal
import sys
import threading
from collections.abc import Callable, Iterable
from types import FrameType
from typing import Any, Protocol

from hwlearn_drivers.errors import OutputsMayBeOnError


class HasOutputs(Protocol):
    """What can be switched off."""

    def halt(self) -> None:
        """Switch every output off, write-only."""


_open: dict[int, HasOutputs] = {}
_before: Any = None  # the SIGTERM handler that was there; None: ours is not installed


def watch(instrument: HasOutputs) -> None:
    """Count an instrument among the open ones."""
    if not _open:
        atexit.register(_at_exit)
        _install()
    _open[id(instrument)] = instrument


def unwatch(instrument: HasOutputs) -> None:
    """The instrument is closed."""
    _open.pop(id(instrument), None)
    if not _open:
        atexit.unregister(_at_exit)
        _uninstall()


def watched(instrument: HasOutputs) -> bool:
    """Whether the instrument counts among the open ones."""
    return id(instrument) in _open


def halt_all(instruments: Iterable[HasOutputs]) -> None:
    """Switch all of them off, whatever happens to some.

    Raises
    ------
    OutputsMayBeOnError
        Naming every output that may be on.
    """
    _each(instruments, lambda instrument: instrument.halt())


def _each(instruments: Iterable[HasOutputs], act: Callable[[HasOutputs], None]) -> None:
    failed: list[str] = []
    interrupted: BaseException | None = None
    for instrument in instruments:
        try:
            act(instrument)
        except OutputsMayBeOnError as error:
            failed.append(str(error))
        except BaseException as error:  # a second Ctrl-C must not spare the instruments that follow
            interrupted = error
    if failed:
        raise OutputsMayBeOnError(" | ".join(failed)) from interrupted
    if interrupted is not None:
        raise interrupted


def _halt_open() -> None:
    try:
        halt_all(list(_open.values()))
    except OutputsMayBeOnError as error:
        print(error, file=sys.stderr, flush=True)


def _at_exit() -> None:
    _halt_open()


def _on_sigterm(number: int, frame: FrameType | None) -> None:
    _halt_open()
    if callable(_before):
        _before(number, frame)
    else:
        _uninstall()
        signal.raise_signal(number)


def _install() -> None:
    global _before
    if threading.current_thread() is not threading.main_thread():
        return  # only the main thread may; the way out through atexit remains
    handler = signal.getsignal(signal.SIGTERM)
    # None: installed from C, cannot be passed on; ignored: the program is meant to go on
    if handler is not None and handler != signal.SIG_IGN:
        _before = handler
        signal.signal(signal.SIGTERM, _on_sigterm)


def _uninstall() -> None:
    global _before
    if _before is None or threading.current_thread() is not threading.main_thread():
        return
    # someone may have put a handler on top of ours; it is theirs to keep
    if signal.getsignal(signal.SIGTERM) == _on_sigterm:
        signal.signal(signal.SIGTERM, _before)
    _before = None
