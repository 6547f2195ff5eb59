"""What training and inference cost in joules on the shipped benches, beside digital arithmetic."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np

from hwlearn.study.grouping import by, values
from hwlearn.study.intervals import geometric_mean, mean
from hwlearn.study.shipped import trained_bench, training_rows
from hwlearn.study.study import Finding, Point, Study, StudyRow, StudyTable, Summary
from hwlearn.study.training import seeded

BENCHES: Final = {
    "iris": 5,
    "regression": 5,
    "xor-nmos": 5,
    "digits": 5,
    "digits-diode": 5,
    "digits-nmos": 5,
    "ionosphere-nmos": 5,
}
"""Shipped benches and the number of their seeds."""

PULSED: Final = "iris-pulsed"
"""The bench ``iris`` with memristors that are programmed by pulses and read one by one, as write-verify does."""

_MEMRISTOR: Final = {
    "model": "soft-bounds",
    "law": {"g_min": 1e-6, "g_max": 1e-4},
    "device_spread": 0.1,
    "cycle_spread": 0.05,
    "read_noise": 0.005,
    "scheme": "isolated",
    "pulse_voltage": 1.0,
    "pulse_current": 1e-3,
    "pulse_width": [1e-6, 1e-4],
    "pulses": 100_000_000,
    "read_voltage": 0.1,
    "tolerance": 0.03,
}
_PULSED_KEYS: Final = {
    "backend.device_spread": 0.0,
    "backend.conductance_bits": None,
    "backend.memristor": _MEMRISTOR,
    "train.epochs": 20,
}

MACS: Final = {
    "iris": 4 * 3,
    PULSED: 4 * 3,
    "digits": 64 * 10,
    "digits-diode": 64 * 10,
    "digits-nmos": 64 * 10,
    "ionosphere-nmos": 34 * 2,
}
"""Multiplications of a linear classifier of the same task."""

MAC_J: Final = 0.2e-12 + 0.03e-12 + 1.25e-12
"""8-bit multiplication, addition, and one byte of a weight from an 8 kB SRAM at 45 nm."""

SOURCE: Final = (
    "M. Horowitz, Computing's energy problem (and what we can do about it), ISSCC 2014, 45 nm and 0.9 V: 0.2 pJ "
    "for an 8-bit multiplication, 0.03 pJ for an 8-bit addition, 10 pJ for 64 bits from a cache of 8 kB"
)


def points(quick: bool) -> list[Point]:
    """Return the benches."""
    if quick:
        return seeded([{"bench": "regression"}], 2)
    benches = {**BENCHES, PULSED: 5}
    return [{"bench": bench, "seed": seed} for bench, seeds in benches.items() for seed in range(seeds)]


def run(point: Point) -> dict[str, Any]:
    """Train one bench and return its energies."""
    bench, seed = str(point["bench"]), int(point["seed"])
    if bench == PULSED:
        return trained_bench("iris", seed, _PULSED_KEYS)
    return trained_bench(bench, seed)


def summarise(rows: Sequence[StudyRow]) -> Summary:
    """Return joules for an inference and a training, where they go, and how fast a network must be read."""
    findings, table = [], []
    for (bench,), group in by(rows, "bench").items():
        inference = geometric_mean(values(group, "inference_J"))
        seconds = geometric_mean(values(group, "inference_s"))
        training = geometric_mean(values(group, "training_J"))
        parts = [name for name in ("free_J", "nudged_J", "programming_J") if name in group[0].result]
        sums = [sum(values(group, name)) for name in parts]
        shares = {name: part / sum(sums) for name, part in zip(parts, sums, strict=True)}
        findings += [
            Finding.of(
                f"inference {bench}",
                f"an inference of {bench} takes {_joules(inference.value)} in {seconds.value * 1e6:.0f} us",
                inference,
                "J",
            ),
            Finding.of(
                f"training {bench}", f"a training of {bench} takes {_joules(training.value)}", training, "J"
            ),
        ]
        digital = MACS.get(bench, 0) * MAC_J
        if digital:
            even = mean(
                [
                    digital / (one / s)
                    for one, s in zip(values(group, "inference_J"), values(group, "inference_s"), strict=True)
                ]
            )
            findings.append(
                Finding.of(
                    f"even {bench}",
                    f"{bench} must be read within {even.value * 1e9:.2g} ns to take less than the "
                    f"{digital * 1e12:.0f} pJ of the same classification in 8-bit arithmetic",
                    even,
                    "s",
                )
            )
        table.append(
            (
                bench,
                _joules(inference.value),
                f"{seconds.value * 1e6:.0f} us",
                _joules(training.value),
                *(
                    f"{shares[name]:.0%}" if name in shares else "not stated"
                    for name in ("free_J", "nudged_J", "programming_J")
                ),
                _joules(digital) if digital else "",
                _joules(_digital_training(bench, group)) if digital else "",
            )
        )
    columns = (
        "bench",
        "inference",
        "duration",
        "training",
        "free phases",
        "nudged phases",
        "programming",
        "digital inference",
        "digital training",
    )
    remarks = [
        f"The digital baseline is {SOURCE}. It is one multiplication, addition and byte for each weight of a "
        "linear classifier, without anything around them; for training, three times that for each row of each "
        "epoch (forward, gradient and update), with as many epochs as the network had.",
        "Heat of the network only: sources, converters and computer are not in it. At the durations of the "
        "benches, which are those of laboratory instruments, the networks take more than digital arithmetic.",
    ]
    return Summary(findings, [StudyTable("Energy of the shipped benches", columns, table)], (), remarks)


def _digital_training(bench: str, rows: Sequence[StudyRow]) -> float:
    """Return the joules of training the linear classifier for as many epochs."""
    samples = training_rows("iris" if bench == PULSED else bench)
    return 3 * MACS[bench] * MAC_J * samples * float(np.mean(values(rows, "epochs")))


def _joules(value: float) -> str:
    for scale, unit in ((1e-12, "pJ"), (1e-9, "nJ"), (1e-6, "uJ"), (1e-3, "mJ")):
        if value < 1000 * scale:
            return f"{value / scale:.3g} {unit}"
    return f"{value:.3g} J"


def answer(found: Mapping[str, Finding]) -> str:
    """Return the answer of a full study."""
    inference = [one.value for name, one in found.items() if name.startswith("inference ")]
    even = [one.value for name, one in found.items() if name.startswith("even ")]
    return (
        f"An inference takes {_joules(min(inference))} to {_joules(max(inference))} of heat in the network. It "
        f"must be read within {min(even) * 1e9:.2g} to {max(even) * 1e9:.3g} ns to take less than 8-bit "
        "arithmetic for a linear classifier of the same task."
    )


STUDY = Study(
    "energy",
    "What do inference and training cost in joules?",
    "The ledger of each training: heat of every phase from the currents of the sources or the model's drops, "
    "times settling and reading as the bench states them, and of programming where the bench states its pulses. "
    f"`{PULSED}` is the bench `iris` for 20 epochs with devices that are programmed by pulses of at most 1 V.",
    points,
    run,
    summarise,
    answer,
    version=3,
)
