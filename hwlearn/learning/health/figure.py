"""One figure of a gradient's health, and what its limit is made of."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

NOT_APPLICABLE: Final = "not applicable"
"""Value of a figure that this rule or network does not have."""

NOT_MEASURED: Final = "not measured"
"""Value of a figure that was not measured in this epoch."""

OF_CURRENTS: Final = frozenset({"midpoint_error_V", "power_balance"})
"""Figures whose limits need the stated noise of currents."""

SIGMAS: Final = 6.0
"""Standard deviations that a limit allows: over 1000 epochs of ten figures, 2e-5 false alarms by chance."""

OFFSET_V: Final = 2e-3
"""Offset of a converter in volts that is no alarm; `hwlearn check` allows the same."""

GAIN: Final = 2e-3
"""Relative error of a converter's gain that is no alarm; `hwlearn check` allows the same."""

_TAIL: Final = 18.0
"""Negative logarithm of the probability beyond `rms_bound`: 1.5e-8."""


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure of health.

    Attributes
    ----------
    name : str
    value : float or str
        The number, or `NOT_APPLICABLE` or `NOT_MEASURED`.
    limit : float or None
        The largest value that stated errors explain; None if nothing is derived for it.
    """

    name: str
    value: float | str
    limit: float | None = None

    @property
    def exceeded(self) -> bool:
        """Whether the value is above its limit; a value that is no finite number is, too."""
        if self.limit is None or isinstance(self.value, str):
            return False
        return not self.value <= self.limit

    @classmethod
    def missing(cls, *names: str, reason: str = NOT_APPLICABLE) -> list[Figure]:
        """Return figures without a number."""
        return [cls(name, reason) for name in names]


def rms_bound(count: float) -> float:
    """Return what the rms of ``count`` normal numbers of standard deviation 1 does not exceed.

    Source: B. Laurent, P. Massart, Annals of Statistics 28, 1302 (2000), lemma 1.
    """
    return math.sqrt(1 + 2 * math.sqrt(_TAIL / count) + 2 * _TAIL / count)


def hypot(*parts: float) -> float:
    """Return the root of the sum of squares."""
    return math.sqrt(sum(part * part for part in parts))
