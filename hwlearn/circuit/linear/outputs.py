"""Outputs of circuits of resistors: sets of held outputs in a batch, and sources behind conductances."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from hwlearn.arrays import BoolArray, FloatArray, IntArray


def held_patterns(
    clamped: FloatArray | None, samples: int, outputs: int
) -> Iterator[tuple[IntArray | slice, BoolArray]]:
    """Yield samples that hold the same outputs, with the mask (n_out,) of these.

    Parameters
    ----------
    clamped : ndarray, shape (S, n_out), optional
        Volts of held outputs, NaN at free ones; all free unless given.
    samples, outputs : int
        S and n_out.
    """
    if clamped is None or not samples:
        yield slice(0, samples), np.zeros(outputs, dtype=bool)
        return
    held = ~np.isnan(clamped)
    if (held == held[0]).all():
        yield slice(0, samples), held[0]
        return
    patterns, which = np.unique(held, axis=0, return_inverse=True)
    for k in range(len(patterns)):
        yield np.flatnonzero(which.ravel() == k), patterns[k]


def source_currents(free: FloatArray, Z: FloatArray, volts: FloatArray, siemens: FloatArray) -> FloatArray:
    """Return the currents (S, n_out) of sources behind conductances at the outputs.

    Parameters
    ----------
    free : ndarray, shape (S, n_out)
        Volts at the outputs without the sources.
    Z : ndarray, shape (n_out, n_out)
        Output impedance in ohms.
    volts, siemens : ndarray, shape (S, n_out)
        Sources; zero siemens leaves an output free.
    """
    n = len(Z)
    on = siemens > 0
    loaded = np.where(on[:, :, None], Z, np.eye(n))
    k = np.arange(n)
    loaded[:, k, k] += np.divide(1.0, siemens, out=np.zeros_like(siemens), where=on)
    pull = np.where(on, volts - free, 0.0)
    # a free output carries no current: its row reads I = 0
    return np.asarray(np.linalg.solve(loaded, pull[:, :, None])[:, :, 0])
