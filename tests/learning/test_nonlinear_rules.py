"""Every rule on networks of nonlinear elements, against the exact gradient of the linearised adjoint."""

import numpy as np
import pytest

import hwlearn as hl
from hwlearn.circuit.elements import OHMIC, IdealDiode, Shockley, Sinh
from hwlearn.learning.subsets import sensitivities
from hwlearn.network.nudges import SMALL_MOVE
from hwlearn_sim import KirchhoffTwin

KAPPA = 2e-5
MIXES = {
    "sinh": lambda n: [Sinh(0.3)] * n,
    "diodes": lambda n: [Shockley(0.1) if k % 2 else OHMIC for k in range(n)],
    "mixed": lambda n: [(OHMIC, Sinh(0.2), Shockley(0.15))[k % 3] for k in range(n)],
}


def relative(a, b):
    return np.linalg.norm(a - b) / np.linalg.norm(b)


@pytest.fixture(params=MIXES)
def nonlinear(request, small, wide_limits):
    """Return a twin with nonlinear elements, its model, samples, errors and the exact gradient of the MSE."""
    top, g, x, y = small
    model = hl.Kirchhoff(top.with_elements(MIXES[request.param](top.n_edges)), g)
    twin = KirchhoffTwin(model.topology, wide_limits, node_readout=True)
    twin.program(g)
    error = model.solve(x)[:, top.outputs] - y
    return twin, model, x, y, error, model.gradient(x, error)


def test_ideal_twin_equals_its_model(nonlinear):
    twin, model, x, _, _, _ = nonlinear
    V = model.solve(x)
    readout = twin.measure(x)
    np.testing.assert_array_equal(readout.nodes, V)
    np.testing.assert_allclose(readout.source_currents, model.source_currents(V))
    outputs = model.topology.outputs
    # with a resistor drive, DAC voltage, node voltage and current obey Ohm's law
    drive = hl.OutputDrive.resistor(V[:, outputs] + 0.05, KAPPA)
    pulled = twin.measure(x, drive)
    np.testing.assert_allclose(pulled.output_currents, KAPPA * (drive.values - pulled.voltages), rtol=1e-9)
    np.testing.assert_allclose(model.output_currents(pulled.nodes), pulled.output_currents, rtol=1e-6, atol=1e-12)


@pytest.mark.parametrize("readout", ["outputs", "nodes"])
@pytest.mark.parametrize(
    "nudge",
    [
        hl.CurrentNudge(1e-7),
        hl.ClampNudge(1e-3),
        hl.ClampNudge(1e-7, metric="impedance"),
        hl.ResistorNudge(1e-3, kappa=KAPPA),
    ],
    ids=["current", "clamp", "impedance clamp", "resistor"],
)
def test_small_nudges_give_the_gradient_of_their_formula(nonlinear, nudge, readout):
    twin, model, x, y, e, _ = nonlinear
    Z = model.output_impedance(x)
    if nudge.kind == "resistor":
        error = np.linalg.solve(np.eye(Z.shape[-1]) / KAPPA + Z, e[:, :, None])[:, :, 0]
    elif nudge.kind == "clamp" and nudge.metric == "identity":
        error = np.linalg.solve(Z, e[:, :, None])[:, :, 0]
    else:
        error = e
    found = hl.GEP(nudge, readout=readout).gradient(hl.GradientRequest(twin, model, x, y, hl.MSE()))
    assert relative(found.values, model.gradient(x, error)) < 1e-4


@pytest.mark.parametrize("nudge", [hl.CurrentNudge(), hl.ClampNudge(metric="impedance")], ids=["current", "clamp"])
def test_automatic_nudges_stay_within_the_voltage_scale(nonlinear, nudge):
    """The limits allow volts, but a quarter of V0 or nVt keeps the bias near one percent."""
    twin, model, x, y, _, exact = nonlinear
    phases = twin.two_phase(x, hl.MSE().signal(y), nudge.bound(model.output_impedance(x), model.scale_V))
    moved = np.abs(phases.plus.voltages - phases.free.voltages).max()
    assert 0.1 * SMALL_MOVE * model.scale_V < moved <= 1.01 * SMALL_MOVE * model.scale_V
    found = hl.GEP(nudge).gradient(hl.GradientRequest(twin, model, x, y, hl.MSE()))
    assert found.skipped == 0
    assert relative(found.values, exact) < 0.02


