"""The reference experiment: the final error depends on where the update takes its voltages from.

24 nodes, 55 edges, 8 samples x 3 outputs with realisable targets; real conductances off by a log-normal 20 %,
1 mV read noise, 12 bits over +-1 V, 10-bit conductances; Adam, 400 steps. The figures use six seeds. The
comparison of readouts uses more, because its difference is smaller than the spread between seeds.
"""

import numpy as np
import pytest

import hwlearn as hl
from hwlearn_sim import Imperfections, KirchhoffTwin

KAPPA = 1e-4
RULES = {
    "two phases, EP, outputs": hl.EquilibriumPropagation(),
    "two phases, resistor, outputs": hl.GEP(hl.ResistorNudge(kappa=KAPPA)),
    "two phases, clamp with current, outputs": hl.CoupledLearning(),
    "measured outputs, exact gradient": hl.Analytic(),
    "control: EP computed": hl.EquilibriumPropagation(nudged="computed"),
    "control: resistor computed": hl.GEP(hl.ResistorNudge(kappa=KAPPA), nudged="computed"),
    "control: clamp computed": hl.CoupledLearning(nudged="computed"),
    "EP, every node read": hl.EquilibriumPropagation(readout="nodes"),
    "resistor, every node read": hl.GEP(hl.ResistorNudge(kappa=KAPPA), readout="nodes"),
    "clamp, every node read": hl.CoupledLearning(readout="nodes"),
}


@pytest.fixture
def final_error(reference, bench_limits, lab_flaws):
    """Return a function that trains a network and returns the true rms error in volts."""

    def train(rule, seed, ideal=False):
        top, x, y = reference(seed)
        flaws = Imperfections() if ideal else lab_flaws
        twin = KirchhoffTwin(
            top, bench_limits, flaws, seed=seed, node_readout=getattr(rule, "readout", "") == "nodes"
        )
        history = hl.Trainer(twin, rule, hl.MSE(), hl.Adam(0.08, scale="log")).fit(
            x, y, hl.Schedule(400, anneal=0.02)
        )
        if ideal:  # program the model's result into hardware that differs from the model
            twin = KirchhoffTwin(top, bench_limits, lab_flaws, seed=seed)
            twin.program(history.conductances)
        return float(np.sqrt(((twin.true_outputs(x) - y) ** 2).mean()))

    return train


@pytest.mark.slow
def test_reference_experiment(final_error, figure, seeds):
    chosen = seeds.first(6, 2)
    mean = {name: np.mean([final_error(rule, s) for s in chosen]) for name, rule in RULES.items()}
    model_only = np.mean([final_error(hl.Analytic(), s, ideal=True) for s in chosen])
    figure(f"regression, {len(chosen)} seeds, true rms: model only, then programmed {model_only * 1e3:.2f} mV")
    for name, value in mean.items():
        figure(
            f"regression, {len(chosen)} seeds, true rms: {name} {value * 1e3:.2f} mV "
            f"(model only is {model_only / value:.0f}x)"
        )
    for name, value in mean.items():
        if name.startswith("two phases"):
            assert value <= 1.0e-3, name
            assert model_only >= 15 * value, name


@pytest.mark.slow
@pytest.mark.parametrize("nudge", ["EP", "resistor", "clamp"])
def test_output_readout_is_as_good_as_node_readout(final_error, figure, nudge, seeds):
    outputs = next(rule for name, rule in RULES.items() if name.startswith(f"two phases, {nudge}"))
    nodes = RULES[f"{nudge}, every node read"]
    chosen = seeds.first(24, 6)
    a = np.array([final_error(outputs, s) for s in chosen])
    b = np.array([final_error(nodes, s) for s in chosen])
    difference, error = (a - b).mean(), (a - b).std(ddof=1) / np.sqrt(len(chosen))
    figure(
        f"regression, {len(chosen)} seeds, {nudge}: outputs {a.mean() * 1e3:.3f} mV, "
        f"every node {b.mean() * 1e3:.3f} mV, "
        f"difference {difference * 1e3:+.3f} +- {error * 1e3:.3f} mV"
    )
    assert difference <= max(2 * error, seeds.margin(a - b)) or a.mean() <= 1.1 * b.mean()
