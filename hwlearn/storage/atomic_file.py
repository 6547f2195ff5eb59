"""Atomic writes: after a crash a file has its old or its new contents."""

from __future__ import annotations

import errno
import os
import secrets
import stat
from pathlib import Path
from typing import Final

from hwlearn.errors import SetupError, StorageError

_NO_SPACE: Final = (errno.ENOSPC, errno.EFBIG, getattr(errno, "EDQUOT", errno.ENOSPC))


def write_atomically(path: Path, data: bytes) -> None:
    """Replace the contents of a file, or leave it unchanged; the data is on disk when this returns.

    A new file can be read by whom the umask of the user allows; one that is replaced keeps its permissions.

    Raises
    ------
    StorageError
        If the disk is full, over its quota, read-only or broken.
    SetupError
        If the file cannot be written for another reason: its folder is missing or not accessible, or a folder, a
        device or a named pipe has its name.
    """
    found = irregular(path)
    if found is not None:
        raise SetupError(f"cannot write {path}: it is {found}; give the name of a file")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = path.parent / f".{path.name}.{secrets.token_hex(4)}"
        try:
            with unfinished.open("xb") as file:  # others may read it as the umask of the user says
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            if path.is_file():
                unfinished.chmod(stat.S_IMODE(path.stat().st_mode))
            unfinished.replace(path)
        except BaseException:
            unfinished.unlink(missing_ok=True)
            raise
    except OSError as error:
        advice = storage_advice(error.errno)
        if advice is None:
            raise SetupError(f"cannot write {path}: {error}") from None
        raise StorageError(f"cannot write {path}: {error}; {advice}") from None


def irregular(path: Path) -> str | None:
    """Return what is at a path, or where a symbolic link leads, if no file may replace it; else None.

    Examples
    --------
    >>> irregular(Path.cwd()), irregular(Path("missing"))
    ('a folder', None)
    """
    try:
        mode = path.stat().st_mode
    except OSError:  # missing, or the write says what is wrong
        return None
    if stat.S_ISREG(mode):
        return None
    return "a folder" if stat.S_ISDIR(mode) else "a named pipe" if stat.S_ISFIFO(mode) else "a device or a socket"


def storage_advice(number: int | None) -> str | None:
    """Return what a person can do about an error number of a write; None if it is not about the disk.

    Examples
    --------
    >>> storage_advice(errno.ENOSPC)
    'free some space on its disk'
    """
    if number in _NO_SPACE:
        return "free some space on its disk"
    if number == errno.EROFS:
        return "its disk is read-only now, look at it and mount it again"
    return "look at its disk" if number == errno.EIO else None
