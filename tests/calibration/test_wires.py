"""Wire segments of crossbars are measured from the terminals, with correct uncertainties."""

from dataclasses import replace

import numpy as np
import pytest
from combinations import pairwise

import hwlearn as hl
from hwlearn.calibration.edges import CampaignSettings, EdgeCampaign, estimate_edges
from hwlearn.calibration.estimation.excitation import Phase
from hwlearn.calibration.estimation.fits.wires import WireFit, with_possible_sources
from hwlearn.calibration.estimation.posterior import Posterior
from hwlearn.calibration.estimation.response import EdgeModel
from hwlearn.calibration.estimation.segments import Segments
from hwlearn.calibration.estimation.unknowns import Prior, Spreads, Unknowns
from hwlearn.calibration.estimation.whitening import Noise
from hwlearn.calibration.lines import NotMeasurableError
from hwlearn.calibration.misfit import Misfit
from hwlearn.calibration.wires import measure_wires
from hwlearn.lab.calibration.verdicts import edge_verdict, wire_rows, wire_verdict
from hwlearn_sim import Imperfections, KirchhoffTwin

VOLTAGES = {"nudges": (), "current_readout": False}
CURRENTS = {"nudges": ("clamp", "current"), "current_readout": True}
LIMITS = hl.Limits(voltage=0.5, drop=1.0, nudge=0.2, current=1e-2, conductance=(1e-5, 1e-3))
FLAWS = {"device_spread": 0.2, "read_noise_V": 1e-4, "current_noise_A": 1e-8}
CONVERTERS = {"adc_gain": 0.02, "adc_offset_V": 5e-3, "dac_gain": 0.02, "dac_offset_V": 5e-3}
QUICK = CampaignSettings(patterns=12)


def twin_of(declared=(2.0, 3.0), true=(3.0, 2.4), options=CURRENTS, seed=0, size=(4, 3), **flaws):
    """A twin with other wires than it declares."""
    top = hl.Topology.crossbar(*size, wire_resistance=declared)
    return KirchhoffTwin(
        top, LIMITS, Imperfections(wire_resistance_ohm=true, **FLAWS | flaws), seed=seed, **options
    )


def model_of(twin):
    return hl.Kirchhoff(twin.topology, np.full(twin.topology.n_edges, 1e-3))


@pytest.mark.parametrize("options", [VOLTAGES, CURRENTS], ids=["voltages", "currents"])
def test_segments_differ_from_the_declared_ones_and_are_found(options):
    fit = measure_wires(twin_of(options=options, read_noise_V=2e-5, **CONVERTERS), QUICK, 4)
    off = np.log(fit.wires.ohm / [3.0, 2.4]) / (fit.wires.sigma_ohm / fit.wires.ohm)
    assert np.abs(off).max() < 4
    assert fit.wires.determined
    assert fit.wires.lines == ("row", "column")
    assert fit.scale_known == (options is CURRENTS)
    passed, verdict = wire_verdict(fit, fit.wires)
    assert passed
    assert "declared 2 ohm" in verdict
    assert ("no current was measured" in verdict) == (options is VOLTAGES)


def test_sources_are_separated_from_the_first_segments():
    fit = measure_wires(twin_of(source_resistance_ohm=5.0), QUICK, 4)
    wires = fit.wires
    assert wires.has_sources
    assert np.abs((wires.source_ohm - 5.0) / wires.source_sigma_ohm).max() < 4
    assert np.abs(np.log(wires.ohm / [3.0, 2.4]) / (wires.sigma_ohm / wires.ohm)).max() < 4
    first = wires.segment_ohm[: 4 * 3 : 3]
    np.testing.assert_allclose(first, 8.0, rtol=0.1)
    assert "first row segments include" in wire_verdict(fit, wires)[1]
    assert not measure_wires(twin_of(), QUICK, 4).wires.has_sources


