"""Edge campaigns on a small bench: estimates, stated uncertainties, storing and continuing."""

import json

import numpy as np
import pytest

import hwlearn as hl
from hwlearn.calibration.edges import CampaignSettings, EdgeCampaign, estimate_edges
from hwlearn.calibration.estimation.unknowns import Spreads
from hwlearn.errors import ComplianceError, SetupError
from hwlearn_sim import KirchhoffTwin

VOLTAGES = {"nudges": (), "current_readout": False}
CURRENTS = {"nudges": ("clamp", "current"), "current_readout": True}
RESISTORS = {"nudges": ("resistor",), "current_readout": False}
RANDOM = CampaignSettings(design="random")


def test_edges_are_estimated_within_their_uncertainty(raw_bench, true_log_gains):
    twin, model = raw_bench(0, options=CURRENTS)
    fit = estimate_edges(twin, model, RANDOM, 6)
    off = fit.log_gains - true_log_gains(twin)
    assert fit.scale_known
    assert np.median(np.abs(off)) < 0.02
    assert np.abs(off / (fit.gain_sigma / fit.gains)).max() < 4.5
    assert np.abs(np.log(fit.gains)).max() > 0.1  # the edges are not nominal
    assert 0.7 < fit.chi2_per_dof < 1.3
    assert fit.noise_factor == 1
    assert abs(fit.spread - 0.2) < 4 * fit.spread_sigma


def test_voltages_determine_everything_except_the_common_scale(raw_bench, true_log_gains):
    twin, model = raw_bench(1, options=VOLTAGES)
    fit = estimate_edges(twin, model, configurations=10)
    truth = true_log_gains(twin)
    assert not fit.scale_known
    assert fit.scale_sigma == pytest.approx(fit.spread / np.sqrt(30), rel=0.1)
    beside = np.log(fit.shape) - (truth - fit.shape_weights @ truth)
    assert np.abs(beside / fit.shape_sigma).max() < 4.5
    assert np.median(fit.shape_sigma) < 0.03
    best = int(np.argmin(fit.shape_sigma))
    scaled = fit.with_scale_of(best, float(np.exp(truth[best])), 1e-3)
    assert scaled.scale_known
    assert scaled.gains[best] == pytest.approx(np.exp(truth[best]), rel=3e-3)
    assert np.median(scaled.gain_sigma) < 0.6 * np.median(fit.gain_sigma)
    seen = ~fit.undetermined
    assert 0 < np.count_nonzero(fit.undetermined) < 4
    np.testing.assert_allclose(scaled.shape[seen], fit.shape[seen], rtol=0.01)


def test_known_resistor_at_the_outputs_determines_the_scale(raw_bench, true_log_gains):
    twin, model = raw_bench(2, options=RESISTORS)
    unscaled = estimate_edges(twin, model, RANDOM, 6)
    fit = estimate_edges(twin, model, CampaignSettings(nudge_siemens=1e-4), 8)
    assert not unscaled.scale_known
    assert fit.scale_known
    assert np.median(np.abs(fit.log_gains - true_log_gains(twin))) < 0.02


def test_prediction_states_its_uncertainty(raw_bench):
    twin, model = raw_bench(3, options=CURRENTS)
    fit = estimate_edges(twin, model, RANDOM, 6)
    rng = np.random.default_rng(0)
    reached = twin.program(np.exp(rng.uniform(*np.log(twin.limits.conductance), 30))).reached
    x = rng.uniform(-0.4, 0.4, (60, 4))
    drive = hl.OutputDrive.current(np.full((60, 3), 2e-7))
    for one in (None, drive):
        expected = fit.predict(reached, x, one)
        readout = twin.measure(x, one)
        z = (readout.voltages - expected.voltages) / np.hypot(expected.voltage_sigma, readout.voltage_sigma)
        assert 0.8 < z.std() < 1.25
    nominal = hl.Kirchhoff(twin.topology, reached).solve(x)[:, twin.topology.outputs]
    assert np.std(twin.measure(x).voltages - nominal) > 5e-3


