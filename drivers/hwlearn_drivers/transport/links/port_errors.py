"""Why a serial port cannot be opened, from the error of the operating system, and what to do.

Windows reports a port that another program has open as "access denied", which on Linux and macOS means a missing
permission. pyserial keeps the number of the error on Linux and macOS. On Windows only the name of the error is in
its text; it is the same in every language of Windows.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import stat
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Literal

PortProblem = Literal["in use", "forbidden", "missing", "unknown", "other"]

_BUSY: Final = frozenset({errno.EBUSY, errno.EAGAIN, errno.EWOULDBLOCK})
_MISSING: Final = frozenset({errno.ENOENT, errno.ENXIO, errno.ENODEV})
_FORBIDDEN: Final = frozenset({errno.EACCES, errno.EPERM})
_WINDOWS_BUSY: Final = frozenset({5, 32, 33, 170})
"""Access denied, sharing violation, lock violation, busy (Win32 API, "System Error Codes")."""

_NO_PORTS: Final = (0, 1)  # major numbers: no device, and /dev/null with its kind
_PTMX: Final = ("/dev/ptmx", "/dev/pts/ptmx")
_WINDOWS_MISSING: Final = frozenset({2, 3, 15, 20, 55, 433, 1167})
_WINDOWS_ERROR: Final = re.compile(
    r"\b(PermissionError|FileNotFoundError|OSError)\((\d+), .*?(?:, None, (\d+))?\)"
)
_TEXT_NUMBER: Final = re.compile(r"\[Errno (\d+)\]")

_UNKNOWN_URL: Final = "invalid URL, protocol"  # in the text of pyserial

_ADVICE: Final[dict[PortProblem, str]] = {
    "in use": "it is in use by another program{users}; close that program",
    "forbidden": "this user may not open it; on Linux, add the user to the group dialout or uucp and log in again",
    "missing": "there is no such port; is it plugged in and switched on? hwlearn devices lists the ports",
    "unknown": "there is no such kind of URL; write for example socket://192.168.0.5:5025",
    "other": "is it a serial port, and is it plugged in?",
}


def port_problem(error: BaseException, platform: str = sys.platform) -> PortProblem:
    """Return what keeps a port from being opened.

    Parameters
    ----------
    error : BaseException
        As pyserial raised it.
    platform : str
        As ``sys.platform``.

    Examples
    --------
    >>> port_problem(OSError(16, "Device or resource busy"), "linux")
    'in use'
    >>> port_problem(OSError("could not open port 'COM3': PermissionError(13, 'Zugriff', None, 5)"), "win32")
    'in use'
    """
    if _UNKNOWN_URL in str(error):
        return "unknown"
    if platform == "win32":
        return _windows_problem(error)
    number = error.errno if isinstance(error, OSError) else None
    if number is None and (found := _TEXT_NUMBER.search(str(error))):
        number = int(found[1])
    if number in _BUSY:
        return "in use"
    if number in _FORBIDDEN:
        return "forbidden"
    return "missing" if number in _MISSING else "other"


def _windows_problem(error: BaseException) -> PortProblem:
    found = _WINDOWS_ERROR.search(str(error))
    if found is None:
        return "in use" if isinstance(error, PermissionError) else "other"
    if found[1] == "PermissionError" or (found[3] and int(found[3]) in _WINDOWS_BUSY):
        return "in use"
    if found[1] == "FileNotFoundError" or (found[3] and int(found[3]) in _WINDOWS_MISSING):
        return "missing"
    return "other"


def open_failure(url: str, error: BaseException, users: Sequence[str] = ()) -> str:
    """Return the message for a port that cannot be opened, in one line.

    Parameters
    ----------
    url : str
        Port or URL, as it was given.
    error : BaseException
    users : sequence of str
        Processes that have it open, from `users_of`.
    """
    problem: PortProblem = "in use" if users else port_problem(error)
    named = f": {', '.join(users)}" if users else ""
    text = " ".join(str(error).split()) or type(error).__name__
    return f"cannot open {url}: {_ADVICE[problem].format(users=named)} ({text})"


def in_use(url: str, users: Sequence[str]) -> str:
    """Return the message for a port that was not opened, because other processes have it open."""
    return f"cannot open {url}: {_ADVICE['in use'].format(users=': ' + ', '.join(users))}"


def users_of(port: str) -> list[str]:
    """Return the other processes that have a port open, as ``process 123 (minicom)``.

    Only Linux says, and to a user other than root only of processes of the same user. The process at the other end
    of a pseudo-terminal is no user.
    """
    if sys.platform != "linux" or not Path(port).exists():
        return []
    device = Path(port).stat().st_rdev
    if os.major(device) in _NO_PORTS:
        return []
    found = []
    for process in Path("/proc").iterdir():
        if not process.name.isdigit() or int(process.name) == os.getpid():
            continue
        with contextlib.suppress(OSError):
            if _has_open(process, device, port.startswith("/dev/pts/")):
                name = (process / "comm").read_text(encoding="utf-8", errors="replace").strip()
                found.append(f"process {process.name} ({name})")
    return found


def _has_open(process: Path, device: int, is_pseudo: bool) -> bool:
    is_open = False
    for file in (process / "fd").iterdir():
        try:
            found = file.stat()
        except OSError:
            continue
        if stat.S_ISCHR(found.st_mode) and found.st_rdev == device:
            is_open = True
        elif is_pseudo and stat.S_ISCHR(found.st_mode) and str(file.readlink()) in _PTMX:
            return False
    return is_open