@pytest.mark.slow
def test_spread_of_the_segments_is_covered_and_shown():
    twin = twin_of(wire_spread=0.1, size=(6, 5), seed=1)
    fit = measure_wires(twin, CampaignSettings(patterns=12), 4)
    segments = np.log(1 / twin._circuit.fixed_conductances).reshape(2, -1).mean(axis=1)
    assert fit.wires.has_spread
    assert 0.04 < fit.wires.spread < 0.2
    assert np.abs((np.log(fit.wires.ohm) - segments) / (fit.wires.sigma_ohm / fit.wires.ohm)).max() < 4
    assert edge_verdict(fit, 0.0)[0]


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_resistive_columns_that_are_declared_ideal_are_distrusted(seed):
    """An error of the model that no unknown explains: 20 ohm along the columns, taken for ideal lines."""
    fit = measure_wires(twin_of((2.0, 0.0), (2.0, 20.0), seed=seed), QUICK, 4)
    passed, verdict = wire_verdict(fit, fit.wires)
    assert passed is False
    assert verdict.startswith("FAILED")


def test_wires_that_are_too_small_to_measure_are_not_trusted():
    fit = measure_wires(twin_of((1e-3, 1e-3), (1.4e-3, 1e-3), VOLTAGES, read_noise_V=1e-3), QUICK, 2)
    passed, verdict = wire_verdict(fit, fit.wires)
    assert passed is None
    assert verdict.startswith("NOT MEASURABLE on this bench: ")
    assert "read source currents" in verdict


@pytest.mark.parametrize("ohm", [0.0, 20.0])
def test_wires_are_measured_where_sources_are_not(ohm):
    """Nothing is assumed about the sources: the wires are as uncertain and as correct with ideal ones."""
    fit = measure_wires(twin_of(options=VOLTAGES, source_resistance_ohm=ohm, **CONVERTERS), QUICK, 4)
    wires = fit.wires
    assert wires.source_sigma_ohm.max() > 0.25 * 2.0
    assert wires.determined
    assert np.abs(np.log(wires.ohm / [3.0, 2.4]) / (wires.sigma_ohm / wires.ohm)).max() < 3
    assert wires.is_possible
    assert wire_verdict(fit, wires)[0]


def sources_found(mean, sigma):
    """An estimate in which the sources of four rows have these means, and all unknowns are correlated."""
    top = hl.Topology.crossbar(4, 3, wire_resistance=2.0)
    layout = Unknowns.of(top)
    rng = np.random.default_rng(1)
    root = rng.standard_normal((layout.size, layout.size)) / 10
    covariance = sigma**2 * (np.eye(layout.size) + root @ root.T)
    unknowns = np.zeros(layout.size)
    unknowns[layout.blocks["source"]] = mean
    none = Misfit(0.0, 0.0, 0)
    prior = Prior.of(layout, Spreads(), np.zeros(12, dtype=bool), 1.0)
    found = Posterior(unknowns, covariance, prior, {}, none, none, Noise(), 0.0, linear=None)
    return EdgeModel(top, layout, np.full(12, 1e-4)), found


def test_source_that_chance_makes_negative_is_set_to_zero_and_the_others_follow():
    model, found = sources_found([-1.5, 0.5, 0.0, 2.0], 1.0)
    assert not WireFit.of(model, found).is_possible
    possible = with_possible_sources(model, found)
    wires = WireFit.of(model, possible)
    assert wires.is_possible
    assert (wires.source_ohm >= 0).all()
    # the closest possible estimate: nothing that is not at its limit would reduce the distance
    off = np.linalg.solve(found.covariance, possible.mean - found.mean)
    source = model.layout.blocks["source"]
    free = np.ones(len(off), dtype=bool)
    free[source] = possible.mean[source] > 0
    np.testing.assert_allclose(off[free], 0.0, atol=1e-9)
    assert (off[~free] > 0).all()


def test_source_that_is_shown_to_be_negative_stays_and_fails():
    model, found = sources_found([-1.5, 0.5, 0.0, 2.0], 0.01)
    assert with_possible_sources(model, found) is found


def test_table_names_lines_sources_and_declared_values():
    fit = measure_wires(twin_of(), QUICK, 2)
    names = [row.what for row in wire_rows(fit.wires, fit.model.topology)]
    assert names == [
        "row segment (declared 2 ohm)",
        "column segment (declared 3 ohm)",
        "spread from segment to segment",
        *(f"source of row{m}, without wire" for m in range(4)),
    ]


def test_only_wired_crossbars_of_moderate_size_have_wires_to_measure(small, bench_limits):
    with pytest.raises(NotMeasurableError, match="no crossbar with wire resistance"):
        measure_wires(KirchhoffTwin(small[0], bench_limits))
    large = KirchhoffTwin(hl.Topology.crossbar(64, 64, wire_resistance=2.0), LIMITS)
    with pytest.raises(NotMeasurableError, match="at most 2048, but there are 4096"):
        measure_wires(large)
    assert large.measurements == 0