def test_known_converters_are_used(raw_bench, true_log_gains):
    twin, model = raw_bench(4, options=CURRENTS)
    joint = estimate_edges(twin, model, RANDOM, 3)
    known = CampaignSettings(design="random", converters=joint.converters, seed=1)
    again = estimate_edges(twin, model, known, 3)
    for block in ("dac_gain", "adc_offset"):
        assert (again.converters.sigma(block) <= joint.converters.sigma(block) * 1.01).all()
    off = again.log_gains - true_log_gains(twin)
    assert np.abs(off / (again.gain_sigma / again.gains)).max() < 4.5


def test_stored_campaign_continues_identically(raw_bench):
    twin, model = raw_bench(5, options=CURRENTS)
    campaign = EdgeCampaign.of(twin, model, CampaignSettings(patterns=10, seed=3))
    for _ in range(2):
        campaign.add(campaign.next().measure(twin))
    stored = json.loads(json.dumps(campaign.state()))
    resumed = EdgeCampaign.from_state(twin, model, stored)
    ours, theirs = campaign.next(), resumed.next()
    np.testing.assert_array_equal(ours.conductances, theirs.conductances)
    for a, b in zip(ours.phases, theirs.phases, strict=True):
        np.testing.assert_array_equal(a.inputs, b.inputs)
        np.testing.assert_array_equal(a.values, b.values)
    assert ours.samples == 10
    np.testing.assert_array_equal(campaign.fit().gains, resumed.fit().gains)


def test_damaged_state_or_state_of_another_network_is_refused(raw_bench):
    twin, model = raw_bench(5, options=VOLTAGES)
    campaign = EdgeCampaign.of(twin, model, RANDOM)
    campaign.add(campaign.next().measure(twin))
    state = campaign.state()
    with pytest.raises(SetupError, match="another network"):
        EdgeCampaign.from_state(*raw_bench(6), state)
    with pytest.raises(SetupError, match="damaged"):
        EdgeCampaign.from_state(twin, model, {k: v for k, v in state.items() if k != "settings"})
    broken = state | {"readings": [state["readings"][0] | {"reached": ["a"]}]}
    with pytest.raises(SetupError, match="damaged"):
        EdgeCampaign.from_state(twin, model, broken)


def test_stuck_edges_are_constants(raw_bench):
    twin, model = raw_bench(7, options=CURRENTS, stuck={3: 4e-5, 11: 2e-6})
    fit = estimate_edges(twin, model, RANDOM, 8)
    assert np.flatnonzero(fit.stuck).tolist() == [3, 11]
    for target in (1e-6, 1e-4):
        g = fit.conductances(np.full(30, target))
        assert g[3] == pytest.approx(4e-5, rel=0.15)
        assert np.abs(np.log(g[[3, 11]] / [4e-5, 2e-6]) / (fit.gain_sigma / fit.gains)[[3, 11]]).max() < 4.5
    assert abs(fit.spread - 0.2) < 4 * fit.spread_sigma


def test_understated_noise_is_detected(raw_bench, true_log_gains):
    twin, model = raw_bench(8, options=VOLTAGES)
    fit = estimate_edges(twin, model, CampaignSettings(read_sigma=2e-4, design="random"), 6)
    assert fit.noise_factor == pytest.approx(5, rel=0.15)
    assert fit.chi2_per_dof == pytest.approx(25, rel=0.5)


