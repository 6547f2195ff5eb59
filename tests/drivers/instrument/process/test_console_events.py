"""Console events of Windows, with a fake of its kernel32."""

import sys
from types import SimpleNamespace

import pytest

from hwlearn_drivers.instrument.process import console_events
from hwlearn_drivers.instrument.process.console_events import ConsoleEvents


class Kernel32:
    """Keeps the registered routines, in order, as Windows does."""

    def __init__(self, accepts=1):
        self.routines, self._accepts = [], accepts

    def SetConsoleCtrlHandler(self, routine, add):
        if self._accepts:
            (self.routines.append if add else self.routines.remove)(routine)
        return self._accepts


@pytest.fixture
def windows(monkeypatch):
    """Return a function that pretends to be Windows, with a kernel32."""

    def pretend(kernel32):
        monkeypatch.setattr(sys, "platform", "win32")
        monkeypatch.setattr(console_events.ctypes, "windll", SimpleNamespace(kernel32=kernel32), raising=False)
        monkeypatch.setattr(console_events.ctypes, "WINFUNCTYPE", lambda *types: lambda call: call, raising=False)
        return kernel32

    return pretend


@pytest.mark.parametrize(
    ("event", "reason"),
    [(2, "its console window was closed"), (5, "the user logged off"), (6, "the computer was shut down")],
)
def test_end_of_console_session_or_computer_switches_off(windows, event, reason):
    kernel32, reasons = windows(Kernel32()), []
    events = ConsoleEvents(reasons.append)
    events.install()
    (routine,) = kernel32.routines
    assert routine(event) == 0, "the default action follows"
    assert reasons == [f"the program is being ended: {reason}"]
    events.uninstall()
    assert kernel32.routines == []


@pytest.mark.parametrize("event", [0, 1])
def test_ctrl_c_and_ctrl_break_are_left_to_the_signal_handlers(windows, event):
    kernel32, reasons = windows(Kernel32()), []
    events = ConsoleEvents(reasons.append)
    events.install()
    events.install()
    (routine,) = kernel32.routines
    assert routine(event) == 0
    assert reasons == []


def test_program_without_a_console_is_not_registered(windows):
    kernel32 = windows(Kernel32(accepts=0))
    events = ConsoleEvents(print)
    events.install()
    events.uninstall()
    assert kernel32.routines == []


def test_other_systems_have_no_console_events(monkeypatch):
    monkeypatch.setattr(sys, "platform", "linux")
    events = ConsoleEvents(print)
    events.install()
    events.uninstall()
