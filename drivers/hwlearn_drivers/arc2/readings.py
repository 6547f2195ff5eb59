"""Readings of an ArC TWO: arrays of all channels, in which a value that is no number is NaN."""

from __future__ import annotations

import numpy as np

from hwlearn.arrays import FloatArray
from hwlearn_drivers.arc2.library import N_CHANNELS
from hwlearn_drivers.errors import GarbledReplyError
from hwlearn_drivers.instrument.instrument import NO_NUMBER


def channel_readings(name: str, values: FloatArray | None) -> FloatArray:
    """Return the reading of every channel; NaN for values that are no numbers.

    Parameters
    ----------
    name : str
        The instrument, for messages.
    values : ndarray or None
        What the vendor's library returned.

    Raises
    ------
    GarbledReplyError
        If it is no array of all channels.
    """
    shape = None if values is None else np.shape(values)
    if values is None or shape != (N_CHANNELS,):
        raise GarbledReplyError(
            f"{name} returned no reading of {N_CHANNELS} channels where one was expected ({shape})"
        )
    read = np.array(values, dtype=np.float64)
    return np.where(np.abs(read) < NO_NUMBER, read, np.nan)


def check_number(name: str, value: float, what: str) -> None:
    """Raise GarbledReplyError if a single reading is no number."""
    if not abs(value) < NO_NUMBER:
        raise GarbledReplyError(f"{name} reads {value} for {what}; it may be beyond its range")
