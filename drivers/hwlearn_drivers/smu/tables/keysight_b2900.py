"""Keysight (Agilent) B2900 family: operating ranges.

Sources: Agilent B2900 SCPI Command Reference, edition 2, p. 2-24 to 2-27; data sheet of the B2900A series;
Keysight B2900 User's Guide, edition 5, table 2-4 (both channels in use); Keysight B2961A/B2962A SCPI Command
Reference, edition 6, tables 2-4 and 2-5 and p. 4-87 (integration time); B2961A/B2962A User's Guide, edition 3, p.
2-10 (measuring ranges follow source range and limit) and 6-3; data sheet of the B2961A, p. 16 and 19 (current
ranges). The 10 A range is for pulses only and is left out.

If both channels are in use, their currents I1 and I2 are limited together: I1 + I2 to 4 A if both are within 6 V,
to 2.5 A if both are beyond, and with the factors 1.6 and 0.625 between. Half of it for each channel, 2 A within 6
V and 1.25 A within 21 V, keeps every combination.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from hwlearn_drivers.smu.operating_range import OperatingRange, level_ranges

_COUNTS: Final = 1e5
"""Coarsest programming resolution of the family."""

_AMPERES: Final = (1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 0.1, 1.0, 1.5, 3.0)
_TABLE_2_4: Final = "Keysight B2900 User's Guide, edition 5, table 2-4"

_B290: Final = OperatingRange(
    ((6.0, 3.03), (21.0, 1.515), (210.0, 0.105)),
    (4e-4, 100.0),
    level_ranges(_COUNTS, 0.2, 2.0, 20.0, 200.0),
    level_ranges(_COUNTS, *_AMPERES),
    shared_regions=((6.0, 2.0), (21.0, 1.25), (210.0, 0.105)),
    sources=(
        "Agilent B2900 SCPI Command Reference, edition 2, p. 2-24 to 2-27",
        "data sheet of the B2900A series",
        _TABLE_2_4,
    ),
)
_B291: Final = replace(_B290, amperes=level_ranges(_COUNTS, 1e-8, *_AMPERES))
_B296: Final = replace(
    _B291,
    has_measure_ranges=False,
    sources=(
        "Keysight B2961A/B2962A SCPI Command Reference, edition 6, tables 2-4 and 2-5, p. 4-87",
        "Keysight B2961A/B2962A User's Guide, edition 3, p. 2-10 and 6-3",
        "data sheet of the B2961A, p. 16 and 19",
    ),
)

RANGES: Final = {
    **{
        f"B29{kind}{channels}{letter}": replace(row, channels=channels)
        for kind, row in (("0", _B290), ("1", _B291))
        for channels in (1, 2)
        for letter in "AB"
    },
    "B2961A": _B296,
    "B2962A": replace(_B296, channels=2),
}
"""Operating range by model number."""

_NO_TABLE: Final = "what it supplies at which voltage was not found in two public sources"

REFUSED: Final = {
    "B2901BL": _NO_TABLE,
    "B2910BL": _NO_TABLE,
    **dict.fromkeys(("B2901C", "B2902C", "B2911C", "B2912C"), "no manual or data sheet of it was found"),
}
"""Models of this family whose figures are not confirmed, with the reason."""
