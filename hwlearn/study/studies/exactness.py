"""Claim 1: Kirchhoff's laws on the graph give the exact gradient."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from hwlearn.arrays import FloatArray
from hwlearn.circuit import loops
from hwlearn.circuit.kirchhoff import Kirchhoff
from hwlearn.study.circuits import KINDS, StudyTask, reference_task
from hwlearn.study.grouping import by, select, values
from hwlearn.study.study import Finding, Point, Study, StudyRow, StudyTable, Summary
from hwlearn.study.training import seeded

ENOUGH = 1e-6
EDGES = 20
"""Edges whose derivative is compared with a difference quotient."""

SIZES = {"ohmic": (24, 100, 400), "diode": (24, 100), "wired": (8, 16), "transistor": (8, 16)}
"""Nodes of a random graph, or lines of a crossbar or twice the rows of a grid."""


def points(quick: bool) -> list[Point]:
    """Return circuits of several kinds and sizes."""
    found = [{"kind": kind, "size": size} for kind in KINDS for size in SIZES[kind][: 1 if quick else None]]
    return seeded(found, 3 if quick else 20)


def run(point: Point) -> dict[str, Any]:
    """Compare the gradient by the adjoint with difference quotients, and with that from loop currents."""
    task = _task(point)
    rng = np.random.default_rng([int(point["seed"]), 7])
    values_ = _values(task, rng)
    model = Kirchhoff(task.topology, values_)
    V = model.solve(task.inputs)
    error = V[:, task.topology.outputs] - task.targets
    exact = model.gradient_at(V, error)
    edges = rng.choice(task.topology.n_edges, min(EDGES, task.topology.n_edges), replace=False)
    quotient = np.array([_quotient(model, task, int(edge)) for edge in edges])
    size = float(np.abs(exact).max())
    result = {"quotient_error": float(np.abs(exact[edges] - quotient).max()) / size}
    if point["kind"] == "ohmic":
        by_loops = loops.gradient(task.topology, values_, task.inputs, error)
        result["loop_error"] = float(np.abs(by_loops - exact).max()) / size
    return result


def summarise(rows: Sequence[StudyRow]) -> Summary:
    """Return the largest relative error of each kind."""
    findings, table = [], []
    for (kind,), group in by(rows, "kind").items():
        worst = max(values(group, "quotient_error"))
        findings.append(
            Finding(
                f"quotient {kind}",
                f"on {kind} networks the gradient by the adjoint differs from central difference quotients by at "
                f"most {worst:.1e} of its largest component",
                worst,
                0.0,
                ENOUGH,
                basis=f"largest of {len(group)} circuits, {EDGES} edges each; the range is what is required",
                verdict="holds" if worst <= ENOUGH else "does not hold",
            )
        )
        for (size,), same in by(group, "size").items():
            table.append((kind, str(size), str(len(same)), f"{max(values(same, 'quotient_error')):.1e}"))
    worst = max(values(select(rows, kind="ohmic"), "loop_error"))
    findings.append(
        Finding(
            "loops",
            f"on ohmic networks the gradient from loop currents equals that from node voltages within {worst:.1e}",
            worst,
            0.0,
            1e-9,
            basis="largest of all ohmic circuits; the range is what is required",
            verdict="holds" if worst <= 1e-9 else "does not hold",
        )
    )
    columns = ("circuit", "nodes, lines or twice the rows", "circuits", "largest relative error")
    remarks = ["a difference quotient is itself wrong by about 1e-9 here, so the error below that is not known"]
    return Summary(findings, [StudyTable("Adjoint against difference quotients", columns, table)], (), remarks)


def _task(point: Point) -> StudyTask:
    kind, size = str(point["kind"]), int(point["size"])
    if kind in ("ohmic", "diode"):
        return reference_task(int(point["seed"]), kind, nodes=size, edges=int(2.3 * size))
    return reference_task(int(point["seed"]), kind, lines=size)


def _values(task: StudyTask, rng: np.random.Generator) -> FloatArray:
    """Return values that are not those of the teacher, so that there is an error."""
    low, high = task.teacher.min(), task.teacher.max()
    if high < 1.0:  # siemens
        return np.asarray(np.exp(rng.uniform(np.log(low), np.log(high), len(task.teacher))))
    return np.asarray(rng.uniform(low, high, len(task.teacher)))


def _quotient(model: Kirchhoff, task: StudyTask, edge: int) -> float:
    """Return the derivative by one value: a central difference of fourth order."""
    size = model.values[edge]
    step = 1e-3 * abs(size)

    def cost(change: float) -> float:
        moved = model.values.copy()
        moved[edge] += change
        out = model.with_values(moved).solve(task.inputs)[:, task.topology.outputs]
        return float(0.5 * np.mean(np.sum((out - task.targets) ** 2, axis=1)))

    near, far = cost(step) - cost(-step), cost(2 * step) - cost(-2 * step)
    return float((8 * near - far) / (12 * step))


def answer(found: Mapping[str, Finding]) -> str:
    """Return the answer of a full study."""
    worst = max(found[f"quotient {kind}"].value for kind in KINDS)
    return (
        f"On {len(KINDS)} kinds of circuits the gradient by the adjoint differs from difference quotients by at "
        f"most {worst:.0e} of its largest component."
    )


STUDY = Study(
    "exactness",
    "Do Kirchhoff's laws on the graph give the exact gradient?",
    "The gradient of half the mean squared error by the adjoint, on random networks of resistors, crossbars with "
    "wires, networks of nonlinear edges and grids of transistors, against central difference quotients of fourth "
    "order, and on resistors against the gradient from loop currents.",
    points,
    run,
    summarise,
    answer,
)
