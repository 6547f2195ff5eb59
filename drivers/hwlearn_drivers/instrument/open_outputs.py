"""Registry of open instruments with outputs; switches them off at interpreter exit and before signals act.

The `SignalHandlers` are installed only while instruments are open, and only from the main thread.

An instrument belongs to the process that opened it. A forked child sends nothing: the parent would not know that
its outputs are off.
"""

from __future__ import annotations

import atexit
import os
import sys
from collections.abc import Iterable
from typing import Any, Final, Protocol, runtime_checkable

from hwlearn.network.reports import InstrumentReport
from hwlearn_drivers.claims.claim import Claim, report_with, switch_off_with
from hwlearn_drivers.errors import OutputsMayBeOnError
from hwlearn_drivers.instrument.process.console_events import ConsoleEvents
from hwlearn_drivers.instrument.process.signal_handlers import SignalHandlers
from hwlearn_drivers.instrument.process.suspend import suspended_s


class HasOutputs(Protocol):
    """An instrument whose outputs can be switched off."""

    def halt(self, reopen: bool = True) -> None:
        """Switch every output off, without a query; if that fails, open the link again only if ``reopen``."""


@runtime_checkable
class ReportsItself(Protocol):
    """An instrument that can say what this process has set, without a message to it."""

    @property
    def claimed(self) -> Claim:
        """The claim of its address."""

    def report(self) -> InstrumentReport:
        """Return outputs, levels and limits as they were set last. May be called from any thread."""


_open: dict[int, HasOutputs] = {}
_last: set[int] = set()  # ids of those that are switched off after all others
_reasons: dict[int, str] = {}  # why `halt_open` switched an instrument off, by its id
_SLEPT_S: Final = 1.0  # the clocks differ by some milliseconds
_suspended_s = 0.0  # when the last message was sent
_process = os.getpid()  # that opened the instruments in `_open`


def watch(instrument: HasOutputs, last: bool = False) -> None:
    """Register an open instrument.

    Parameters
    ----------
    instrument : HasOutputs
    last : bool
        Switch it off after all others, of every bench of this process: a matrix, which waits for its sources.
    """
    global _process, _suspended_s
    if _process != os.getpid():  # a forked child opens its first instrument; the others belong to the parent
        _open.clear()
        _last.clear()
        _reasons.clear()
        _handlers.uninstall()
        _process = os.getpid()
    if not _open:
        _suspended_s = suspended_s()
        atexit.register(_halt_at_exit)
        switch_off_with(halt_open)  # at the request of `hwlearn off` in another process
        report_with(reports)  # at the request of `hwlearn status`
        _handlers.install()
        _events.install()
    _open[id(instrument)] = instrument
    if last:
        _last.add(id(instrument))


def unwatch(instrument: HasOutputs) -> None:
    """Remove an instrument that is closed."""
    if _process != os.getpid():
        return
    _open.pop(id(instrument), None)
    _last.discard(id(instrument))
    _reasons.pop(id(instrument), None)
    if not _open:
        atexit.unregister(_halt_at_exit)
        _handlers.uninstall()
        _events.uninstall()


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
    instruments = sorted(_open.values(), key=lambda one: id(one) in _last)
    for instrument in instruments:  # first, so that no thread can switch one on again meanwhile
        _reasons.setdefault(id(instrument), reason)
    halt_all(instruments)


def reports() -> dict[str, dict[str, Any]]:
    """Return the fields of the reports of all open instruments, by the key of the address; nothing is sent."""
    found = {}
    for instrument in list(_open.values()):
        if isinstance(instrument, ReportsItself) and instrument.claimed.key is not None:
            found[instrument.claimed.key.text] = instrument.report().fields()
    return found


def check_awake() -> None:
    """Switch every open instrument off if the computer was suspended since the last message; called before each.

    The outputs may have been on all the time. Raises as `halt_open`.
    """
    global _suspended_s
    before, _suspended_s = _suspended_s, suspended_s()
    slept_s = _suspended_s - before
    if slept_s > _SLEPT_S:
        halt_open(f"the computer was suspended for {slept_s:.0f} s; outputs may have been on meanwhile")


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


def allow_again(*instruments: HasOutputs) -> None:
    """Forget why instruments were switched off, because a person reconnects them."""
    if _process == os.getpid():
        for instrument in instruments:
            _reasons.pop(id(instrument), None)


def halt_all(instruments: Iterable[HasOutputs]) -> None:
    """Switch all of them off, even if some fail.

    OFF is sent to each of them before any link is opened again, so that a dead one does not delay the others.

    Raises
    ------
    OutputsMayBeOnError
        Naming every output that may be on.
    """
    failed: list[str] = []
    left = list(instruments)
    interrupted: BaseException | None = None
    for reopen in (False, True):
        unreached: list[HasOutputs] = []
        failed.clear()
        for instrument in left:
            try:
                instrument.halt(reopen)
            except OutputsMayBeOnError as error:
                failed.append(str(error))
                unreached.append(instrument)
            except BaseException as error:  # after a second Ctrl-C the remaining instruments are switched off too
                interrupted = error
                unreached.append(instrument)
        left = unreached
    if failed:
        raise OutputsMayBeOnError(" | ".join(failed)) from interrupted
    if interrupted is not None:
        raise interrupted


def _halt_at_exit(reason: str = "the program ended") -> None:
    try:
        halt_open(reason)
    except OutputsMayBeOnError as error:
        print(error, file=sys.stderr, flush=True)


_handlers = SignalHandlers(_halt_at_exit)
_events = ConsoleEvents(_halt_at_exit)
