"""A crossbar on an ArC TWO as a network: Kirchhoff's voltages, clamps, limits, and 0 V between requests."""

import math
from pathlib import Path

import numpy as np
import pytest
from arc2_rig import (
    LIMITS,
    PULSES,
    FakeLibrary,
    PanicException,
    VendorError,
    array_of,
    crossbar,
    gone,
    settings,
    world_of,
)
from pydantic import ValidationError

import hwlearn as hl
from hwlearn.errors import ComplianceError, LimitError, NetworkError, SetupError
from hwlearn.network.nudges import OutputDrive
from hwlearn_drivers.arc2 import backend as arc2_backend
from hwlearn_drivers.arc2.backend import Arc2Backend
from hwlearn_drivers.arc2.settings import Arc2PulseSettings, Arc2Settings
from hwlearn_drivers.errors import LinkError, OutputsMayBeOnError
from hwlearn_sim.twin.twin import KirchhoffTwin

PAGE = (Path(__file__).parents[3] / "docs" / "arc2.md").read_text(encoding="utf-8")
X = np.array([[0.5, -0.2, 0.1], [0.0, 0.4, -0.5]])


@pytest.fixture
def world(monkeypatch):
    world = world_of(array_of())
    monkeypatch.setattr(arc2_backend, "load_library", lambda: FakeLibrary(world))
    return world


@pytest.fixture
def firmware(tmp_path):
    path = tmp_path / "fw.bin"
    path.touch()
    return path


@pytest.fixture
def bench(world, firmware):
    with Arc2Backend.open(settings(firmware), crossbar(), LIMITS) as network:
        yield network
        world.fails.clear()


def model():
    return hl.Kirchhoff(crossbar(), array_of().ravel())


# --- phases ---------------------------------------------------------------------------------------


def test_free_phase_follows_kirchhoff(bench, world):
    read = bench.measure(X)
    V = model().solve(X)
    np.testing.assert_allclose(read.voltages, V[:, [4, 5]], atol=2e-6)
    np.testing.assert_allclose(read.nodes, V, atol=2e-6)
    np.testing.assert_allclose(read.source_currents, model().source_currents(V)[:, :3], atol=1e-10)
    assert not read.output_currents.any()
    assert not read.saturated.any()
    assert read.voltage_sigma == pytest.approx(20.48 / 2**18 / math.sqrt(12))
    assert world.at_0_V


def test_clamp_holds_outputs_and_measures_its_current(bench, world):
    read = bench.measure(X, OutputDrive.clamp([[0.1, np.nan], [np.nan, -0.2]]))
    clamped = np.array([[0.1, np.nan], [np.nan, -0.2]])
    V = model().solve(X, clamped=clamped)
    np.testing.assert_allclose(read.voltages, V[:, [4, 5]], atol=2e-6)
    g = array_of()
    into = np.array([(g[:, 0] * (V[0, 4] - V[0, :4])).sum(), (g[:, 1] * (V[1, 5] - V[1, :4])).sum()])
    np.testing.assert_allclose(read.output_currents[[0, 1], [0, 1]], into, atol=1e-10)
    assert read.output_currents[0, 1] == read.output_currents[1, 0] == 0
    assert world.at_0_V


def test_grounded_row_is_held_at_0_V(world, firmware):
    topology = hl.Topology.crossbar(4, 3, inputs=[0, 1], outputs=[0], ground=3)
    with Arc2Backend.open(settings(firmware), topology, LIMITS) as network:
        read = network.measure([[0.3, -0.4]])
    V = hl.Kirchhoff(topology, array_of().ravel()).solve([[0.3, -0.4]])
    np.testing.assert_allclose(read.voltages, V[:, topology.outputs], atol=2e-6)


def test_current_sign_is_corrected(world, firmware):
    world.sign = -1.0
    with Arc2Backend.open(settings(firmware, pulses=None, current_sign=-1), crossbar(), LIMITS) as network:
        np.testing.assert_allclose(network.program(array_of().ravel()).reached, array_of().ravel(), rtol=1e-6)
        V = model().solve(X)
        read = network.measure(X)
        np.testing.assert_allclose(read.source_currents, model().source_currents(V)[:, :3], atol=1e-10)


