"""Models of the Keysight B2900 family: ranges and channels.

Sources: Agilent B2900 SCPI Command Reference, edition 2, p. 2-24 to 2-27; data sheet of the B2900A series;
Keysight B2961A/B2962A SCPI Command Reference, edition 6, table 2-4, and User's Guide, edition 3, p. 2-10
(measuring ranges follow source range and limit); the current ranges of the B2961A and B2962A are assumed to have
the steps of a B2911A. The noise is an assumption of this project: 1 ppm of range at one power-line cycle.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from hwlearn_sim.instruments.capability import ChannelCapability
from hwlearn_sim.instruments.ranges import Range, Ranges
from hwlearn_sim.instruments.scpi.auto_ohms import OhmsRange

_VOLTS: Final = (0.2, 2.0, 20.0, 200.0)
_AMPS: Final = (1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 0.1, 1.0)

OHMS: Final = (
    OhmsRange(2.0, 1.0, 2.0),
    OhmsRange(20.0, 0.1, 2.0),
    OhmsRange(200.0, 1e-2, 2.0),
    OhmsRange(2e3, 1e-3, 2.0),
    OhmsRange(2e4, 1e-4, 2.0),
    OhmsRange(2e5, 1e-5, 2.0),
    OhmsRange(2e6, 1e-6, 2.0),
    OhmsRange(2e7, 1e-7, 2.0),
    OhmsRange(2e8, 1e-7, 20.0),
)
"""Ranges of automatic ohms. The test currents are assumed: the page of the manual was not found."""


@dataclass(frozen=True, slots=True)
class ModelB2900:
    """One model of the family.

    Attributes
    ----------
    number : str
        Model number in the reply to ``*IDN?``.
    channels : int
        Number of channels.
    capability : ChannelCapability
        Each of its channels.
    """

    number: str
    channels: int
    capability: ChannelCapability


def _capability(
    volt_counts: float, amps: tuple[float, ...], amp_counts: float, least_A: float
) -> ChannelCapability:
    """Return the capability for the counts of the sources; ranges above 1 A end at 101 %, others at 105 %."""
    large = 1e6 / amp_counts
    return ChannelCapability(
        measures={
            "voltage": Ranges.decades(_VOLTS, 2_000_000, 1e-6),
            "current": Ranges(
                (
                    *Ranges.decades(amps, 1_000_000, 1e-6).each,
                    Range(1.5, 1e-6, 1.5e-6, over=1.01),
                    Range(3.0, 1e-5, 3e-6, over=1.01),
                ),
            ),
        },
        sources={
            "voltage": Ranges.decades(_VOLTS, volt_counts),
            "current": Ranges(
                (
                    *Ranges.decades(amps, amp_counts).each,
                    Range(1.5, 1e-6 * large, over=1.01),
                    Range(3.0, 1e-5, over=1.01),
                )
            ),
        },
        default_limits={"current": 1e-4, "voltage": 2.0},
        least_limits={"current": least_A, "voltage": 2e-4},
        nplc=(4e-4, 100.0),
        off_limit_A=1e-4,
    )


_B290: Final = _capability(200_000, _AMPS, 100_000, 1e-9)
_B291: Final = _capability(2_000_000, (1e-8, *_AMPS), 1_000_000, 1e-10)

_B296: Final = replace(_B291, has_measure_ranges=False)

MODELS: Final = {
    **{f"B296{k}A": ModelB2900(f"B296{k}A", k, _B296) for k in (1, 2)},
    **{
        f"B29{kind}{channels}{letter}": ModelB2900(f"B29{kind}{channels}{letter}", channels, capability)
        for kind, capability in ((0, _B290), (1, _B291))
        for channels in (1, 2)
        for letter in "AB"
    },
}
"""The models by number."""
