"""Devices of an array on an ArC TWO: expected currents are checked before, measured currents after."""

import math

import numpy as np
import pytest
from arc2_rig import FakeLibrary, VendorError, array_of, crossbar, world_of
from hypothesis import given, settings
from hypothesis import strategies as st
from shares import examples

import hwlearn as hl
from hwlearn.device_access import PulseLimits
from hwlearn.errors import ComplianceError, LimitError, SetupError
from hwlearn_drivers.arc2.array import Arc2Array, Arc2Devices
from hwlearn_drivers.arc2.channel_limits import Arc2ChannelLimits
from hwlearn_drivers.arc2.instrument import Arc2
from hwlearn_drivers.arc2.wiring import COLUMNS, ROWS, Arc2Wiring
from hwlearn_drivers.edges.write_verifier import WriteVerifier
from hwlearn_drivers.errors import GarbledReplyError, LinkError

PULSE_LIMITS = PulseLimits(voltage=2.0, current=5e-4, width=(1e-7, 1e-3), pulses=400, read_voltage=0.2)
BENCH = hl.Limits(voltage=1.0, drop=2.0, nudge=0.3, current=1e-3, conductance=(1e-6, 1e-4))
DEVICES = Arc2Devices(read_volts=0.1, positive="rows", current_sign=1, headroom=2.0, unknown_siemens=1e-4)


def array_on(world, folder, devices=DEVICES, limits=PULSE_LIMITS, bench=BENCH):
    firmware = folder / "fw.bin"
    firmware.touch()
    arc = Arc2.open(FakeLibrary(world), 0, firmware, Arc2ChannelLimits(bench.voltage, limits.voltage), 0.05)
    topology = crossbar()
    return Arc2Array(arc, topology, Arc2Wiring.of(topology), limits, bench, devices)


@pytest.fixture
def world():
    return world_of(array_of())


@pytest.fixture
def array(world, tmp_path):
    array = array_on(world, tmp_path)
    with array.arc:
        world.calls.clear()
        yield array


def calls(world, name):
    return [call for call in world.calls if call[0] == name]


# --- reading --------------------------------------------------------------------------------------


def test_readings_equal_the_conductances(array, world):
    np.testing.assert_allclose(array.read_all(0.1), array_of().ravel(), rtol=1e-6)
    np.testing.assert_allclose(array.measured, array_of().ravel(), rtol=1e-6)
    assert world.most_volts == pytest.approx(0.1)


def test_sign_of_the_reading_is_a_setting(world, tmp_path):
    array = array_on(world, tmp_path, Arc2Devices(0.1, "columns", -1, 2.0, 1e-4))
    with array.arc:
        assert array.read(0, 0.1) == pytest.approx(-array_of()[0, 0], rel=1e-6)
        assert calls(world, "read_one") == [("read_one", 0, 16, 0.1)]


def test_open_device_reads_about_zero_with_either_sign(array, world):
    world.siemens[0, 16], world.offset_A = 0.0, -2e-12
    assert array.read(0, 0.1) == pytest.approx(-2e-11, rel=1e-6)
    array.pulse(0, 1.0, 1e-6)
    assert world.pulses == [(16, 0, 1.0, 1000)]


@pytest.mark.parametrize("volts", [0.21, -0.21, 0.0, math.nan])
def test_read_voltage_above_the_limit_is_refused(array, world, volts):
    with pytest.raises(LimitError):
        array.read(0, volts)
    with pytest.raises(LimitError):
        array.read_all(volts)
    assert not world.calls


def test_devices_never_read_count_with_the_assumed_conductance(world, tmp_path):
    devices = Arc2Devices(0.1, "rows", 1, 2.0, unknown_siemens=3e-3)
    array = array_on(world, tmp_path, devices)
    with array.arc:
        world.calls.clear()
        with pytest.raises(
            LimitError, match=r"1\.2 mA are expected at col0, .* \(4 devices there were never read"
        ):
            array.read(0, 0.1)
        assert not world.calls
        assert array.read(0, 0.05) > 0


def test_shorted_device_is_detected_by_reading_and_gets_no_pulse(array, world):
    world.siemens[0, 16] = 0.05
    with pytest.raises(
        ComplianceError, match=r"row0-col0.* draws 5 mA at 100 mV, more than limits\.current = 1 mA"
    ):
        array.read(0, 0.1)
    assert world.at_0_V
    world.calls.clear()
    for volts in (0.5, -0.5, 2.0):
        with pytest.raises(LimitError):
            array.pulse(0, volts, 1e-6)
    with pytest.raises(LimitError, match="expected at row0"):
        array.read(1, 0.1)  # its line also feeds the shorted device
    assert not world.calls
    assert array.read(4, 0.1) > 0


