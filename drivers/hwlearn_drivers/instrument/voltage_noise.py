"""`VoltageNoise`: the noise of a voltage reading, from the figures of a data sheet."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

_PEAK_TO_PEAK: Final = 6.6
_ADDED: Final = 3.0
_UNIFORM: Final = math.sqrt(12)


@dataclass(frozen=True, slots=True)
class VoltageNoise:
    """Noise of the voltage readings of a model, for each of its voltage ranges in rising order.

    Data sheets state the noise of the source between 0.1 Hz and 10 Hz, which is about the bandwidth of a reading
    of one power line cycle, and not that of the meter. It is used for the meter too: this is an assumption, and
    ``hwlearn check`` compares it with the readings. A peak-to-peak value stands for 6.6 standard deviations, an
    additional error for 3.

    Attributes
    ----------
    rms_V : tuple of float
        Noise of the source up to 10 Hz; see `rms`.
    resolution_V : tuple of float
        Smallest difference of two readings.
    added : mapping of float to tuple of float
        Integration time below 1 power line cycle -> additional error as a fraction of each range. Empty if the
        data sheet was not found to state it.
    """

    rms_V: tuple[float, ...]
    resolution_V: tuple[float, ...]
    added: Mapping[float, tuple[float, ...]] = field(default_factory=dict)

    def sigma_V(self, place: int, full_scale: float, nplc: float) -> float | None:
        """Return the standard uncertainty of one reading in volts; None if the data sheet does not state it.

        Parameters
        ----------
        place : int
            Place of the range, from 0.
        full_scale : float
            Its full scale in volts.
        nplc : float
            Integration time in power line cycles. Between two stated ones, the shorter one counts.
        """
        added = 0.0
        if nplc < 1:
            stated = [cycles for cycles in self.added if cycles <= nplc]
            if not stated:
                return None
            added = self.added[max(stated)][place] * full_scale / _ADDED
        return math.hypot(self.rms_V[place], added, self.resolution_V[place] / _UNIFORM)


def rms(*peak_to_peak_V: float) -> tuple[float, ...]:
    """Return the standard deviations that peak-to-peak values stand for."""
    return tuple(volts / _PEAK_TO_PEAK for volts in peak_to_peak_V)


def largest_sigma(sigmas_V: Sequence[float | None]) -> float:
    """Return the largest of several uncertainties in volts; 0, which means not stated, if one is not known."""
    known = [sigma for sigma in sigmas_V if sigma is not None]
    return max(known, default=0.0) if len(known) == len(sigmas_V) else 0.0
