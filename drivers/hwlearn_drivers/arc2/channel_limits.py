"""`Arc2ChannelLimits`: limits of every level and pulse, checked last before the vendor's library is called."""

from __future__ import annotations

from dataclasses import dataclass

from hwlearn.errors import LimitError
from hwlearn.units import ROUNDING, format_quantity
from hwlearn_drivers.arc2.library import FULL_SCALE_V, LONGEST_S, SHORTEST_S


@dataclass(frozen=True, slots=True)
class Arc2ChannelLimits:
    """Limits of the levels and pulses of all channels.

    Attributes
    ----------
    volts : float
        Maximum magnitude of a held level in volts.
    pulse_volts : float
        Maximum magnitude of a pulse between its two channels in volts; each channel applies half of it.

    Raises
    ------
    LimitError
        If a limit is not positive or exceeds the range of a channel, where the vendor's library would clip.
    """

    volts: float
    pulse_volts: float

    def __post_init__(self) -> None:
        for what, limit, most in (
            ("levels", self.volts, FULL_SCALE_V),
            ("pulses", self.pulse_volts, 2 * FULL_SCALE_V),
        ):
            if not 0 < limit <= most:
                raise LimitError(
                    f"the limit of {what} on an ArC TWO is {format_quantity(limit, 'V')}; "
                    f"it must be positive and at most {most:g} V"
                )

    # comparisons are written so that NaN is refused

    def check_volts(self, name: str, volts: float) -> None:
        """Refuse a level outside the limits; ``name`` is the instrument's name in the message.

        Raises
        ------
        LimitError
            If the level is NaN or exceeds the channel limit; nothing was applied.
        """
        if not abs(volts) <= self.volts * (1 + ROUNDING):
            raise LimitError(
                f"{format_quantity(volts, 'V')} on a channel of {name} exceeds the channel limit of "
                f"{format_quantity(self.volts, 'V')}; nothing was applied"
            )

    def check_pulse(self, name: str, volts: float, width_s: float) -> None:
        """Refuse a pulse outside the limits.

        Raises
        ------
        LimitError
            If the voltage is zero, NaN or exceeds the limit, or the instrument does not support the width; nothing
            was applied.
        """
        if not 0 < abs(volts) <= self.pulse_volts * (1 + ROUNDING):
            raise LimitError(
                f"a pulse of {format_quantity(volts, 'V')} on {name} is zero or exceeds the channel limit of "
                f"{format_quantity(self.pulse_volts, 'V')}; nothing was applied"
            )
        if not SHORTEST_S * (1 - ROUNDING) <= width_s < LONGEST_S:
            raise LimitError(
                f"{name} makes pulses of {format_quantity(SHORTEST_S, 's')} to less than "
                f"{format_quantity(LONGEST_S, 's')}, not {format_quantity(width_s, 's')}; nothing was applied"
            )
