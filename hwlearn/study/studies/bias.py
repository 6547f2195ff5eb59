"""Claim 2: GEP holds Equilibrium Propagation and Coupled Learning in one family; how far each is from the gradient."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any


from hwlearn.circuit.kirchhoff import Kirchhoff
from hwlearn.learning.nudge_bias import nudge_bias
from hwlearn.study.circuits import KINDS, reference_task
from hwlearn.study.grouping import by, select, values
from hwlearn.study.intervals import Interval, mean
from hwlearn.study.study import Finding, Line, Point, Study, StudyChart, StudyRow, StudyTable, Summary
from hwlearn.study.training import seeded

MOVES_V = (1e-4, 1e-3, 1e-2, 5e-2, 2e-1)
NUDGES = {"current": "EP", "clamp": "CL"}


def points(quick: bool) -> list[Point]:
    """Return circuits of each kind, with both signs and with one."""
    found = [{"kind": kind, "symmetric": symmetric} for kind in KINDS for symmetric in (True, False)]
    return seeded(found, 4 if quick else 20)


def run(point: Point) -> dict[str, Any]:
    """Return cosine and relative length of both contrasts for each displacement of the outputs."""
    seed, kind = int(point["seed"]), str(point["kind"])
    task = reference_task(seed, kind)
    ranges = task.limits.ranges(task.topology)
    model = Kirchhoff(task.topology, ranges.middle())
    V = model.solve(task.inputs)
    error = V[:, task.topology.outputs] - task.targets
    found = nudge_bias(model, task.inputs, error, MOVES_V, symmetric=bool(point["symmetric"]))
    result = {}
    for one in found:
        result[f"{one.nudge} cosine {one.move_V:g}"] = one.cosine
        result[f"{one.nudge} length {one.move_V:g}"] = one.length
    return result


def summarise(rows: Sequence[StudyRow]) -> Summary:
    """Return the cosines, and whether the contrast of both signs is the gradient on resistors."""
    findings, lines, table = [], [], []
    for kind in KINDS:
        for symmetric in (True, False):
            group = select(rows, kind=kind, symmetric=symmetric)
            for nudge, name in NUDGES.items():
                found = [_cosine(values(group, f"{nudge} cosine {move:g}")) for move in MOVES_V]
                signs = "both signs" if symmetric else "one sign"
                line = (
                    list(MOVES_V),
                    [one.value for one in found],
                    [one.low for one in found],
                    [one.high for one in found],
                )
                lines.append(Line(f"{kind}, {name}, {signs}", *line))
                table.append((kind, name, signs, *(f"{one.value:.3f}" for one in found)))
                at = MOVES_V.index(1e-2)
                findings.append(
                    Finding.of(
                        f"cosine {kind} {name} {signs}",
                        f"on {kind} networks the contrast of {name} with {signs} has a cosine of "
                        f"{found[at].value:.3f} to the exact gradient, if outputs move by 10 mV",
                        found[at],
                    )
                )
    for nudge, name in NUDGES.items():
        group = select(rows, kind="ohmic", symmetric=True)
        off = max(abs(1 - one) for move in MOVES_V for one in values(group, f"{nudge} length {move:g}"))
        findings.append(
            Finding(
                f"family {name}",
                f"on resistors the symmetric contrast of {name} has the length of the gradient it stands for within "
                f"{off:.1e}, at every displacement up to 200 mV",
                off,
                0.0,
                1e-6,
                basis="largest of all circuits; the range is what is required",
                verdict="holds" if off <= 1e-6 else "does not hold",
            )
        )
    columns = ("circuit", "rule", "nudge", *(f"{move * 1e3:g} mV" for move in MOVES_V))
    title = "Cosine to the exact gradient against the displacement of the outputs"
    chart = StudyChart("bias", title, "displacement of the most displaced output (V)", "cosine", lines, "x")
    return Summary(findings, [StudyTable(title, columns, table)], [chart])


def _cosine(values_: Sequence[float]) -> Interval:
    """Return the mean; an interval of cosines ends at 1."""
    found = mean(values_)
    return replace(found, low=min(found.low, 1.0), high=min(found.high, 1.0))


STUDY = Study(
    "bias",
    "How far are the contrasts of EP and CL from the gradient?",
    "Contrasts of nudged phases at the initial values, with every node known and no noise, against the exact "
    "gradient: that of the error for EP, that of Z^-1 times the error for CL. Lengths are relative to these.",
    points,
    run,
    summarise,
)
