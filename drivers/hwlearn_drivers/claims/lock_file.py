"""`LockFile`: a file with content that its owner locks; the operating system frees it with the owner's process.

The folder is writable by everybody, so a file there may be anything: links, pipes and other kinds are refused.
"""

from __future__ import annotations

import contextlib
import os
import stat
import sys
from pathlib import Path
from typing import Final

from hwlearn.errors import SetupError

MOST_BYTES: Final = 16_384
_ATTEMPTS: Final = 20  # another process may delete the file between two steps
_OPEN: Final = (
    os.O_RDWR
    | getattr(os, "O_NOFOLLOW", 0)
    | getattr(os, "O_NONBLOCK", 0)
    | getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_NOCTTY", 0)
    | getattr(os, "O_BINARY", 0)
    | getattr(os, "O_NOINHERIT", 0)
)


class LockFile:
    """A locked file; make it with `lock`.

    Parameters
    ----------
    path : Path
    handle : int
        File descriptor that holds the lock.
    """

    __slots__ = ("_handle", "path")

    def __init__(self, path: Path, handle: int) -> None:
        self.path, self._handle = path, handle

    @classmethod
    def lock(cls, path: Path) -> LockFile | None:
        """Create and lock a file; return None if another process, or another lock of this one, holds it.

        Raises
        ------
        SetupError
            If it cannot be opened, or is no plain file.
        """
        for _ in range(_ATTEMPTS):
            handle = _opened(path)
            if handle is None:
                continue
            try:
                if not _locked(handle):
                    os.close(handle)
                    return None
            except OSError as error:
                os.close(handle)
                raise _unusable(path, error) from error
            if _is_still(path, handle):
                return cls(path, handle)
            os.close(handle)
        raise SetupError(f"{path} was deleted again and again while it was being locked; try again")

    def write(self, content: bytes) -> None:
        """Replace the content."""
        os.lseek(self._handle, 0, os.SEEK_SET)
        os.write(self._handle, content)
        os.ftruncate(self._handle, len(content))

    def touch(self) -> None:
        """Renew the time of the file, so that no cleaner of temporary files takes it for old."""
        with contextlib.suppress(OSError, NotImplementedError, TypeError):
            os.utime(self._handle)

    def release(self) -> None:
        """Empty and unlock the file. It stays: if it were deleted while another opens it, there would be two."""
        handle, self._handle = self._handle, -1
        if handle >= 0:
            with contextlib.suppress(OSError):
                os.ftruncate(handle, 0)
            os.close(handle)

    def abandon(self) -> None:
        """Close the file in a forked child: the lock stays with the parent, and ends with it."""
        handle, self._handle = self._handle, -1
        if handle >= 0:
            os.close(handle)


def read_if_locked(path: Path) -> bytes | None:
    """Return the content of a file that somebody holds locked; None if nobody does.

    Raises
    ------
    SetupError
        If it cannot be read, or is no plain file.
    """
    try:
        handle = os.open(path, _OPEN)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise _unusable(path, error) from error
    try:
        _check_plain(path, handle)
        if _locked(handle, shared=True):  # for an instant, until the file is closed
            return None
        os.lseek(handle, 0, os.SEEK_SET)
        return os.read(handle, MOST_BYTES)
    except OSError as error:
        raise _unusable(path, error) from error
    finally:
        os.close(handle)


def lock_holders(path: Path) -> list[int] | None:
    """Return the processes that hold a lock of a file according to the kernel; None if it does not say.

    Source: proc_locks(5) of Linux.
    """
    try:
        inode = path.lstat().st_ino
        lines = Path("/proc/locks").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return None
    found = []
    for line in lines:
        fields = line.split()
        if len(fields) > 5 and fields[1] == "FLOCK" and fields[5].rpartition(":")[2] == str(inode):
            found.append(int(fields[4]))
    return found


def _opened(path: Path) -> int | None:
    """Open a file, or create it; None if that has to be tried again."""
    try:
        # without O_CREAT first: Linux refuses it for a file of another user in a shared folder (protected_regular)
        try:
            handle = os.open(path, _OPEN)
        except FileNotFoundError:
            handle = os.open(path, _OPEN | os.O_CREAT | os.O_EXCL, 0o666)
            if sys.platform != "win32":
                os.fchmod(handle, 0o666)  # whatever the umask
    except FileExistsError:
        return None
    except OSError as error:
        raise _unusable(path, error) from error
    try:
        _check_plain(path, handle)
    except BaseException:
        os.close(handle)
        raise
    return handle


def _check_plain(path: Path, handle: int) -> None:
    found = os.fstat(handle)
    if not stat.S_ISREG(found.st_mode) or found.st_nlink > 1:
        raise SetupError(f"{path} is no plain file, somebody else made it; delete it")


def _unusable(path: Path, error: OSError) -> SetupError:
    return SetupError(
        f"{path} cannot be used: {error.strerror or error}; delete it, or make it writable for all users"
    )


def _locked(handle: int, shared: bool = False) -> bool:
    """Lock a file; return False if somebody else holds it."""
    if sys.platform == "win32":
        from hwlearn_drivers.claims import windows

        return windows.locked(handle)
    import fcntl

    try:
        fcntl.flock(handle, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_still(path: Path, handle: int) -> bool:
    try:
        return os.path.samestat(path.lstat(), os.fstat(handle))
    except OSError:
        return False
