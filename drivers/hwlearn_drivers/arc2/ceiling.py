"""`Arc2Ceiling`: what the driver never asks of an ArC TWO, whoever calls it."""

from __future__ import annotations

from dataclasses import dataclass

from hwlearn.errors import LimitError
from hwlearn.units import ROUNDING, format_quantity
from hwlearn_drivers.arc2.library import FULL_SCALE_V, LONGEST_S, SHORTEST_S


@dataclass(frozen=True, slots=True)
class Arc2Ceiling:
    """The last check before the vendor's library.

    Attributes
    ----------
    volts : float
        Most volts at which a channel is held while something is read; either sign.
    pulse_volts : float
        Most volts of a pulse between its two channels; each takes half of it.

    Raises
    ------
    LimitError
        If one is not positive, or is beyond what a channel makes: the vendor's library would clip it.
    """

    volts: float
    pulse_volts: float

    def __post_init__(self) -> None:
        for what, asked, most in (
            ("volts", self.volts, FULL_SCALE_V),
            ("pulse volts", self.pulse_volts, 2 * FULL_SCALE_V),
        ):
            if not 0 < asked <= most:
                raise LimitError(
                    f"an ArC TWO may be allowed up to {most:g} V of {what}, not {format_quantity(asked, 'V')}"
                )

    # all written so that NaN is refused

    def check_volts(self, name: str, volts: float) -> None:
        """Refuse a level; ``name`` is how the message calls the instrument.

        Raises
        ------
        LimitError
            If it is no number or beyond the ceiling; nothing was applied.
        """
        if not abs(volts) <= self.volts * (1 + ROUNDING):
            raise LimitError(
                f"{format_quantity(volts, 'V')} on a channel of {name} exceeds its ceiling of "
                f"{format_quantity(self.volts, 'V')}; nothing was applied"
            )

    def check_pulse(self, name: str, volts: float, width_s: float) -> None:
        """Refuse a pulse.

        Raises
        ------
        LimitError
            If its voltage is zero, no number or beyond the ceiling, or the instrument makes no such width;
            nothing was applied.
        """
        if not 0 < abs(volts) <= self.pulse_volts * (1 + ROUNDING):
            raise LimitError(
                f"a pulse of {format_quantity(volts, 'V')} on {name} is none of up to "
                f"{format_quantity(self.pulse_volts, 'V')}; nothing was applied"
            )
        if not SHORTEST_S * (1 - ROUNDING) <= width_s < LONGEST_S:
            raise LimitError(
                f"a pulse of {format_quantity(width_s, 's')} is none that {name} makes, "
                f"{format_quantity(SHORTEST_S, 's')} to {format_quantity(LONGEST_S, 's')}; nothing was applied"
            )
