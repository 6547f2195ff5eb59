"""A perfectly calibrated network measures true values and keeps the limits before and after the correction."""

from dataclasses import replace

import numpy as np
import pytest

import hwlearn as hl
from hwlearn.calibrated.network import CalibratedNetwork
from hwlearn.calibrated.record import CalibrationRecord
from hwlearn.calibrated.sections import ConverterRecord, EdgeRecord, NoiseRecord
from hwlearn.errors import LimitError, SetupError
from hwlearn_sim import Imperfections, KirchhoffTwin

FLAWS = Imperfections(device_spread=0.2, adc_gain=0.02, adc_offset_V=5e-3, dac_gain=0.02, dac_offset_V=5e-3)


def truth_of(twin):
    """Return the record of a perfect calibration of the twin."""
    top, out = twin.topology, twin.topology.outputs
    none_in, none_out = np.zeros(top.n_inputs), np.zeros(top.n_outputs)
    adc = 1 / twin._adc.gain[out]
    converters = ConverterRecord(
        input_gain=twin._input_dac.gain,
        input_gain_sigma=none_in,
        input_offset_V=twin._input_dac.offset,
        input_offset_sigma_V=none_in,
        reading_gain=adc,
        reading_gain_sigma=none_out,
        reading_offset_V=-twin._adc.offset[out] * adc,
        reading_offset_sigma_V=none_out,
        common_gain_sigma=0.0,
        drive_gain=twin._output_dac.gain,
        drive_gain_sigma=none_out,
        drive_offset_V=twin._output_dac.offset,
        drive_offset_sigma_V=none_out,
    )
    g = np.full(top.n_edges, 1e-5)
    reached = twin.program(g).reached
    edges = EdgeRecord(
        gain=twin.true_conductances / reached,
        gain_sigma=np.zeros(top.n_edges),
        scale_sigma=0.0,
        scale_known=True,
        chi=1.0,
        configurations=16,
    )
    record = CalibrationRecord.of(top, twin.instruments)
    return record.with_step("converters", converters).with_step("edges", edges)


@pytest.fixture
def twin(small, wide_limits):
    """The small network with converter errors and device spread, without noise."""
    return KirchhoffTwin(small[0], wide_limits, FLAWS, seed=3)


@pytest.fixture
def network(twin):
    """The same network with a perfect calibration."""
    return CalibratedNetwork(twin, truth_of(twin))


def test_perfect_calibration_leaves_no_error(network, twin, small):
    _, g, x, y = small
    done = network.program(g)
    assert np.allclose(done.reached, twin.true_conductances, rtol=1e-12)
    assert np.allclose(done.reached[done.reached < 7e-5], g[done.reached < 7e-5], rtol=1e-12)
    model = hl.Kirchhoff(network.topology, done.reached)
    outputs = network.topology.outputs
    assert np.allclose(network.measure(x).voltages, model.solve(x)[:, outputs], atol=1e-12)
    assert np.allclose(network.true_outputs(x), model.solve(x)[:, outputs], atol=1e-12)
    clamped = network.measure(x, hl.OutputDrive.clamp(y))
    assert np.allclose(clamped.voltages, y, atol=1e-12)
    V = model.solve(x, clamped=y)
    assert np.allclose(clamped.output_currents, model.output_currents(V), atol=1e-12)
    pulled = network.measure(x, hl.OutputDrive.resistor(y, 1e-4))
    assert np.allclose(pulled.output_currents, 1e-4 * (y - pulled.voltages), atol=1e-12)
    V = model.solve(x, injected=pulled.output_currents)
    assert np.allclose(pulled.voltages, V[:, outputs], atol=1e-9)
    floating = network.measure(x, hl.OutputDrive.resistor(np.full_like(y, np.nan), 1e-4))
    assert not floating.output_currents.any()


@pytest.mark.parametrize("nudge", [hl.CurrentNudge(1e-5), hl.ClampNudge(0.1), hl.ResistorNudge(0.1)])
def test_two_phases_equal_those_of_the_model(network, small, nudge):
    _, g, x, y = small
    model = hl.Kirchhoff(network.topology, network.program(g).reached)
    ideal = KirchhoffTwin(network.topology, network.limits)
    ideal.program(model.conductances)
    mine = network.two_phase(x, hl.TargetError(y), nudge)
    theirs = ideal.two_phase(x, hl.TargetError(y), nudge)
    for phase in ("free", "plus", "minus"):
        assert np.allclose(getattr(mine, phase).voltages, getattr(theirs, phase).voltages, atol=1e-9)


def test_gradient_is_exact_only_after_calibration(network, twin, small):
    _, g, x, y = small
    reached = network.program(g).reached
    exact = hl.Kirchhoff(network.topology, twin.true_conductances)
    error = exact.solve(x)[:, network.topology.outputs] - y

    def cosine(net, conductances):
        model = hl.Kirchhoff(net.topology, conductances)
        found = hl.EquilibriumPropagation(1e-5).gradient(hl.GradientRequest(net, model, x, y, hl.MSE())).values
        true = exact.gradient(x, error)
        return float(found @ true / np.linalg.norm(found) / np.linalg.norm(true))

    nominal = np.clip(g / network.record.edges.gain, *twin.limits.conductance)
    assert cosine(network, reached) > 1 - 1e-9
    assert cosine(twin, nominal) < 0.999


