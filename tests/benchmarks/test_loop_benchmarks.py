"""Samples per second of the whole training loop on the twin: measure, contrast, step, program.

Run with ``python -m pytest tests/benchmarks --benchmark-enable``.
"""

import numpy as np
import pytest

import hwlearn as hl
from hwlearn_sim import KirchhoffTwin

RULES = {
    "clamp": hl.GEP(hl.ClampNudge()),
    "current": hl.GEP(hl.CurrentNudge()),
    "resistor": hl.GEP(hl.ResistorNudge(kappa=1e-4)),
    "analytic": hl.Analytic(),
}


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES.keys())
@pytest.mark.parametrize(("rows", "columns", "inputs", "outputs"), [(14, 11, 10, 3), (130, 10, 130, 10)])
def test_training_step(benchmark, bench_limits, lab_flaws, rule, rows, columns, inputs, outputs):
    limits = hl.Limits(0.5, 1.0, 0.2, 1e-2, bench_limits.conductance)
    twin = KirchhoffTwin(hl.Topology.crossbar(rows, columns, range(inputs), range(outputs)), limits, lab_flaws)
    rng = np.random.default_rng(0)
    x = rng.uniform(-0.4, 0.4, (64, inputs))
    labels = rng.integers(0, outputs, 64)
    trainer = hl.Trainer(twin, rule, hl.CrossEntropy(0.01), hl.Adam(0.05, scale="log"))
    history = benchmark(trainer.fit, x, labels, 1)
    assert len(history.epochs) == 1
    if benchmark.stats:
        benchmark.extra_info["measurements_per_s"] = history.epochs[-1].measurements / benchmark.stats["median"]
