"""Transistor networks: whether the bias of EP and CL matters to the result, and what a chip's mismatch costs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hwlearn.study.circuits import reference_task
from hwlearn.study.grouping import by, paired, select, values
from hwlearn.study.intervals import geometric_mean, mean_ratio
from hwlearn.study.study import Finding, Point, Study, StudyRow, StudyTable, Summary
from hwlearn.study.training import seeded, trained_error

RULES = ("model", "analytic", "ep", "cl")
ERRORS = (0.0, 0.2, 1.0, 2.0)
"""0.2 is the mismatch of a published chip: 10 mV in the threshold and 0.5 % in the strength."""

SIZES = (8, 12, 16)
SEEDS = 8


def points(quick: bool) -> list[Point]:
    """Return grids of several sizes and mismatches."""
    found = [
        {"lines": lines, "rule": rule, "device_error": error, "noise_V": noise}
        for lines in ((8,) if quick else SIZES)
        for error in ((0.2,) if quick else ERRORS)
        for noise in ((1e-3,) if quick or lines > SIZES[0] else (1e-3, 5e-3))
        for rule in RULES
    ]
    return seeded(found, 3 if quick else SEEDS)


def run(point: Point) -> dict[str, Any]:
    """Train one grid of transistors and return its true error."""
    task = reference_task(int(point["seed"]), "transistor", lines=int(point["lines"]))
    return trained_error(task, point, "transistor") | {"edges": task.topology.n_edges}


def summarise(rows: Sequence[StudyRow]) -> Summary:
    """Return the errors of the contrasts beside the exact gradient, and what measuring gains."""
    findings, table = [], []
    for (lines, error, noise), group in by(rows, "lines", "device_error", "noise_V").items():
        found = {rule: geometric_mean(values(select(group, rule=rule), "error_V")) for rule in RULES}
        cells = (f"{one.value * 1e3:.2f} mV" for one in found.values())
        edges = int(group[0].result["edges"])
        table.append((str(edges), f"{50 * error:g} mV, {2.5 * error:g} %", f"{noise * 1e3:g} mV", *cells))
        if lines == SIZES[0] and noise == 1e-3 and error > 0:
            exact = select(group, rule="analytic")
            for rule in ("model", "ep", "cl"):
                ratio = mean_ratio(*paired(select(group, rule=rule), exact, "error_V"))
                name = "a result that is only programmed" if rule == "model" else rule
                findings.append(
                    Finding.of(
                        f"{rule} {error:g}",
                        f"on {edges} transistors with a mismatch of {50 * error:g} mV, {name} ends with "
                        f"{ratio.value:.2f} times the error of the exact gradient at measured outputs",
                        ratio,
                    )
                )
    columns = ("transistors", "mismatch", "read noise", "model only", "exact gradient", "EP", "CL")
    return Summary(findings, [StudyTable("True error after training", columns, table)])


def answer(found: Mapping[str, Finding]) -> str:
    """Return the answer of a full study."""
    ep, cl, model = (found[f"{rule} 0.2"].value for rule in ("ep", "cl", "model"))
    return (
        f"With the mismatch of a published chip, EP ends with {ep:.2f} and CL with {cl:.2f} times the error of "
        f"the exact gradient; a result that is only programmed with {model:.2f} times."
    )


STUDY = Study(
    "transistors",
    "Does it matter that EP and CL are biased on transistors?",
    "Square grids of n-channel transistors (ALD1106, SPICE level 1) learn 8 samples of 3 outputs that they can "
    "reach, from gates in the middle of the range, in 400 steps.",
    points,
    run,
    summarise,
    answer,
    version=3,
)
