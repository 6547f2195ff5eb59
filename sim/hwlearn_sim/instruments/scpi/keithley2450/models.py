"""Models of the Keithley 2450 family: ranges, protection limits, ohms ranges.

Sources: Model 2450 Reference Manual (2450-901-01), p. 2-101, 6-50 to 6-53 and 6-73; Model 2461 Reference Manual
(2461-901-01), p. 6-126 and 8-166; data sheets of the 2450, 2460 and 2461. The noise is an assumption of this
project: 1 ppm of range at one power-line cycle. The test currents are those of the 2400 series (User's Manual
table 4-1), whose column for high currents is assumed for the 2460 and the 2461.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from hwlearn_sim.instruments.capability import ChannelCapability
from hwlearn_sim.instruments.ranges import Ranges
from hwlearn_sim.instruments.scpi.auto_ohms import OhmsRange
from hwlearn_sim.instruments.scpi.keithley2400.models import OHMS

_VOLTS: Final = (0.02, 0.2, 2.0, 20.0, 200.0)
_AMPS: Final = (1e-8, 1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 0.1, 1.0)
_VOLTS_2460: Final = (0.2, 2.0, 7.0, 10.0, 20.0, 100.0)
_AMPS_2460: Final = (1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 0.1, 1.0, 4.0, 5.0, 7.0)

_OHMS_2460: Final = (OhmsRange(2.0, 1.0, 2.0), *OHMS[:5], OhmsRange(2e6, 1e-5, 20.0), *OHMS[6:])


@dataclass(frozen=True, slots=True)
class Model2450:
    """One model of the family.

    Attributes
    ----------
    number : str
        Model number in the reply to ``*IDN?``.
    capability : ChannelCapability
        Its channel.
    ohms : tuple of OhmsRange
        Ranges of automatic ohms.
    default_ohms : float
        Full scale of the ohms range after a reset.
    """

    number: str
    capability: ChannelCapability
    ohms: tuple[OhmsRange, ...]
    default_ohms: float


def _capability(
    volts: tuple[float, ...],
    amps: tuple[float, ...],
    defaults: tuple[float, float],
    protections: tuple[float, ...],
) -> ChannelCapability:
    return ChannelCapability(
        measures={
            "voltage": Ranges.decades(volts, 2_000_000, 1e-6),
            "current": Ranges.decades(amps, 1_000_000, 1e-6),
        },
        sources={"voltage": Ranges.decades(volts, 40_000), "current": Ranges.decades(amps, 20_000)},
        default_limits={"current": 105e-6, "voltage": 21.0},
        least_limits={"current": 1e-9, "voltage": 0.02},
        nplc=(0.01, 10.0),
        off_fraction=0.1,
        default_ranges={("measure", "voltage"): defaults[0], ("measure", "current"): defaults[1]},
        protections=protections,
    )


_2450: Final = _capability(_VOLTS, _AMPS, (20.0, 1e-4), (2, 5, 10, 20, 40, 60, 80, 100, 120, 140, 160, 180))
_2460: Final = _capability(_VOLTS_2460, _AMPS_2460, (2.0, 1e-6), (2, 5, 10, 20, 40, 60, 80, 100))

MODELS: Final = {
    "2450": Model2450("2450", _2450, OHMS, 2e5),
    "2460": Model2450("2460", _2460, _OHMS_2460, 2e8),
    "2461": Model2450("2461", _2460, _OHMS_2460, 2e8),
}
"""The models by number."""
