"""Commands that run after a session has ended: ``--on-end`` and ``--on-failure``."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final, Self

from hwlearn.errors import SetupError

TIME_LIMIT_S: Final = 60.0
"""Seconds after which such a command is killed."""


@dataclass(frozen=True)
class EndCommand:
    """A program and its arguments, started without a shell.

    Attributes
    ----------
    option : str
        ``--on-end`` or ``--on-failure``, for messages.
    words : tuple of str
        Path of the program, and arguments.
    """

    option: str
    words: tuple[str, ...]

    @classmethod
    def parse(cls, option: str, text: str, windows: bool = os.name == "nt") -> Self:
        r"""Return the command of a text, which is split at spaces as a shell does; quotes keep words together.

        On Windows, backslashes are part of a path.

        Raises
        ------
        SetupError
            If a quote is not closed, there is no word, or there is no such program.

        Examples
        --------
        >>> import sys
        >>> EndCommand.parse("--on-end", f"'{sys.executable}' -c 'pass'").words[1:]
        ('-c', 'pass')
        """
        try:
            words = shlex.split(text, posix=not windows)
        except ValueError as error:
            raise SetupError(f"{option}: {text!r} cannot be split into words: {error}") from None
        if windows:
            words = [_unquoted(word) for word in words]
        if not words or not words[0]:
            raise SetupError(f"{option} needs a command: a program and its arguments")
        program = shutil.which(words[0])
        if program is None:
            raise SetupError(
                f"{option}: there is no program {words[0]!r}. No shell is used, so ~ and $NAME are not replaced; "
                "for a shell, write for example: sh -c '...'"
            )
        return cls(option, (os.path.abspath(program), *words[1:]))  # noqa: PTH100 - keeps symbolic links

    def run(self, variables: Mapping[str, str], seconds: float = TIME_LIMIT_S) -> str:
        """Run the command and wait for it, at most for this many seconds; it is then killed.

        Ctrl-C and signals that end this program kill it too. Nothing is raised.

        Parameters
        ----------
        variables : mapping
            Added to the environment.
        seconds : float

        Returns
        -------
        str
            What went wrong; empty if it ended with exit code 0.
        """
        try:
            with suppress(OSError, ValueError):
                sys.stdout.flush()
            process = subprocess.Popen(
                self.words,
                stdin=subprocess.DEVNULL,
                stdout=_stderr(),  # the lines of --json stay alone on stdout
                stderr=_stderr(),
                env={**os.environ, **variables},
                **_own_group(),
            )
        except (OSError, ValueError) as error:
            return f"{self.option}: {self.words[0]} cannot be started: {error}"
        try:
            code = process.wait(seconds)
        except subprocess.TimeoutExpired:
            _kill(process)
            return f"{self.option}: {self.words[0]} was killed after {seconds:g} s"
        except BaseException as error:  # Ctrl-C, SIGTERM: the session has ended already
            _kill(process)
            return f"{self.option}: {self.words[0]} was killed ({type(error).__name__})"
        return f"{self.option}: {self.words[0]} ended with exit code {code}" if code else ""


def _unquoted(word: str) -> str:
    """Return a word without the quotes around it, which `shlex` keeps where backslashes are no escapes."""
    return word[1:-1] if len(word) > 1 and word[0] == word[-1] and word[0] in "\"'" else word


def _stderr() -> int:
    """Return the file of stderr, or nothing if it is closed."""
    try:
        os.fstat(2)
    except OSError:
        return subprocess.DEVNULL
    return 2


def _own_group() -> dict[str, Any]:
    """Return options that put the command into a group of its own, which can be killed as a whole."""
    if os.name == "nt":
        return {"creationflags": getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0)}
    return {"start_new_session": True}


def _kill(process: subprocess.Popen[bytes]) -> None:
    with suppress(OSError, subprocess.TimeoutExpired, KeyboardInterrupt, SystemExit):
        if os.name == "nt":
            process.kill()
        else:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(5)
