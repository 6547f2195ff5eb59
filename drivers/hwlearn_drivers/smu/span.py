"""What an SMU can do (`Span`) and what its user allows (`Ceiling`): nothing beyond either is sent."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from hwlearn.errors import LimitError
from hwlearn.units import ROUNDING, format_quantity

Quantity = Literal["voltage", "current"]
"""What a source makes, and with it what its limit holds back: the other one."""

UNIT: dict[Quantity, str] = {"voltage": "V", "current": "A"}


@dataclass(frozen=True, slots=True)
class Ceiling:
    """The most that a channel may ever be told: volts and amperes, either sign.

    Raises
    ------
    LimitError
        If a value is not positive and finite.
    """

    volts: float
    amperes: float

    def __post_init__(self) -> None:
        for name in ("volts", "amperes"):
            value = float(getattr(self, name))
            object.__setattr__(self, name, value)
            if not (math.isfinite(value) and value > 0):
                raise LimitError(
                    f"the ceiling in {name} of an SMU channel is {value}; it must be positive and finite"
                )

    def most(self, quantity: Quantity) -> float:
        """Return the most of a quantity."""
        return self.volts if quantity == "voltage" else self.amperes


@dataclass(frozen=True, slots=True)
class Span:
    """What a model can do.

    Attributes
    ----------
    regions : tuple of (float, float)
        Corners (volts, amperes) of its operating area, either sign; level and limit lie inside one of them.
    nplc : (float, float)
        Least and most integration time in power line cycles.
    channels : int
    """

    regions: tuple[tuple[float, float], ...]
    nplc: tuple[float, float]
    channels: int = 1

    def most(self, quantity: Quantity) -> float:
        """Return the most of a quantity, in whatever region."""
        return max(region[quantity == "current"] for region in self.regions)

    def check(self, where: str, quantity: Quantity, level: float, limit: float, ceiling: Ceiling) -> None:
        """Refuse a source level, and the limit that goes with it, beyond the ceiling or the instrument.

        Raises
        ------
        LimitError
            Naming channel, value, limit and unit.
        """
        other: Quantity = "current" if quantity == "voltage" else "voltage"
        self.check_one(where, quantity, level, ceiling, "level")
        self.check_one(where, other, limit, ceiling, "limit")
        if not limit > 0:
            raise LimitError(
                f"{other} limit {limit!r} {UNIT[other]} on {where} must be positive; nothing was sent"
            )
        volts, amperes = (level, limit) if quantity == "voltage" else (limit, level)
        if not any(_within(volts, corner[0]) and _within(amperes, corner[1]) for corner in self.regions):
            corners = " or ".join(
                f"{format_quantity(v, 'V')} at {format_quantity(a, 'A')}" for v, a in self.regions
            )
            raise LimitError(
                f"{format_quantity(abs(volts), 'V')} with {format_quantity(abs(amperes), 'A')} on {where} is "
                f"beyond the instrument, which gives at most {corners}; nothing was sent"
            )

    def check_one(self, where: str, quantity: Quantity, value: float, ceiling: Ceiling, what: str) -> None:
        """Refuse one value that is no number, or beyond the ceiling or the instrument.

        Raises
        ------
        LimitError
        """
        unit = UNIT[quantity]
        if not math.isfinite(value):
            raise LimitError(f"{quantity} {what} {value!r} on {where} is no number; nothing was sent")
        for most, whose in (
            (ceiling.most(quantity), "its ceiling"),
            (self.most(quantity), "the instrument's range"),
        ):
            if not _within(value, most):
                raise LimitError(
                    f"{quantity} {what} {format_quantity(value, unit, 7)} on {where} exceeds {whose} "
                    f"of {format_quantity(most, unit, 7)}; nothing was sent"
                )

    def check_nplc(self, where: str, nplc: float) -> None:
        """Refuse an integration time that the instrument does not have.

        Raises
        ------
        LimitError
        """
        least, most = self.nplc
        if not least <= nplc <= most:
            raise LimitError(
                f"integration time {nplc:g} NPLC on {where} is outside the instrument's {least:g} to "
                f"{most:g} NPLC; nothing was sent"
            )


def _within(value: float, most: float) -> bool:
    return abs(value) <= most * (1 + ROUNDING)