def test_automatic_nudges_of_ohmic_networks_are_not_reduced(small, ideal_twin):
    top, g, x, y = small
    model = hl.Kirchhoff(top, g)
    nudge = hl.ClampNudge()
    known, plain = nudge.bound(model.output_impedance(x), model.scale_V), nudge.bound(model.output_impedance())
    a, b = (ideal_twin.two_phase(x, hl.MSE().signal(y), n) for n in (known, plain))
    np.testing.assert_array_equal(a.strength, b.strength)


def test_analytic_rule_gives_the_exact_gradient(nonlinear):
    twin, model, x, y, _, exact = nonlinear
    assert relative(hl.Analytic().gradient(hl.GradientRequest(twin, model, x, y, hl.MSE())).values, exact) < 1e-8


def test_computed_nudges_agree_with_measured_ones(nonlinear):
    twin, model, x, y, _, exact = nonlinear
    for nudge in (hl.CurrentNudge(1e-7), hl.ResistorNudge(1e-3, kappa=1e-9)):
        scale = 1e-9 if nudge.kind == "resistor" else 1.0
        found = hl.GEP(nudge, nudged="computed").gradient(hl.GradientRequest(twin, model, x, y, hl.MSE()))
        assert relative(found.values / scale, exact) < 1e-3


@pytest.mark.share(1)
def test_spsa_points_downhill(nonlinear):
    twin, model, x, y, e, _ = nonlinear
    request = hl.GradientRequest(twin, model, x[:2], y[:2], hl.MSE())
    # in 30 dimensions, the mean of 120 random directions makes a cosine of about sqrt(120 / 150)
    found, exact = hl.SPSA(perturbation=1e-3, repeats=120).gradient(request).values, model.gradient(x[:2], e[:2])
    assert found @ exact / np.linalg.norm(found) / np.linalg.norm(exact) > 0.8


def test_samples_without_error_are_skipped_and_impedances_stay_aligned(nonlinear):
    twin, model, x, y, e, _ = nonlinear
    reached = y.copy()
    reached[[0, 2]] = model.solve(x)[[0, 2]][:, model.topology.outputs]
    kept = np.setdiff1d(np.arange(len(x)), [0, 2])
    nudge = hl.ClampNudge(1e-7, metric="impedance")
    found = hl.GEP(nudge).gradient(hl.GradientRequest(twin, model, x, reached, hl.MSE()))
    assert found.skipped == 2
    assert relative(found.values, model.gradient(x[kept], e[kept]) * len(kept) / len(x)) < 1e-4


def test_sensitivities_equal_the_change_of_the_outputs(nonlinear):
    _, model, x, _, _, _ = nonlinear
    moved = sensitivities(model, x)
    for edge in (0, 7):
        g = model.conductances.copy()
        g[edge] *= 1 + 1e-5
        rise = (model.with_conductances(g).solve(x) - model.solve(x))[:, model.topology.outputs] / 1e-5
        assert moved[edge] == pytest.approx(np.sqrt((rise**2).sum(axis=1).mean()), rel=1e-3)


def test_diodes_between_layers_learn_exclusive_or():
    """A network of resistors cannot compute exclusive or, since its outputs are linear in its inputs."""
    inputs = np.array([[a, b, -a, -b, 1.0, -1.0] for a in (-1.0, 1.0) for b in (-1.0, 1.0)])
    labels = np.array([0, 1, 1, 0])
    limits = hl.Limits(voltage=2.0, drop=4.0, nudge=0.3, current=1.0, conductance=(1e-6, 1e-4))
    start = np.exp(np.random.default_rng(3).uniform(np.log(1e-6), np.log(1e-4), 6 * 12 + 24))
    score = {}
    for name, diode in (("diodes", IdealDiode()), ("resistors", OHMIC)):
        top = hl.Topology.layered([6, 12, 2], rectifier=diode)
        with KirchhoffTwin(top, limits) as twin:
            model = hl.Kirchhoff(top, start)
            trainer = hl.Trainer(twin, hl.GEP(), hl.CrossEntropy(0.02), hl.Adam(0.1, scale="log"), model=model)
            trainer.fit(inputs, labels, 60)
            score[name] = trainer.evaluate(inputs, labels).accuracy
    assert score["diodes"] == 1.0
    assert score["resistors"] <= 0.75


@pytest.mark.parametrize("readout", ["outputs", "nodes"])
def test_fixed_nudge_without_noise_never_computes_the_impedance(nonlinear, readout, monkeypatch):
    twin, model, x, y, _, exact = nonlinear
    monkeypatch.setattr(model, "output_impedance", None)
    request = hl.GradientRequest(twin, model, x, y, hl.MSE())
    got = hl.GEP(hl.CurrentNudge(1e-7), readout=readout).gradient(request)
    assert relative(got.values, exact) < 1e-4
