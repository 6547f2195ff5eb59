"""What an SMU channel measured: one point, or a list of them."""

from __future__ import annotations

from dataclasses import dataclass

from hwlearn.arrays import FloatArray


@dataclass(frozen=True, slots=True)
class Reading:
    """What a channel measured at its terminals; NaN where the instrument had no number.

    Attributes
    ----------
    volts, amperes : float
        Against its low terminal, and out of its high terminal.
    """

    volts: float
    amperes: float


@dataclass(frozen=True, eq=False, slots=True)
class Sweep:
    """What a channel measured at each level of a list; ``volts`` and ``amperes`` are both (n,)."""

    volts: FloatArray
    amperes: FloatArray