def test_unsupported_nudges_are_refused(bench, world):
    assert bench.nudges == {"clamp"}
    for drive in (OutputDrive.current([[1e-6, 0]]), OutputDrive.resistor([[0.1, 0.1]], 1e-4)):
        with pytest.raises(NetworkError, match="does not support a"):
            bench.measure(X[:1], drive)
    assert "config_channels" not in [call[0] for call in world.calls]


@pytest.mark.parametrize("readout", ["outputs", "nodes"])
def test_clamp_gradient_equals_that_of_the_twin(bench, readout):
    targets = np.array([[0.1, 0.0], [0.05, -0.1]])
    rule = hl.GEP(nudge=hl.ClampNudge(), readout=readout)
    twin = KirchhoffTwin(crossbar(), LIMITS, node_readout=True)
    twin.program(array_of().ravel())
    found, expected = (
        rule.gradient(hl.GradientRequest(net, model(), X, targets, hl.MSE())).values for net in (bench, twin)
    )
    np.testing.assert_allclose(found, expected, atol=1e-4 * np.abs(expected).max())


def test_quantised_levels_hardly_change_the_gradient(bench, world):
    world.step_V = 20 / 65535
    targets = np.array([[0.1, 0.0], [0.05, -0.1]])
    rule = hl.GEP(nudge=hl.ClampNudge())
    twin = KirchhoffTwin(crossbar(), LIMITS)
    twin.program(array_of().ravel())
    found, expected = (
        rule.gradient(hl.GradientRequest(net, model(), X, targets, hl.MSE())).values for net in (bench, twin)
    )
    assert found @ expected / np.linalg.norm(found) / np.linalg.norm(expected) > 0.999
    # inputs deviate by at most half a step, and outputs are weighted means of inputs
    np.testing.assert_allclose(
        bench.measure(X).voltages, model().solve(X)[:, [4, 5]], atol=0.5 * world.step_V + 2e-6
    )


def test_devices_are_read_once_before_the_first_measurement(bench, world):
    bench.measure(X[:1])
    assert [call[0] for call in world.calls].count("read_one") == 12
    bench.measure(X[:1])
    assert [call[0] for call in world.calls].count("read_one") == 12


# --- limits ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("x", [[1.01, 0, 0], [0, -1.01, 0], [np.nan, 0, 0], [0.9, -0.9, 0]])
def test_input_outside_the_limits_is_refused_before_any_call(bench, world, x):
    world.calls.clear()
    with pytest.raises(LimitError):
        bench.measure([x])
    assert not world.calls


def test_0_V_counts_as_a_driven_line(world, firmware):
    limits = hl.Limits(voltage=1.0, drop=0.5, nudge=0.3, current=1e-3, conductance=(1e-6, 1e-4))
    with Arc2Backend.open(settings(firmware), crossbar(), limits) as network:
        with pytest.raises(LimitError, match=r"sample 1 has 800 mV between its lines and 0 V"):
            network.measure([[0.1, 0.2, 0.3], [0.8, 0.7, 0.6]])
        assert "config_channels" not in [call[0] for call in world.calls]
        network.measure([[0.1, 0.2, 0.3]])


def test_expected_current_above_the_limit_is_refused(bench, world):
    world.siemens[0, 16] = 1.5e-3  # outside the allowed range, but readable at 0.1 V
    with pytest.raises(LimitError, match=r"are expected at row0 \(sample 0\), more than limits\.current = 1 mA"):
        bench.measure([[0.5, -0.4, 0.0]])
    assert "config_channels" not in [call[0] for call in world.calls]
    bench.measure([[0.2, -0.2, 0.0]])
    assert world.at_0_V


def test_device_shorted_since_its_reading_ends_the_measurement(bench, world):
    bench.measure(X[:1])
    world.siemens[0, 16], world.siemens[1, 16] = 0.05, 0.05
    with pytest.raises(ComplianceError, match=r"row0 draws .*mA in sample 0, more than limits\.current = 1 mA"):
        bench.measure(X)
    assert world.at_0_V
    assert bench.arc.halted


@pytest.mark.parametrize("amperes", [math.nan, math.inf, 9.91e37, -9.9e37, 9.909999530030929e37])
def test_missing_reading_ends_the_measurement(bench, world, amperes):
    bench.measure(X[:1])
    world.offset_A = amperes
    with pytest.raises(NetworkError, match=r"has no reading of row0 \(channel 0\) in sample 0"):
        bench.measure(X)
    assert world.at_0_V