# --- pulses ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("volts", "width"),
    [(2.01, 1e-6), (-2.01, 1e-6), (math.nan, 1e-6), (math.inf, 1e-6), (1.0, 9e-8), (1.0, 2e-3), (1.0, math.nan)],
)
def test_pulse_outside_the_limits_is_refused_before_any_call(array, world, volts, width):
    with pytest.raises(LimitError):
        array.pulse(0, volts, width)
    assert not world.calls
    assert not array.pulses.any()


def test_device_never_read_is_read_before_its_pulse(array, world):
    array.pulse(5, 1.5, 1e-6)
    assert [call[0] for call in world.calls if call[0] != "busy"] == ["read_one", "pulseread_one"]
    assert calls(world, "read_one")[0][3] == 0.1


def test_expected_current_of_a_pulse_includes_the_headroom(array, world):
    world.siemens[0, 16] = 1.3e-4
    array.read(0, 0.1)
    world.calls.clear()
    with pytest.raises(LimitError, match=r"expected current 520 uA .*exceeds the pulse limit current = 500 uA"):
        array.pulse(0, 2.0, 1e-6)
    assert not world.calls
    array.pulse(0, -1.9, 1e-6)
    assert world.pulses == [(16, 0, -1.9, 1000)]


def test_other_devices_of_a_line_count_at_half_the_pulse_voltage(world, tmp_path):
    bench = hl.Limits(voltage=1.0, drop=2.0, nudge=0.3, current=1.8e-4, conductance=(1e-6, 1e-4))
    for r in range(1, 4):
        world.siemens[r, 16] = 5e-5
    world.siemens[0, 16] = 1e-5
    array = array_on(world, tmp_path, bench=bench)
    with array.arc:
        array.read_all(0.1)
        world.calls.clear()
        # 2 * 1e-5 * 2 V through the device, and 3 * 5e-5 * 1 V through the others of its column
        with pytest.raises(LimitError, match=r"190 uA are expected at col0, more than limits\.current = 180 uA"):
            array.pulse(0, 2.0, 1e-6)
        assert not world.calls
        array.pulse(0, 1.8, 1e-6)


def test_device_that_drifts_up_under_pulses_gets_no_more_pulses(array, world):
    def runaway(low, high, volts, nanos):
        world.siemens[high, low] *= 3

    world.after_pulse = runaway
    world.siemens[0, 16] = 1e-5

    def on_and_on():
        for _ in range(20):
            array.read(0, 0.1)
            array.pulse(0, 2.0, 1e-6)

    with pytest.raises(LimitError, match="expected at row0"):
        on_and_on()
    assert len(world.pulses) == 3, "at 1, 3 and 9e-5 S; not at 2.7e-4 S, where 2 V drive 1.1 mA with headroom"
    assert world.at_0_V


def test_device_that_shorts_during_a_pulse_is_detected_at_once(array, world):
    array.read(0, 0.1)
    world.after_pulse = lambda low, high, volts, nanos: world.siemens.__setitem__((high, low), 0.1)
    with pytest.raises(ComplianceError, match=r"draws 10 mA at 100 mV.*may be shorted"):
        array.pulse(0, 2.0, 1e-6)
    assert world.at_0_V
    with pytest.raises(LimitError):
        array.pulse(0, 0.1, 1e-6)
    assert len(world.pulses) == 1


def test_device_is_unknown_after_a_failed_pulse(array, world):
    array.read(0, 0.1)
    world.fails["pulseread_one"] = [VendorError("usb")]
    with pytest.raises(LinkError):
        array.pulse(0, 1.0, 1e-6)
    assert math.isnan(array.measured[0])
    assert array.pulses[0] == 1
    assert array.assumed[0] == DEVICES.unknown_siemens


def test_reading_that_is_not_finite_prevents_the_pulse(array, world):
    world.offset_A = math.nan
    with pytest.raises(GarbledReplyError):
        array.pulse(0, 1.0, 1e-6)
    assert not world.pulses


def test_number_of_pulses_per_device_is_limited(world, tmp_path):
    few = PulseLimits(voltage=2.0, current=5e-4, width=(1e-7, 1e-3), pulses=2, read_voltage=0.2)
    array = array_on(world, tmp_path, limits=few)
    with array.arc:
        for _ in range(2):
            array.read(0, 0.1)
            array.pulse(0, 1.0, 1e-6)
        array.read(0, 0.1)
        with pytest.raises(LimitError, match="has had 2 pulses"):
            array.pulse(0, 1.0, 1e-6)
    assert len(world.pulses) == 2


def test_no_pulse_is_applied_without_pulse_settings(world, tmp_path):
    array = array_on(world, tmp_path, Arc2Devices(0.1, "rows", 1, 1.0, 1e-4, pulsed=False))
    with array.arc:
        array.read(0, 0.1)
        with pytest.raises(LimitError, match=r"allows no pulses; .*set the limits under \[backend\.pulses\]"):
            array.pulse(0, 0.01, 1e-6)
    assert not world.pulses


