"""What read noise and converters leave of the accuracy, for each rule."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hwlearn.study.circuits import reference_task
from hwlearn.study.grouping import by, curves, select, values
from hwlearn.study.intervals import geometric_mean, power_law
from hwlearn.study.study import CurveLine, Finding, Point, Study, StudyChart, StudyRow, StudyTable, Summary
from hwlearn.study.training import RULES, seeded, trained_error, unique

NOISES_V = (0.0, 1e-4, 3e-4, 1e-3, 3e-3, 1e-2)
BITS = (8, 10, 12, 16)
SEEDS = 10


def points(quick: bool) -> list[Point]:
    """Return noises with 16 bits, and converters with a noise of 0.1 mV."""
    noises = [
        {"axis": "noise", "rule": rule, "noise_V": noise, "adc_bits": 16} for rule in RULES for noise in NOISES_V
    ]
    bits = [{"axis": "bits", "rule": rule, "noise_V": 1e-4, "adc_bits": one} for rule in RULES for one in BITS]
    if quick:
        return seeded([one for one in noises if one["rule"] == "analytic"], 3)
    return unique(seeded([*noises, *bits], SEEDS))


def run(point: Point) -> dict[str, Any]:
    """Train one network and return its true error."""
    return trained_error(reference_task(int(point["seed"])), point)


def summarise(rows: Sequence[StudyRow]) -> Summary:
    """Return how the error grows with the noise, and a table of converters."""
    findings, lines, table = [], [], []
    for rule in RULES:
        places = by(select(rows, axis="noise", rule=rule), "noise_V")
        found = {noise: geometric_mean(values(one, "error_V")) for (noise,), one in places.items() if noise > 0}
        if not found:
            continue
        lines.append(CurveLine.of(rule, found))
        loud = [row for row in select(rows, axis="noise", rule=rule) if row.point["noise_V"] >= 3e-4]
        _, power = power_law(curves(loud, "noise_V", "error_V"))
        findings.append(
            Finding.of(
                f"noise {rule}",
                f"above 0.3 mV the error of {rule} grows as the noise to the power of {power.value:.2f}",
                power,
                basis=f"fits to {power.count} networks",
            )
        )
        at = found[1e-3]
        findings.append(
            Finding.of(f"error {rule}", f"{rule} reaches {at.value * 1e3:.2f} mV with 1 mV of noise", at, "V")
        )
        converters = by(select(rows, axis="bits", rule=rule), "adc_bits")
        if converters:
            errors = [geometric_mean(values(one, "error_V")).value for one in converters.values()]
            table.append((rule, *(f"{one * 1e3:.2f} mV" for one in errors)))
    chart = StudyChart(
        "noise",
        "True error after training, 16 bits",
        "read noise (V)",
        "rms error of the outputs (V)",
        lines,
        "xy",
    )
    title = "True error with converters of some bits over +-1 V, noise 0.1 mV"
    tables = [StudyTable(title, ("rule", *(f"{bits} bits" for bits in BITS)), table)] if table else []
    return Summary(findings, tables, [chart])


def answer(found: Mapping[str, Finding]) -> str:
    """Return the answer of a full study."""
    reached = [found[f"error {rule}"].value for rule in RULES if rule != "spsa"]
    return (
        f"With 1 mV of noise and 16 bits the gradients reach {min(reached) * 1e3:.2f} to {max(reached) * 1e3:.2f} "
        f"mV in 400 steps, SPSA {found['error spsa'].value * 1e3:.1f} mV."
    )


STUDY = Study(
    "noise",
    "How much accuracy do noise and converters cost?",
    "The network of the study `readout` with 20 % device error, trained by each rule in 400 steps with the same "
    "optimizer.",
    points,
    run,
    summarise,
    answer,
    version=2,
)