@pytest.mark.parametrize("volts", [50.0, -11.5, 9.91e37, math.nan])
def test_voltage_beyond_the_converters_ends_the_measurement(bench, monkeypatch, volts):
    pick = bench.arc._vendor.pick_one

    def wrong(mode, kind):
        read = pick(mode, kind)
        if read is not None and kind == bench.arc._library.ReadType.Voltage:
            read = read.copy()
            read[16] = volts
        return read

    bench.measure(X[:1])
    monkeypatch.setattr(bench.arc._vendor, "pick_one", wrong, raising=False)
    with pytest.raises(NetworkError, match=r"no reading of col0 .*phase is void"):
        bench.measure(X)


def test_noise_and_offset_appear_in_the_readings(bench, world):
    world.noise_A, world.offset_A = 1e-8, 5e-7
    read = bench.measure(X[:1])
    true = model().source_currents(model().solve(X[:1]))[:, :3]
    np.testing.assert_allclose(read.source_currents - true, 5e-7, atol=6e-8)


@pytest.mark.parametrize("failure", [VendorError("usb"), PanicException("unwrap"), KeyboardInterrupt()])
@pytest.mark.parametrize("method", ["config_channels", "execute", "pick_one"])
def test_measurement_after_a_failure_is_correct(bench, world, method, failure):
    bench.measure(X[:1])
    world.fails[method] = [failure]
    with pytest.raises((LinkError, KeyboardInterrupt)):
        bench.measure(X)
    assert world.at_0_V
    np.testing.assert_allclose(bench.measure(X).voltages, model().solve(X)[:, [4, 5]], atol=2e-6)


# --- programming ----------------------------------------------------------------------------------


def test_programming_without_pulses_reads_and_reports_failures(world, firmware):
    with Arc2Backend.open(settings(firmware, pulses=None), crossbar(), LIMITS) as network:
        targets = array_of().ravel()
        targets[3] *= 1.1
        done = network.program(targets)
        np.testing.assert_allclose(done.reached, array_of().ravel(), rtol=1e-6)
        assert np.flatnonzero(done.failed).tolist() == [3]
    assert not world.pulses


def test_programming_with_pulses_reaches_its_targets(bench, world):
    world.noise_A = 1e-10

    def after(low, high, volts, nanos):
        if abs(volts) >= 0.7:
            g, bound = world.siemens[high, low], 9e-5 if volts > 0 else 2e-6
            world.siemens[high, low] = g + 0.06 * (abs(volts) - 0.69) * (bound - g)

    world.after_pulse = after
    targets = np.full(12, 3e-5)
    done = bench.program(targets)
    assert not done.failed.any()
    np.testing.assert_allclose(done.reached, targets, rtol=0.01)
    assert world.pulses
    assert world.at_0_V


def test_interrupt_between_two_devices_sends_0_V(bench, world, monkeypatch):
    def interrupted(array, targets):
        array.read_at_default()
        raise KeyboardInterrupt

    monkeypatch.setattr(bench, "_programmer", interrupted)
    with pytest.raises(KeyboardInterrupt):
        bench.program(np.full(12, 3e-5))
    assert [call[0] for call in world.calls][-2:] == ["ground_all", "execute"]
    assert bench.arc.halted
    bench.measure(X)


def test_interrupted_programming_leaves_0_V(bench, world):
    world.fails["pulseread_one"] = [KeyboardInterrupt()]
    with pytest.raises(KeyboardInterrupt):
        bench.program(np.full(12, 9e-5))
    assert world.at_0_V
    assert not world.pulses


# --- backend --------------------------------------------------------------------------------------


def test_every_key_is_documented():
    for table in (Arc2Settings, Arc2PulseSettings):
        missing = {key for key in table.model_fields if key != "kind" and f"`{key}`" not in PAGE}
        assert not missing
    assert "not tested on hardware" in PAGE


@pytest.mark.parametrize(
    "keys",
    [
        {"sertial": 3},
        {"pulses": {**PULSES, "voltage": "21 V"}},
        {"pulses": {**PULSES, "width": ["30 ns", "1 ms"]}},
        {"pulses": {**PULSES, "width": ["40 ns", "500 ms"]}},
        {"pulses": {**PULSES, "headroom": 0.5}},
        {"pulses": {**PULSES, "headroom": math.inf}},
        {"pulses": {"voltage": "1 V"}},
        {"read_voltage": 0},
        {"read_voltage": "11 V"},
        {"current_sign": 0},
        {"id": -1},
    ],
)
def test_invalid_settings_are_refused(firmware, keys):
    with pytest.raises(ValidationError):
        settings(firmware, **keys)


