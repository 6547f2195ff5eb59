"""`OperatingRange` of a model and `ChannelLimit` set by the user: values beyond either one are never sent."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal

from hwlearn.errors import LimitError
from hwlearn.units import ROUNDING, format_quantity
from hwlearn_drivers.instrument.voltage_noise import VoltageNoise

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
class LevelRange:
    """One range of a source.

    Attributes
    ----------
    full_scale : float
        Volts or amperes.
    step : float
        Programming resolution: how far a value that is read back may differ from the one that was set.
    """

    full_scale: float
    step: float


def level_ranges(counts: float, *full_scales: float) -> tuple[LevelRange, ...]:
    """Return ranges, in rising order, whose step is the full scale divided by ``counts``."""
    return tuple(LevelRange(full, full / counts) for full in full_scales)


Regions = tuple[tuple[float, float], ...]
"""Maximum absolute volts and amperes of each operating region."""


@dataclass(frozen=True, slots=True)
class OperatingRange:
    """The range in which a model can operate: one row of the tables in `hwlearn_drivers.smu.tables`.

    Attributes
    ----------
    regions : tuple of (float, float)
        Maximum absolute volts and amperes of each operating region, for direct current. Level and limit must lie
        inside one of them. Regions for pulses are left out.
    nplc : (float, float)
        Minimum and maximum integration time in power line cycles.
    volts, amperes : tuple of LevelRange
        Source ranges in rising order, without those for pulses.
    channels : int
    shared_regions : tuple of (float, float)
        The regions of each channel if both channels are in use; empty: those of ``regions``.
    noise : VoltageNoise or None
        Noise of voltage readings; None if no data sheet that states it was found.
    interlock_V : float or None
        Voltage above which the manual requires a closed interlock; None if that is not known of the model.
    direct_current : str
        Command that selects direct current, of a model that also has a mode for pulses.
    has_trigger_model : bool
        Whether lists of levels can be run by the instrument.
    has_measure_ranges : bool
        Whether measuring ranges can be set. Otherwise they follow the source range and the limit.
    sources : tuple of str
        Where the figures are from: title, and page or table.
    """

    regions: Regions
    nplc: tuple[float, float]
    volts: tuple[LevelRange, ...]
    amperes: tuple[LevelRange, ...]
    channels: int = 1
    shared_regions: Regions = ()
    noise: VoltageNoise | None = None
    interlock_V: float | None = None
    direct_current: str = ""
    has_trigger_model: bool = True
    has_measure_ranges: bool = True
    sources: tuple[str, ...] = ()

    def with_channels_in_use(self, count: int) -> OperatingRange:
        """Return the operating range of each channel if this number of channels is in use."""
        return replace(self, regions=self.shared_regions) if count > 1 and self.shared_regions else self

    def scales(self, quantity: Quantity) -> tuple[LevelRange, ...]:
        """Return the source ranges of a quantity."""
        return self.volts if quantity == "voltage" else self.amperes

    def resolution(self, quantity: Quantity, reach: float) -> float:
        """Return the resolution of levels and limits, in the smallest source range that covers ``reach``."""
        return self.scales(quantity)[self._place(quantity, reach)].step

    def voltage_sigma(self, reach: float, nplc: float) -> float | None:
        """Return the standard uncertainty of one voltage reading in volts; None if no data sheet states it.

        Parameters
        ----------
        reach : float
            Largest voltage to be read; the smallest range that covers it counts.
        nplc : float
            Integration time in power line cycles.
        """
        if self.noise is None:
            return None
        place = self._place("voltage", reach)
        return self.noise.sigma_V(place, self.volts[place].full_scale, nplc)

    def _place(self, quantity: Quantity, reach: float) -> int:
        each = self.scales(quantity)
        return next((k for k, one in enumerate(each) if _within(reach, one.full_scale)), len(each) - 1)

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
