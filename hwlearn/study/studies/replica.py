"""What a replica costs: two copies of a network with devices of their own, beside one that holds both phases."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hwlearn.learning.costs import MSE
from hwlearn.learning.optimizers import SGD
from hwlearn.learning.records import Schedule
from hwlearn.learning.rules import CoupledLearning
from hwlearn.learning.training import Trainer
from hwlearn.study.circuits import reference_task
from hwlearn.study.grouping import by, curves, paired, select, values
from hwlearn.study.intervals import geometric_mean, median_ratio, power_law
from hwlearn.study.study import CurveLine, Finding, Point, Study, StudyChart, StudyRow, Summary, at_least
from hwlearn.study.training import seeded, true_rms_V
from hwlearn.study.twins import open_twin

SPREADS = (0.0, 0.003, 0.01, 0.03, 0.1)
OVERCLAMPS = (1.0, 4.0)
STRENGTH = 0.1
STEPS, RATE = 1000, 3e4
SEEDS = 12


def points(quick: bool) -> list[Point]:
    """Return pairs and single networks with devices that differ by some spread."""
    found = [
        {"copies": copies, "spread": spread, "overclamp": factor}
        for spread in ((0.01,) if quick else SPREADS)
        for copies in (1, 2)
        for factor in (OVERCLAMPS if copies == 2 else OVERCLAMPS[:1])
    ]
    return seeded(found, 3 if quick else SEEDS)


def run(point: Point) -> dict[str, Any]:
    """Train by one-sided coupled learning with every node read, without noise; return the true error."""
    task = reference_task(int(point["seed"]), nodes=16, edges=32, samples=4, outputs=2)
    keys: dict[str, Any] = {"device_spread": float(point["spread"]), "node_readout": True}
    if point["copies"] == 2:
        keys["paired"] = True
    with open_twin(task.topology, task.limits, seed=int(point["seed"]), **keys) as network:
        rule = CoupledLearning(STRENGTH, overclamp=float(point["overclamp"]), symmetric=False, readout="nodes")
        trainer = Trainer(network, rule, MSE(), SGD(RATE, scale="log"), seed=int(point["seed"]))
        trainer.fit(task.inputs, task.targets, Schedule(STEPS))
        return {"error_V": true_rms_V(network, task)}


def summarise(rows: Sequence[StudyRow]) -> Summary:
    """Return the price of a replica and how it grows with the difference of the copies."""
    findings, lines = [], []
    for (copies, factor), group in by(rows, "copies", "overclamp").items():
        places = by([row for row in group if row.point["spread"] > 0], "spread")
        found = {spread: geometric_mean(values(one, "error_V")) for (spread,), one in places.items()}
        name = "one network" if copies == 1 else f"two copies, overclamped {factor:g} times"
        lines.append(CurveLine.of(name, found))
        if copies == 2 and len(found) >= 3:
            _, power = power_law(curves([row for row in group if row.point["spread"] > 0], "spread", "error_V"))
            findings.append(
                Finding.of(
                    f"power {factor:g}",
                    f"the error of a pair overclamped {factor:g} times grows as the spread of its devices to the "
                    f"power of {power.value:.2f}",
                    power,
                    basis=f"fits to {power.count} networks",
                )
            )
    one = select(rows, copies=1, spread=0.01)
    for factor in OVERCLAMPS:
        ratio = median_ratio(*paired(select(rows, copies=2, spread=0.01, overclamp=factor), one, "error_V"))
        findings.append(
            Finding.of(
                f"pair {factor:g}",
                f"with devices that differ by 1 %, the median pair overclamped {factor:g} times ends with "
                f"{ratio.value:.1f} times the error of one network that holds both phases; the claim is above 1",
                ratio,
                basis=f"{ratio.count} networks; a network that solves its task exactly would move a mean",
                verdict=at_least(ratio, 1.0),
            )
        )
    chart = StudyChart(
        "paired",
        "True error after training without noise",
        "spread of the devices of a copy (relative)",
        "rms error of the outputs (V)",
        lines,
        "xy",
    )
    return Summary(findings, (), [chart])


def answer(found: Mapping[str, Finding]) -> str:
    """Return the answer of a full study."""
    return (
        f"With devices that differ by 1 %, two copies end with {found['pair 1'].value:.1f} times the error of one "
        f"network that holds both phases, and with {found['pair 4'].value:.1f} times if they are overclamped 4 "
        "times (medians)."
    )


STUDY = Study(
    "paired",
    "What does a replica cost, and what does one network save?",
    "One-sided coupled learning (clamp, every node read, no noise) on two copies of a random network with "
    "devices of their own, and on one that holds both phases one after the other.",
    points,
    run,
    summarise,
    answer,
    version=2,
)
