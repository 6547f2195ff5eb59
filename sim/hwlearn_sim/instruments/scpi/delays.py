"""Automatic source delay of the Keithley models."""

from __future__ import annotations

from typing import Final

from hwlearn_sim.instruments.channel import VirtualChannel

_DELAYS: Final = ((1.5e-7, 50e-3, 100e-3), (1.5e-6, 3e-3, 20e-3), (1.5e-5, 2e-3, 10e-3), (1.5e-3, 1e-3, 10e-3))
"""Current range in amperes up to which each row applies, delay in seconds, delay with high capacitance."""


def automatic_delay_s(channel: VirtualChannel, *, high_capacitance: bool = False) -> float:
    """Return the automatic source delay in seconds, which depends on the current range.

    2450 Reference Manual p. 2-111; the table of the 2400 (User's Manual, table 3-4) was not found, and its
    automatic delay of 1 ms (p. 6-7) is that of the same ranges.
    """
    settings = channel.settings
    fixed = settings.measure_ranges["current"]
    if settings.function == "current":
        amperes = channel.source_range("current").full_scale
    elif fixed is not None:
        amperes = fixed.full_scale
    else:
        amperes = channel.capability.measures["current"].covering(settings.limits["current"]).full_scale
    for most, delay, with_capacitance in _DELAYS:
        if amperes <= most:
            return with_capacitance if high_capacitance else delay
    if high_capacitance:
        return 5e-3
    return 2e-3 if settings.function == "current" and amperes >= 1.0 else 1e-3
