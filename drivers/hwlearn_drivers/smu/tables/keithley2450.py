"""Keithley 2450 family: operating ranges.

Sources: SPEC-2450 Rev. A, page 2 (ranges, resolutions, noise); data sheets of the 2450, 2460 and 2461 (operating
regions, ranges); Model 2450 Reference Manual (2450-901-01 Rev. B), p. 6-33, and Model 2461 Reference Manual
(2461-901-01), p. 6-49 (interlock).
"""

from __future__ import annotations

from typing import Final

from hwlearn_drivers.instrument.voltage_noise import VoltageNoise
from hwlearn_drivers.smu.operating_range import OperatingRange, level_ranges

_NPLC: Final = (0.01, 10.0)

_2460: Final = OperatingRange(
    ((7.35, 7.35), (10.5, 5.25), (21.0, 4.2), (105.0, 1.05)),
    _NPLC,
    level_ranges(2e4, 0.2, 2.0, 7.0, 10.0, 20.0, 100.0),
    level_ranges(2e4, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 0.1, 1.0, 4.0, 5.0, 7.0),
    interlock_V=21.0,
    sources=(
        "data sheets of the 2460 and 2461",
        "Model 2461 Reference Manual (2461-901-01), p. 6-49 (interlock)",
    ),
)

RANGES: Final = {
    "2450": OperatingRange(
        ((21.0, 1.05), (210.0, 0.105)),
        _NPLC,
        level_ranges(4e4, 0.02, 0.2, 2.0, 20.0, 200.0),
        level_ranges(2e4, 1e-8, 1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 0.1, 1.0),
        noise=VoltageNoise((1e-6, 1e-6, 1e-5, 1e-4, 1e-3), (1e-8, 1e-7, 1e-6, 1e-5, 1e-4)),
        interlock_V=20.0,
        sources=(
            "SPEC-2450 Rev. A, page 2",
            "Model 2450 Reference Manual (2450-901-01 Rev. B), p. 6-33 (interlock)",
        ),
    ),
    "2460": _2460,
    "2461": _2460,
}
"""Operating range by model number."""

REFUSED: Final = {
    "2470": "which current it supplies at which voltage, up to 1100 V, is only drawn in its manual (2470-901-01, "
    "section 5) and was not confirmed",
}
"""Models of this family whose figures are not confirmed, with the reason."""
