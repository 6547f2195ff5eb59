"""The twin: effect of each imperfection, and repeatability."""

import numpy as np
import pytest

import hwlearn as hl
from hwlearn.circuit.elements import Sinh
from hwlearn.errors import ComplianceError, LimitError, SetupError
from hwlearn.network.edge_codes import EvenSteps
from hwlearn_sim import Imperfections, KirchhoffTwin
from hwlearn_sim.twin.backend import SimBackend, SimSettings
from hwlearn_sim.twin.true_circuit import InputEdges

LOW, HIGH = 1e-6, 1e-4


@pytest.fixture
def make(small, wide_limits, bench_limits):
    """Return a function that makes and programs the small network with some imperfections."""

    def build(*, seed=0, options=None, **flaws):
        limits = wide_limits if flaws.get("dac_range_V", 100) >= 100 else bench_limits
        twin = KirchhoffTwin(small[0], limits, Imperfections(**flaws), seed=seed, **(options or {}))
        twin.program(small[1])
        return twin

    return build


def test_ideal_twin_agrees_with_kirchhoff(small, make):
    top, g, x, _ = small
    model = hl.Kirchhoff(top, g)
    V = model.solve(x)
    readout = make(options={"node_readout": True}).measure(x)
    np.testing.assert_array_equal(readout.voltages, V[:, top.outputs])
    np.testing.assert_array_equal(readout.nodes, V)
    np.testing.assert_allclose(readout.source_currents, model.source_currents(V))
    assert not readout.saturated.any()
    assert readout.voltage_sigma == 0


def test_equal_seeds_give_equal_readings(small, make, lab_flaws):
    x = small[2]
    flaws = vars(lab_flaws) | {"drift_per_sqrt_hour": 0.1, "write_noise": 0.01, "stuck_fraction": 0.1}
    readings = []
    for seed in (7, 7, 8):
        twin = make(seed=seed, **flaws)
        readings.append(np.concatenate([twin.measure(x).voltages for _ in range(3)]))
    np.testing.assert_array_equal(readings[0], readings[1])
    assert (readings[0] != readings[2]).any()


def test_enabling_one_imperfection_does_not_change_others(small, make):
    x = small[2]
    plain = make(device_spread=0.2, adc_offset_V=1e-2)
    noisy = make(device_spread=0.2, adc_offset_V=1e-2, read_noise_V=1e-3, write_noise=1e-9, adc_gain=1e-12)
    np.testing.assert_allclose(noisy.true_conductances, plain.true_conductances, rtol=1e-7)
    difference = noisy.measure(x).voltages - plain.measure(x).voltages
    assert 0.5e-3 < difference.std() < 1.5e-3
    np.testing.assert_allclose(
        plain.measure(x).voltages - plain.true_outputs(x),
        plain._adc.offset[small[0].outputs][None].repeat(6, 0),
    )


def test_device_spread_is_log_normal_and_fixed(small, wide_limits):
    top = hl.Topology.crossbar(50, 40)
    twin = KirchhoffTwin(top, wide_limits, Imperfections(device_spread=0.2), seed=1)
    gains = []
    for g in (1e-5, 7e-5):
        reached = twin.program(np.full(2000, g)).reached
        np.testing.assert_array_equal(reached, np.full(2000, g))  # reported values are nominal
        gains.append(np.log(twin.true_conductances / g))
    np.testing.assert_allclose(*gains, rtol=1e-9, atol=1e-12)
    assert gains[0].std() == pytest.approx(0.2, rel=0.05)
    assert abs(gains[0].mean()) < 0.02


def test_conductance_bits_set_programming_resolution(small, make):
    twin = make(conductance_bits=4)
    requested = np.linspace(LOW, HIGH, 30)
    reached = twin.program(requested).reached
    step = (HIGH - LOW) / 15
    np.testing.assert_allclose((reached - LOW) / step, np.rint((requested - LOW) / step), atol=1e-9)
    np.testing.assert_array_equal(twin.true_conductances, reached)
    assert len(np.unique(reached)) == 16


def test_write_noise_differs_between_programmings(small, make):
    twin = make(write_noise=0.05)
    first = twin.true_conductances
    twin.program(small[1])
    assert (twin.true_conductances != first).all()
    assert np.log(twin.true_conductances / small[1]).std() == pytest.approx(0.05, rel=0.5)


def test_stuck_edges_fail_without_revealing_their_conductance(small, make):
    twin = make(stuck={3: 5e-5, 9: 0.0})
    programmed = twin.program(np.full(30, 2e-5))
    assert np.flatnonzero(programmed.failed).tolist() == [3, 9]
    np.testing.assert_array_equal(programmed.reached, 2e-5)
    assert twin.true_conductances[3] == 5e-5
    assert twin.true_conductances[9] == 0.0
    assert make(stuck_fraction=0.2).program(small[1]).failed.sum() == 6


