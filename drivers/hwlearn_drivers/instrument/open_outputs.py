"""The instruments whose outputs may be on, and the ways out of a program that must not leave them so.

Whoever forgets to close an instrument, or is told to end (SIGTERM, a terminal that hangs up), leaves it
switched off. The signal handlers are installed only while instruments are open, from the main thread, and
pass the signal on.
"""

from __future__ import annotations

import atexit
import signal
import sys
import threading
from collections.abc import Iterable
from types import FrameType
from typing import Any, Final, Protocol

from hwlearn_drivers.errors import OutputsMayBeOnError


class HasOutputs(Protocol):
    """What can be switched off."""

    def halt(self) -> None:
        """Switch every output off, write-only."""


_SIGNALS: Final = tuple(
    getattr(signal, name) for name in ("SIGTERM", "SIGHUP", "SIGBREAK") if hasattr(signal, name)
)
"""Those that end a program without running anything of it; Ctrl-C is an exception and needs no handler."""

_open: dict[int, HasOutputs] = {}
_before: dict[int, Any] = {}  # the handlers that were there before ours


def watch(instrument: HasOutputs) -> None:
    """Count an instrument among the open ones."""
    if not _open:
        atexit.register(_halt_open)
        _install()
    _open[id(instrument)] = instrument


def unwatch(instrument: HasOutputs) -> None:
    """The instrument is closed."""
    _open.pop(id(instrument), None)
    if not _open:
        atexit.unregister(_halt_open)
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
    failed: list[str] = []
    interrupted: BaseException | None = None
    for instrument in instruments:
        try:
            instrument.halt()
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


def _on_signal(number: int, frame: FrameType | None) -> None:
    _halt_open()
    before = _before.get(number)
    if callable(before):
        before(number, frame)
    else:
        _uninstall()
        signal.raise_signal(number)


def _install() -> None:
    if threading.current_thread() is not threading.main_thread():
        return  # only the main thread may; the way out through atexit remains
    for number in _SIGNALS:
        handler = signal.getsignal(number)
        # None: installed from C, cannot be passed on; ignored: the program is meant to go on
        if handler is not None and handler != signal.SIG_IGN:
            _before[number] = handler
            signal.signal(number, _on_signal)


def _uninstall() -> None:
    if threading.current_thread() is not threading.main_thread():
        return
    for number, handler in _before.items():
        # someone may have put a handler on top of ours; it is theirs to keep
        if signal.getsignal(number) == _on_signal:
            signal.signal(number, handler)
    _before.clear()