@pytest.mark.parametrize(
    ("keys", "limits", "message"),
    [
        ({"read_voltage": 1.5}, LIMITS, r"backend\.read_voltage = 1\.5 V exceeds limits\.voltage = 1 V"),
        ({"pulses": {**PULSES, "width": ["1 ms", "1 us"]}}, LIMITS, "two times, the shorter first"),
        (
            {},
            hl.Limits(11.0, 22.0, 1.0, 1e-3, (1e-6, 1e-4)),
            r"limits\.voltage = 11 V exceeds the 10 V of an ArC TWO channel",
        ),
        ({"rows": [0, 1, 2, 3, 4]}, LIMITS, "every edge must connect a row to a column"),
    ],
)
def test_settings_that_do_not_fit_are_refused_before_opening(world, firmware, keys, limits, message):
    with pytest.raises(SetupError, match=message):
        Arc2Backend.open(settings(firmware, **keys), crossbar(), limits)
    assert not world.calls


def test_off_brings_every_channel_to_0_V(world, firmware):
    world.volts[3] = 0.4
    Arc2Backend.off(settings(firmware))
    assert [call[0] for call in world.calls] == ["Instrument", "ground_all", "execute"], "no query"
    assert world.at_0_V


def test_off_is_tried_twice(world, firmware):
    world.fails["execute"] = [VendorError("usb")]
    Arc2Backend.off(settings(firmware))
    assert [call[0] for call in world.calls] == ["Instrument", "ground_all", "execute"] * 2


def test_off_that_cannot_be_sent_is_reported_in_capitals(world, firmware):
    world.numbers = []
    with pytest.raises(OutputsMayBeOnError, match="OUTPUTS MAY BE ON: EVERY CHANNEL OF ARC TWO 0"):
        Arc2Backend.off(settings(firmware))
    world.numbers, world.fails = [0], {"execute": gone(), "Instrument": []}
    with pytest.raises(OutputsMayBeOnError, match="OUTPUTS MAY BE ON: EVERY CHANNEL OF ARC TWO 0"):
        Arc2Backend.off(settings(firmware))


def test_off_without_the_library_names_the_installation(firmware, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "pyarc2", None)
    with pytest.raises(SetupError, match="pip install"):
        Arc2Backend.off(settings(firmware))


def test_dry_run_prints_every_call_and_needs_no_library(firmware, capsys, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "pyarc2", None)
    with Arc2Backend.open(settings(firmware, dry_run=True), crossbar(), LIMITS) as network:
        assert not network.measure(X[:1]).voltages.any()
    lines = capsys.readouterr().out.splitlines()
    assert lines[1:3] == ["ArC TWO 0 > ground_all()", "ArC TWO 0 > execute()"]
    assert "ArC TWO 0 > config_channels([(0, 0.5), (1, -0.2), (2, 0.1)], None)" in lines
    assert lines[-2:] == ["ArC TWO 0 > ground_all()", "ArC TWO 0 > execute()"]


def test_wire_log_contains_every_call(world, firmware, tmp_path):
    log = tmp_path / "wire.txt"
    with Arc2Backend.open(settings(firmware, wire_log=log), crossbar(), LIMITS) as network:
        network.measure(X[:1])
        assert network.instruments == ("ArC Instruments ArC TWO 0",)
    logged = [line.split("\t")[3].partition("(")[0] for line in log.read_text().splitlines()]
    assert logged == [call[0] for call in world.calls if call[0] != "busy"]


def test_reconnect_starts_at_0_V(bench, world):
    world.fails = {"execute": gone(), "Instrument": gone()}
    with pytest.raises(OutputsMayBeOnError):
        bench.measure(X)
    world.fails.clear()
    world.calls.clear()
    bench.reconnect()
    assert [call[0] for call in world.calls][:3] == ["Instrument", "ground_all", "execute"]
    np.testing.assert_allclose(bench.measure(X).voltages, model().solve(X)[:, [4, 5]], atol=2e-6)