def test_averaging_reduces_read_noise(small, make):
    x = np.repeat(small[2][:1], 4000, axis=0)
    for averages in (1, 16):
        readout = make(read_noise_V=2e-3, options={"averages": averages}).measure(x)
        assert readout.voltages.std(axis=0) == pytest.approx(2e-3 / averages**0.5, rel=0.05)
        assert readout.voltage_sigma == pytest.approx(2e-3 / averages**0.5)


def test_stated_uncertainty_covers_resolution_and_noise(small, make, lab_flaws):
    flaws = vars(lab_flaws) | {"device_spread": 0.0, "conductance_bits": None}
    twin = make(**flaws)
    x = np.random.default_rng(0).uniform(-0.4, 0.4, (3000, 4))
    readout = twin.measure(x)
    off = (readout.voltages - twin.true_outputs(x)) / readout.voltage_sigma
    assert off.std() == pytest.approx(1.0, rel=0.05)
    assert np.mean(np.abs(off) < 1.96) == pytest.approx(0.95, abs=0.01)


def test_adc_quantises_and_saturates(small, make):
    x = small[2]
    twin = make(adc_bits=8, adc_range_V=0.15)
    readout = twin.measure(x)
    step = 0.3 / 256
    assert twin.resolution == pytest.approx(step)
    true = twin.true_outputs(x)
    inside = np.abs(true) < 0.15 - step
    assert np.abs(readout.voltages - true)[inside].max() <= step / 2 + 1e-12
    assert not readout.saturated[inside].any()
    beyond = np.abs(true) > 0.15
    assert beyond.any()
    assert readout.saturated[beyond].all()
    assert np.abs(readout.voltages).max() <= 0.15


def test_dac_quantises_and_has_offsets(small, make):
    x = small[2]
    twin = make(dac_bits=6, dac_range_V=100.0)
    np.testing.assert_allclose(twin.true_outputs(x), twin.true_outputs(np.rint(x / 3.125) * 3.125))
    zero = make(dac_offset_V=5e-3).measure(np.zeros((1, 4))).voltages
    assert 0 < np.abs(zero).max() < 0.03


def test_dac_offsets_apply_to_clamps(small, make):
    x = small[2]
    twin = make(dac_offset_V=5e-3)
    volts = np.full((6, 3), 0.05)
    readout = twin.measure(x, hl.OutputDrive.clamp(volts))
    off = readout.voltages - volts
    assert (off == off[0]).all()
    assert 1e-4 < np.abs(off).max() < 0.03


def test_clamp_current_is_measured_with_noise(small, make):
    top, g, x, _ = small
    volts = np.zeros((3000, 3))
    x = np.repeat(x[:1], 3000, axis=0)
    readout = make(current_noise_A=1e-8).measure(x, hl.OutputDrive.clamp(volts))
    model = hl.Kirchhoff(top, g)
    true = model.output_currents(model.solve(x[:1], clamped=volts[:1]))
    off = readout.output_currents - true
    assert off.std() == pytest.approx(1e-8, rel=0.05)
    assert readout.current_sigma == 1e-8
    blind = make(options={"current_readout": False}).measure(x[:1], hl.OutputDrive.clamp(volts[:1]))
    assert blind.output_currents is None
    assert blind.source_currents is None


def test_settling_carries_over_between_samples(small, make):
    x = np.repeat(small[2][:1], 5, axis=0)
    twin = make(settle_tau_s=20e-6, options={"settle_s": 50e-6})
    final = twin.true_outputs(x[:1])
    left = np.exp(-50 / 20)
    expected = final * (1 - left ** np.arange(1, 6))[:, None]
    np.testing.assert_allclose(twin.measure(x).voltages, expected, rtol=1e-9)
    # the next measurement continues from the end of the last one
    np.testing.assert_allclose(twin.measure(x[:1]).voltages, final * (1 - left**6), rtol=1e-9)


def test_drift_grows_with_root_of_bench_time(small, wide_limits):
    top = hl.Topology.crossbar(40, 30)
    spread = []
    for samples in (100, 400):
        flaws = Imperfections(drift_per_sqrt_hour=0.1)
        twin = KirchhoffTwin(top, wide_limits, flaws, seed=2, settle_s=9.0)
        start = twin.true_conductances
        twin.measure(np.zeros((samples, 40)))
        spread.append(np.log(twin.true_conductances / start).std())
    assert spread[0] == pytest.approx(0.1 * 0.5, rel=0.1)  # a quarter of an hour
    assert spread[1] == pytest.approx(2 * spread[0], rel=0.1)


