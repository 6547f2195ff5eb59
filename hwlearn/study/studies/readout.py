"""Claim 3: networks train without a replica and without reading all nodes; what each measurement is worth."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hwlearn.study.circuits import KINDS, reference_task
from hwlearn.study.grouping import by, paired, select, values
from hwlearn.study.intervals import Interval, geometric_mean, mean_ratio
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
)
from hwlearn.study.training import seeded, trained_error, unique

ERRORS = (0.0, 0.02, 0.05, 0.1, 0.2, 0.35, 0.5)
NOISES_V = (0.0, 1e-4, 1e-3, 3e-3, 1e-2)
BITS = (8, 10, 12, 16)
IN_LOOP = ("analytic", "ep", "cl", "resistor")
PHASES = ("ep", "cl")
REFERENCE = {"device_error": 0.2, "noise_V": 1e-3, "adc_bits": 12}
SEEDS, MANY = 5, 24


def points(quick: bool) -> list[Point]:
    """Return the grid of hardware errors, the readouts, and the kinds of circuits."""
    grid = [
        {"part": "grid", "kind": "ohmic", "rule": rule, "device_error": error, "noise_V": noise, "adc_bits": bits}
        for error in ((0.2,) if quick else ERRORS)
        for noise in ((1e-3,) if quick else NOISES_V)
        for bits in ((12,) if quick else BITS)
        for rule in ("model", *IN_LOOP)
    ]
    readouts = [
        {"part": "readout", "kind": "ohmic", "rule": rule, "readout": readout, **REFERENCE}
        for rule in IN_LOOP[1:]
        for readout in ("outputs", "nodes")
    ]
    kinds = [
        {"part": "phases", "kind": kind, "rule": rule, "nudged": nudged, **REFERENCE}
        for kind in KINDS
        for rule in PHASES
        for nudged in ("measured", "computed")
    ]
    others = [
        {"part": "phases", "kind": kind, "rule": rule, **REFERENCE}
        for kind in KINDS
        for rule in ("model", "analytic")
    ]
    if quick:
        return unique([*seeded(grid, SEEDS)])
    return unique([*seeded(grid, SEEDS), *seeded(readouts, MANY), *seeded([*kinds, *others], 8)])


def run(point: Point) -> dict[str, Any]:
    """Train one network and return its true error."""
    kind = str(point["kind"])
    return trained_error(reference_task(int(point["seed"]), kind), point, kind)


def summarise(rows: Sequence[StudyRow]) -> Summary:
    """Return what measuring in the loop gains, where it gains little, and what reading every node adds."""
    findings, tables = [], []
    grid = select(rows, part="grid")
    gains = _gains(grid)
    for rule in IN_LOOP:
        at = (rule, *REFERENCE.values())
        findings.append(
            Finding.of(
                f"gain {rule}",
                f"a network programmed from its model alone has {gains[at].value:.0f} times the error of one "
                "trained "
                f"by {rule} with measurements in the loop (20 % device error, 1 mV noise, 12 bits)",
                gains[at],
                verdict=_at_least(gains[at], 2.0),
            )
        )
    least = min(gains.items(), key=lambda one: one[1].value)
    findings.append(
        Finding.of(
            "least gain",
            "over the whole grid the smallest ratio between model only and in the loop is "
            f"{least[1].value:.2g}, of {_place(least[0])}",
            least[1],
        )
    )
    low = [at for at, gain in gains.items() if gain.value < 2]
    findings.append(
        Finding(
            "share below 2",
            f"in {len(low)} of {len(gains)} places of the grid, for one rule each, measuring in the loop "
            "gains less "
            "than a factor of 2",
            len(low) / len(gains),
            0.0,
            1.0,
            basis=f"{len(gains)} places; the range is that of a share",
        )
    )
    tables.append(
        StudyTable(
            "Where measuring in the loop gains less than a factor of 2",
            ("rule", "device error", "read noise", "bits", "gain", "95 % interval"),
            [
                (
                    rule,
                    f"{error:.0%}",
                    f"{noise * 1e3:g} mV",
                    str(bits),
                    f"{g.value:.2f}",
                    f"{g.low:.2f} to {g.high:.2f}",
                )
                for (rule, error, noise, bits), g in gains.items()
                if g.value < 2
            ],
        )
    )
    charts = [_chart(grid)]
    more = select(rows, part="readout")
    for rule in IN_LOOP[1:]:
        outputs, nodes = (select(more, rule=rule, readout=one) for one in ("outputs", "nodes"))
        if outputs:
            found = mean_ratio(*paired(outputs, nodes, "error_V"))
            findings.append(
                Finding.of(
                    f"outputs {rule}",
                    f"reading only the outputs gives {found.value:.2f} times the error of reading every node "
                    f"({rule})",
                    found,
                    verdict=_not_above(found, 1.25),
                )
            )
    findings += _phases(select(rows, part="phases"))
    return Summary(findings, tables, charts)


def _gains(grid: Sequence[StudyRow]) -> dict[tuple[Any, ...], Interval]:
    """Return, for each rule and place, the ratio between model only and in the loop."""
    found = {}
    for place, group in by(grid, "device_error", "noise_V", "adc_bits").items():
        model = select(group, rule="model")
        for rule in IN_LOOP:
            trained = select(group, rule=rule)
            if model and trained:
                found[(rule, *place)] = mean_ratio(*paired(model, trained, "error_V"))
    return found


def _phases(rows: Sequence[StudyRow]) -> list[Finding]:
    """Return what measuring the nudged phases adds over computing them."""
    found = []
    for kind in KINDS:
        for rule in PHASES:
            group = select(rows, kind=kind, rule=rule)
            if not group:
                continue
            computed, measured = (select(group, nudged=one) for one in ("computed", "measured"))
            ratio = mean_ratio(*paired(computed, measured, "error_V"))
            found.append(
                Finding.of(
                    f"phases {kind} {rule}",
                    f"on {kind} networks, computing the nudged phases of {rule} in the model instead of measuring "
                    f"them gives {ratio.value:.2f} times the error",
                    ratio,
                )
            )
    return found


def _chart(grid: Sequence[StudyRow]) -> StudyChart:
    lines = []
    for rule in ("model", *IN_LOOP):
        group = [
            one for one in select(grid, rule=rule, noise_V=1e-3, adc_bits=12) if one.point["device_error"] > 0
        ]
        places = by(group, "device_error")
        found = [geometric_mean(values(one, "error_V")) for one in places.values()]
        if found:
            lines.append(
                CurveLine(
                    "model only" if rule == "model" else rule,
                    [place for (place,) in places],
                    [one.value for one in found],
                    [one.low for one in found],
                    [one.high for one in found],
                )
            )
    title = "True error after training (1 mV read noise, 12 bits)"
    return StudyChart("readout", title, "device error (relative)", "rms error of the outputs (V)", lines, "xy")


def _place(at: tuple[Any, ...]) -> str:
    rule, error, noise, bits = at
    return f"{rule} at {error:.0%} device error, {noise * 1e3:g} mV noise and {bits} bits"


def _at_least(found: Interval, least: float) -> Verdict:
    return "holds" if found.low >= least else "does not hold" if found.high < least else "undecided"


def _not_above(found: Interval, most: float) -> Verdict:
    return "holds" if found.high <= most else "does not hold" if found.low > most else "undecided"


STUDY = Study(
    "readout",
    "Do networks train from their outputs alone, and what is measuring in the loop worth?",
    "A random network of 24 nodes and 55 edges learns 8 samples of 3 outputs that it can reach, in 400 steps. "
    "The true error of its outputs afterwards is compared between a result that was computed in the model and "
    "then "
    "programmed, and trainings with measurements in the loop. Ratios are geometric means over pairs with equal "
    "network, devices and task.",
    points,
    run,
    summarise,
)
