"""Models of the Keithley 2400 series: ranges, protection limits, ohms ranges.

Source: Series 2400 SourceMeter User's Manual: ranges of section 3 and appendix A, protection limits p. 3-12, test
currents table 4-1, defaults p. 18-64 and 18-75. The resolutions are those of the data sheet. The noise is an
assumption of this project: 3 ppm of range at one power-line cycle.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from hwlearn_sim.instruments.capability import ChannelCapability
from hwlearn_sim.instruments.ranges import Range, Ranges
from hwlearn_sim.instruments.scpi.auto_ohms import OhmsRange

_VOLTS: Final = (0.2, 2.0, 20.0, 200.0)
_AMPS: Final = (1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 0.1, 1.0)
_AMPS_2410: Final = (1e-6, 1e-5, 1e-4, 1e-3, 2e-2, 0.1, 1.0)

OHMS: Final = (
    OhmsRange(20.0, 0.1, 2.0),
    OhmsRange(200.0, 1e-2, 2.0),
    OhmsRange(2e3, 1e-3, 2.0),
    OhmsRange(2e4, 1e-4, 2.0),
    OhmsRange(2e5, 1e-5, 2.0),
    OhmsRange(2e6, 1e-6, 2.0),
    OhmsRange(2e7, 1e-6, 20.0),
    OhmsRange(2e8, 1e-7, 20.0),
)
"""Auto ohms test currents (table 4-1). The voltage range is the smallest that holds the drop at full scale."""


@dataclass(frozen=True, slots=True)
class Model2400:
    """One model of the series.

    Attributes
    ----------
    number : str
        Model number in the reply to ``*IDN?``.
    capability : ChannelCapability
        Its channel.
    """

    number: str
    capability: ChannelCapability


def _capability(
    volts: tuple[Range, ...], amps: tuple[float, ...], protections: tuple[float, ...]
) -> ChannelCapability:
    sources = tuple(Range(one.full_scale, float(f"{5 * one.step:.6g}"), over=one.over) for one in volts)
    return ChannelCapability(
        measures={"voltage": Ranges(volts), "current": Ranges.decades(amps, 100_000, 3e-6)},
        sources={"voltage": Ranges(sources), "current": Ranges.decades(amps, 20_000)},
        default_limits={"current": 105e-6, "voltage": 21.0},
        least_limits={"current": 1e-9, "voltage": 2e-4},
        nplc=(0.01, 10.0),
        off_fraction=0.005,
        limit_in_range=True,
        default_ranges={
            ("measure", "voltage"): 20.0,
            ("measure", "current"): 1e-4,
            ("source", "voltage"): 20.0,
            ("source", "current"): 1e-4,
        },
        protections=protections,
    )


def _volts(*full_scales: float) -> tuple[Range, ...]:
    return Ranges.decades(full_scales, 200_000, 3e-6).each


# the 1 kV range of the 2410 ends at 1100 V, in steps of 10 mV measured and 50 mV sourced
_KILOVOLT: Final = Range(1000.0, 0.01, 3e-3, over=1.1)

MODELS: Final = {
    "2400": Model2400("2400", _capability(_volts(*_VOLTS), _AMPS, (20, 40, 60, 80, 100, 120, 160))),
    "2401": Model2400("2401", _capability(_volts(*_VOLTS[:3]), _AMPS, (20,))),
    "2410": Model2400(
        "2410",
        _capability((*_volts(*_VOLTS[:3]), _KILOVOLT), _AMPS_2410, (20, 40, 100, 200, 300, 400, 500)),
    ),
}
"""The models by number."""
