"""The log file of a session: plain lines with time stamps, each written at once."""

from __future__ import annotations

import logging
import os
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Final

from hwlearn.cli.outcome import one_line
from hwlearn.errors import SetupError

_OURS: Final = ("hwlearn", "hwlearn_drivers", "hwlearn_sim")


class LogFile(logging.Handler):
    """Appends a line with a time stamp for each record, and flushes it.

    The first line is written when the file is opened, so that a file that cannot be written is refused before
    anything is applied. Later errors of writing, as on a full disk, end the log with one line on stderr, and
    nothing else: they never stop a session or its exit.

    Parameters
    ----------
    path : Path
        A regular file, made if it does not exist.
    first : str
        The first line.

    Raises
    ------
    SetupError
        If the file cannot be written.
    """

    def __init__(self, path: Path, first: str) -> None:
        super().__init__(logging.INFO)
        self._path, self._failed = path, False
        try:
            if path.exists() and not stat.S_ISREG(path.stat().st_mode):
                raise SetupError(f"cannot write the log file {path}: it is not a regular file")
            self._file = path.open("a", encoding="utf-8", errors="backslashreplace")
            try:
                self._write(first)
            except OSError:
                with suppress(OSError):
                    self._file.close()
                raise
        except (OSError, ValueError) as error:
            if isinstance(error, SetupError):
                raise
            raise SetupError(f"cannot write the log file {path}: {error}") from None

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record; see `LogFile` for what happens if that fails."""
        if self._failed:
            return
        try:
            level = f"{record.levelname.lower()}: " if record.levelno >= logging.WARNING else ""
            self._write(f"{level}{record.getMessage()}")
        except Exception as error:  # a log is never worth a sample
            self._failed = True
            with suppress(OSError, ValueError):
                sys.stderr.write(f"hwlearn: the log file {self._path} ends here: {error}\n")

    def close(self) -> None:
        """Close the file."""
        with suppress(OSError):
            self._file.close()
        super().close()

    def _write(self, text: str) -> None:
        now = datetime.now().astimezone().isoformat(timespec="seconds")
        self._file.write(f"{now} {one_line(' '.join(text.split()))}\n")
        self._file.flush()


@contextmanager
def logging_to(path: Path | None, first: str) -> Iterator[None]:
    """Write what the packages of this distribution log in this block, and all warnings, to a file; None: to none.

    Raises
    ------
    SetupError
        If the file cannot be written.
    """
    if path is None:
        yield
        return
    handler = LogFile(path, first)
    root = logging.getLogger()
    # with a handler of its own, Python would not print warnings to stderr any more
    screen = None if root.hasHandlers() else logging.lastResort
    levels = {name: logging.getLogger(name).level for name in _OURS}
    try:
        for name in _OURS:
            logging.getLogger(name).setLevel(logging.INFO)
        for one in (handler, screen):
            if one is not None:
                root.addHandler(one)
        yield
    finally:
        for one in (handler, screen):
            if one is not None:
                root.removeHandler(one)
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)
        handler.close()


def command_line() -> str:
    """Return the words that this program was started with, for the first line of a log."""
    import shlex  # used once

    return shlex.join([os.path.basename(sys.argv[0]) or "python", *sys.argv[1:]])  # noqa: PTH119 - only a name
