"""Ctrl-C in the command line before there is anything to switch off or to save.

Python raises KeyboardInterrupt between two of its instructions, also in the middle of an import, where it becomes
a traceback, a different error, or a half-imported library. So until a bench is opened, Ctrl-C during an import
ends the program at once, with one line and exit code 130. Afterwards Ctrl-C raises KeyboardInterrupt as usual.

Only the command line uses this, and only if nobody else has set what Ctrl-C does. Imports of this module are few,
because Ctrl-C has no effect of this kind before them.
"""

import os
import sys
from os import _exit as exit_at_once

_LINE = b"hwlearn: interrupted\n"
_NOT_OFF = b"hwlearn: interrupted; OUTPUTS MAY BE ON: OFF was not sent\n"
_CODE = 130


def _is_command_line(words: list[str]) -> bool:
    """Return whether Python was started as ``hwlearn`` or ``python -m hwlearn``, from the words after its name."""
    left = iter(words)
    for word in left:
        if word in ("-W", "-X"):  # options of Python with a value of their own
            next(left, "")
        elif word == "-m":
            return next(left, "") == "hwlearn"
        elif not word.startswith("-") or word == "-c":
            return os.path.basename(word) in ("hwlearn", "hwlearn.exe")  # noqa: PTH119 - pathlib is slow to import
    return False


def _end() -> None:
    os.write(2, _NOT_OFF if sys.argv[1:2] == ["off"] else _LINE)
    exit_at_once(_CODE)


try:
    import signal
except KeyboardInterrupt:
    if not _is_command_line(sys.orig_argv[1:]):
        raise
    _end()

_started = False  # whether a command runs, so that only imports end at once
_installed = False


def watch_command_line() -> None:
    """End the program at once on Ctrl-C if it was started as ``hwlearn`` or ``python -m hwlearn``."""
    if _is_command_line(sys.orig_argv[1:]):
        end_on_ctrl_c()


def end_on_ctrl_c() -> None:
    """End the program at once on Ctrl-C from now on, unless Ctrl-C has another handler or is ignored."""
    global _installed
    if not _installed and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _on_ctrl_c)
        _installed = True


def command_started() -> None:
    """Let Ctrl-C raise KeyboardInterrupt, except during imports."""
    global _started
    _started = True


def work_begins() -> None:
    """Let Ctrl-C raise KeyboardInterrupt always: from here on there is something to switch off or to save."""
    if signal.getsignal(signal.SIGINT) is _on_ctrl_c:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def command_ended() -> None:
    """Ignore Ctrl-C while the program ends; its work is done."""
    if _installed:
        signal.signal(signal.SIGINT, signal.SIG_IGN)


def _on_ctrl_c(number: int, frame: object) -> None:
    if _started and not _is_importing(frame):
        raise KeyboardInterrupt
    _end()


def _is_importing(frame: object) -> bool:
    at = frame
    while at is not None:
        if at.f_code.co_filename.startswith("<frozen importlib"):  # type: ignore[attr-defined]
            return True
        at = at.f_back  # type: ignore[attr-defined]
    return False
