"""Locks that keep two processes from writing the same folder."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from hwlearn.errors import RunError

_WAIT_S: Final = 0.5
"""How long a lock is tried: `is_locked` of another process holds it for less than a millisecond."""
_IN_USE: Final = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


class FolderLock:
    """Exclusive lock of a folder, held until it is released; the operating system releases it with the process.

    Parameters
    ----------
    folder : Path
        An existing folder.
    what : str
        What the folder holds, such as ``"run"``; the lock file is ``run.lock``.

    Raises
    ------
    RunError
        If another process, or another lock in this process, holds the folder, or it cannot be written.
    """

    def __init__(self, folder: Path, what: str) -> None:
        not_writable = f"{what} {folder} cannot be written: its folder is read-only"
        if not os.access(folder, os.W_OK):  # SQLite would lock a file that it can only read
            raise RunError(f"{not_writable}; to continue it, copy it to a folder that can be written")
        try:
            self._database = sqlite3.connect(folder / f"{what}.lock", timeout=_WAIT_S, isolation_level=None)
        except sqlite3.OperationalError as error:
            raise RunError(f"{not_writable} or full ({error})") from error
        try:
            self._database.execute("BEGIN EXCLUSIVE")
        except sqlite3.Error as error:
            self._database.close()
            if _is_in_use(error):
                raise RunError(
                    f"{what} {folder} is being written by another process; wait until it ends, or stop it"
                ) from error
            raise RunError(f"{not_writable} or full ({error})") from error

    def release(self) -> None:
        """Release the folder; releasing it twice is harmless."""
        self._database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


def is_locked(folder: Path, what: str) -> bool:
    """Return whether a process of this computer holds the lock of a folder; nothing is written."""
    lock = folder / f"{what}.lock"
    if not lock.is_file():
        return False
    try:
        with closing(sqlite3.connect(f"{lock.absolute().as_uri()}?mode=ro", timeout=0, uri=True)) as database:
            database.execute("SELECT 1 FROM sqlite_master").fetchone()
    except sqlite3.Error as error:
        return _is_in_use(error)
    return False


def _is_in_use(error: sqlite3.Error) -> bool:
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in _IN_USE
