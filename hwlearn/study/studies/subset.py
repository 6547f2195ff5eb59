"""Claim 4: under the analytical gradient, updating only some resistances costs little."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from hwlearn.study.circuits import reference_task
from hwlearn.study.grouping import by, select
from hwlearn.study.intervals import Interval, mean, power_law
from hwlearn.study.study import CurveLine, Finding, Point, Study, StudyChart, StudyRow, StudyTable, Summary
from hwlearn.study.training import seeded, trained_error, unique

SPARE = (1, 2, 3, 5, 10, 20)
"""Edges per constraint."""

FRACTIONS = (0.03, 0.06, 0.12, 0.25, 0.5, 0.75, 1.0)
RULES = ("analytic", "ep", "cl")
CHOICES = {"random": RULES, "sensitive": RULES, "nearest": ("analytic",)}
"""How edges are chosen, and for which rules; the nearest are those in the layers at the outputs."""

SAMPLES, OUTPUTS = 4, 3
SEEDS = 6


def points(quick: bool) -> list[Point]:
    """Return networks with few and many edges, of which some are trained."""
    found = [
        {"spare": spare, "rule": rule, "choice": "all" if fraction == 1 else choice, "fraction": fraction}
        for spare in ((5,) if quick else SPARE)
        for choice, rules in CHOICES.items()
        for rule in (("analytic",) if quick else rules)
        for fraction in FRACTIONS
    ]
    return unique(seeded(found, 2 if quick else SEEDS))


def run(point: Point) -> dict[str, Any]:
    """Train some of the edges and return the true error."""
    edges = int(point["spare"]) * SAMPLES * OUTPUTS
    nodes = max(int(edges / 2.3), SAMPLES + OUTPUTS + 3)
    edges = max(edges, nodes - 1)
    task = reference_task(int(point["seed"]), nodes=nodes, edges=edges, samples=SAMPLES, outputs=OUTPUTS)
    result: dict[str, Any] = trained_error(task, point)
    return result | {"edges": task.topology.n_edges}


def summarise(rows: Sequence[StudyRow]) -> Summary:
    """Return the fraction of edges at which the cost doubles, and a rule of thumb."""
    findings, table, lines = [], [], []
    for choice, rules in CHOICES.items():
        for rule in rules:
            if not select(rows, rule=rule, choice=choice):
                continue
            spare, doubled, intervals = [], [], []
            for edges in SPARE:
                group = [
                    row for row in select(rows, spare=edges, rule=rule) if row.point["choice"] in (choice, "all")
                ]
                each = [_doubling(same) for same in by(group, "seed").values()]
                if each:
                    spare.append(float(edges))
                    intervals.append(mean(each))
                    doubled.append(intervals[-1].value)
                    table.append((rule, choice, str(edges), f"{doubled[-1]:.2f}", _span(intervals[-1])))
            lines.append(
                CurveLine(
                    f"{rule}, {choice}",
                    spare,
                    doubled,
                    [max(one.low, 1e-2) for one in intervals],
                    [one.high for one in intervals],
                )
            )
            if 5.0 in spare:
                at = intervals[spare.index(5.0)]
                findings.append(
                    Finding.of(
                        f"doubling {rule} {choice}",
                        f"with 5 edges per constraint, {choice} edges and {rule}, the cost is twice that of "
                        "all edges "
                        f"if {at.value:.0%} of them are trained",
                        at,
                    )
                )
            if len(spare) >= 3:
                factor, power = power_law(spare, doubled)
                findings.append(
                    Finding.of(
                        f"rule of thumb {rule} {choice}",
                        f"the cost doubles at about {factor.value:.2f} n^{power.value:.2f} of the edges, with "
                        "n edges "
                        f"per constraint ({rule}, {choice}; the number is the exponent)",
                        power,
                        basis="fit to the means",
                    )
                )
    charts = [
        StudyChart(
            "subset",
            "Fraction of trained edges at which the cost is twice that of all",
            "edges per constraint",
            "fraction of edges",
            lines,
            "xy",
        )
    ]
    columns = ("rule", "edges chosen", "edges per constraint", "fraction where the cost doubles", "95 % interval")
    remarks = [
        "The targets are reachable with all edges, so that with all of them only noise is left, and doubling its "
        "small cost needs few missing edges. A task that ends far from its targets loses less.",
    ]
    return Summary(findings, [StudyTable("Where the cost doubles", columns, table)], charts, remarks)


def _doubling(rows: Sequence[StudyRow]) -> float:
    """Return the fraction at which the cost, the squared error, is twice that with all edges, interpolated.

    The smallest fraction that was tried, if the cost is less than twice there too.
    """
    errors = {float(row.point["fraction"]): float(row.result["error_V"]) ** 2 for row in rows}
    fractions = sorted(errors)
    goal = 2 * errors[fractions[-1]]
    for low, high in zip(fractions[-2::-1], fractions[:0:-1], strict=True):
        if errors[low] >= goal:
            before, after = np.log(errors[low]), np.log(max(errors[high], 1e-300))
            part = (np.log(goal) - after) / (before - after) if before > after else 0.0
            return float(np.exp(np.log(high) + np.clip(part, 0, 1) * (np.log(low) - np.log(high))))
    return fractions[0]


def _span(found: Interval) -> str:
    return f"{found.low:.2f} to {found.high:.2f}"


def answer(found: Mapping[str, Finding]) -> str:
    """Return the answer of a full study."""
    at = {name: one.value for name, one in found.items() if name.startswith("doubling ")}
    return (
        f"With 5 edges per constraint, the cost doubles if {at['doubling analytic random']:.0%} of the edges are "
        f"trained by the exact gradient and chosen at random, {at['doubling analytic sensitive']:.0%} of the most "
        f"sensitive ones, {at['doubling analytic nearest']:.0%} of those nearest to the outputs; for EP and CL "
        "it is "
        f"{at['doubling ep random']:.0%} and {at['doubling cl random']:.0%} at random."
    )


STUDY = Study(
    "subset",
    "How many of the edges must be trained?",
    "Random networks with 1 to 20 edges for each of 12 constraints (4 samples, 3 outputs), 20 % device error, "
    "1 mV "
    "noise; random edges, those with the largest effect on the outputs in the model, or the layers of edges "
    "nearest to the outputs are trained in 400 steps, the others keep the middle of the range.",
    points,
    run,
    summarise,
    answer,
    version=2,
)
