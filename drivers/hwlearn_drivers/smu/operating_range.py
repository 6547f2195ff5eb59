"""`OperatingRange` of a model and `ChannelLimit` set by the user: values beyond either one are never sent."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from hwlearn.errors import LimitError
from hwlearn.units import ROUNDING, format_quantity

Quantity = Literal["voltage", "current"]
"""The quantity that a source sets; its limit applies to the other one."""

UNIT: dict[Quantity, str] = {"voltage": "V", "current": "A"}


def other(quantity: Quantity) -> Quantity:
    """Return the quantity that a source of this one limits and measures."""
    return "current" if quantity == "voltage" else "voltage"


@dataclass(frozen=True, slots=True)
class ChannelLimit:
    """Maximum absolute voltage and current of a channel, as levels, limits (compliance) and ranges.

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
                    f"the channel limit in {name} of an SMU channel is {value}; it must be positive and finite"
                )

    def most(self, quantity: Quantity) -> float:
        """Return the maximum of a quantity."""
        return self.volts if quantity == "voltage" else self.amperes


@dataclass(frozen=True, slots=True)
class OperatingRange:
    """The range in which a model can operate.

    Attributes
    ----------
    regions : tuple of (float, float)
        Maximum absolute volts and amperes of each operating region. Level and limit must lie inside one of them.
    nplc : (float, float)
        Minimum and maximum integration time in power line cycles.
    scales : tuple of (float, ...)
        Full scales of the source ranges in rising order: volts, amperes.
    counts : float
        Full scale divided by the resolution of levels and limits.
    channels : int
    """

    regions: tuple[tuple[float, float], ...]
    nplc: tuple[float, float]
    scales: tuple[tuple[float, ...], tuple[float, ...]]
    counts: float
    channels: int = 1

    def resolution(self, quantity: Quantity, reach: float) -> float:
        """Return the resolution of levels and limits, in the smallest source range that covers ``reach``."""
        scales = self.scales[quantity == "current"]
        return next((full for full in scales if _within(reach, full)), scales[-1]) / self.counts

    def most(self, quantity: Quantity) -> float:
        """Return the maximum of a quantity over all regions."""
        return max(region[quantity == "current"] for region in self.regions)

    def check(self, where: str, quantity: Quantity, level: float, limit: float, allowed: ChannelLimit) -> None:
        """Reject a source level and its limit if one of them is beyond the channel limit or this range.

        Raises
        ------
        LimitError
            Naming channel, value, limit and unit.
        """
        self.check_one(where, quantity, level, allowed, "level")
        self.check_one(where, other(quantity), limit, allowed, "limit")
        if not limit > 0:
            raise LimitError(
                f"{other(quantity)} limit {limit!r} {UNIT[other(quantity)]} on {where} must be positive; "
                "nothing was sent"
            )
        volts, amperes = (level, limit) if quantity == "voltage" else (limit, level)
        if not any(_within(volts, corner[0]) and _within(amperes, corner[1]) for corner in self.regions):
            corners = " or ".join(
                f"{format_quantity(v, 'V')} at {format_quantity(a, 'A')}" for v, a in self.regions
            )
            raise LimitError(
                f"{format_quantity(abs(volts), 'V')} with {format_quantity(abs(amperes), 'A')} on {where} is "
                f"beyond the instrument, which supplies at most {corners}; nothing was sent"
            )

    def check_one(self, where: str, quantity: Quantity, value: float, allowed: ChannelLimit, kind: str) -> None:
        """Reject a value that is not finite, or beyond the channel limit or this range.

        Raises
        ------
        LimitError
        """
        unit = UNIT[quantity]
        if not math.isfinite(value):
            raise LimitError(f"{quantity} {kind} {value!r} on {where} is not finite; nothing was sent")
        for most, bound in (
            (allowed.most(quantity), "its channel limit"),
            (self.most(quantity), "the instrument's range"),
        ):
            if not _within(value, most):
                raise LimitError(
                    f"{quantity} {kind} {format_quantity(value, unit, 7)} on {where} exceeds {bound} "
                    f"of {format_quantity(most, unit, 7)}; nothing was sent"
                )

    def check_nplc(self, where: str, nplc: float) -> None:
        """Reject an integration time that the instrument does not support.

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
