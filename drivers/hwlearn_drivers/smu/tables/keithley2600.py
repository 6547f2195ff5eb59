"""Keithley 2600 series: operating ranges.

Sources: data sheet of the Series 2600B; SPEC-2602B Rev. B, page 2 (noise); Series 2600 Reference Manual
(2600S-901-01 Rev. A), table 6-1 and p. 8-18, and Rev. C, p. 6-3; Series 2600A Reference Manual (2600AS-901-01 Rev.
B), p. 6-3 and 19-136; Model 2651A Reference Manual (2651A-901-01 Rev. A), p. 2-12, 2-66, 2-71 and 4-6. Ranges for
pulses (10 A, 50 A) are left out. The trigger model came with the 2600A. The source resolution of the 2651A was not
found; levels that are read back are compared within 1/5000 of the range.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from hwlearn_drivers.instrument.voltage_noise import VoltageNoise, rms
from hwlearn_drivers.smu.operating_range import OperatingRange, level_ranges

_NPLC: Final = (0.001, 25.0)
_COUNTS: Final = 2e4  # 5 uV to 5 mV, 2 pA to 50 uA
_TO_1A: Final = (1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 0.1, 1.0)
_LOW_REGIONS: Final = ((6.06, 3.03), (40.4, 1.01))
_HIGH_REGIONS: Final = ((20.2, 1.515), (202.0, 0.101))
_LOW_V: Final = level_ranges(_COUNTS, 0.1, 1.0, 6.0, 40.0)
_HIGH_V: Final = level_ranges(_COUNTS, 0.2, 2.0, 20.0, 200.0)

_DATA_SHEET: Final = "data sheet of the Series 2600B"
_TABLE_6_1: Final = "Series 2600 Reference Manual (2600S-901-01 Rev. A), table 6-1"
_LIMITS_6_3: Final = "Series 2600 Reference Manual (2600S-901-01 Rev. C), p. 6-3"

_2601: Final = OperatingRange(
    _LOW_REGIONS,
    _NPLC,
    _LOW_V,
    level_ranges(_COUNTS, *_TO_1A, 3.0),
    sources=(_DATA_SHEET,),
)
_2601B: Final = replace(
    _2601,
    noise=VoltageNoise(
        rms(2e-5, 5e-5, 1e-4, 5e-4),
        (1e-7, 1e-6, 1e-6, 1e-5),
        {0.1: (1e-4,) * 4, 0.01: (8e-4, 7e-4, 7e-4, 7e-4), 0.001: (8e-3, 6e-3, 6e-3, 6e-3)},
    ),
    sources=(_DATA_SHEET, "SPEC-2602B Rev. B, page 2 (noise)"),
)
_2611: Final = OperatingRange(
    _HIGH_REGIONS, _NPLC, _HIGH_V, level_ranges(_COUNTS, *_TO_1A, 1.5), sources=(_DATA_SHEET,)
)
_2635: Final = OperatingRange(
    _HIGH_REGIONS, _NPLC, _HIGH_V, level_ranges(_COUNTS, 1e-9, 1e-8, *_TO_1A, 1.5), sources=(_DATA_SHEET,)
)


def _first_generation(like: OperatingRange, *sources: str) -> OperatingRange:
    """Return a row for a model without a letter: it has no trigger model."""
    return replace(like, has_trigger_model=False, sources=sources)


_OLD_2601: Final = _first_generation(
    _2601, _TABLE_6_1, "Series 2600 Reference Manual (2600S-901-01 Rev. A), p. 8-18", _LIMITS_6_3
)
_OLD_2611: Final = _first_generation(_2611, _TABLE_6_1, _LIMITS_6_3)
_OLD_2635: Final = _first_generation(
    _2635, _LIMITS_6_3, "Series 2600A Reference Manual (2600AS-901-01 Rev. B), p. 6-3 and 19-136"
)


def _pairs(like: OperatingRange, one: str, two: str) -> dict[str, OperatingRange]:
    """Return the rows of a model with one channel and of its counterpart with two."""
    return {one: like, two: replace(like, channels=2)}


RANGES: Final = {
    **_pairs(_OLD_2601, "2601", "2602"),
    **_pairs(_OLD_2611, "2611", "2612"),
    **_pairs(_OLD_2635, "2635", "2636"),
    **_pairs(_2601, "2601A", "2602A"),
    **_pairs(_2611, "2611A", "2612A"),
    **_pairs(_2635, "2635A", "2636A"),
    **_pairs(_2601B, "2601B", "2602B"),
    "2604B": replace(_2601B, channels=2),
    **_pairs(_2611, "2611B", "2612B"),
    "2614B": replace(_2611, channels=2),
    "2634B": replace(_2635, channels=2),
    **_pairs(_2635, "2635B", "2636B"),
    "2651A": OperatingRange(
        ((10.0, 20.2), (20.0, 10.1), (40.0, 5.05)),  # 202 W
        _NPLC,
        level_ranges(5e3, 0.1, 1.0, 10.0, 20.0, 40.0),
        level_ranges(5e3, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 0.1, 1.0, 5.0, 10.0, 20.0),
        sources=("Model 2651A Reference Manual (2651A-901-01 Rev. A), p. 2-12, 2-66, 2-71 and 4-6",),
    ),
}
"""Operating range by model number."""

REFUSED: Final = {
    "2657A": "its ranges up to 3000 V, what it supplies in each, and its interlock were not confirmed",
    "2606B": "its ranges were not confirmed; its manual (2606B-901-01) states nominal boundaries only",
    "2601B-PULSE": "it is a pulser, whose output is not direct current",
}
"""Models of this family whose figures are not confirmed, with the reason."""
