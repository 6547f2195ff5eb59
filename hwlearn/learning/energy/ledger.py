"""`EnergyLedger`: joules and seconds of every phase and programming of a training.

The heat of a phase is the sum over all sources of voltage times current, times its duration. Where the network
measures the currents of its sources they are taken; else the model's drops at the measured outputs, which include
the heat in nudge resistors. A duration is settling and reading as the network states them; else that of the
measurement by the clock of the computer, in which the outputs are on. Programming is counted where it is made of
pulses: volts times amperes times seconds.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

import numpy as np

from hwlearn.arrays import FloatArray
from hwlearn.circuit.kirchhoff import Kirchhoff
from hwlearn.network.network import Network, Programmed
from hwlearn.network.readings import MeasuredPhase
from hwlearn.units import format_quantity

_SUMS: Final = (
    "free_J", "nudged_J", "programming_J", "free_s", "nudged_s", "programming_s", "samples", "updates",
    "of_updates_J", "of_updates_s", "measured", "modelled", "stated", "clocked", "unknown_programming",
)  # fmt: skip


class EnergyLedger:
    """Joules and seconds of the present epoch.

    Parameters
    ----------
    network : Network
    model : Kirchhoff
        For phases whose currents are not measured.

    Attributes
    ----------
    is_updating : bool
        Whether phases and programming belong to an update, not to the beginning, a validation or an examination of
        the gradient; the training changes it.
    """

    def __init__(self, network: Network, model: Kirchhoff) -> None:
        self._model, self._reached = model, model.values
        self.is_updating: bool = False
        self._network = network
        self._sums = dict.fromkeys(_SUMS, 0.0)
        self._pulses = network.pulse_totals

    def follow(self, model: Kirchhoff) -> None:
        """Take a model of the network as it is now; each programming after that changes its values."""
        self._model, self._reached = model, model.values

    def add_phase(self, phase: MeasuredPhase) -> None:
        """Count a phase; for `Network.on_phase`."""
        settle, reading = self._network.settle_s, self._network.reading_s
        samples = len(phase.inputs)
        if settle is None or reading is None:
            seconds = np.full(samples, phase.seconds / max(1, samples))
            self._sums["clocked"] += samples
        else:
            seconds = np.full(samples, settle + reading)
            self._sums["stated"] += samples
        power = measured_power(phase)
        self._sums["modelled" if power is None else "measured"] += samples
        if power is None:
            if self._reached is not self._model.values:  # perturbed values, which the training does not model
                self.follow(self._model.with_values(self._reached))
            power = model_power(self._model, phase)
        joules, took = float(power @ seconds), float(seconds.sum())
        name = "free" if phase.drive is None else "nudged"
        self._sums[f"{name}_J"] += joules
        self._sums[f"{name}_s"] += took
        if phase.drive is None:
            self._sums["samples"] += samples
        self._count_update(joules, took)

    def add_programming(self, programmed: Programmed, seconds: float) -> None:
        """Count a programming that took this long by the clock; for `Network.on_programmed`."""
        self._reached = programmed.reached
        before, now = self._pulses, self._network.pulse_totals
        self._pulses = now
        if now is not None and before is not None:
            joules, took = now[0] - before[0], now[1] - before[1]
        else:
            self._sums["unknown_programming"] += 1
            # a simulation takes no time of its own
            joules, took = 0.0, 0.0 if self._network.simulation is not None else seconds
        self._sums["programming_J"] += joules
        self._sums["programming_s"] += took
        self._count_update(joules, took)

    def _count_update(self, joules: float, seconds: float) -> None:
        if self.is_updating:
            self._sums["of_updates_J"] += joules
            self._sums["of_updates_s"] += seconds

    def add_update(self) -> None:
        """Count an update."""
        self._sums["updates"] += 1

    def record(self) -> dict[str, Any]:
        """Return the account of the epoch as its record has it, and begin the next one."""
        sums, self._sums = self._sums, dict.fromkeys(_SUMS, 0.0)
        return _account(sums)

    def state(self) -> dict[str, np.ndarray]:
        """Return the arrays from which it continues."""
        return {"sums": np.array([self._sums[name] for name in _SUMS])}

    def restore(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Continue from a state; an empty one begins anew."""
        if arrays:
            self._sums = dict(zip(_SUMS, arrays["sums"].tolist(), strict=True))


