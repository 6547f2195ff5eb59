"""What a scanning voltmeter can do, from its data sheet: ranges, integration times, noise, cards."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from hwlearn.errors import SetupError
from hwlearn.units import format_quantity

_UNIFORM = math.sqrt(12)


@dataclass(frozen=True, slots=True)
class Integration:
    """One integration time that can be set.

    Attributes
    ----------
    resolution : float
        Smallest difference of two readings, as a fraction of the range.
    noise : float or None
        Additional noise error, as a fraction of the range; None if the data sheet of the model does not state it.
    """

    resolution: float
    noise: float | None = None


@dataclass(frozen=True, slots=True)
class ScannerCapability:
    """The voltmeter of a model and the cards that fit into it.

    Attributes
    ----------
    ranges_V : tuple of float
        Rising.
    integrations : mapping of float to Integration
        By power line cycles.
    sigmas : float
        Standard deviations that the figures of the data sheet stand for.
    input_ohm : float
        Input resistance.
    high_up_to_V : float
        Largest range for which a high input resistance can be selected.
    most_delay_s, delay_step_s : float
        Longest channel delay, and its step.
    cards : mapping of str to int
        Multiplexer cards: model -> number of channels that read voltages, from 1.
    slots : tuple of int
    least_channels : int
        Fewest channels of a scan list.
    """

    ranges_V: tuple[float, ...]
    integrations: Mapping[float, Integration]
    sigmas: float
    input_ohm: float
    high_up_to_V: float
    most_delay_s: float
    delay_step_s: float
    cards: Mapping[str, int]
    slots: tuple[int, ...]
    least_channels: int = 1

    def range_for(self, volts: float) -> float:
        """Return the smallest range whose full scale is at least these volts.

        Raises
        ------
        SetupError
        """
        for one in self.ranges_V:
            if one >= volts:
                return one
        raise SetupError(
            f"{format_quantity(volts, 'V')} is beyond the largest range, {format_quantity(self.ranges_V[-1], 'V')}"
        )

    def resolution_V(self, range_V: float, nplc: float) -> float:
        """Return the smallest difference of two readings in volts."""
        return self.integrations[nplc].resolution * range_V

    def sigma_V(self, range_V: float, nplc: float) -> float | None:
        """Return the standard uncertainty of the noise of one reading in volts; None if it is not known.

        The additional noise error of the data sheet divided by the number of standard deviations that it stands
        for, and the rounding to the resolution.
        """
        noise = self.integrations[nplc].noise
        if noise is None:
            return None
        return math.hypot(noise * range_V / self.sigmas, self.resolution_V(range_V, nplc) / _UNIFORM)

    def check_nplc(self, nplc: float) -> None:
        """Refuse an integration time that cannot be set; the instrument would choose another one.

        Raises
        ------
        SetupError
        """
        if nplc not in self.integrations:
            known = ", ".join(f"{one:g}" for one in self.integrations)
            raise SetupError(f"nplc = {nplc:g} cannot be set; it can be: {known}")

    def check_delay(self, seconds: float) -> None:
        """Refuse a channel delay that is too long or between two steps.

        Raises
        ------
        SetupError
        """
        steps = seconds / self.delay_step_s
        if seconds > self.most_delay_s or abs(steps - round(steps)) > 1e-6:
            raise SetupError(
                f"channel_delay = {format_quantity(seconds, 's')} cannot be set; it can be 0 s to "
                f"{format_quantity(self.most_delay_s, 's')} in steps of {format_quantity(self.delay_step_s, 's')}"
            )

    def check_impedance(self, high: bool, range_V: float) -> None:
        """Refuse the high input resistance on a range that does not have it.

        Raises
        ------
        SetupError
        """
        if high and not self.high_up_to_V:
            raise SetupError(
                f"high_impedance = true: this model has {format_quantity(self.input_ohm, 'ohm')} on every range; "
                "leave it out"
            )
        if high and range_V > self.high_up_to_V:
            raise SetupError(
                f"high_impedance = true: the {format_quantity(range_V, 'V')} range has "
                f"{format_quantity(self.input_ohm, 'ohm')}; the high input resistance is for ranges up to "
                f"{format_quantity(self.high_up_to_V, 'V')}"
            )


@dataclass(frozen=True, slots=True)
class ScanSettings:
    """Settings of the voltmeter, equal for all channels.

    Attributes
    ----------
    range_V : float
        A range of the model; it is never changed automatically.
    nplc : float
        Integration time in power line cycles.
    autozero : bool
        A zero reading after each reading.
    high_impedance : bool
        The high input resistance instead of the usual one.
    delay_s : float
        Wait between closing a channel and reading it.
    """

    range_V: float
    nplc: float
    autozero: bool
    high_impedance: bool
    delay_s: float
