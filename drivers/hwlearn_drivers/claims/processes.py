"""Processes of this machine: who one is, when it was started, and how to end exactly that one.

Sources: proc(5) and pidfd_open(2) for Linux, ps(1) for macOS, GetProcessTimes and TerminateProcess for Windows.
"""

from __future__ import annotations

import contextlib
import getpass
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Final

from hwlearn_drivers.claims import windows

_SYSTEM: Final[str] = sys.platform

END_S: Final = 1.0
"""Maximum wait until a killed process has ended, and with it its links."""


def user_name() -> str:
    """Return the name of the user of this process, or their number."""
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):  # no entry for the user, as in some containers
        return str(os.getuid()) if sys.platform != "win32" else "?"


def command_line() -> str:
    """Return the command line of this process."""
    with contextlib.suppress(OSError):
        words = Path("/proc/self/cmdline").read_bytes().rstrip(b"\0").split(b"\0")
        return " ".join(word.decode("utf-8", "replace") for word in words)
    return " ".join([sys.executable, *sys.argv])


def started(pid: int) -> str | None:
    """Return when a process was started, in a form that only serves to compare; None if it does not run.

    A zombie does not run: its links are closed.
    """
    if _SYSTEM == "linux":
        return _started_on_linux(pid)
    if _SYSTEM == "win32":
        return windows.started(pid)
    found = subprocess.run(
        ["ps", "-o", "stat=,lstart=", "-p", str(pid)], capture_output=True, text=True, check=False
    )
    state, _, when = found.stdout.strip().partition(" ")
    return None if not when or state.startswith("Z") else when.strip()


def end(pid: int, start: str) -> str | None:
    """Kill a process if it is the one that was started then, and wait until it has ended.

    Returns
    -------
    str or None
        Why it was not ended; None if it has ended.
    """
    if pid in (0, 1, os.getpid()):
        return f"process {pid} is not ended"
    try:
        if sys.platform == "win32":
            windows.terminate(pid, start)
        else:
            _kill(pid, start)
    except ProcessLookupError:
        return None
    except PermissionError:
        return f"user {user_name()} may not end process {pid}"
    except OSError as error:
        return f"process {pid} cannot be ended: {error}"
    deadline = time.monotonic() + END_S
    while started(pid) == start:
        if time.monotonic() > deadline:
            return f"process {pid} was killed, but has not ended after {END_S:g} s"
        time.sleep(0.005)
    return None


def _kill(pid: int, start: str) -> None:
    if sys.platform != "linux":
        if started(pid) != start:
            raise ProcessLookupError
        os.kill(pid, signal.SIGKILL)
        return
    handle = os.pidfd_open(pid)  # from here on the number cannot be given to another process
    try:
        if started(pid) != start:
            raise ProcessLookupError
        signal.pidfd_send_signal(handle, signal.SIGKILL)
    finally:
        os.close(handle)


def _started_on_linux(pid: int) -> str | None:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    fields = stat.rpartition(")")[2].split()  # the name before may have spaces and parentheses
    return None if fields[0] in "ZX" else fields[19]
