"""Models of the Keithley 2400 series: ranges, protection limits, ohms ranges.

Source: Series 2400 SourceMeter User's Manual: ranges of section 3 and appendix A, protection limits p. 3-12, test
currents table 4-1, operating boundaries p. 6-13, defaults p. 18-64 and 18-75, output mode of the 2430 p. 18-72.
The resolutions and the test currents of the high-current models are those of the data sheets SPEC-2400, SPEC-2420,
SPEC-2425 and SPEC-2440; the source resolutions of the 2430 and 2440 are assumed to be those of the 2425. The noise
is an assumption of this project: 3 ppm of range at one power-line cycle.
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
    ohms : tuple of OhmsRange
        Ranges of automatic ohms.
    has_pulse_mode : bool
        Whether it has an output mode for pulses, which is not modelled.
    """

    number: str
    capability: ChannelCapability
    ohms: tuple[OhmsRange, ...] = OHMS
    has_pulse_mode: bool = False


def _capability(
    volts: tuple[Ranges, Ranges],
    amps: tuple[Ranges, Ranges],
    protections: tuple[float, ...],
    area: tuple[tuple[float, float], ...],
) -> ChannelCapability:
    """Return the capability for the ranges of meter and source."""
    middle = volts[0].each[2].full_scale
    return ChannelCapability(
        measures={"voltage": volts[0], "current": amps[0]},
        sources={"voltage": volts[1], "current": amps[1]},
        default_limits={"current": 105e-6, "voltage": 21.0},
        least_limits={"current": 1e-9, "voltage": 2e-4},
        nplc=(0.01, 10.0),
        off_fraction=0.005,
        limit_in_range=True,
        default_ranges={
            ("measure", "voltage"): middle,
            ("measure", "current"): 1e-4,
            ("source", "voltage"): middle,
            ("source", "current"): 1e-4,
        },
        protections=protections,
        area=area,
        area_error=(826, "Attempt to exceed power limit"),
    )


def _volts(*full_scales: float, above: tuple[tuple[float, float, float], ...] = ()) -> tuple[Ranges, Ranges]:
    """Return the ranges of meter and source.

    Parameters
    ----------
    *full_scales : float
        Ranges with the resolutions of the 2400.
    above : tuple of (float, float, float)
        Larger ranges: full scale, step of the meter, step of the source. That of 1 kV ends at 1.1 kV.
    """
    meters, sources = Ranges.decades(full_scales, 200_000, 3e-6), Ranges.decades(full_scales, 40_000)
    most = [1.1 if full > 200 else None for full, _, _ in above]
    return (
        Ranges(
            (*meters.each, *(Range(v, step, 3e-6 * v, o) for (v, step, _), o in zip(above, most, strict=True)))
        ),
        Ranges((*sources.each, *(Range(v, step, over=o) for (v, _, step), o in zip(above, most, strict=True)))),
    )


def _amps(*full_scales: float, above: tuple[float, float] | None = None) -> tuple[Ranges, Ranges]:
    """Return the ranges of meter and source; ``above``: one more range, and the step of its source."""
    meters, sources = Ranges.decades(full_scales, 100_000, 3e-6), Ranges.decades(full_scales, 20_000)
    if above is None:
        return meters, sources
    most, step = above
    return Ranges((*meters.each, Range(most, 1e-5, 3e-6 * most))), Ranges((*sources.each, Range(most, step)))


_LOW: Final = _VOLTS[:3]
_20_W: Final = ((21.0, 1.05), (210.0, 0.105))
_OHMS_HIGH: Final = (OhmsRange(2.0, 1.0, 2.0), *OHMS[:5], OhmsRange(2e6, 1e-5, 20.0), OHMS[6])
_OHMS_2440: Final = (*_OHMS_HIGH[:6], OhmsRange(2e6, 5e-6, 10.0), OhmsRange(2e7, 5e-7, 10.0))

_2400: Final = _capability(_volts(*_VOLTS), _amps(*_AMPS), (20, 40, 60, 80, 100, 120, 160), _20_W)
_2401: Final = _capability(_volts(*_LOW), _amps(*_AMPS), (20,), _20_W[:1])
_2420: Final = _capability(
    _volts(*_LOW, above=((60.0, 1e-3, 1.5e-3),)),
    _amps(*_AMPS[1:], above=(3.0, 5e-5)),
    (6, 12, 18, 24, 30, 36, 48),
    ((21.0, 3.15), (63.0, 1.05)),
)
_2425: Final = _capability(
    _volts(*_LOW, above=((100.0, 1e-3, 2.5e-3),)),
    _amps(*_AMPS[1:], above=(3.0, 5e-4)),
    (10, 20, 30, 40, 50, 60, 80),
    ((21.0, 3.15), (105.0, 1.05)),
)
_2440: Final = _capability(
    _volts(*_LOW[:2], above=((10.0, 1e-4, 5e-4), (40.0, 1e-3, 2.5e-3))),
    _amps(*_AMPS[1:], above=(5.0, 5e-4)),
    (4, 8, 12, 16, 20, 24, 32),
    ((10.5, 5.25), (42.0, 1.05)),
)

MODELS: Final = {
    row.number: row
    for row in (
        Model2400("2400", _2400),
        Model2400("2400-C", _2400),
        Model2400("2400-LV", _2401),
        Model2400("2401", _2401),
        Model2400(
            "2410",
            _capability(
                _volts(*_LOW, above=((1000.0, 0.01, 0.05),)),
                _amps(*_AMPS_2410),
                (20, 40, 100, 200, 300, 400, 500),
                ((21.0, 1.05), (1100.0, 0.021)),
            ),
        ),
        Model2400("2420", _2420, _OHMS_HIGH),
        Model2400("2420-C", _2420, _OHMS_HIGH),
        Model2400("2425", _2425, _OHMS_HIGH),
        Model2400("2425-C", _2425, _OHMS_HIGH),
        Model2400("2430", _2425, _OHMS_HIGH, has_pulse_mode=True),
        Model2400("2440", _2440, _OHMS_2440),
        Model2400("2440-C", _2440, _OHMS_2440),
    )
}
"""The models by number."""
