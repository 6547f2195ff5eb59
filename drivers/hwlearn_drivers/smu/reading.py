"""`Reading` and `Sweep`: measured voltage and current of an SMU channel, at one point or at several."""

from __future__ import annotations

from dataclasses import dataclass

from hwlearn.arrays import FloatArray


@dataclass(frozen=True, slots=True)
class Reading:
    """Voltage and current at the terminals of a channel; NaN where the instrument reported no number.

    Attributes
    ----------
    volts, amperes : float
        Voltage relative to the low terminal, and current out of the high terminal.
    """

    volts: float
    amperes: float


@dataclass(frozen=True, eq=False, slots=True)
class Sweep:
    """Voltage and current at each level of a list; ``volts`` and ``amperes`` are (n,)."""

    volts: FloatArray
    amperes: FloatArray
