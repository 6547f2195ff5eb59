"""Windows: locks one byte of a file, and identifies and ends processes. Not tested on Windows.

Sources: msvcrt.locking, OpenProcess, GetProcessTimes and TerminateProcess of the Windows API.
"""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

_LOCKED_BYTE: Final = 1 << 30
"""Far behind the content: a locked byte cannot be read by others, the content must be."""
_QUERY: Final = 0x1000  # PROCESS_QUERY_LIMITED_INFORMATION
_TERMINATE: Final = 0x0001
_STILL_ACTIVE: Final = 259
_INVALID_PARAMETER: Final = 87
_USERS: Final = "*S-1-5-32-545"
"""The group of all users of the machine, in every language of Windows."""


def locked(handle: int) -> bool:
    """Lock a file; return False at once if somebody else holds it."""
    os.lseek(handle, _LOCKED_BYTE, os.SEEK_SET)
    try:
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
    except OSError:
        return False
    return True


def share(folder: Path) -> None:
    """Let all users of the machine write the files of a folder."""
    subprocess.run(
        ["icacls", str(folder), "/grant", f"{_USERS}:(OI)(CI)M"], capture_output=True, timeout=10, check=False
    )


def started(pid: int) -> str | None:
    """Return the creation time of a process; None if it does not run."""
    with suppress(OSError), _process(pid, _QUERY) as (api, handle):
        return _creation(api, handle)
    return None


def terminate(pid: int, start: str) -> None:
    """End a process if it was created then.

    Raises
    ------
    ProcessLookupError
        If there is no such process.
    PermissionError
        If it may not be ended.
    """
    with _process(pid, _QUERY | _TERMINATE) as (api, handle):
        if _creation(api, handle) != start:
            raise ProcessLookupError(pid)
        if not api.TerminateProcess(handle, 1):
            raise PermissionError(pid)


@contextmanager
def _process(pid: int, rights: int) -> Iterator[tuple[Any, ctypes.c_void_p]]:
    if sys.platform == "win32":
        api = ctypes.WinDLL("kernel32", use_last_error=True)
        api.OpenProcess.restype = ctypes.c_void_p
        handle = api.OpenProcess(rights, False, pid)
        if not handle:
            missing = ctypes.get_last_error() == _INVALID_PARAMETER
            raise ProcessLookupError(pid) if missing else PermissionError(pid)
        try:
            yield api, ctypes.c_void_p(handle)
        finally:
            api.CloseHandle(ctypes.c_void_p(handle))
    else:
        raise NotImplementedError


def _creation(api: Any, handle: ctypes.c_void_p) -> str | None:
    code = ctypes.c_uint32()
    if not api.GetExitCodeProcess(handle, ctypes.byref(code)) or code.value != _STILL_ACTIVE:
        return None
    times = [ctypes.c_uint64() for _ in range(4)]
    if not api.GetProcessTimes(handle, *(ctypes.byref(one) for one in times)):
        return None
    return str(times[0].value)
