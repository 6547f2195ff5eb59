"""One ArC TWO: limits checked before any call, no command left in the queue, and 0 V on every exit path."""

import itertools
import math
import os
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from arc2_rig import FakeLibrary, PanicException, VendorError, gone, world_of
from exit_paths import ENDINGS, POSIX, SOME_ENDINGS, SOME_SIGNALS
from hypothesis import given
from hypothesis import strategies as st

from hwlearn.errors import LimitError
from hwlearn_drivers.arc2 import instrument as arc2
from hwlearn_drivers.arc2.channel_limits import Arc2ChannelLimits
from hwlearn_drivers.arc2.instrument import Arc2
from hwlearn_drivers.errors import (
    GarbledReplyError,
    HaltedError,
    LinkError,
    LinkTimeout,
    OutputsMayBeOnError,
)
from hwlearn_drivers.instrument import open_outputs

CHANNEL_LIMITS = Arc2ChannelLimits(1.0, 3.0)


@pytest.fixture
def world():
    return world_of([[1e-5, 2e-5], [3e-5, 4e-5]])


@pytest.fixture
def arc(world, tmp_path):
    with opened(world, tmp_path) as arc:
        world.calls.clear()
        yield arc
        world.fails.clear()


def opened(world, folder, timeout_s=0.05):
    firmware = folder / "fw.bin"
    firmware.touch()
    return Arc2.open(FakeLibrary(world), 0, firmware, CHANNEL_LIMITS, timeout_s)


def names(world):
    return [call[0] for call in world.calls]


def holding(arc, volts=0.5):
    with arc.phase() as hold:
        return hold({0: volts, 1: -volts}, [16, 17], 1e-3, True)


# --- operations -----------------------------------------------------------------------------------


def test_channels_are_at_0_V_after_opening_and_closing(world, tmp_path):
    with opened(world, tmp_path):
        assert names(world)[:3] == ["Instrument", "ground_all", "execute"]
    assert names(world)[-2:] == ["ground_all", "execute"]
    assert world.at_0_V


def test_crosspoint_reading_is_the_current_of_its_own_device(arc):
    assert arc.read_crosspoint(16, 1, 0.1) == pytest.approx(3e-6, rel=1e-6)
    assert arc.read_crosspoint(17, 0, -0.1) == pytest.approx(-2e-6, rel=1e-6)


def test_phase_reads_kirchhoff_voltages_and_returns_to_0_V(arc, world):
    volts, amperes = holding(arc)
    expected = 0.5 * (1e-5 - 3e-5) / 4e-5
    assert volts[16] == pytest.approx(expected, rel=1e-5)
    assert amperes[0] == pytest.approx(1e-5 * (0.5 - expected) + 2e-5 * (0.5 - volts[17]), rel=1e-4)
    assert math.isnan(volts[40])
    assert world.at_0_V


def test_pulse_is_applied_and_read(arc, world):
    world.after_pulse = lambda low, high, volts, nanos: world.siemens.__setitem__((high, low), 5e-5)
    assert arc.pulse_crosspoint(16, 0, 2.0, 1e-6, 0.1) == pytest.approx(5e-6, rel=1e-6)
    assert world.pulses == [(16, 0, 2.0, 1000)]
    assert world.at_0_V


# --- limits ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "operation",
    [
        lambda arc: arc.read_crosspoint(16, 0, 1.01),
        lambda arc: arc.read_crosspoint(16, 0, -1.01),
        lambda arc: arc.read_crosspoint(16, 0, math.nan),
        lambda arc: arc.pulse_crosspoint(16, 0, 3.01, 1e-6, 0.1),
        lambda arc: arc.pulse_crosspoint(16, 0, -3.01, 1e-6, 0.1),
        lambda arc: arc.pulse_crosspoint(16, 0, math.nan, 1e-6, 0.1),
        lambda arc: arc.pulse_crosspoint(16, 0, 0.0, 1e-6, 0.1),
        lambda arc: arc.pulse_crosspoint(16, 0, 1.0, 30e-9, 0.1),
        lambda arc: arc.pulse_crosspoint(16, 0, 1.0, 0.5, 0.1),
        lambda arc: arc.pulse_crosspoint(16, 0, 1.0, math.nan, 0.1),
        lambda arc: arc.pulse_crosspoint(16, 0, 1.0, 1e-6, 1.01),
    ],
)
def test_request_above_a_channel_limit_calls_nothing(arc, world, operation):
    with pytest.raises(LimitError, match="nothing was applied"):
        operation(arc)
    assert not world.calls


@given(st.floats(allow_nan=True, allow_infinity=True), st.floats(allow_nan=True, allow_infinity=True))
def test_no_level_exceeds_the_channel_limit(a, b):
    world = world_of([[1e-5, 2e-5], [3e-5, 4e-5]])
    arc = Arc2(
        FakeLibrary(world), lambda: FakeLibrary(world).Instrument(0, "fw"), 0, CHANNEL_LIMITS, 0.05, "internal"
    )
    arc.reconnect()
    within = all(abs(volts) <= 1.0 + 1e-9 for volts in (a, b))
    try:
        with arc.phase() as hold:
            hold({0: a, 1: b}, [16, 17], 1e-3, False)
        assert within
    except LimitError:
        assert not within
        assert "config_channels" not in names(world)
    assert world.most_volts <= 1.0 + 1e-9
    assert world.at_0_V


