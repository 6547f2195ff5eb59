"""`SignalHandlers`: OFF before a signal ends or stops the program."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any, Final

from hwlearn.exit_signals import CONTINUING, ENDING, STOPPING, other_fatal_signals, signal_name

_CAUGHT: Final = "SigCgt:"  # in /proc/self/status of Linux: mask of the signals that have a handler


class SignalHandlers:
    """Handlers that switch outputs off and then pass the signal on, to the earlier handler or the default action.

    - Signals that end a program (SIGTERM, SIGHUP, SIGQUIT, SIGABRT, SIGBREAK): OFF first.
    - Every other signal whose default action ends the program (SIGUSR1, SIGALRM, SIGXCPU, ...): OFF first, unless
      the program gave it a handler of its own.
    - SIGTSTP (Ctrl-Z), SIGTTIN, SIGTTOU: OFF first, then the program stops. The OFF is final, so that a program
      that continues does not switch on by itself.
    - SIGCONT: the program was stopped, perhaps by SIGSTOP, with its outputs on: OFF.

    Ignored signals stay ignored. SIGINT raises KeyboardInterrupt and needs no handler. SIGKILL and SIGSTOP cannot
    be handled, SIGSEGV, SIGILL, SIGBUS, SIGFPE and ``os.abort()`` not in Python.

    Parameters
    ----------
    halt : callable
        Switches every output off; takes the reason, and raises nothing.
    """

    def __init__(self, halt: Callable[[str], None]) -> None:
        self._halt = halt
        self._before: dict[int, Any] = {}  # previous handlers, by signal number

    def install(self) -> None:
        """Install the handlers; only the main thread can, in any other nothing happens."""
        if threading.current_thread() is not threading.main_thread():
            return
        foreign = _handled_outside_python()
        self._take(ENDING, self._on_end, foreign)
        self._take(STOPPING, self._on_stop, foreign)
        self._take(CONTINUING, self._on_continue, foreign)
        self._take(other_fatal_signals(), self._on_end, foreign, only_default=True)

    def uninstall(self) -> None:
        """Restore the earlier handlers; a handler that was installed later is kept."""
        if threading.current_thread() is not threading.main_thread():
            return
        for number, handler in self._before.items():
            if signal.getsignal(number) in (self._on_end, self._on_stop, self._on_continue):
                signal.signal(number, handler)
        self._before.clear()

    def _take(
        self,
        numbers: tuple[int, ...],
        handler: Callable[[int, FrameType | None], None],
        foreign: int,
        *,
        only_default: bool = False,
    ) -> None:
        for number in numbers:
            before = signal.getsignal(number)
            # None: installed from C, cannot be called; ignored: the program continues after this signal
            if before is None or before == signal.SIG_IGN or (only_default and before != signal.SIG_DFL):
                continue
            if before == signal.SIG_DFL and foreign >> (number - 1) & 1:
                continue  # installed from C behind Python's back, for example by faulthandler.register
            self._before[number] = before
            signal.signal(number, handler)

    def _on_end(self, number: int, frame: FrameType | None) -> None:
        self._halt(f"the program received {signal_name(number)}")
        before = self._before.get(number)
        if callable(before):
            before(number, frame)
        else:
            self.uninstall()
            signal.raise_signal(number)

    def _on_stop(self, number: int, frame: FrameType | None) -> None:
        self._halt(f"the program was stopped by {signal_name(number)}")
        before = self._before.get(number)
        if callable(before):
            before(number, frame)
            return
        signal.signal(number, signal.SIG_DFL)
        signal.raise_signal(number)  # returns after SIGCONT
        signal.signal(number, self._on_stop)

    def _on_continue(self, number: int, frame: FrameType | None) -> None:
        self._halt("the program was stopped and continued; outputs may have been on meanwhile")
        before = self._before.get(number)
        if callable(before):
            before(number, frame)


def _handled_outside_python() -> int:
    """Return a mask of the signals that have a handler in this process; 0 where the system does not say."""
    try:
        for line in Path("/proc/self/status").read_text(encoding="ascii", errors="replace").splitlines():
            if line.startswith(_CAUGHT):
                return int(line.removeprefix(_CAUGHT), 16)
    except (OSError, ValueError):
        pass
    return 0
