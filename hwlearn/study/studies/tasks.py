"""The tasks: what networks of each kind learn, and what they forget when they learn another task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from hwlearn.circuit.kirchhoff import Kirchhoff
from hwlearn.circuit.topology import Topology
from hwlearn.study.circuits import LEAST_S, MOST_S, StudyTask, limits_of
from hwlearn.study.grouping import by, select, values
from hwlearn.study.intervals import geometric_mean, mean, mean_share, proportion
from hwlearn.study.shipped import trained_bench
from hwlearn.study.study import Finding, Point, Study, StudyRow, StudyTable, Summary
from hwlearn.study.training import backend_keys, seeded, train, true_rms_V
from hwlearn.study.twins import open_twin

BENCHES = {
    "iris": 10,
    "regression": 10,
    "digits": 10,
    "digits-diode": 5,
    "xor-nmos": 20,
    "ionosphere-nmos": 10,
    "digits-nmos": 5,
}
"""Shipped benches and the number of their seeds."""

SOLVED_V = {"xor-nmos": 3e-3}
"""Benches that a network either solves, to this rms error, or not."""

RULES = ("analytic", "gep")
EDGES = (40, 80, 160, 320)
PAIRS, SOURCE_V = 3, 0.4
CLOSE = 0.01


def points(quick: bool) -> list[Point]:
    """Return benches, allostery, and two tasks one after the other."""
    if quick:
        return [
            *seeded([{"task": "iris", "rule": "analytic"}], 2),
            *seeded([{"task": "sequence", "edges": 80}], 3),
        ]
    benches = [
        {"task": name, "rule": rule, "seed": seed}
        for name, seeds in BENCHES.items()
        for rule in (RULES if not name.endswith("-nmos") else RULES[:1])
        for seed in range(seeds)
    ]
    others = [{"task": task, "edges": edges} for task in ("allostery", "sequence") for edges in EDGES]
    return [*benches, *seeded(others, 10)]


def run(point: Point) -> dict[str, Any]:
    """Train one task."""
    if point["task"] == "allostery":
        return _allostery(point)
    if point["task"] == "sequence":
        return _sequence(point)
    changes = {} if str(point["task"]).endswith("-nmos") else {"train.rule": point["rule"]}
    return trained_bench(str(point["task"]), int(point["seed"]), changes)


def _allostery(point: Point) -> dict[str, Any]:
    """A voltage at one place shall cause a chosen drop between pairs of distant nodes."""
    seed, edges = int(point["seed"]), int(point["edges"])
    rng = np.random.default_rng([seed, 17])
    graph = Topology.random(max(int(edges / 2.3), 2 * PAIRS + 3), edges, inputs=2, outputs=2 * PAIRS, seed=seed)
    inputs = np.array([[SOURCE_V / 2, -SOURCE_V / 2]])
    middle = Kirchhoff(graph, np.full(graph.n_edges, 1e-5)).solve(inputs)[0, graph.outputs]
    pairs = middle.reshape(PAIRS, 2).mean(axis=1, keepdims=True)
    wanted = 0.1 * SOURCE_V * rng.choice([-1.0, 1.0], (PAIRS, 1)) * np.array([0.5, -0.5])
    targets = (np.clip(pairs, -0.1, 0.1) + wanted).reshape(1, -1)
    task = StudyTask(graph, limits_of("ohmic"), inputs, targets, np.full(graph.n_edges, 1e-5))
    with open_twin(task.topology, task.limits, seed=seed, **backend_keys(point)) as network:
        error, _ = train(task, {"rule": "analytic", "seed": seed}, network)
    return {"error_V": error, "close": float(error < CLOSE * SOURCE_V)}


def _sequence(point: Point) -> dict[str, Any]:
    """Learn one task, then another with the same network; return the error of the first before and after."""
    seed, edges = int(point["seed"]), int(point["edges"])
    first, second = (_task(seed, edges, which) for which in (0, 1))
    how = {"rule": "analytic", "seed": seed}
    with open_twin(first.topology, first.limits, seed=seed, **backend_keys(point)) as network:
        learned, trainer = train(first, how, network)
        _, trainer = train(second, how, network, model=trainer.model)
        forgotten, other = true_rms_V(network, first), true_rms_V(network, second)
        again, _ = train(first, {**how, "steps": 40}, network, model=trainer.model)
    untrained = float(first.targets.std())
    return {
        "first_V": learned,
        "forgotten_V": forgotten,
        "second_V": other,
        "again_V": again,
        "scale_V": untrained,
    }


def _task(seed: int, edges: int, which: int) -> StudyTask:
    """Return one of two tasks for the same graph: 4 samples of other inputs, with another teacher."""
    rng = np.random.default_rng([seed, which, 23])
    graph = Topology.random(int(edges / 2.3), edges, inputs=5, outputs=3, seed=100 + seed)
    teacher = np.exp(rng.uniform(np.log(2 * LEAST_S), np.log(MOST_S / 2), edges))
    inputs = rng.uniform(-0.5, 0.5, (4, 5))
    targets = Kirchhoff(graph, teacher).solve(inputs)[:, graph.outputs]
    return StudyTask(graph, limits_of("ohmic"), inputs, targets, teacher)


def summarise(rows: Sequence[StudyRow]) -> Summary:
    """Return accuracies, how many edges allostery needs, and how much is forgotten."""
    findings, table = [], []
    for (task, rule), group in by([row for row in rows if "rule" in row.point], "task", "rule").items():
        if task in SOLVED_V:
            findings.append(_solved(task, rule, group))
            table.append((task, rule, str(len(group)), f"{findings[-1].value:.0%} solved"))
            continue
        scored = "accuracy" if "accuracy" in group[0].result else "error_V"
        found = mean(values(group, scored)) if scored == "error_V" else mean_share(values(group, scored))
        text = f"{100 * found.value:.1f} %" if scored == "accuracy" else f"{1e3 * found.value:.3g} mV"
        findings.append(
            Finding.of(
                f"{task} {rule}",
                f"{task}, trained by {rule}: {text} "
                f"{'of the held-out rows are right' if scored == 'accuracy' else 'of true rms error'}",
                found,
                "" if scored == "accuracy" else "V",
            )
        )
        table.append((task, rule, str(len(group)), text))
    remarks = ["Intervals of accuracies are over seeds; that the held-out rows are few is not in them."]
    for (edges,), group in by(select(rows, task="allostery"), "edges").items():
        close = proportion(int(sum(values(group, "close"))), len(group))
        findings.append(
            Finding.of(
                f"allostery {edges}",
                f"with {edges} edges, {close.value:.0%} of the networks hold {PAIRS} pairs of nodes within 1 % "
                "of the source",
                close,
            )
        )
    for (edges,), group in by(select(rows, task="sequence"), "edges").items():
        kept = geometric_mean(
            [b / a for a, b in zip(values(group, "first_V"), values(group, "forgotten_V"), strict=True)]
        )
        whole = geometric_mean(
            [b / a for a, b in zip(values(group, "scale_V"), values(group, "forgotten_V"), strict=True)]
        )
        findings.append(
            Finding.of(
                f"forgetting {edges}",
                f"with {edges} edges, learning a second task multiplies the error of the first by "
                f"{kept.value:.0f}; it is then {whole.value:.0%} of the spread of its targets",
                kept,
            )
        )
    tables = (
        [StudyTable("Benches that come with the package", ("bench", "rule", "seeds", "score"), table)]
        if table
        else []
    )
    return Summary(findings, tables, (), remarks)


def _solved(task: str, rule: str, group: Sequence[StudyRow]) -> Finding:
    """Return the share of networks that solve a task which is either solved or not."""
    errors = values(group, "error_V")
    found = proportion(sum(error <= SOLVED_V[task] for error in errors), len(errors))
    text = (
        f"{task}, trained by {rule}: {found.value:.0%} of the networks end within {SOLVED_V[task] * 1e3:g} mV of "
        f"the targets, the others at {max(errors) * 1e3:.0f} mV or less"
    )
    return Finding.of(f"{task} {rule}", text, found)


def answer(found: Mapping[str, Finding]) -> str:
    """Return the answer of a full study."""
    scores = {name: found[f"{name} analytic"] for name in BENCHES if f"{name} analytic" in found}
    right = ", ".join(
        f"{name} {100 * one.value:.1f} %" for name, one in scores.items() if not one.unit and name not in SOLVED_V
    )
    solved = ", ".join(f"{scores[name].value:.0%} of the networks solve {name}" for name in SOLVED_V)
    kept = [found[f"forgetting {edges}"].value for edges in EDGES]
    return (
        f"Of the held-out rows are right: {right}; {solved}. A second task multiplies the error of the first by "
        f"{min(kept):.0f} to {max(kept):.0f} with {EDGES[0]} to {EDGES[-1]} edges."
    )


STUDY = Study(
    "tasks",
    "What do the networks learn, and what do they forget?",
    "The shipped benches with other devices, noise and splits for each seed; random networks that must hold "
    "chosen drops between pairs of nodes (allostery: 10 % of a source of 400 mV); and two tasks learned one "
    "after the other.",
    points,
    run,
    summarise,
    answer,
    version=2,
)