@pytest.mark.parametrize("volts", [(10.1, 1.0), (1.0, 20.1), (0.0, 1.0), (1.0, math.nan), (math.inf, 1.0)])
def test_channel_limits_beyond_the_range_of_a_channel_are_refused(volts):
    with pytest.raises(LimitError, match="must be positive and at most"):
        Arc2ChannelLimits(*volts)


# --- the queue ------------------------------------------------------------------------------------

QUEUED = ["connect_to_gnd", "open_channels", "config_channels", "delay", "vread_channels_deferred",
          "read_slice_open_deferred", "execute", "pick_one"]  # fmt: skip


@pytest.mark.parametrize("method", QUEUED)
@pytest.mark.parametrize(
    "failure", [VendorError("usb"), PanicException("unwrap"), KeyboardInterrupt(), MemoryError()]
)
def test_any_failure_leaves_0_V_and_an_empty_queue(arc, world, method, failure):
    world.fails[method] = [failure]
    expected = LinkError if isinstance(failure, VendorError | PanicException) else type(failure)
    with pytest.raises(expected):
        holding(arc)
    assert arc.halted
    assert world.at_0_V
    assert not arc._vendor._queue
    failed = names(world).index(method)
    assert names(world)[failed + 1 : failed + 3] == ["ground_all", "execute"], "0 V first, without a query"


def test_reading_after_a_failure_is_a_new_one(arc, world):
    world.before["pick_one"] = lambda: (_ for _ in ()).throw(KeyboardInterrupt)
    with pytest.raises(KeyboardInterrupt):
        holding(arc, 0.5)
    with pytest.raises(HaltedError):
        holding(arc, 0.2)
    arc.rearm()
    volts, _ = holding(arc, 0.2)
    assert volts[0] == pytest.approx(0.2)


def test_endless_old_readings_are_an_error(arc, world, monkeypatch):
    arc.halt()
    monkeypatch.setattr(arc._vendor, "pick_one", lambda mode, kind: [0.0] * 64)
    with pytest.raises(LinkError, match="keeps returning old readings"):
        arc.rearm()


@pytest.mark.parametrize("failure", [VendorError("usb"), PanicException("unwrap"), KeyboardInterrupt()])
def test_failed_pulse_is_never_sent_later(arc, world, failure):
    world.fails["pulseread_one"] = [failure]
    queue = arc._vendor._queue
    with pytest.raises((LinkError, KeyboardInterrupt)):
        arc.pulse_crosspoint(16, 0, 2.0, 1e-6, 0.1)
    assert queue, "the library would still have held the pulse"
    assert arc._vendor._queue is not queue
    assert not world.pulses
    assert names(world) == ["pulseread_one", "Instrument", "ground_all", "execute"]
    arc.rearm()
    arc.ground()
    assert not world.pulses
    assert world.at_0_V


def test_failed_pulse_does_not_delay_the_next_halt(arc, world):
    world.fails["pulseread_one"] = [VendorError("usb")]
    with pytest.raises(LinkError):
        arc.pulse_crosspoint(16, 0, 2.0, 1e-6, 0.1)
    world.calls.clear()
    arc.halt()
    assert names(world) == ["ground_all", "execute"]


def test_instrument_that_stays_busy_is_a_timeout(arc, world):
    world.before["delay"] = lambda: setattr(world, "busy_forever", True)
    with pytest.raises(LinkTimeout, match=r"was not done within 0\.05 s"):
        holding(arc)
    assert names(world)[-2:] == ["ground_all", "execute"]
    with pytest.raises(LinkTimeout):
        arc.rearm()
    world.busy_forever = False
    arc.reconnect()
    assert holding(arc)[0][0] == pytest.approx(0.5)


def test_settling_time_does_not_count_as_timeout(arc, monkeypatch):
    clock, answers = itertools.count(0.0, 0.04), iter([True] * 3 + [False] * 9)
    monkeypatch.setattr(arc2, "time", SimpleNamespace(monotonic=lambda: next(clock), sleep=lambda seconds: None))
    monkeypatch.setattr(arc._vendor, "busy", lambda: next(answers))
    with arc.phase() as hold:
        volts, _ = hold({0: 0.5}, [16], 0.2, True)
    assert volts[0] == pytest.approx(0.5)


@pytest.mark.parametrize("value", [math.nan, math.inf, 9.91e37, -9.9e37, 9.8e37])
def test_current_that_is_not_finite_is_an_error(arc, world, value):
    world.offset_A = value
    with pytest.raises(GarbledReplyError, match="may be beyond its range"):
        arc.read_crosspoint(16, 0, 0.1)
    assert world.at_0_V