def test_source_resistance_reduces_input_volts():
    top = hl.Topology(3, [(0, 1), (1, 2)], [0], [1], ground=2)
    limits = hl.Limits(10.0, 20.0, 1.0, 1.0, (LOW, HIGH))
    twin = KirchhoffTwin(top, limits, Imperfections(source_resistance_ohm=5e3), node_readout=True)
    twin.program([1e-4, 5e-5])
    readout = twin.measure([[3.5]])
    current = 3.5 / (5e3 + 1e4 + 2e4)
    assert readout.nodes.shape == (1, 3)
    np.testing.assert_allclose(readout.source_currents, [[current]])
    np.testing.assert_allclose(readout.nodes, [[3.5 - 5e3 * current, 2e4 * current, 0.0]], atol=1e-12)


def test_limit_beyond_dac_range_is_refused(small):
    limits = hl.Limits(2.0, 4.0, 1.0, 1.0, (LOW, HIGH))
    with pytest.raises(SetupError, match="beyond the DAC range"):
        KirchhoffTwin(small[0], limits, Imperfections(dac_range_V=1.0))


@pytest.mark.parametrize(
    ("flaws", "words"),
    [
        ({"device_spread": -0.1}, "device_spread"),
        ({"read_noise_V": np.nan}, "read_noise_V"),
        ({"stuck_fraction": 1.5}, "stuck_fraction"),
        ({"adc_bits": 12}, "adc_range_V"),
        ({"dac_bits": 0, "dac_range_V": 1.0}, "dac_bits"),
        ({"conductance_bits": 40}, "conductance_bits"),
        ({"stuck": {2: -1.0}}, "edge 2"),
    ],
)
def test_invalid_imperfections_are_refused(flaws, words):
    with pytest.raises(SetupError, match=words):
        Imperfections(**flaws)


def test_invalid_options_are_refused(small, wide_limits):
    with pytest.raises(SetupError, match="averages"):
        KirchhoffTwin(small[0], wide_limits, averages=0)
    with pytest.raises(SetupError, match="settle_s"):
        KirchhoffTwin(small[0], wide_limits, settle_s=-1.0)
    with pytest.raises(SetupError, match="edge 99"):
        KirchhoffTwin(small[0], wide_limits, Imperfections(stuck={99: 1e-5}))
    with pytest.raises(SetupError, match="not both"):
        KirchhoffTwin(small[0], wide_limits, Imperfections(conductance_bits=8), edge_law=EvenSteps(LOW, HIGH))


def test_rheostat_setting_quantises_resistance(small):
    table = {"rheostat": {"full": "1 Mohm", "wiper": "9 kohm", "positions": 256}}
    limits = hl.Limits(0.5, 1.0, 0.2, 1e-3, (2e-6, 1e-4))
    with SimBackend().open(SimSettings.model_validate(table), small[0], limits) as twin:
        reached = twin.program(np.full(30, 1.05e-5)).reached
        codes = (1 / reached - 9e3) * 256 / 1e6
        np.testing.assert_allclose(codes, np.rint(codes), atol=1e-9)
        np.testing.assert_allclose(reached, 1.05e-5, rtol=0.03)
        np.testing.assert_array_equal(twin.true_conductances, reached)


def test_readout_contains_no_true_values(small, make):
    """With an error of 20 % at every device, no field of a readout equals a true value."""
    twin = make(device_spread=0.2, read_noise_V=1e-3, current_noise_A=1e-8, options={"node_readout": True})
    x = small[2]
    readout = twin.measure(x, hl.OutputDrive.clamp(np.zeros((6, 3))))
    true = twin._truth.solve(x, clamped=np.zeros((6, 3)))
    assert (readout.nodes != true).all()
    assert (readout.output_currents != twin._truth.output_currents(true)).all()
    assert isinstance(LimitError("x"), ValueError)


@pytest.mark.parametrize("fixed_S", [0.0, 2e-3])
def test_source_beyond_its_current_is_found_without_current_readout(fixed_S):
    """A bound on the currents saves their calculation, but hides no source in compliance."""
    fixed = {"fixed_edges": [(0, 2)], "fixed_conductances": [fixed_S]} if fixed_S else {}
    top = hl.Topology(3, [(0, 1), (1, 2)], [0], [1], ground=2, **fixed)
    current = 0.5e-3 + fixed_S
    for share, refused in ((0.99, True), (1.01, False)):
        limits = hl.Limits(1.0, 2.0, 0.1, share * current, (1e-4, 1e-3))
        twin = KirchhoffTwin(top, limits, current_readout=False)
        twin.program(np.full(2, 1e-3))
        if refused:
            with pytest.raises(ComplianceError, match=r"limits\.current"):
                twin.measure([[1.0]])
        else:
            assert twin.measure([[1.0]]).source_currents is None
    edges = InputEdges.of(top)
    assert edges.most_siemens(np.full(2, 1e-3)) == pytest.approx(1e-3 + fixed_S)
    assert InputEdges.of(top.with_elements(Sinh(0.1))).most_siemens(np.full(2, 1e-3)) == np.inf
