"""Locks that keep two processes from writing the same folder."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from types import TracebackType
from typing import Self

from hwlearn.errors import RunError


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
        If another process, or another lock in this process, holds the folder.
    """

    def __init__(self, folder: Path, what: str) -> None:
        self._database = sqlite3.connect(folder / f"{what}.lock", timeout=0, isolation_level=None)
        try:
            self._database.execute("BEGIN EXCLUSIVE")
        except sqlite3.OperationalError as error:
            self._database.close()
            raise RunError(
                f"{what} {folder} is being written by another process; wait until it ends, or stop it"
            ) from error

    def release(self) -> None:
        """Release the folder; releasing it twice is harmless."""
        self._database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()
