"""Models of the Keithley 2600 series and their capabilities.

Ranges and resolutions: data sheet of the Series 2600B; for models without a letter Series 2600 Reference Manual
(2600S-901-01), table 6-1 and p. 6-3, with the resolutions of the 2600B; for the 2651A its Reference Manual
(2651A-901-01 Rev. A), p. 2-12 and 4-6, with assumed resolutions. Ranges for pulses are left out. The noise is an
assumption of this project: 1.5 ppm of range at one power-line cycle.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from hwlearn_sim.instruments.capability import ChannelCapability
from hwlearn_sim.instruments.ranges import Range, Ranges
from hwlearn_sim.instruments.tsp.smu import Area

_NOISE: Final = 1.5e-6
_OVER: Final = 1.01
_HIGH: Final = (0.2, 2.0, 20.0, 200.0)
_LOW: Final = (0.1, 1.0, 6.0, 40.0)
_TO_1A: Final = (1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 0.1, 1.0)


@dataclass(frozen=True, slots=True)
class ModelRow:
    """One model of the series.

    Attributes
    ----------
    model : str
        Model number.
    channels : int
        Number of channels.
    capability : ChannelCapability
        Specifications of each channel.
    area : Area
        Safe operating area of each channel.
    has_trigger_model : bool
        Whether it has ``smua.trigger``, which came with the 2600A.
    """

    model: str
    channels: int
    capability: ChannelCapability
    area: Area
    has_trigger_model: bool = True


def _capability(
    volts: tuple[float, ...],
    low_amps: tuple[float, ...],
    low_source: tuple[float, ...],
    most_A: float,
    limit_V: float,
) -> ChannelCapability:
    """Return the capability of a model: its largest current range has the absolute resolution of the 1 A range."""
    meters = Ranges.decades((*low_amps, *_TO_1A), 1_000_000, _NOISE).each
    sources = Ranges.decades((*low_source, *_TO_1A), 50_000).each
    return ChannelCapability(
        measures={
            "voltage": Ranges.decades(volts, 2_000_000, _NOISE, over=_OVER),
            "current": Ranges((*meters, Range(most_A, 1e-6, most_A * _NOISE)), over=_OVER),
        },
        sources={
            "voltage": Ranges.decades(volts, 40_000, over=_OVER),
            "current": Ranges((*sources, Range(most_A, 5e-5)), over=_OVER),
        },
        default_limits={"current": 0.1 if most_A < 3 else 1.0, "voltage": limit_V},
        least_limits={"current": min(1e-8, *low_source, 1e-8), "voltage": volts[0] / 10},
        nplc=(0.001, 25.0),
        off_limit_A=1e-3,
        simultaneous=True,
        coupled_ranges=True,
    )


_2600: Final = _capability(_LOW, (), (), 3.0, 40.0)
_2610: Final = _capability(_HIGH, (), (), 1.5, 20.0)
_2634: Final = _capability(_HIGH, (1e-9, 1e-8), (1e-9, 1e-8), 1.5, 20.0)
_2630: Final = _capability(_HIGH, (1e-10, 1e-9, 1e-8), (1e-9, 1e-8), 1.5, 20.0)
_2651_V: Final = (0.1, 1.0, 10.0, 20.0, 40.0)
_2651_A: Final = (1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 0.1, 1.0, 5.0, 10.0, 20.0)
_2651: Final = replace(
    _2600,
    measures={
        "voltage": Ranges.decades(_2651_V, 1_000_000, _NOISE, over=_OVER),
        "current": Ranges.decades(_2651_A, 1_000_000, _NOISE, over=_OVER),
    },
    sources={
        "voltage": Ranges.decades(_2651_V, 40_000, over=_OVER),
        "current": Ranges.decades(_2651_A, 50_000, over=_OVER),
    },
)
_AREA_2651: Final[Area] = ((10.0, 20.0), (20.0, 10.0), (40.0, 5.0))
_AREA_LOW: Final[Area] = ((6.0, 3.0), (40.0, 1.0))
_AREA_HIGH: Final[Area] = ((20.0, 1.5), (200.0, 0.1))

SERIES: Final = {
    row.model: row
    for row in (
        ModelRow("2601", 1, _2600, _AREA_LOW, has_trigger_model=False),
        ModelRow("2602", 2, _2600, _AREA_LOW, has_trigger_model=False),
        ModelRow("2611", 1, _2610, _AREA_HIGH, has_trigger_model=False),
        ModelRow("2612", 2, _2610, _AREA_HIGH, has_trigger_model=False),
        ModelRow("2635", 1, _2630, _AREA_HIGH, has_trigger_model=False),
        ModelRow("2636", 2, _2630, _AREA_HIGH, has_trigger_model=False),
        ModelRow("2601A", 1, _2600, _AREA_LOW),
        ModelRow("2602A", 2, _2600, _AREA_LOW),
        ModelRow("2611A", 1, _2610, _AREA_HIGH),
        ModelRow("2612A", 2, _2610, _AREA_HIGH),
        ModelRow("2635A", 1, _2630, _AREA_HIGH),
        ModelRow("2636A", 2, _2630, _AREA_HIGH),
        ModelRow("2651A", 1, _2651, _AREA_2651),
        ModelRow("2601B", 1, _2600, _AREA_LOW),
        ModelRow("2602B", 2, _2600, _AREA_LOW),
        ModelRow("2604B", 2, _2600, _AREA_LOW),
        ModelRow("2611B", 1, _2610, _AREA_HIGH),
        ModelRow("2612B", 2, _2610, _AREA_HIGH),
        ModelRow("2614B", 2, _2610, _AREA_HIGH),
        ModelRow("2634B", 2, _2634, _AREA_HIGH),
        ModelRow("2635B", 1, _2630, _AREA_HIGH),
        ModelRow("2636B", 2, _2630, _AREA_HIGH),
    )
}
"""Models by number."""
