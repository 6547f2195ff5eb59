"""A computer that was suspended: OFF before the next message, and an error that says why."""

import sys
import time
from types import SimpleNamespace

import pytest

from hwlearn_drivers.errors import HaltedError
from hwlearn_drivers.instrument import open_outputs
from hwlearn_drivers.instrument.process import suspend
from hwlearn_drivers.smu import ChannelLimit, open_smu
from hwlearn_drivers.smu.dry_answers import DryAnswers


@pytest.fixture
def asleep(monkeypatch):
    """The time asleep that the system reports, to be changed by the test."""
    clock = SimpleNamespace(seconds=1000.0)
    monkeypatch.setattr(open_outputs, "suspended_s", lambda: clock.seconds)
    return clock


DRY = DryAnswers("2400")


def answers(line):
    reply = DRY(line.encode())
    return None if reply is None else reply + b"\n"


def test_outputs_are_switched_off_after_a_suspend(responder, asleep):
    devices = responder(answers), responder(answers)
    first, second = (open_smu(device.url, {1: ChannelLimit(2.0, 1e-3)}, model="2400") for device in devices)
    with first, second:
        first.channel(1).voltage_source(0.5, 1e-3)
        asleep.seconds += 0.9  # the clocks are not read at the same moment
        first.channel(1).on()
        for smu in (first, second):
            smu.check_errors("all before")  # everything sent so far has been received
        asleep.seconds += 3600.0
        heard = [len(device.heard) for device in devices]
        with pytest.raises(HaltedError, match=r"switched off: the computer was suspended for 3600 s; outputs may"):
            first.channel(1).set_level(0.1)
        for smu, device, before in zip((first, second), devices, heard, strict=True):
            smu.off()  # ends with a query, so that everything before it has been received
            assert device.heard[before] == ":OUTP 0", "nothing else is sent before"
        with pytest.raises(HaltedError, match="was suspended"):
            second.rearm()
        second.reconnect()
        second.channel(1).voltage_source(0.5, 1e-3)


def test_suspend_before_opening_does_not_matter(responder, asleep):
    asleep.seconds += 3600.0
    with open_smu(responder(answers).url, {1: ChannelLimit(2.0, 1e-3)}, model="2400") as smu:
        smu.channel(1).voltage_source(0.5, 1e-3)
        assert open_outputs.halted_because() is None


def test_time_asleep_does_not_change_while_the_computer_is_awake():
    before = suspend.suspended_s()
    time.sleep(0.05)
    assert abs(suspend.suspended_s() - before) < 0.04


@pytest.mark.parametrize(
    ("platform", "clocks"),
    [("linux", ("CLOCK_BOOTTIME", "CLOCK_MONOTONIC")), ("darwin", ("CLOCK_MONOTONIC", "CLOCK_UPTIME_RAW"))],
)
def test_clocks_with_and_without_the_time_asleep_are_compared(monkeypatch, platform, clocks):
    values = {1: 5000.0, 2: 1400.0}
    fake = SimpleNamespace(clock_gettime=values.__getitem__, **dict(zip(clocks, values, strict=True)))
    monkeypatch.setattr(suspend, "time", fake)
    monkeypatch.setattr(sys, "platform", platform)
    assert suspend.suspended_s() == 3600.0


def test_windows_compares_its_biased_and_unbiased_times(monkeypatch):
    class Kernel32:
        @staticmethod
        def QueryUnbiasedInterruptTime(place):
            place._obj.value = 1400 * 10_000_000  # in 100 ns

        @staticmethod
        def GetTickCount64():
            return 5_000_000  # in ms

    monkeypatch.setattr(suspend.ctypes, "windll", SimpleNamespace(kernel32=Kernel32), raising=False)
    monkeypatch.setattr(sys, "platform", "win32")
    assert suspend.suspended_s() == 3600.0
