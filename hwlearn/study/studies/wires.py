"""What the resistance of the lines of a crossbar costs, to a model that knows it and to one that does not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hwlearn.study.circuits import reference_task
from hwlearn.study.grouping import by, paired, select, values
from hwlearn.study.intervals import Interval, geometric_mean, mean_ratio
from hwlearn.study.study import CurveLine, Finding, Point, Study, StudyChart, StudyRow, StudyTable, Summary
from hwlearn.study.training import backend_keys, modelled_values, seeded, train, trained_error, true_rms_V
from hwlearn.study.twins import open_twin

OHMS = (0.0, 0.1, 1.0, 2.0, 5.0, 10.0)
ERRORS = (0.0, 0.05, 0.5)
"""Further device errors, on crossbars of 16 lines with 10 ohm."""

SIZES = (8, 16, 32)
RULES = ("model", "analytic", "ep", "cl")
SEEDS = 8


def points(quick: bool) -> list[Point]:
    """Return crossbars of several sizes and resistances, with models that know the lines or not."""
    found = [
        {"lines": lines, "wire_ohm": ohm, "knows": knows, "rule": rule}
        for lines in ((8,) if quick else SIZES)
        for ohm in ((10.0,) if quick else OHMS)
        for knows in (True, False)
        for rule in (("model", "analytic") if quick else RULES)
        if (ohm > 0 or knows)
    ]
    others = [
        {"lines": 16, "wire_ohm": 10.0, "knows": knows, "rule": rule, "device_error": error}
        for knows in (True, False)
        for rule in ("model", "analytic")
        for error in ERRORS
    ]
    return seeded(found, 2) if quick else seeded([*found, *others], SEEDS)


def run(point: Point) -> dict[str, Any]:
    """Train one crossbar and return its true error."""
    seed, lines, ohm = int(point["seed"]), int(point["lines"]), float(point["wire_ohm"])
    task = reference_task(seed, "wired", lines=lines, wire_ohm=ohm)
    if point["knows"]:
        return trained_error(task, point)
    blind = reference_task(seed, "wired", lines=lines, wire_ohm=0.0)
    seen = type(task)(blind.topology, task.limits, task.inputs, task.targets, task.teacher)
    keys = {**backend_keys(point), "wire_resistance": ohm}
    with open_twin(seen.topology, seen.limits, seed=seed, **keys) as network:
        if point["rule"] == "model":
            network.program(modelled_values(seen, seed))
            return {"error_V": true_rms_V(network, seen)}
        error, _ = train(seen, point, network)
    return {"error_V": error}


def summarise(rows: Sequence[StudyRow]) -> Summary:
    """Return the price of ignoring the lines, in the loop and without."""
    findings, table, lines = [], [], []
    ohms = sorted({float(row.point["wire_ohm"]) for row in rows})
    sizes = [row for row in rows if "device_error" not in row.point]
    for (size, rule), group in by(sizes, "lines", "rule").items():
        for knows in (True, False):
            places = by(select(group, knows=knows), "wire_ohm")
            found = {ohm: geometric_mean(values(one, "error_V")) for (ohm,), one in places.items()}
            if size == SIZES[1]:
                name = f"{'model only' if rule == 'model' else rule}, lines {'known' if knows else 'ignored'}"
                drawn = {ohm: one for ohm, one in found.items() if ohm > 0}
                lines.append(CurveLine.of(name, drawn))
            cells = (f"{found[ohm].value * 1e3:.2f} mV" if ohm in found else "" for ohm in ohms)
            table.append((str(size), rule, "known" if knows else "ignored", *cells))
        if ratio := _price(select(group, wire_ohm=10.0)):
            text = f"crossbars of {size} x {size} with 10 ohm for each segment and 20 % device error"
            findings.append(Finding.of(f"ignored {size} {rule}", _sentence(rule, text, ratio), ratio))
    chart = StudyChart(
        "wires",
        f"True error of crossbars of {SIZES[1]} lines",
        "resistance of a segment (ohm)",
        "rms error of the outputs (V)",
        lines,
        "xy",
    )
    title = "True error after training; lines known to the model or ignored"
    tables = [StudyTable(title, ("lines", "rule", "model", *(f"{ohm:g} ohm" for ohm in ohms)), table)]
    others = []
    for (rule, error), group in by(rows, "rule", "device_error").items():
        ratio = None if error is None else _price(group)
        if ratio is not None:
            both = (geometric_mean(values(select(group, knows=knows), "error_V")).value for knows in (True, False))
            span = f"{ratio.value:.2f} ({ratio.low:.2f} to {ratio.high:.2f})"
            text = f"crossbars of 16 x 16 with 10 ohm for each segment and {error:.0%} device error"
            findings.append(Finding.of(f"ignored 16 {rule} {error:g}", _sentence(rule, text, ratio), ratio))
            others.append((rule, f"{error:.0%}", *(f"{one * 1e3:.2f} mV" for one in both), span))
    if others:
        columns = ("rule", "device error", "lines known", "lines ignored", "ratio")
        tables.append(StudyTable("True error of 16 x 16 crossbars with 10 ohm for each segment", columns, others))
    return Summary(findings, tables, [chart] if lines else [])


def _sentence(rule: str, crossbar: str, ratio: Interval) -> str:
    """Return what ignoring the lines of a crossbar costs."""
    how = "programming what a model found" if rule == "model" else f"{rule} in the loop with a model"
    return f"on {crossbar}, {how} that ignores the lines gives {ratio.value:.2g} times the error of one with them"


def _price(rows: Sequence[StudyRow]) -> Interval | None:
    """Return the ratio of the error with lines that are ignored to that with known ones."""
    known, ignored = (select(rows, knows=knows) for knows in (True, False))
    return mean_ratio(*paired(ignored, known, "error_V")) if known and ignored else None


def answer(found: Mapping[str, Finding]) -> str:
    """Return the answer of a full study."""
    exact, exact_loop = (found[f"ignored 16 {rule} 0"].value for rule in ("model", "analytic"))
    model, loop = (found[f"ignored {SIZES[-1]} {rule}"].value for rule in ("model", "analytic"))
    return (
        "With 10 ohm for each segment and devices that are known exactly, ignoring the lines multiplies the "
        f"error of a result that is only programmed by {exact:.2g}, and of one trained in the loop by "
        f"{exact_loop:.2g}. With 20 % device error it is {model:.2g} and {loop:.2g} even on {SIZES[-1]} lines."
    )


STUDY = Study(
    "wires",
    "What do the lines of a crossbar cost?",
    "Square crossbars on lines with resistance learn outputs that they can reach; the model that learning uses "
    "has the lines, or has ideal ones. 20 % device error, 1 mV noise, 12 bits, 400 steps.",
    points,
    run,
    summarise,
    answer,
    version=3,
)