@pytest.mark.parametrize("value", [None, [0.0] * 32])
def test_reading_of_wrong_size_is_an_error(arc, world, monkeypatch, value):
    monkeypatch.setattr(arc._vendor, "pick_one", lambda mode, kind: value)
    with pytest.raises(GarbledReplyError, match="no reading of 64 channels"):
        holding(arc)


# --- exit paths -----------------------------------------------------------------------------------


def test_off_is_sent_through_a_new_object_if_the_old_one_fails(arc, world):
    world.fails["execute"] = [VendorError("usb")]
    arc.halt()
    assert names(world) == ["ground_all", "execute", "Instrument", "ground_all", "execute"]
    assert world.at_0_V


def test_disconnected_instrument_is_named_in_capitals(world, tmp_path):
    arc = opened(world, tmp_path)
    world.fails = {"execute": gone(), "Instrument": gone()}
    with pytest.raises(
        OutputsMayBeOnError, match=r"OUTPUTS MAY BE ON: EVERY CHANNEL OF ARC TWO 0 \(.*cable is out"
    ):
        arc.close()
    assert not open_outputs.watched(arc)
    assert arc.closed


def test_reconnected_instrument_is_usable_again(arc, world):
    world.fails = {"execute": gone(), "Instrument": gone()}
    with pytest.raises(OutputsMayBeOnError):
        holding(arc)
    world.fails.clear()
    arc.reconnect()
    assert world.at_0_V
    assert holding(arc)[0][0] == pytest.approx(0.5)


def test_stored_error_does_not_keep_the_instrument_open(arc, world):
    world.fails["read_one"] = [VendorError("usb")]
    with pytest.raises(LinkError) as kept:
        arc.read_crosspoint(16, 0, 0.1)
    arc.reconnect()
    assert kept.value.__cause__ is not None
    assert world.opened == 2


def test_instrument_is_closed_after_a_failure_while_opening(world, tmp_path):
    world.fails["set_control_mode"] = [VendorError("usb")]
    with pytest.raises(LinkError, match="setting the daughterboard"):
        opened(world, tmp_path)
    assert names(world)[-2:] == ["ground_all", "execute"]
    assert not open_outputs._open


def test_halt_during_an_operation_stops_the_operation(arc, world):
    world.before["config_channels"] = arc.halt  # as a signal handler that lets the program continue
    with pytest.raises(HaltedError):
        holding(arc)
    assert world.at_0_V
    assert not any(abs(level[0]) > 0 for level in world.ever[-1:])


def test_closed_instrument_refuses_every_operation(world, tmp_path):
    arc = opened(world, tmp_path)
    arc.close()
    arc.close()
    world.calls.clear()
    for use in (arc.ground, arc.reconnect, lambda: arc.read_crosspoint(16, 0, 0.1)):
        with pytest.raises((LinkError, OutputsMayBeOnError)):
            use()
    assert "read_one" not in names(world)


PROGRAM = """
import os, signal, sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from arc2_rig import FakeInstrument, FakeLibrary, world_of
from hwlearn_drivers.arc2.instrument import Arc2
from hwlearn_drivers.arc2.channel_limits import Arc2ChannelLimits
log = open(sys.argv[1], "a", buffering=1)
def call(self, name, *arguments, real=FakeInstrument._call):
    log.write(name + chr(10))
    real(self, name, *arguments)
FakeInstrument._call = call
{before}
world = world_of([[1e-5]])
smu = Arc2.open(FakeLibrary(world), 0, Path(sys.argv[1]), Arc2ChannelLimits(1.0, 3.0))
phase = smu.phase()
hold = phase.__enter__()
hold({{0: 0.5}}, [16], 1e-3, True)
print("on", flush=True)
log.write("on" + chr(10))
{then}
"""


def ended(folder, before, then):
    log = folder / "calls"
    log.touch()
    here = str(Path(__file__).parents[1])
    program = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(before=before, then=then), str(log), here],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
    )
    lines = log.read_text().split()
    return program, lines[lines.index("on") + 1 :]


@POSIX
@pytest.mark.parametrize("ending", SOME_ENDINGS)
def test_every_exit_path_sends_0_V_first(tmp_path, ending):
    before, then, code = ENDINGS[ending]
    program, after = ended(tmp_path, before, then)
    assert program.returncode == code, program.stderr
    assert after[:2] == ["ground_all", "execute"]
    assert "config_channels" not in after


@POSIX
@pytest.mark.parametrize("name", SOME_SIGNALS)
def test_signal_between_queue_and_execute_sends_0_V(tmp_path, name):
    number = getattr(signal, name)
    then = f"""
real_delay = FakeInstrument.delay
def delay(self, nanos):
    real_delay(self, nanos)
    signal.raise_signal({int(number)})
    return self
FakeInstrument.delay = delay
with smu:
    hold({{0: 0.7}}, [16], 1e-3, True)
"""
    program, after = ended(tmp_path, "", then)
    assert program.returncode == -number, program.stderr
    assert after[after.index("delay") + 1 :][:2] == ["ground_all", "execute"]
