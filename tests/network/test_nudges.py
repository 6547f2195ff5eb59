"""Nudges: their currents and displacements, and the strength 'auto'."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from shares import examples

import hwlearn as hl
from hwlearn.errors import LimitError, NetworkError
from hwlearn_sim import Imperfections, KirchhoffTwin


def target_error(y):
    return hl.TargetError(np.asarray(y, dtype=float))


@pytest.mark.parametrize(
    "nudge",
    [
        hl.CurrentNudge(1e-6),
        hl.ClampNudge(0.3),
        hl.ClampNudge(1e-6, metric="impedance"),
        hl.ResistorNudge(0.5, kappa=3e-5),
    ],
    ids=["current", "clamp", "clamp-impedance", "resistor"],
)
def test_nudge_current_follows_its_formula(small, ideal_twin, nudge):
    top, g, x, y = small
    Z = hl.Kirchhoff(top, g).output_impedance()
    bound = nudge.bound(Z)
    phases = ideal_twin.two_phase(x, target_error(y), bound)
    e = phases.error
    expected = {
        "current": -nudge.strength * e,
        "clamp": -nudge.strength * np.linalg.solve(Z, e.T).T,
        "resistor": -nudge.strength * np.linalg.solve(np.eye(3) / getattr(nudge, "kappa", 1.0) + Z, e.T).T,
    }[nudge.kind]
    if getattr(nudge, "metric", "") == "impedance":
        expected = -nudge.strength * e
    np.testing.assert_allclose(phases.plus.output_currents, expected, rtol=1e-8, atol=1e-16)
    np.testing.assert_allclose(phases.minus.output_currents, -expected, rtol=1e-8, atol=1e-16)
    np.testing.assert_allclose(phases.plus.voltages - phases.free.voltages, expected @ Z, atol=1e-12)
    assert (phases.strength == nudge.strength).all()


def test_resistor_nudge_approaches_current_and_clamp_at_the_limits_of_kappa(small, ideal_twin):
    top, g, x, y = small
    model = hl.Kirchhoff(top, g)
    exact = model.gradient(x, model.solve(x)[:, top.outputs] - y)

    def direction(nudge):
        return hl.GEP(nudge).gradient(hl.GradientRequest(ideal_twin, model, x, y, hl.MSE())).values

    weak = direction(hl.ResistorNudge(0.1, kappa=1e-12))
    np.testing.assert_allclose(weak / 1e-12, exact, rtol=1e-6, atol=1e-7 * np.abs(exact).max())
    clamp = direction(hl.ClampNudge(0.1))
    np.testing.assert_allclose(
        direction(hl.ResistorNudge(0.1, kappa=1e6)), clamp, rtol=1e-6, atol=1e-8 * np.abs(clamp).max()
    )


@settings(max_examples=examples(60), deadline=None)
@given(
    seed=st.integers(0, 10_000),
    kind=st.sampled_from(["clamp", "current", "resistor", "impedance"]),
    scale=st.sampled_from([1e-3, 0.05, 0.3]),
)
def test_auto_keeps_every_limit_on_hardware_that_differs_from_the_model(seed, kind, scale):
    rng = np.random.default_rng(seed)
    top = hl.Topology.random(12, 24, inputs=4, outputs=3, ground=0 if seed % 2 else None, seed=seed)
    limits = hl.Limits(
        voltage=0.5, drop=float(rng.uniform(0.85, 1.0)), nudge=0.15, current=2e-4, conductance=(1e-6, 1e-4)
    )
    g = np.exp(rng.uniform(np.log(1e-6), np.log(1e-4), top.n_edges))
    twin = KirchhoffTwin(top, limits, Imperfections(device_spread=0.2), seed=seed)
    twin.program(g)
    x = rng.uniform(-0.4, 0.4, (5, 4))
    y = scale * rng.standard_normal((5, 3))
    nudge = {
        "clamp": hl.ClampNudge(),
        "current": hl.CurrentNudge(),
        "resistor": hl.ResistorNudge(kappa=5e-5),
        "impedance": hl.ClampNudge(metric="impedance"),
    }[kind].bound(hl.Kirchhoff(top, g).output_impedance())
    phases = twin.two_phase(x, target_error(y), nudge)  # raises if a limit or compliance is exceeded
    for nudged in (phases.plus, phases.minus):
        moved = np.abs(nudged.voltages - phases.free.voltages)
        assert moved.max() <= limits.nudge * (1 + 1e-9)
        assert np.abs(nudged.voltages).max() <= limits.voltage * (1 + 1e-9)
        assert np.abs(nudged.output_currents).max() <= limits.current * (1 + 1e-9)
    assert not phases.skipped.all()


def test_auto_clamp_uses_the_whole_nudge_limit(small, bench_limits):
    top, g, x, y = small
    twin = KirchhoffTwin(top, bench_limits)
    twin.program(g)
    phases = twin.two_phase(0.1 * x, target_error(0.1 * y), hl.ClampNudge())
    moved = np.abs(phases.plus.voltages - phases.free.voltages).max(axis=1)
    np.testing.assert_allclose(moved, bench_limits.nudge, rtol=1e-9)


def test_auto_skips_samples_whose_error_is_below_the_resolution(small, bench_limits):
    top, g, x, _ = small
    twin = KirchhoffTwin(top, bench_limits, Imperfections(adc_bits=12, adc_range_V=1.0))
    twin.program(g)
    free = twin.measure(x).voltages
    y = free.copy()
    y[0] += 0.1
    y[1, 2] -= 0.9 * twin.resolution
    before = twin.measurements
    phases = twin.two_phase(x, target_error(y), hl.ClampNudge())
    assert phases.skipped.tolist() == [False, True, True, True, True, True]
    assert twin.measurements - before == len(x) + 2  # only one sample was nudged, twice
    np.testing.assert_array_equal(phases.plus.voltages[1:], phases.free.voltages[1:])
    model = hl.Kirchhoff(top, g)
    result = hl.GEP(hl.ClampNudge()).gradient(hl.GradientRequest(twin, model, x, y, hl.MSE()))
    assert result.skipped == 5
    alone = hl.GEP(hl.ClampNudge()).gradient(hl.GradientRequest(twin, model, x[:1], y[:1], hl.MSE()))
    np.testing.assert_allclose(result.values, alone.values / 6)


def test_auto_skips_a_sample_without_headroom():
    top = hl.Topology.crossbar(2, 1)
    twin = KirchhoffTwin(top, hl.Limits(0.5, 0.5, 0.2, 1e-3, (1e-6, 1e-4)))
    phases = twin.two_phase([[0.5, 0.5], [0.1, 0.1]], target_error([[0.3], [0.0]]), hl.ClampNudge())
    assert phases.skipped.tolist() == [True, False]


def test_fixed_strength_above_the_limit_is_refused_before_it_is_applied(small, bench_limits, mocker):
    top, _, x, y = small
    twin = KirchhoffTwin(top, bench_limits)
    reached = mocker.spy(twin, "_measure")
    with pytest.raises(LimitError, match=r"nudge .* exceeds limits.nudge = 200 mV"):
        twin.two_phase(x, target_error(y + 1.0), hl.ClampNudge(0.9))
    assert reached.call_count == 1  # the free phase only


def test_nudge_without_its_model_is_refused(small, bench_limits):
    top, _, x, y = small
    twin = KirchhoffTwin(top, bench_limits)
    with pytest.raises(NetworkError, match=r"CurrentNudge .* needs the output impedance"):
        twin.two_phase(x, target_error(y), hl.CurrentNudge())


@pytest.mark.parametrize("strength", [0.0, -1.0, np.nan, np.inf, True, None, "strong", "0.3", [0.3]])
def test_invalid_strength_is_refused(strength):
    with pytest.raises(NetworkError, match="strength"):
        hl.ClampNudge(strength)


@pytest.mark.parametrize("kappa", [0.0, -1e-4, np.nan, True, None, "100 uS"])
def test_invalid_nudge_conductance_is_refused(kappa):
    with pytest.raises(NetworkError, match="kappa"):
        hl.ResistorNudge(kappa=kappa)


def test_invalid_metric_and_drive_conductance_are_refused():
    with pytest.raises(NetworkError, match="metric"):
        hl.ClampNudge(metric="euclid")
    with pytest.raises(NetworkError, match="conductance"):
        hl.OutputDrive.resistor([[0.0]], -1.0)


@pytest.mark.parametrize(
    "make",
    [
        lambda: hl.OutputDrive("clmp", np.zeros((1, 1))),
        lambda: hl.OutputDrive("resistor", np.zeros((1, 1))),
        lambda: hl.OutputDrive("clamp", np.zeros((1, 1)), np.ones(1)),
        lambda: hl.OutputDrive("clamp", np.zeros(3)),
        lambda: hl.OutputDrive("clamp", None),
        lambda: hl.OutputDrive.clamp("100 mV"),
        lambda: hl.OutputDrive.current([[1], [1, 2]]),
        lambda: hl.OutputDrive.resistor([[0.1]], "100 uS"),
        lambda: hl.OutputDrive.resistor([[0.1]], [1e-4, 1e-4]),
    ],
)
def test_invalid_output_drives_are_refused(make):
    with pytest.raises(NetworkError, match=r"output drive|nudge conductances"):
        make()
