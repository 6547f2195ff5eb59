"""Claim 2: EP and Coupled Learning are one family; how far the contrast of each is from the gradient."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from hwlearn.circuit.kirchhoff import Kirchhoff
from hwlearn.learning.costs import MSE
from hwlearn.learning.nudge_bias import nudge_bias
from hwlearn.learning.rules import GEP, GradientRequest
from hwlearn.study.circuits import KINDS, StudyTask, reference_task
from hwlearn.study.grouping import by, select, values
from hwlearn.study.intervals import Interval, mean
from hwlearn.study.study import CurveLine, Finding, Point, Study, StudyChart, StudyRow, StudyTable, Summary
from hwlearn.study.training import seeded
from hwlearn.study.twins import open_twin

MOVES_V = (1e-4, 1e-3, 1e-2, 5e-2, 2e-1)
NUDGES = {"current": "EP", "clamp": "CL"}
ORDERS = (0.0, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0)


def points(quick: bool) -> list[Point]:
    """Return circuits of each kind, with both signs and with one."""
    signs = [{"kind": kind, "symmetric": symmetric} for kind in KINDS for symmetric in (True, False)]
    orders = [{"kind": "ohmic", "order": order} for order in ORDERS]
    return [*seeded(signs, 4 if quick else 20), *seeded(orders, 4 if quick else 20)]


def run(point: Point) -> dict[str, Any]:
    """Return cosine and relative length of both contrasts for each displacement of the outputs."""
    seed, kind = int(point["seed"]), str(point["kind"])
    task = reference_task(seed, kind)
    if "order" in point:
        return {"cosine": _order_cosine(task, float(point["order"]))}
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


def _order_cosine(task: StudyTask, order: float) -> float:
    """Return the cosine between the contrasts of a nudge of some order and of order 1, which is the gradient."""
    with open_twin(task.topology, task.limits, seed=0) as network:
        model = Kirchhoff(task.topology, network.program(task.limits.ranges(task.topology).middle()).reached)
        request = GradientRequest(network, model, task.inputs, task.targets, MSE())
        nudged, exact = (model.values * GEP(order=one).gradient(request).values for one in (order, 1.0))
    return float(nudged @ exact / np.linalg.norm(nudged) / np.linalg.norm(exact))


def summarise(rows: Sequence[StudyRow]) -> Summary:
    """Return the cosines, and whether the contrast of both signs is the gradient on resistors."""
    findings, lines, table = [], [], []
    for kind in KINDS:
        for symmetric in (True, False):
            group = select(rows, kind=kind, symmetric=symmetric)
            for nudge, name in NUDGES.items():
                found = [_cosine(values(group, f"{nudge} cosine {move:g}")) for move in MOVES_V]
                signs = "both signs" if symmetric else "one sign"
                if not symmetric:  # with both signs the lines are level
                    lines.append(CurveLine.of(f"{kind}, {name}", dict(zip(MOVES_V, found, strict=True))))
                table.append((kind, name, signs, *(f"{one.value:.4f}" for one in found)))
                at = MOVES_V.index(1e-2)
                findings.append(
                    Finding.of(
                        f"cosine {kind} {name} {signs}",
                        f"on {kind} networks the contrast of {name} with {signs} has a cosine of "
                        f"{found[at].value:.4f} to the exact gradient, if outputs move by 10 mV",
                        found[at],
                    )
                )
    for nudge, name in NUDGES.items():
        group = select(rows, kind="ohmic", symmetric=True)
        off = max(abs(1 - one) for move in MOVES_V for one in values(group, f"{nudge} length {move:g}"))
        findings.append(
            Finding(
                f"family {name}",
                f"on resistors the symmetric contrast of {name} has the length of the gradient it stands for "
                f"within {off:.1e}, at every displacement up to 200 mV",
                off,
                0.0,
                1e-6,
                basis="largest of all circuits; the range is what is required",
                verdict="holds" if off <= 1e-6 else "does not hold",
            )
        )
    groups = by([row for row in rows if "order" in row.point], "order")
    for (order,), group in groups.items():
        found_here = _cosine(values(group, "cosine"))
        findings.append(
            Finding.of(
                f"order {order:g}",
                f"on resistors the contrast of a nudge of order {order:g} has a cosine of {found_here.value:.4f} "
                "to the exact gradient",
                found_here,
            )
        )
    columns = ("circuit", "rule", "nudge", *(f"{move * 1e3:g} mV" for move in MOVES_V))
    title = "Cosine to the exact gradient against the displacement of the outputs"
    chart = StudyChart(
        "bias", f"{title}, one sign", "displacement of the most displaced output (V)", "cosine", lines, "x"
    )
    return Summary(findings, [StudyTable(title, columns, table)], [chart])


def _cosine(values_: Sequence[float]) -> Interval:
    """Return the mean; an interval of cosines ends at 1."""
    found = mean(values_)
    return replace(found, value=min(found.value, 1.0), low=min(found.low, 1.0), high=min(found.high, 1.0))


def answer(found: Mapping[str, Finding]) -> str:
    """Return the answer of a full study."""
    ep, cl = ([found[f"cosine {kind} {rule} both signs"].value for kind in KINDS] for rule in ("EP", "CL"))
    one = min(found[f"cosine {kind} EP one sign"].value for kind in KINDS)
    return (
        f"With both signs, EP has a mean cosine of {min(ep):.4f} or more to the exact gradient on each kind of "
        f"network if outputs move by 10 mV, with one sign {one:.4f}. CL descends another cost: its cosine to the "
        f"gradient of the squared error is {min(cl):.2f} to {max(cl):.2f}."
    )


STUDY = Study(
    "bias",
    "How far are the contrasts of EP and CL from the gradient?",
    "Contrasts of nudged phases at the initial values, with every node known and no noise, against the exact "
    "gradient: that of the error for EP, that of Z^-1 times the error for CL. Lengths are relative to these.",
    points,
    run,
    summarise,
    answer,
)
