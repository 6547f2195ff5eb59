"""Registry of open instruments with outputs; switches them off at interpreter exit and on SIGTERM or SIGHUP.

The signal handlers are installed only while instruments are open, only from the main thread, and pass the signal
on to the handlers that were there before. Ctrl-C raises KeyboardInterrupt and needs no handler.

An instrument belongs to the process that opened it. A forked child sends nothing: the parent would not know that
its outputs are off.
"""

from __future__ import annotations

import atexit
import os
import signal
import sys
import threading
from collections.abc import Iterable
from types import FrameType
from typing import Any, Final, Protocol

from hwlearn_drivers.errors import OutputsMayBeOnError


class HasOutputs(Protocol):
    """An instrument whose outputs can be switched off."""

    def halt(self) -> None:
        """Switch every output off, without a query."""


_SIGNALS: Final = tuple(
    getattr(signal, name) for name in ("SIGTERM", "SIGHUP", "SIGBREAK") if hasattr(signal, name)
)
"""Signals that end a program without running its ``finally`` blocks or exit handlers."""

_open: dict[int, HasOutputs] = {}
_reasons: dict[int, str] = {}  # why `halt_open` switched an instrument off, by its id
_process = os.getpid()  # that opened the instruments in `_open`
_before: dict[int, Any] = {}  # previous handlers, by signal number


def watch(instrument: HasOutputs) -> None:
    """Register an open instrument."""
    global _process
    if _process != os.getpid():  # a forked child opens its first instrument; the others belong to the parent
        _open.clear()
        _reasons.clear()
        _process = os.getpid()
    if not _open:
        atexit.register(_halt_at_exit)
        _install()
    _open[id(instrument)] = instrument


def unwatch(instrument: HasOutputs) -> None:
    """Remove an instrument that is closed."""
    if _process != os.getpid():
        return
    _open.pop(id(instrument), None)
    _reasons.pop(id(instrument), None)
    if not _open:
        atexit.unregister(_halt_at_exit)
        _uninstall()


def watched(instrument: HasOutputs) -> bool:
    """Whether the instrument is registered by this process."""
    return _process == os.getpid() and id(instrument) in _open


def halt_open(reason: str) -> None:
    """Switch every open instrument of this process off at once, and keep it off.

    May be called from any thread and from a signal handler. This OFF is final: the next command of each
    instrument raises `HaltedError` with the reason, and `Source.rearm` is refused, until the instrument is
    reconnected or opened again. A forked child sends nothing.

    Parameters
    ----------
    reason : str
        Who or what asked for it, for the error message. The first reason is kept.

    Raises
    ------
    OutputsMayBeOnError
        Naming every output that may be on; OFF was sent to all others.
    """
    if _process != os.getpid():
        return
    instruments = list(_open.values())
    for instrument in instruments:  # first, so that no thread can switch one on again meanwhile
        _reasons.setdefault(id(instrument), reason)
    halt_all(instruments)


def halted_because(instrument: HasOutputs | None = None) -> str | None:
    """Return why `halt_open` switched an instrument off; None if it did not, or if it was reconnected since.

    Parameters
    ----------
    instrument : HasOutputs, optional
        Default: any open instrument of this process.
    """
    if _process != os.getpid():
        return None
    if instrument is not None:
        return _reasons.get(id(instrument))
    return next(iter(list(_reasons.values())), None)


def allow_again(instrument: HasOutputs) -> None:
    """Forget why an instrument was switched off, because a person reconnects it."""
    if _process == os.getpid():
        _reasons.pop(id(instrument), None)


def halt_all(instruments: Iterable[HasOutputs]) -> None:
    """Switch all of them off, even if some fail.

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
        except BaseException as error:  # after a second Ctrl-C the remaining instruments are switched off too
            interrupted = error
    if failed:
        raise OutputsMayBeOnError(" | ".join(failed)) from interrupted
    if interrupted is not None:
        raise interrupted


def _halt_at_exit(reason: str = "the program ended") -> None:
    try:
        halt_open(reason)
    except OutputsMayBeOnError as error:
        print(error, file=sys.stderr, flush=True)


def _on_signal(number: int, frame: FrameType | None) -> None:
    _halt_at_exit(f"the program received {signal.Signals(number).name}")
    before = _before.get(number)
    if callable(before):
        before(number, frame)
    else:
        _uninstall()
        signal.raise_signal(number)


def _install() -> None:
    if threading.current_thread() is not threading.main_thread():
        return  # only the main thread may set handlers; the exit handler still switches off
    for number in _SIGNALS:
        handler = signal.getsignal(number)
        # None: installed from C, cannot be called; ignored: the program continues after this signal
        if handler is not None and handler != signal.SIG_IGN:
            _before[number] = handler
            signal.signal(number, _on_signal)


def _uninstall() -> None:
    if threading.current_thread() is not threading.main_thread():
        return
    for number, handler in _before.items():
        # if another handler was installed later, keep it
        if signal.getsignal(number) == _on_signal:
            signal.signal(number, handler)
    _before.clear()
