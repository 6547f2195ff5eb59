"""The folder of the claims: one for all users of the machine."""

from __future__ import annotations

import os
import stat
import sys
import time
from pathlib import Path

from hwlearn.errors import SetupError

VARIABLE = "HWLEARN_CLAIMS"


def claims_folder() -> Path:
    """Return the folder of the claims, without creating it.

    ``/run/lock/hwlearn`` on Linux if ``/run/lock`` is writable by all users, else ``/tmp/hwlearn-claims``;
    ``%PROGRAMDATA%\\hwlearn\\claims`` on Windows. The environment variable ``HWLEARN_CLAIMS`` names another one.
    """
    chosen = os.environ.get(VARIABLE)
    if chosen:
        return Path(chosen)
    if sys.platform == "win32":
        return Path(os.environ.get("PROGRAMDATA", r"C:\ProgramData"), "hwlearn", "claims")
    locks = Path("/run/lock")
    if sys.platform == "linux" and _shared(locks):
        return locks / "hwlearn"
    return Path("/tmp/hwlearn-claims")  # not the temporary folder of one user


def prepared_folder() -> Path:
    """Return the folder of the claims; create it, writable by all users, if it does not exist.

    Raises
    ------
    SetupError
        If it cannot be created or written, or is no folder.
    """
    folder = claims_folder()
    try:
        _create(folder)
        if not stat.S_ISDIR(folder.lstat().st_mode):
            raise NotADirectoryError(f"it is a {'link' if folder.is_symlink() else 'file'}")
        if not _writable(folder):
            raise PermissionError("this user may not write there")
    except OSError as error:
        raise SetupError(
            f"instruments cannot be claimed in {folder}: {error.strerror or error}; without a claim two processes "
            f"could drive one bench; make the folder writable for all users (mode 1777), or set {VARIABLE} to a "
            "folder that every user of this machine shares"
        ) from error
    return folder


def _shared(folder: Path) -> bool:
    try:
        mode = folder.stat().st_mode
    except OSError:
        return False
    return stat.S_ISDIR(mode) and bool(mode & stat.S_IWOTH) and os.access(folder, os.W_OK | os.X_OK)


def _writable(folder: Path) -> bool:
    """Whether this user may write there; another process may just have created it and not yet set its mode."""
    for _ in range(10):
        if os.access(folder, os.W_OK | os.X_OK):
            return True
        time.sleep(0.01)
    return False


def _create(folder: Path) -> None:
    try:
        folder.mkdir(parents=True)
    except FileExistsError:
        return
    if sys.platform == "win32":
        from hwlearn_drivers.claims import windows

        windows.share(folder)
    else:
        folder.chmod(0o1777)  # the mode of mkdir is reduced by the umask
