"""Keithley 2400 series: operating ranges.

Sources: Series 2400 SourceMeter User's Manual (2400S-900-01): operating boundaries p. 6-13, measuring ranges p.
18-62, source ranges p. 18-75, levels p. 18-78, output mode of the 2430 p. 18-72; data sheets SPEC-2400 Rev. H,
SPEC-2420 Rev. C, SPEC-2425 Rev. C and SPEC-2440 Rev. C; Model 2430 Service Manual, table B-2. Each row names its
own. The source resolutions of the 2430 and of the 2440 were not found; theirs are those of the coarsest model, the
2425.
"""

from __future__ import annotations

from typing import Final

from hwlearn_drivers.instrument.voltage_noise import VoltageNoise, rms
from hwlearn_drivers.smu.operating_range import LevelRange, OperatingRange, level_ranges

_NPLC: Final = (0.01, 10.0)
_LOW_V: Final = (LevelRange(0.2, 5e-6), LevelRange(2.0, 5e-5), LevelRange(20.0, 5e-4))
_VOLTS: Final = (*_LOW_V, LevelRange(200.0, 5e-3))
_FROM_10_UA: Final = level_ranges(2e4, 1e-5, 1e-4, 1e-3, 1e-2, 0.1, 1.0)
_AMPERES: Final = (LevelRange(1e-6, 5e-11), *_FROM_10_UA)
_RESOLUTION_V: Final = (1e-6, 1e-5, 1e-4)

_MANUAL: Final = "Series 2400 User's Manual (2400S-900-01), p. 18-75 and 18-78"
_BOUNDARIES: Final = "Series 2400 User's Manual (2400S-900-01), p. 6-13 and 18-62"
_SPEC_2400: Final = "SPEC-2400 Rev. H, pages 1 and 2"
_SPEC_2420: Final = "SPEC-2420 Rev. C, page 1"
_SPEC_2425: Final = "SPEC-2425 Rev. C, pages 1 and 2"
_SPEC_2440: Final = "SPEC-2440 Rev. C, page 2"

_2400: Final = OperatingRange(
    ((21.0, 1.05), (210.0, 0.105)),
    _NPLC,
    _VOLTS,
    _AMPERES,
    noise=VoltageNoise(rms(5e-6, 5e-5, 5e-4, 5e-3), (*_RESOLUTION_V, 1e-3)),
    sources=(_MANUAL, _SPEC_2400),
)
_2400_LV: Final = OperatingRange(
    ((21.0, 1.05),),
    _NPLC,
    _LOW_V,
    _AMPERES,
    noise=VoltageNoise(rms(5e-6, 5e-5, 5e-4), _RESOLUTION_V),
    sources=(_MANUAL, _SPEC_2400),
)
_2420: Final = OperatingRange(
    ((21.0, 3.15), (63.0, 1.05)),
    _NPLC,
    (*_LOW_V, LevelRange(60.0, 1.5e-3)),
    (*_FROM_10_UA, LevelRange(3.0, 5e-5)),
    noise=VoltageNoise(rms(5e-6, 5e-5, 5e-4, 1.5e-3), (*_RESOLUTION_V, 1e-3)),
    sources=(_MANUAL, _SPEC_2420),
)
_2425: Final = OperatingRange(
    ((21.0, 3.15), (105.0, 1.05)),
    _NPLC,
    (*_LOW_V, LevelRange(100.0, 2.5e-3)),
    (*_FROM_10_UA, LevelRange(3.0, 5e-4)),
    noise=VoltageNoise(rms(1e-5, 5e-5, 5e-4, 2.5e-3), (*_RESOLUTION_V, 1e-3)),
    sources=(_BOUNDARIES, _MANUAL, _SPEC_2425),
)
_2440: Final = OperatingRange(
    ((10.5, 5.25), (42.0, 1.05)),
    _NPLC,
    (*_LOW_V[:2], LevelRange(10.0, 5e-4), LevelRange(40.0, 2.5e-3)),
    (*_FROM_10_UA, LevelRange(5.0, 5e-4)),
    sources=("Series 2400 User's Manual (2400S-900-01), p. 6-9, 18-75 and 18-78", _SPEC_2440),
)

RANGES: Final = {
    "2400": _2400,
    "2400-C": _2400,
    "2400-LV": _2400_LV,
    "2401": OperatingRange(((21.0, 1.05),), _NPLC, _LOW_V, _AMPERES, sources=(_MANUAL,)),
    "2410": OperatingRange(
        ((21.0, 1.05), (1100.0, 0.021)),
        _NPLC,
        (*_LOW_V, LevelRange(1000.0, 5e-2)),
        level_ranges(2e4, 1e-6, 1e-5, 1e-4, 1e-3, 2e-2, 0.1, 1.0),
        sources=(
            "Series 2400 User's Manual (2400S-900-01), table 3-1 and p. 18-62",
            "data sheet of the Series 2400",
        ),
    ),
    "2420": _2420,
    "2420-C": _2420,
    "2425": _2425,
    "2425-C": _2425,
    "2430": OperatingRange(
        _2425.regions,
        _NPLC,
        _2425.volts,
        _2425.amperes,
        direct_current=":SOUR:FUNC:SHAP DC",  # pulses of up to 10.5 A at 105 V are never used
        sources=(_BOUNDARIES, _MANUAL, "Model 2430 Service Manual, table B-2"),
    ),
    "2440": _2440,
    "2440-C": _2440,
}
"""Operating range by model number. Models with the letter C have a contact check, which is not used."""

REFUSED: Final[dict[str, str]] = {}
"""Models of this family whose figures are not confirmed, with the reason."""
