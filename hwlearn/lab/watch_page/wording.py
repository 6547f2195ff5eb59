"""Numbers and states as texts of the page."""

from __future__ import annotations

import math
from typing import Any

from hwlearn.lab.data.scaling import OutputScale
from hwlearn.learning.scoring import Score


def duration_text(seconds: float | None) -> str:
    """Return a duration for a person.

    Examples
    --------
    >>> duration_text(3.21), duration_text(75), duration_text(7384), duration_text(200_000), duration_text(None)
    ('3.2 s', '1 min 15 s', '2 h 03 min', '2 d 7 h', 'not known')
    """
    if seconds is None or not math.isfinite(seconds):
        return "not known"
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    if whole < 86400:
        return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
    return f"{whole // 86400} d {whole % 86400 // 3600} h"


def score_value(score: Score, scale: OutputScale | None) -> float:
    """Return a score as the number that is drawn: accuracy in percent, or rms error in mV or the user's unit."""
    if score.accuracy is not None:
        return 100 * score.accuracy
    if score.rms_error_V is None:
        return math.nan
    return 1e3 * score.rms_error_V if scale is None else scale.error(score.rms_error_V)


def score_unit(classifies: bool, scale: OutputScale | None) -> str:
    """Return the unit of `score_value`."""
    return "%" if classifies else "mV" if scale is None else scale.unit or "units of the targets"


def number_text(value: Any) -> str:
    """Return a value of a record for a table.

    Examples
    --------
    >>> number_text(0.123456), number_text("not applicable"), number_text(None), number_text(True)
    ('0.1235', 'not applicable', 'not known', 'yes')
    """
    if value is None:
        return "not known"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.4g}" if isinstance(value, int | float) else str(value)


def volts_text(volts: float) -> str:
    """Return a voltage with a fitting unit.

    Examples
    --------
    >>> volts_text(0.01234), volts_text(-1.5), volts_text(2e-6)
    ('12.3 mV', '-1.5 V', '2 µV')
    """
    size = abs(volts)
    if size >= 1:
        return f"{volts:.3g} V"
    return f"{1e3 * volts:.3g} mV" if size >= 1e-4 or size == 0 else f"{1e6 * volts:.3g} µV"


def value_text(value: float, unit: str) -> str:
    """Return the value of an edge with its unit.

    Examples
    --------
    >>> value_text(3.456e-5, "S"), value_text(4.2, "V")
    ('34.6 µS', '4.2 V')
    """
    return f"{1e6 * value:.3g} µS" if unit == "S" else f"{value:.4g} {unit}"
