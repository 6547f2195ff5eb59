"""Console events of Windows: the closed window, logging off and shutting down, which Python passes to no handler.

Ctrl-C and Ctrl-Break arrive as SIGINT and SIGBREAK. The other three only reach a function that is registered with
``SetConsoleCtrlHandler`` (Win32 API, "HandlerRoutine"). Windows calls it in a thread of its own, and ends the
process when it returns, or after about 5 s. So OFF is sent in that thread. Not run on Windows yet.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable
from typing import Any, Final

_EVENTS: Final = {2: "its console window was closed", 5: "the user logged off", 6: "the computer was shut down"}


class ConsoleEvents:
    """Switches off before Windows ends a program with its console, its user's session or the computer.

    Parameters
    ----------
    halt : callable
        Switches every output off; takes the reason, and raises nothing.
    """

    def __init__(self, halt: Callable[[str], None]) -> None:
        self._halt = halt
        self._registered: Any = None  # kept: the system calls it

    def install(self) -> None:
        """Register with the system; on other systems nothing happens."""
        if sys.platform == "win32" and self._registered is None:
            routine = ctypes.WINFUNCTYPE(ctypes.c_int, ctypes.c_uint)(self._on_event)
            if ctypes.windll.kernel32.SetConsoleCtrlHandler(routine, 1):
                self._registered = routine

    def uninstall(self) -> None:
        """Remove the registration."""
        if sys.platform == "win32" and self._registered is not None:
            ctypes.windll.kernel32.SetConsoleCtrlHandler(self._registered, 0)
            self._registered = None

    def _on_event(self, event: int) -> int:
        if event in _EVENTS:
            self._halt(f"the program is being ended: {_EVENTS[event]}")
        return 0  # not handled: the other handlers and the default action follow