def test_offsets_of_edges_are_estimated(bench_limits):
    """A constant conductance in parallel with every edge is explained by gains and offsets, not by gains alone."""
    top = hl.Topology.random(10, 18, inputs=4, outputs=3, seed=2)

    class Leaky(KirchhoffTwin):
        def _program(self, conductances):
            done = super()._program(conductances)
            self._truth = self._truth.with_conductances(self._truth.conductances + 3e-6)
            return done

    from hwlearn_sim import Imperfections

    flaws = Imperfections(device_spread=0.1, read_noise_V=1e-4)
    model = hl.Kirchhoff(top, np.full(18, 5e-5))
    with_offsets = estimate_edges(
        Leaky(top, bench_limits, flaws, seed=1),
        model,
        CampaignSettings(spreads=Spreads(edge_offset_S=1e-6), design="random"),
        configurations=12,
    )
    without = estimate_edges(Leaky(top, bench_limits, flaws, seed=1), model, RANDOM, 6)
    # gains alone are off in each configuration, as if by programming noise, but programming repeats exactly
    assert without.programming.sigma > 0.1
    assert without.repeats is not None
    assert not without.repeats.agrees
    assert without.repeats.sigma < 0.01 * without.programming.sigma
    assert with_offsets.noise_factor == 1
    assert not with_offsets.programming.is_significant
    assert np.median(with_offsets.edge_offsets) == pytest.approx(3e-6, rel=0.2)


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in (1, 2))])
def test_all_requests_respect_the_limits(raw_bench, seed):
    """Every request passes the checks of the network, and all readings are within the limits."""
    twin, model = raw_bench(
        seed, (10, 18, 3, 2), {"nudges": ("clamp", "current", "resistor"), "current_readout": True}
    )
    campaign = EdgeCampaign.of(twin, model, CampaignSettings(nudge_siemens=1e-4, seed=seed))
    kinds = set()
    for _ in range(3):
        one = campaign.next()
        readings = one.measure(twin)
        kinds |= {p.kind for p in one.phases}
        for phase, readout in zip(readings.phases, readings.readouts, strict=True):
            assert np.abs(phase.inputs).max() <= twin.limits.voltage
            assert np.abs(readout.voltages).max() < twin.limits.voltage * 1.05
        campaign.add(readings)
    assert len(kinds) >= 2


def test_phase_in_compliance_is_left_out(raw_bench, mocker):
    twin, model = raw_bench(0, options={"nudges": ("current",)})
    one = EdgeCampaign.of(twin, model, CampaignSettings(seed=1)).next()
    assert {p.kind for p in one.phases} >= {"free", "current"}
    measure = twin.measure

    def tripping(inputs, drive=None):
        if drive is not None:
            raise ComplianceError("tripped")
        return measure(inputs, drive)

    mocker.patch.object(twin, "measure", tripping)
    readings = one.measure(twin)
    assert [p.kind for p in readings.phases] == ["free"]
    assert readings.void == sum(len(p.inputs) for p in one.phases if p.kind == "current") > 0


def test_patterns_are_scaled_to_a_low_current_limit(raw_flaws):
    top = hl.Topology.random(14, 30, inputs=4, outputs=3, seed=5)
    limits = hl.Limits(voltage=0.5, drop=1.0, nudge=0.2, current=2e-5, conductance=(1e-6, 1e-4))
    twin = KirchhoffTwin(top, limits, raw_flaws(), seed=1)
    fit = estimate_edges(twin, hl.Kirchhoff(top, np.full(30, 5e-5)), configurations=3)
    assert fit.rows > 3 * 24


def test_wrong_requests_are_refused_before_the_first_measurement(raw_bench):
    twin, model = raw_bench(0)
    other = raw_bench(1)[1]
    with pytest.raises(SetupError, match="other nodes, edges or terminals"):
        estimate_edges(twin, other)
    for wrong in ({"patterns": 0}, {"design": "best"}, {"read_sigma": -1.0}, {"nudge_siemens": 0.0}):
        with pytest.raises(SetupError):
            estimate_edges(twin, model, CampaignSettings(**wrong))
    with pytest.raises(SetupError, match="positive and finite"):
        Spreads(edges=0.0)
    with pytest.raises(SetupError, match="nothing was measured"):
        EdgeCampaign.of(twin, model).fit()
    assert twin.measurements == 0


def test_unstated_noise_must_be_set(small, wide_limits):
    top, g, _, _ = small
    twin, model = KirchhoffTwin(top, wide_limits), hl.Kirchhoff(top, g)
    with pytest.raises(SetupError, match="read_sigma"):
        estimate_edges(twin, model, RANDOM, 6)
    fit = estimate_edges(twin, model, CampaignSettings(read_sigma=1e-5, design="random"), 6)
    np.testing.assert_allclose(fit.shape, 1.0, atol=0.02)
    with pytest.raises(SetupError, match="shape"):
        fit.conductances(np.ones(3))
    with pytest.raises(SetupError, match="no edge"):
        fit.with_scale_of(30, 1.0, 0.01)
