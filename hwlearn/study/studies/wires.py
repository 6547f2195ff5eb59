"""What the resistance of the lines of a crossbar costs, to a model that knows it and to one that does not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hwlearn.study.circuits import reference_task
from hwlearn.study.grouping import by, paired, select, values
from hwlearn.study.intervals import geometric_mean, mean_ratio
from hwlearn.study.study import CurveLine, Finding, Point, Study, StudyChart, StudyRow, StudyTable, Summary
from hwlearn.study.training import backend_keys, make_subset, seeded, train, trained_error
from hwlearn.study.twins import open_twin

OHMS = (0.1, 1.0, 2.0, 5.0, 10.0)
SIZES = (8, 16, 32)
RULES = ("model", "analytic", "ep", "cl")
SEEDS = 4


def points(quick: bool) -> list[Point]:
    """Return crossbars of several sizes and resistances, with models that know the lines or not."""
    found = [
        {"lines": lines, "wire_ohm": ohm, "knows": knows, "rule": rule}
        for lines in ((8,) if quick else SIZES)
        for ohm in ((2.0,) if quick else OHMS)
        for knows in (True, False)
        for rule in (("model", "analytic") if quick else RULES)
    ]
    return seeded(found, 2 if quick else SEEDS)


def run(point: Point) -> dict[str, Any]:
    """Train one crossbar and return its true error."""
    seed, lines, ohm = int(point["seed"]), int(point["lines"]), float(point["wire_ohm"])
    task = reference_task(seed, "wired", lines=lines, wire_ohm=ohm)
    if point["knows"]:
        return trained_error(task, point)
    blind = reference_task(seed, "wired", lines=lines, wire_ohm=0.0)
    seen = type(task)(blind.topology, task.limits, task.inputs, task.targets, task.teacher)
    keys = {**backend_keys(point), "wire_resistance": ohm}
    if point["rule"] != "model":
        with open_twin(seen.topology, seen.limits, seed=seed, **keys) as network:
            error, _ = train(seen, point, network, subset=make_subset(point))
        return {"error_V": error}
    with open_twin(seen.topology, seen.limits, seed=0) as network:
        _, trainer = train(seen, point, network)
    with open_twin(seen.topology, seen.limits, seed=seed, **keys) as network:
        network.program(trainer.model.values)
        true = network.true_outputs(seen.inputs)
    assert true is not None, "a twin knows its true outputs"
    return {"error_V": float(((true - seen.targets) ** 2).mean() ** 0.5)}


def summarise(rows: Sequence[StudyRow]) -> Summary:
    """Return the price of ignoring the lines, in the loop and without."""
    findings, table, lines = [], [], []
    for (size, rule), group in by(rows, "lines", "rule").items():
        for knows in (True, False):
            places = by(select(group, knows=knows), "wire_ohm")
            found = {ohm: geometric_mean(values(one, "error_V")) for (ohm,), one in places.items()}
            if size == max(row.point["lines"] for row in rows):
                name = f"{'model only' if rule == 'model' else rule}, lines {'known' if knows else 'ignored'}"
                lines.append(
                    CurveLine(
                        name,
                        list(found),
                        [one.value for one in found.values()],
                        [one.low for one in found.values()],
                        [one.high for one in found.values()],
                    )
                )
            cells = (f"{one.value * 1e3:.2f} mV" for one in found.values())
            table.append((str(size), rule, "known" if knows else "ignored", *cells))
        known, ignored = (select(group, knows=knows, wire_ohm=2.0) for knows in (True, False))
        ratio = mean_ratio(*paired(ignored, known, "error_V"))
        findings.append(
            Finding.of(
                f"ignored {size} {rule}",
                f"with 2 ohm for each segment, a model of {rule} that ignores the lines of a {size} x {size} "
                "crossbar "
                f"ends with {ratio.value:.2f} times the error of one that knows them",
                ratio,
            )
        )
    ohms = [f"{ohm:g} ohm" for ohm in sorted({float(row.point["wire_ohm"]) for row in rows})]
    chart = StudyChart(
        "wires",
        "True error of the largest crossbar",
        "resistance of a segment (ohm)",
        "rms error of the outputs (V)",
        lines,
        "xy",
    )
    title = "True error after training; lines known to the model or ignored"
    return Summary(findings, [StudyTable(title, ("lines", "rule", "model", *ohms), table)], [chart])


STUDY = Study(
    "wires",
    "What do the lines of a crossbar cost?",
    "Square crossbars on lines with resistance learn outputs that they can reach; the model that learning "
    "uses has "
    "the lines, or has ideal ones. 20 % device error, 1 mV noise, 12 bits, 400 steps.",
    points,
    run,
    summarise,
)