def measured_power(phase: MeasuredPhase) -> FloatArray | None:
    """Return the power (S,) in watts that the sources deliver, from their measured currents; None without them."""
    read, drive = phase.readout, phase.drive
    if read.source_currents is None or (drive is not None and read.output_currents is None):
        return None
    power = np.einsum("si,si->s", phase.inputs, read.source_currents)
    if drive is not None and read.output_currents is not None:
        volts = read.voltages if drive.kind == "current" else drive.values
        driven = ~np.isnan(drive.values)
        power = power + np.where(driven, volts * read.output_currents, 0.0).sum(axis=1)
    return np.asarray(power, dtype=np.float64)


def model_power(model: Kirchhoff, phase: MeasuredPhase) -> FloatArray:
    """Return the watts (S,) that the model dissipates at the measured outputs, nudge resistors included."""
    V = model.observe(phase.inputs, phase.readout.voltages)
    power, drive = model.power(V), phase.drive
    if drive is not None and drive.siemens is not None:
        across = np.nan_to_num(drive.values - V[:, model.topology.outputs], nan=0.0)
        power = power + (across**2) @ drive.siemens
    return np.asarray(power, dtype=np.float64)


def training_energy(epochs: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the account of a training from those of its epochs; epochs without one are left out.

    Its totals are called ``training_J`` and ``training_s``.
    """
    known = [one for one in epochs if one and (one["samples"] or one["total_s"])]
    if not known:
        return {}
    sums = dict.fromkeys(_SUMS, 0.0)
    for one in known:
        for name in ("free_J", "nudged_J", "programming_J", "free_s", "nudged_s", "programming_s"):
            sums[name] += one[name] or 0.0
        sums["samples"] += one["samples"]
        sums["updates"] += one["updates"]
        sums["unknown_programming"] += one["programming_J"] is None
        for unit in "Js":
            sums[f"of_updates_{unit}"] += one[f"update_{unit}"] * one["updates"] if one["updates"] else 0.0
        sums["measured"] += "measured" in one["source"]
        sums["modelled"] += "model" in one["source"]
        sums["stated"] += "stated" in one["durations"]
        sums["clocked"] += "clock" in one["durations"]
    found = _account(sums)
    return {name.replace("total_", "training_"): value for name, value in found.items()}


def energy_text(energy: Mapping[str, Any]) -> str:
    """Return the account of a training in one line."""
    parts = [f"{format_quantity(energy['training_J'], 'J', 3)} in {format_quantity(energy['training_s'], 's', 3)}"]
    for name in ("inference", "update"):
        if energy[f"{name}_J"] is not None:
            parts.append(f"{format_quantity(energy[f'{name}_J'], 'J', 3)} per {name}")
    source = "model" if energy["source"] == "model" else f"{energy['source']} currents"
    return f"{', '.join(parts)} ({source})"


def _account(sums: Mapping[str, float]) -> dict[str, Any]:
    """Return sums as a record has them."""
    known = not sums["unknown_programming"]
    samples, updates = int(sums["samples"]), int(sums["updates"])
    found: dict[str, Any] = {
        **{name: sums[name] for name in ("free_J", "nudged_J")},
        "programming_J": sums["programming_J"] if known else None,
        **{name: sums[name] for name in ("free_s", "nudged_s", "programming_s")},
        "samples": samples,
        "updates": updates,
    }
    for unit in "Js":
        found[f"total_{unit}"] = sum(sums[f"{name}_{unit}"] for name in ("free", "nudged", "programming"))
        found[f"inference_{unit}"] = sums[f"free_{unit}"] / samples if samples else None
        found[f"update_{unit}"] = sums[f"of_updates_{unit}"] / updates if updates else None
    found["source"] = _both("measured", sums["measured"], "model", sums["modelled"])
    found["durations"] = _both("stated", sums["stated"], "clock", sums["clocked"])
    return found


def _both(first: str, some: float, second: str, others: float) -> str:
    """Return the name of what was counted, or both joined."""
    return " and ".join(name for name, count in ((first, some), (second, others)) if count) or first
