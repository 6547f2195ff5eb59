"""Claim 4: under the analytical gradient, updating only some resistances costs little."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from hwlearn.study.circuits import reference_task
from hwlearn.study.grouping import by, select
from hwlearn.study.intervals import Interval, mean, power_law
from hwlearn.study.study import (
    CurveLine,
    Finding,
    Point,
    Study,
    StudyChart,
    StudyRow,
    StudyTable,
    Summary,
    Verdict,
    at_most,
)
from hwlearn.study.training import seeded, trained_error, unique

SPARE = (1, 2, 3, 5, 10, 20)
"""Edges per constraint."""

FRACTIONS = (0.03, 0.06, 0.12, 0.25, 0.5, 0.75, 1.0)
RULES = ("analytic", "ep", "cl")
CHOICES = {"random": RULES, "sensitive": RULES, "nearest": ("analytic",)}
"""How edges are chosen, and for which rules; the nearest are those in the layers at the outputs."""

SAMPLES, OUTPUTS = 4, 3
SEEDS = 6
NOISE_V = 1e-3
"""Read noise of the twin."""


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


@dataclass(frozen=True)
class _Place:
    """What networks with some edges per constraint need, for one rule and choice: fractions of edges by seed."""

    spare: int
    doubled: Mapping[int, float]
    reached: Mapping[int, float]

    @property
    def doubling(self) -> Interval:
        """Mean fraction at which the cost is twice that of all edges."""
        return mean(list(self.doubled.values()))

    @property
    def reaching(self) -> Interval:
        """Mean fraction at which the error is the noise of a reading."""
        return mean(list(self.reached.values()))


def summarise(rows: Sequence[StudyRow]) -> Summary:
    """Return the fractions of edges at which the cost doubles and the error is the noise, with rules of thumb."""
    findings: list[Finding] = []
    table, doubling, reaching = [], [], []
    for choice, rules in CHOICES.items():
        for rule in rules:
            places = _places(rows, rule, choice)
            if not places:
                continue
            table += [
                (rule, choice, str(one.spare), _span(one.doubling), _span(one.reaching), f"{_count(one):.1f}")
                for one in places
            ]
            doubling.append(_line(rule, choice, places, [one.doubling for one in places]))
            reaching.append(_line(rule, choice, places, [one.reaching for one in places]))
            findings += _findings(rule, choice, places)
    charts = [
        StudyChart(
            "subset", "Fraction of trained edges at which the cost is twice that of all", *_AXES, doubling, "xy"
        ),
        StudyChart("subset-noise", "Fraction of trained edges at which the error is 1 mV", *_AXES, reaching, "xy"),
    ]
    columns = (
        "rule",
        "edges chosen",
        "edges per constraint",
        "fraction where the cost doubles",
        "fraction where the error is 1 mV",
        "trained edges per constraint there",
    )
    remarks = [
        "The targets are reachable with all edges, so that with all of them only noise is left (0.2 to 0.7 mV), "
        "and doubling its small cost takes few missing edges. The fraction at which the error is as large as the "
        "noise of one reading, 1 mV, asks for less. Networks that did not reach it count as needing all edges.",
    ]
    return Summary(
        findings, [StudyTable("Fractions of edges, with 95 % intervals", columns, table)], charts, remarks
    )


_AXES: Final = ("edges per constraint", "fraction of edges")


def _places(rows: Sequence[StudyRow], rule: str, choice: str) -> list[_Place]:
    """Return what was found for each number of edges per constraint."""
    if not select(rows, rule=rule, choice=choice):
        return []
    places = []
    for spare in SPARE:
        group = [row for row in select(rows, spare=spare, rule=rule) if row.point["choice"] in (choice, "all")]
        if group:
            networks = {int(seed): _errors(same) for (seed,), same in by(group, "seed").items()}
            doubled = {seed: _fraction(errors, np.sqrt(2) * errors[1.0]) for seed, errors in networks.items()}
            reached = {seed: _fraction(errors, NOISE_V) for seed, errors in networks.items()}
            places.append(_Place(spare, doubled, reached))
    return places


def _findings(rule: str, choice: str, places: Sequence[_Place]) -> list[Finding]:
    """Return the fractions with 5 edges per constraint, and a rule of thumb for each fraction."""
    found = []
    for what, name, fractions in (
        ("the cost is twice that of all edges", "doubling", {one.spare: one.doubled for one in places}),
        ("the error is as large as the noise of a reading", "noise", {one.spare: one.reached for one in places}),
    ):
        if 5 in fractions:
            at = mean(list(fractions[5].values()))
            text = (
                f"with 5 edges per constraint, {what} if {at.value:.0%} of the edges are trained ({rule}, "
                f"{choice})"
            )
            verdict: Verdict = "figure"
            if name == "doubling":
                text, verdict = f"{text}; the claim is that half are enough", at_most(at, 0.5)
            found.append(Finding.of(f"{name} {rule} {choice}", text, at, verdict=verdict))
        if len(fractions) >= 3:
            means = [mean(list(one.values())).value for one in fractions.values()]
            seeds = set.intersection(*(set(one) for one in fractions.values()))
            networks = [{float(spare): one[seed] for spare, one in fractions.items()} for seed in sorted(seeds)]
            factor, power = power_law(networks)
            fitted = factor.value * np.array(list(fractions)) ** power.value
            off = float(np.sqrt(np.mean((fitted / means - 1) ** 2)))
            text = (
                f"{what} at about {factor.value:.2f} n^{power.value:.2f} of the edges, with n edges per "
                f"constraint, within {off:.0%} rms ({rule}, {choice}; the number is the exponent)"
            )
            found.append(
                Finding.of(
                    f"rule of thumb {name} {rule} {choice}", text, power, basis=f"fits to {power.count} networks"
                )
            )
    return found


def _line(rule: str, choice: str, places: Sequence[_Place], intervals: Sequence[Interval]) -> CurveLine:
    drawn = [Interval(one.value, max(one.low, 1e-2), one.high, one.count) for one in intervals]
    return CurveLine.of(f"{rule}, {choice}", dict(zip((float(one.spare) for one in places), drawn, strict=True)))


def _errors(rows: Sequence[StudyRow]) -> dict[float, float]:
    """Return the error in volts at each fraction of edges."""
    return {float(row.point["fraction"]): float(row.result["error_V"]) for row in rows}


def _fraction(errors: Mapping[float, float], goal_V: float) -> float:
    """Return the fraction above which the error stays below a goal, interpolated between those that were tried.

    The smallest fraction that was tried if the error is below the goal there too; 1 if it is above with all edges.
    """
    fractions = sorted(errors)
    if errors[fractions[-1]] >= goal_V:
        return fractions[-1]
    for low, high in zip(fractions[-2::-1], fractions[:0:-1], strict=True):
        if errors[low] >= goal_V:
            before, after = np.log(errors[low]), np.log(max(errors[high], 1e-300))
            part = (np.log(goal_V) - after) / (before - after)
            return float(np.exp(np.log(high) + np.clip(part, 0, 1) * (np.log(low) - np.log(high))))
    return fractions[0]


def _count(place: _Place) -> float:
    """Return the number of trained edges per constraint at which the error is that of a reading."""
    return place.spare * place.reaching.value


def _span(found: Interval) -> str:
    return f"{found.value:.2f} ({found.low:.2f} to {found.high:.2f})"


def answer(found: Mapping[str, Finding]) -> str:
    """Return the answer of a full study."""
    at = {name: one.value for name, one in found.items()}
    return (
        f"With 5 edges per constraint, the cost doubles if {at['doubling analytic random']:.0%} of the edges are "
        f"trained by the exact gradient and chosen at random, {at['doubling analytic sensitive']:.0%} of the most "
        f"sensitive ones; for EP and CL it is {at['doubling ep random']:.0%} and {at['doubling cl random']:.0%} "
        f"at random. An error as small as the noise of a reading takes {at['noise analytic random']:.0%} at "
        f"random and {at['noise analytic sensitive']:.0%} of the most sensitive ones."
    )


STUDY = Study(
    "subset",
    "How many of the edges must be trained?",
    "Random networks with 1 to 20 edges for each of 12 constraints (4 samples, 3 outputs), 20 % device error, 1 "
    "mV noise; random edges, those with the largest effect on the outputs in the model, or the layers of edges "
    "nearest to the outputs are trained in 400 steps, the others keep the middle of the range.",
    points,
    run,
    summarise,
    answer,
    version=2,
)
