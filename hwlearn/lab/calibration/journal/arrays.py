"""Requests to a network and its answers as arrays that a journal stores, and back."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import numpy as np

from hwlearn.network.network import Readout, TwoPhase
from hwlearn.network.nudges import Nudge, OutputDrive


def drive_request(drive: OutputDrive) -> dict[str, Any]:
    """Return the numbers of an output drive."""
    return {"values": drive.values} | ({} if drive.siemens is None else {"siemens": drive.siemens})


def nudge_request(nudge: Nudge, symmetric: bool) -> dict[str, Any]:
    """Return the identity of a two-phase measurement: text settings of the nudge in ``kind``, numbers by name."""
    settings = {part.name: getattr(nudge, part.name) for part in fields(nudge)}
    texts = [f"{name}={value}" for name, value in settings.items() if isinstance(value, str)]
    kind = " ".join(["both phases", type(nudge).__name__, f"symmetric={symmetric}", *texts])
    numbers = {k: v for k, v in settings.items() if v is not None and not isinstance(v, str)}
    return {"kind": kind, **numbers}


def samples_of(whole: TwoPhase | None) -> int:
    """Return the number of samples over all phases."""
    if whole is None:
        return 0
    return len(whole.strength) + int((~whole.skipped).sum()) * (1 if whole.minus is None else 2)


def two_phase_arrays(whole: TwoPhase) -> dict[str, np.ndarray | None]:
    """Return a two-phase measurement as arrays by name."""
    arrays: dict[str, np.ndarray | None] = {"error": whole.error, "strength": whole.strength}
    for phase, read in (("free", whole.free), ("plus", whole.plus), ("minus", whole.minus)):
        if read is not None:
            arrays |= {f"{phase}_{name}": array for name, array in readout_arrays(read).items()}
    return arrays


def stored_two_phase(kept: dict[str, np.ndarray]) -> TwoPhase:
    """Return the two-phase measurement that `two_phase_arrays` stored."""
    free, plus, minus = (named(kept, f"{phase}_") for phase in ("free", "plus", "minus"))
    return TwoPhase(
        stored_readout(free),
        stored_readout(plus),
        stored_readout(minus) if minus else None,
        kept["error"],
        kept["strength"],
    )


def named(kept: dict[str, np.ndarray], prefix: str) -> dict[str, np.ndarray]:
    """Return the arrays whose names begin with a prefix, without the prefix."""
    return {name.removeprefix(prefix): array for name, array in kept.items() if name.startswith(prefix)}


def readout_arrays(read: Readout) -> dict[str, np.ndarray | None]:
    """Return a readout as arrays by name; None for quantities that were not read."""
    return {
        "voltages": read.voltages,
        "output_currents": read.output_currents,
        "source_currents": read.source_currents,
        "nodes": read.nodes,
        "saturated": read.saturated,
        "sigmas": np.array([read.voltage_sigma, read.current_sigma]),
    }


def stored_readout(kept: dict[str, np.ndarray]) -> Readout:
    """Return the readout that `readout_arrays` stored."""
    volts, amperes = kept.pop("sigmas")
    return Readout(**kept, voltage_sigma=float(volts), current_sigma=float(amperes))