def test_segments_of_a_large_array_count_as_equal():
    layout = Unknowns.of(hl.Topology.crossbar(64, 32, wire_resistance=2.0))
    assert (layout.n_lines, layout.n_segments, layout.n_sources) == (2, 0, 64)


def test_other_networks_have_no_unknown_wires(small):
    layout = Unknowns.of(small[0])
    assert (layout.n_lines, layout.n_segments, layout.n_sources) == (0, 0, 0)
    assert Segments.of(small[0]) is None


@pytest.mark.slow
def test_stored_campaign_of_a_wired_crossbar_continues_identically():
    twin = twin_of()
    campaign = EdgeCampaign.of(twin, model_of(twin), QUICK)
    for _ in range(2):
        campaign.add(campaign.next().measure(twin))
    resumed = EdgeCampaign.from_state(twin, model_of(twin), campaign.state())
    np.testing.assert_array_equal(campaign.next().conductances, resumed.next().conductances)
    np.testing.assert_array_equal(campaign.fit().wires.ohm, resumed.fit().wires.ohm)


@pytest.mark.share(4)
@pairwise(
    kind=["free", "clamp", "current", "resistor"],
    declared=[(2.0, 3.0), (2.0, 0.0), (0.0, 3.0)],
    ground=[3, None],
)
def test_response_equals_that_of_a_twin_and_its_derivatives_are_exact(kind, declared, ground, wide_limits):
    top = hl.Topology.crossbar(4, 3, ground=ground, wire_resistance=declared)
    rng = np.random.default_rng(3)
    layout = Unknowns.of(top)
    model = EdgeModel(top, layout, np.exp(rng.uniform(np.log(1e-6), np.log(1e-4), 12)))
    values = np.full((5, 3), np.nan)
    if kind != "free":
        values[:, 0] = (1e-6 if kind == "current" else 0.1) * np.linspace(-1, 1, 5)
        values[::2, 1] = 0.5 * values[::2, 0]
    siemens = np.array([5e-5, 2e-5, 1e-4]) if kind == "resistor" else None
    phase = Phase(kind, rng.uniform(-0.4, 0.4, (5, top.n_inputs)), values, siemens)
    x = np.zeros(layout.size)
    # a hundred ohm: large enough for the readings to depend on every unknown
    source = 50.0 if declared[0] else 0.0
    x[layout.blocks["log_ohm"]] = np.log(100.0)
    x[layout.blocks["source"]] = source / max(declared[0], 1.0)
    flaws = Imperfections(source_resistance_ohm=source, wire_resistance_ohm=tuple(100.0 * ohm for ohm in declared))
    twin = KirchhoffTwin(top, wide_limits, flaws)
    twin.program(model.base)
    read, expected = twin.measure(phase.inputs, phase.drive), model.respond(x, phase)
    np.testing.assert_allclose(expected.volts, read.voltages, atol=1e-12)
    np.testing.assert_allclose(expected.sources, read.source_currents, atol=1e-15)
    for k in range(layout.size):
        step = np.zeros(layout.size)
        step[k] = 1e-3
        high, low = model.respond(x + step, phase), model.respond(x - step, phase)
        for name in ("volts", "sources", "clamps"):
            slope = (getattr(high, name) - getattr(low, name)) / 2e-3
            scale = np.abs(getattr(expected, name)).max(initial=0.0)
            np.testing.assert_allclose(
                getattr(expected, f"d_{name}")[:, :, k], slope, rtol=1e-4, atol=1e-8 * scale + 1e-18
            )


@pytest.mark.slow
def test_information_design_measures_wires_and_edges():
    twin = twin_of(**CONVERTERS)
    fit = estimate_edges(twin, model_of(twin), replace(QUICK, design="information"), 5)
    truth = np.log(twin.true_conductances / fit.model.base)
    off = fit.log_gains - truth
    assert np.abs(off / (fit.gain_sigma / fit.gains)).max() < 4.5
    assert np.abs(np.log(fit.wires.ohm / [3.0, 2.4]) / (fit.wires.sigma_ohm / fit.wires.ohm)).max() < 4