@pytest.mark.parametrize("nudge", [hl.ClampNudge(), hl.CurrentNudge(), hl.ResistorNudge(kappa=1e-4)])
@pytest.mark.parametrize("current", [1e-3, 2e-4])
@pytest.mark.parametrize("seed", range(4))
def test_auto_nudges_keep_the_limits_after_the_correction(small, bench_limits, nudge, current, seed):
    topology, g, x, y = small
    twin = KirchhoffTwin(topology, replace(bench_limits, current=current), FLAWS, seed=seed)
    network = CalibratedNetwork(twin, truth_of(twin))
    model = hl.Kirchhoff(topology, network.program(g).reached)
    x = x * network.reach_V / np.abs(x).max()
    bound = nudge.bound(model.output_impedance())
    far = 5 * np.sign(y)  # the error is so large that the limits decide
    done = network.two_phase(x, hl.TargetError(far), bound)
    assert (done.strength > 0).any()


def test_limits_hold_before_and_after_the_correction(small, bench_limits):
    twin = KirchhoffTwin(small[0], bench_limits, FLAWS, seed=4)
    network = CalibratedNetwork(twin, truth_of(twin))
    before = twin.measurements
    low = int(np.argmin(network.record.converters.input_gain))
    x = np.zeros((1, 4))
    x[0, low] = 0.5
    with pytest.raises(LimitError, match=r"after the calibration.s correction.*limits.voltage"):
        network.measure(x)
    with pytest.raises(LimitError, match=r"limits.voltage"):
        network.measure(1.2 * x)
    network.measure(network.reach_V * np.array([[1, -1, 1, -1], [-1, 1, -1, 1]]))
    with pytest.raises(LimitError, match="correction"):
        network.measure(np.concatenate([1.01 * network.reach_V * s * np.eye(4) for s in (1, -1)]))
    before = twin.measurements
    held = int(np.argmin(network.record.converters.drive_gain))
    clamp = np.full((1, 3), np.nan)
    clamp[0, held] = 0.5
    with pytest.raises(LimitError, match="correction"):
        network.measure(0 * x, hl.OutputDrive.clamp(clamp))
    with pytest.raises(LimitError, match=r"limits.conductance"):
        network.program(np.full(small[0].n_edges, 2e-4))
    assert twin.measurements == before


def test_targets_beyond_the_hardware_reach_its_nearest_end(network, twin):
    low, high = twin.limits.conductance
    for target in (low, high):
        done = network.program(np.full(network.topology.n_edges, target))
        assert np.allclose(done.reached, twin.true_conductances, rtol=1e-12)
        nominal = done.reached / network.record.edges.gain
        assert (nominal >= low * (1 - 1e-9)).all()
        assert (nominal <= high * (1 + 1e-9)).all()
        reachable = np.isclose(done.reached, target)
        assert reachable.any()
        assert not reachable.all()


def test_stuck_edges_have_their_calibrated_conductance(small, wide_limits):
    flaws = Imperfections(stuck={4: 3e-5})
    twin = KirchhoffTwin(small[0], wide_limits, flaws)
    middle = np.sqrt(np.prod(wide_limits.conductance))
    gain = np.ones(small[0].n_edges)
    gain[4] = 3e-5 / middle
    edges = EdgeRecord(
        gain=gain, gain_sigma=0 * gain, scale_sigma=0.0, scale_known=True, chi=1.0, configurations=1, stuck=(4,)
    )
    network = CalibratedNetwork(twin, CalibrationRecord.of(small[0], ()).with_step("edges", edges))
    done = network.program(small[1])
    assert np.allclose(done.reached, twin.true_conductances)
    assert np.flatnonzero(done.failed).tolist() == [4]


def test_uncertainty_includes_measured_noise_and_converters(small, wide_limits):
    twin = KirchhoffTwin(small[0], wide_limits, Imperfections(read_noise_V=1e-3))
    record = CalibrationRecord.of(small[0], ())
    found = NoiseRecord(
        reading_sigma_V=[2e-3, 1e-3, 1e-3], stated_sigma_V=1e-3, floor_V=0.0, averages=1, lag=0.0, lag_sigma=0.0
    )
    noisy = CalibratedNetwork(twin, record.with_step("noise", found))
    assert noisy.measure(small[2]).voltage_sigma == pytest.approx(2e-3)
    ones, none = np.ones(3), np.zeros(3)
    part = ConverterRecord(
        input_gain=np.ones(4),
        input_gain_sigma=np.zeros(4),
        input_offset_V=np.zeros(4),
        input_offset_sigma_V=np.zeros(4),
        reading_gain=ones,
        reading_gain_sigma=none,
        reading_offset_V=none,
        reading_offset_sigma_V=1e-3 * ones,
        common_gain_sigma=0.0,
    )
    both = CalibratedNetwork(twin, record.with_step("noise", found).with_step("converters", part))
    assert both.measure(small[2]).voltage_sigma == pytest.approx(np.hypot(2e-3, 1e-3))


def test_record_of_another_network_is_refused(twin, small):
    other = hl.Topology.random(14, 30, inputs=4, outputs=3, seed=6)
    with pytest.raises(SetupError, match="another topology"):
        CalibratedNetwork(twin, CalibrationRecord.of(other, ()))


def test_closing_closes_the_inner_network(network, twin):
    with network:
        assert not twin.closed
    assert twin.closed
