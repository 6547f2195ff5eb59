"""`Sampling`: how many samples a reading averages, at which rates, so that each channel settles."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from hwlearn.errors import SetupError
from hwlearn.units import format_quantity

PADDING_S: Final = 10e-6
"""Time that NI-DAQmx adds to a conversion for each channel (M Series User Manual, "AI Convert Clock Signal")."""

_CAPACITANCE_F: Final = 200e-12
"""100 pF of an input (M Series), and about 1 m of cable."""

_MOST_SAMPLES: Final = 1000
_FEWEST: Final = 2  # a finite acquisition has at least two samples per channel


@dataclass(frozen=True, slots=True)
class Sampling:
    """Timing of one acquisition.

    Attributes
    ----------
    samples : int
        Number of samples of each channel.
    rate_Hz : float
        Samples per second of each channel.
    convert_Hz : float or None
        Conversions per second within one scan; None where each input has a converter of its own.
    """

    samples: int
    rate_Hz: float
    convert_Hz: float | None

    @property
    def seconds(self) -> float:
        """Duration of the acquisition."""
        return self.samples / self.rate_Hz


def settling_s(source_ohm: float, bits: int) -> float:
    """Return the time after which an input is within half a step of the voltage behind a source resistance.

    The input keeps a part of the charge of the channel that was scanned before; it flows through the resistance of
    the source.

    Parameters
    ----------
    source_ohm : float
    bits : int
        Resolution of the converter.
    """
    return source_ohm * _CAPACITANCE_F * math.log(2.0 ** (bits + 1))


def make_sampling(
    channels: int,
    most_Hz: float,
    simultaneous: bool,
    settle_s: float,
    samples: int | None,
    average_s: float | None,
) -> Sampling:
    """Return the timing of a scan; after each scan there is time for one more channel, which the device needs.

    Parameters
    ----------
    channels : int
        Number of channels in the scan list.
    most_Hz : float
        Conversions per second of the device; of each channel if ``simultaneous``.
    simultaneous : bool
    settle_s : float
        Time from one channel to the next.
    samples : int or None
        Number of samples of each channel, or
    average_s : float or None
        the time over which a reading averages.

    Raises
    ------
    SetupError
        If the device cannot do it.
    """
    interval = 1 / most_Hz if simultaneous else max(settle_s, 1 / most_Hz)
    per_scan = interval if simultaneous else (channels + 1) * interval
    convert = None if simultaneous or channels == 1 else 1 / interval
    if average_s is None:
        assert samples is not None
        return Sampling(max(samples, _FEWEST), 1 / per_scan, convert)
    count = min(int(average_s / per_scan * (1 + 1e-9)), _MOST_SAMPLES)
    if count < _FEWEST:
        raise SetupError(
            f"{format_quantity(average_s, 's')} hold fewer than {_FEWEST} scans of {channels} channels with "
            f"{format_quantity(interval, 's')} each; raise mains_periods or lower channel_settle"
        )
    return Sampling(count, count / average_s, convert)