@settings(max_examples=examples(60), deadline=None)
@given(
    st.floats(-4, 4),
    st.floats(1e-8, 1e-2),
    st.floats(-9, -1),
    st.integers(0, 11),
)
def test_no_request_makes_a_pulse_exceed_the_limits(tmp_path_factory, volts, width, log_siemens, edge):
    world = world_of(array_of())
    row, column = divmod(edge, 3)
    world.siemens[row, 16 + column] = 10**log_siemens
    array = array_on(world, tmp_path_factory.mktemp("fw"))
    with array.arc:
        try:
            array.pulse(edge, volts, width)
        except (LimitError, ComplianceError):
            assert not world.pulses
        else:
            assert abs(volts) <= 2.0 + 1e-9
            assert 1e-7 * (1 - 1e-9) <= width <= 1e-3 * (1 + 1e-9)
            assert abs(volts) * 10**log_siemens <= 5e-4 / DEVICES.headroom * (1 + 1e-6)


# --- programming ----------------------------------------------------------------------------------


def soft_bounds(world, stuck=()):
    """Let devices move towards their bounds, by a step that grows with the voltage above 0.7 V."""

    def after(low, high, volts, nanos):
        if (high, low) in stuck or abs(volts) < 0.7:
            return
        g, step = world.siemens[high, low], 0.08 * (abs(volts) - 0.7) / 1.3 * (nanos / 1e6) ** 0.1
        bound = 9e-5 if volts > 0 else 2e-6
        world.siemens[high, low] = g + step * (bound - g)

    world.after_pulse = after


def test_write_verify_reaches_targets_and_reports_stuck_devices(world, tmp_path):
    soft_bounds(world, stuck={(1, 17)})
    world.noise_A = 2e-10
    array = array_on(world, tmp_path, DEVICES)
    targets = np.linspace(1e-5, 6e-5, 12)
    verifier = WriteVerifier(0.01)
    with array.arc:
        done = verifier(array, targets)
        np.testing.assert_array_equal(np.flatnonzero(verifier.report.stuck), [4])
        np.testing.assert_array_equal(np.flatnonzero(done.failed), [4])
        true = np.array([world.siemens[r, 16 + c] for r in range(4) for c in range(3)])
        healthy = np.arange(12) != 4
        np.testing.assert_allclose(true[healthy], targets[healthy], rtol=0.015)
        before = len([p for p in world.pulses if p[:2] == (17, 1)])
        verifier(array, targets[::-1].copy())
        assert len([p for p in world.pulses if p[:2] == (17, 1)]) == before, "a stuck device gets no more pulses"
    assert world.at_0_V


# --- wiring ---------------------------------------------------------------------------------------


def test_default_wiring_is_that_of_the_vendor():
    wiring = Arc2Wiring.of(hl.Topology.crossbar(32, 32))
    assert wiring.nodes == (*ROWS, *COLUMNS)
    assert wiring.edges[0] == (0, 16)
    assert wiring.edges[-1] == (47, 63)


def test_rows_and_columns_are_those_of_the_vendor():
    pyarc2 = pytest.importorskip("pyarc2", reason="the vendor's library is an extra: pip install 'hwlearn[arc2]'")
    text = " ".join(pyarc2.Instrument.read_slice.__doc__.split())
    assert "between 0 and 15 or 32 and 47 (inclusive) this will correspond to a row read" in text
    assert set(ROWS) == {*range(16), *range(32, 48)}
    assert set(ROWS) | set(COLUMNS) == set(range(64))


@pytest.mark.parametrize(
    ("topology", "rows", "columns", "message"),
    [
        (hl.Topology.crossbar(33, 2), None, None, "33 rows, but backend.rows gives channels for 32"),
        (crossbar(), [0, 1, 2, 2], None, "channel 2 of the ArC TWO is connected to two lines"),
        (crossbar(), [0, 1, 2, 64], None, "backend.rows names channel 64; an ArC TWO has 0 to 63"),
        (crossbar(), [0, 1, 2, -1], None, "names channel -1"),
        (crossbar(), None, [16, 17], "3 columns, but backend.columns gives channels for 2"),
        (crossbar(), [0, 1, 2, 20], None, "share the channels 16 to 23"),
        (crossbar(), [0, 1, 2], None, "every edge must connect a row to a column"),
        (hl.Topology.grid(3, 3), None, None, "every edge must connect a row to a column"),
    ],
)
def test_invalid_wiring_is_refused(topology, rows, columns, message):
    with pytest.raises(SetupError, match=message):
        Arc2Wiring.of(topology, rows, columns)
