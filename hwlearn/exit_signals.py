"""The signals that end or stop a program, as far as Python can act before they do."""

from __future__ import annotations

import signal
from typing import Final


def _present(*names: str) -> tuple[int, ...]:
    return tuple(int(getattr(signal, name)) for name in names if hasattr(signal, name))


ENDING: Final = _present("SIGTERM", "SIGHUP", "SIGQUIT", "SIGABRT", "SIGBREAK")
"""Signals whose purpose is to end a program. Windows has SIGBREAK and no SIGHUP or SIGQUIT."""

STOPPING: Final = _present("SIGTSTP", "SIGTTIN", "SIGTTOU")
"""Signals that stop a program until SIGCONT: Ctrl-Z, and terminal access in the background."""

CONTINUING: Final = _present("SIGCONT")
"""The signal that lets a stopped program continue."""

_HARMLESS: Final = _present("SIGCHLD", "SIGURG", "SIGWINCH", "SIGINFO")  # their default action is to do nothing
_NOT_TO_BE_HAD: Final = _present(
    "SIGKILL",
    "SIGSTOP",
    # Python runs a handler between two of its own instructions. After a real fault the faulty instruction is
    # repeated first, without end, so these keep their default action.
    "SIGSEGV",
    "SIGILL",
    "SIGBUS",
    "SIGFPE",
)


def other_fatal_signals() -> tuple[int, ...]:
    """Return the other signals whose default action ends the program: SIGUSR1, SIGALRM, SIGXCPU and so on.

    A program that gives one of them a handler uses it for something else. SIGINT is among them, because its
    default action is not Python's usual ``KeyboardInterrupt``.
    """
    known = {*ENDING, *STOPPING, *CONTINUING, *_HARMLESS, *_NOT_TO_BE_HAD}
    return tuple(sorted(int(number) for number in signal.valid_signals() if int(number) not in known))


def signal_name(number: int) -> str:
    """Return the name of a signal, such as ``SIGTERM``; real-time signals have numbers only.

    Examples
    --------
    >>> signal_name(15)
    'SIGTERM'
    """
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
