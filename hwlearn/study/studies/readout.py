"""Claim 3: networks train without a replica and without reading all nodes; what each measurement is worth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from hwlearn.arrays import FloatArray
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
    at_least,
    at_most,
)
from hwlearn.study.training import modelled_values, programmed_error, seeded, trained_error, unique

ERRORS = (0.0, 0.02, 0.05, 0.1, 0.2, 0.5)
NOISES_V = (0.0, 1e-4, 1e-3, 3e-3, 1e-2)
BITS = (8, 12, 16)
IN_LOOP = ("analytic", "ep", "cl", "resistor", "spsa")
CONTRASTS = ("ep", "cl", "resistor")
EVERYWHERE = ("model", "analytic", "ep", "cl")
"""Rules of the whole grid; the others with 12 bits only."""

PHASES = ("ep", "cl")
REFERENCE = {"device_error": 0.2, "noise_V": 1e-3, "adc_bits": 12}
SEEDS, MANY, OF_EACH_KIND = 5, 40, 20


def points(quick: bool) -> list[Point]:
    """Return the grid of hardware errors, the readouts, and the kinds of circuits."""
    grid = [
        {"part": "grid", "kind": "ohmic", "rule": rule, "device_error": error, "noise_V": noise, "adc_bits": bits}
        for error in ((0.2,) if quick else ERRORS)
        for noise in ((1e-3,) if quick else NOISES_V)
        for bits in ((12,) if quick else BITS)
        for rule in ("model", *IN_LOOP)
        if bits == REFERENCE["adc_bits"] or rule in EVERYWHERE
    ]
    readouts = [
        {"part": "readout", "kind": "ohmic", "rule": rule, "readout": readout, **REFERENCE}
        for rule in CONTRASTS
        for readout in ("outputs", "nodes")
    ]
    kind_readouts = [
        {"part": "readout", "kind": kind, "rule": rule, "readout": readout, **REFERENCE}
        for kind in KINDS[1:]
        for rule in PHASES
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
    by_kind = seeded([*kind_readouts, *kinds, *others], OF_EACH_KIND)
    return unique([*seeded(grid, SEEDS), *seeded(readouts, MANY), *by_kind])


def run(point: Point) -> dict[str, Any]:
    """Train one network and return its true error."""
    kind, seed = str(point["kind"]), int(point["seed"])
    task = reference_task(seed, kind)
    if point["rule"] == "model":
        return programmed_error(task, _modelled(seed, kind), point, kind)
    return trained_error(task, point, kind)


@lru_cache(maxsize=64)
def _modelled(seed: int, kind: str) -> FloatArray:
    """Return the values of the model of a task, which do not depend on the hardware."""
    return modelled_values(reference_task(seed, kind), seed)


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
                f"a network programmed from its model alone has {gains[at].value:.2g} times the error of one "
                f"trained by {rule} with measurements in the loop (20 % device error, 1 mV noise, 12 bits); the "
                "claim is at least 2",
                gains[at],
                verdict=at_least(gains[at], 2.0),
            )
        )
    for rule in IN_LOOP:
        places = {at[1:]: gain for at, gain in gains.items() if at[0] == rule}
        if len(places) > 1:  # a quick study has one place, which says nothing of the grid
            findings += _smallest(rule, places)
    tables += _gain_tables(gains)
    charts = [_chart(grid)]
    more = select(rows, part="readout")
    for (kind, rule), group in by(more, "kind", "rule").items():
        text = (
            f"on {kind} networks, reading only the outputs gives {{}} times the error of all nodes ({rule}); the "
            "claim is at most 1.25"
        )
        findings.append(
            _compared(f"outputs {kind} {rule}", text, group, "readout", ("outputs", "nodes"), most=1.25)
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


def _smallest(rule: str, gains: Mapping[tuple[Any, ...], Interval]) -> list[Finding]:
    """Return the smallest ratio of a rule over the grid, and in how much of the grid it is below 2."""
    place, least = min(gains.items(), key=lambda one: one[1].value)
    uncertain = {at: gain for at, gain in gains.items() if at[0] > 0}
    where, smallest = min(uncertain.items(), key=lambda one: one[1].value)
    low = [gain for gain in gains.values() if gain.value < 2]
    sure, possible = (sum(end(gain) < 2 for gain in gains.values()) for end in (_high, _low))
    return [
        Finding.of(
            f"least gain {rule}",
            f"over the whole grid the smallest ratio between model only and {rule} in the loop is "
            f"{least.value:.2g}, at {_place(place)}",
            least,
            basis=_lowest(least, gains),
        ),
        Finding.of(
            f"least gain {rule} of unknown devices",
            f"where devices are not exactly those of the model, the smallest ratio of {rule} is "
            f"{smallest.value:.2g}, at {_place(where)}",
            smallest,
            basis=_lowest(smallest, uncertain),
        ),
        Finding(
            f"share below 2 {rule}",
            f"in {len(low)} of {len(gains)} places of the grid {rule} in the loop gains less than a factor of 2",
            len(low) / len(gains),
            sure / len(gains),
            possible / len(gains),
            basis=f"{len(gains)} places; from those whose whole interval is below 2 to those with a part of it",
        ),
    ]


def _lowest(found: Interval, places: Mapping[tuple[Any, ...], Interval]) -> str:
    """Return what the smallest ratio of many places is of."""
    return f"{found.count} samples of this place, the lowest of {len(places)}, so biased towards low ratios"


def _gain_tables(gains: Mapping[tuple[Any, ...], Interval]) -> list[StudyTable]:
    """Return a table of each rule with 12 bits: ratios by device error and noise."""
    tables = []
    bits = REFERENCE["adc_bits"]
    for rule in IN_LOOP:
        found = {at[1:3]: gain for at, gain in gains.items() if at[0] == rule and at[3] == bits}
        noises = list(dict.fromkeys(noise for _, noise in found))
        errors = list(dict.fromkeys(error for error, _ in found))
        cells = [
            (
                f"{error:.0%}",
                *(f"{g.value:.3g} ({g.low:.2g} to {g.high:.2g})" for g in (found[error, n] for n in noises)),
            )
            for error in errors
        ]
        title = f"Error of the model alone over that of {rule} in the loop, {bits} bits, by device error and noise"
        tables.append(StudyTable(title, ("device error", *(f"{n * 1e3:g} mV" for n in noises)), cells))
    return tables


def _low(found: Interval) -> float:
    return found.low


def _high(found: Interval) -> float:
    return found.high


def _phases(rows: Sequence[StudyRow]) -> list[Finding]:
    """Return what measuring the nudged phases adds over computing them."""
    found = []
    for kind in KINDS:
        for rule in PHASES:
            group = select(rows, kind=kind, rule=rule)
            if group:
                text = (
                    f"on {kind} networks, computing the nudged phases of {rule} in the model instead of measuring "
                    "them gives {} times the error"
                )
                found.append(_compared(f"phases {kind} {rule}", text, group, "nudged", ("computed", "measured")))
    return found


def _compared(
    name: str,
    text: str,
    group: Sequence[StudyRow],
    what: str,
    these: tuple[str, str],
    most: float | None = None,
) -> Finding:
    """Return how many times the error of the second value of ``what`` the first has; it replaces ``{}``."""
    first, second = (select(group, **{what: one}) for one in these)
    ratio = mean_ratio(*paired(first, second, "error_V"))
    verdict: Verdict = "figure" if most is None else at_most(ratio, most)
    return Finding.of(name, text.format(f"{ratio.value:.2f}"), ratio, verdict=verdict)


def _chart(grid: Sequence[StudyRow]) -> StudyChart:
    lines = []
    for rule in ("model", *IN_LOOP):
        group = [
            one for one in select(grid, rule=rule, noise_V=1e-3, adc_bits=12) if one.point["device_error"] > 0
        ]
        places = by(group, "device_error")
        found = {error: geometric_mean(values(one, "error_V")) for (error,), one in places.items()}
        if found:
            lines.append(CurveLine.of("model only" if rule == "model" else rule, found))
    title = "True error after training (1 mV read noise, 12 bits)"
    return StudyChart("readout", title, "device error (relative)", "rms error of the outputs (V)", lines, "xy")


def _place(at: tuple[Any, ...]) -> str:
    error, noise, bits = at
    return f"{error:.0%} device error, {noise * 1e3:g} mV noise and {bits} bits"


def answer(found: Mapping[str, Finding]) -> str:
    """Return the answer of a full study."""
    gains = {rule: found[f"gain {rule}"].value for rule in IN_LOOP}
    best = [gain for rule, gain in gains.items() if rule != "spsa"]
    outputs = [one.value for name, one in found.items() if name.startswith("outputs ")]
    phases = {
        f"{rule.upper()} on {kind} networks": found[f"phases {kind} {rule}"] for kind in KINDS for rule in PHASES
    }
    sizes = [one.value for one in phases.values()]
    apart = [f"{where} ({one.value:.2f})" for where, one in phases.items() if one.low > 1 or one.high < 1]
    sure = f"the interval is apart from 1 for {', '.join(apart)}" if apart else "every interval holds 1"
    return (
        f"At 20 % device error, 1 mV of noise and 12 bits the model alone ends with {min(best):.0f} to "
        f"{max(best):.0f} times the error of a network that is measured in the loop (SPSA: {gains['spsa']:.1f}). "
        f"Reading only the outputs gives {min(outputs):.2f} to {max(outputs):.2f} times the error of reading "
        f"every node; computing the nudged phases instead of measuring them {min(sizes):.2f} to "
        f"{max(sizes):.2f} times, and {sure}."
    )


STUDY = Study(
    "readout",
    "Do networks train from their outputs alone, and what is measuring in the loop worth?",
    "A random network of 24 nodes and 55 edges learns 8 samples of 3 outputs that it can reach, in 400 steps. "
    "The true error of its outputs afterwards is compared between a result that was computed in the model and "
    "then programmed, and trainings with measurements in the loop. Ratios are geometric means over pairs with "
    "equal network, devices and task.",
    points,
    run,
    summarise,
    answer,
    version=3,
)
