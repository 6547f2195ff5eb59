"""`thresholded`: features as inputs of two voltages, for benches with few sources."""

from __future__ import annotations

import numpy as np

from hwlearn.arrays import FloatArray
from hwlearn.errors import DataError
from hwlearn.lab.bench_file.sections import DataSection


def thresholded(shares: FloatArray, section: DataSection) -> FloatArray:
    """Return inputs (S, 2 T F) of ``amplitude`` or 0 V, for T thresholds on each of F features.

    The thresholds divide the range of a feature into T + 1 equal parts. Input j of a feature has the amplitude if
    the feature exceeds threshold j. The complements of all inputs follow, so that equally many inputs have the
    amplitude in every sample.

    Parameters
    ----------
    shares : ndarray, shape (S, F)
        Features as shares of their range: 0 at its lower, 1 at its upper end.
    section : DataSection

    Raises
    ------
    DataError
        If ``thresholds`` or ``amplitude`` is missing, or another key would make more voltages.
    """
    if section.thresholds is None or section.amplitude is None:
        raise DataError("data.encoding = 'thresholds' needs data.thresholds (their number) and data.amplitude")
    for key in ("negated", "bias", "jitter", "distortion"):
        if getattr(section, key):
            raise DataError(
                f"data.{key} is not for data.encoding = 'thresholds', whose inputs have two voltages; remove it"
            )
    at = np.arange(1, section.thresholds + 1) / (section.thresholds + 1)
    above = (shares[:, :, None] > at).reshape(len(shares), -1)
    return section.amplitude * np.concatenate([above, ~above], axis=1).astype(np.float64)
