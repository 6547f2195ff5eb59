"""Figures of health that come from updates: the measured change of free outputs beside the predicted one."""

from __future__ import annotations

import numpy as np

from hwlearn.arrays import FloatArray, IntArray
from hwlearn.circuit.kirchhoff import Kirchhoff
from hwlearn.learning.health.contrasts import cosine
from hwlearn.learning.health.figure import GAIN, NOT_MEASURED, SIGMAS, Figure, rms_bound
from hwlearn.learning.health.readings import moves
from hwlearn.learning.health.sample import StatedErrors

AGREEMENT, ERROR = "update_agreement", "update_error_V"

_FACTORS = 2.0
"""An error of each device changes its step and both factors of the slope dV/dg: more than the root of three."""


class UpdateWatch:
    """Free outputs of the first batch of an epoch, compared with those of the epoch before."""

    def __init__(self) -> None:
        self._before: dict[str, np.ndarray] = {}

    def state(self) -> dict[str, np.ndarray]:
        """Return the arrays from which it continues."""
        return dict(self._before)

    def restore(self, arrays: dict[str, np.ndarray]) -> None:
        """Continue from a state."""
        self._before = arrays

    def figures(
        self,
        model: Kirchhoff,
        V: FloatArray,
        rows: IntArray,
        inputs: FloatArray,
        free: FloatArray,
        sigma_V: float,
        bench: StatedErrors,
    ) -> list[Figure]:
        """Compare with the epoch before the samples that both have, and keep this one.

        Parameters
        ----------
        model : Kirchhoff
            The model now.
        V : ndarray, shape (S, N)
            Its node voltages for these inputs.
        rows : ndarray of int, shape (S,)
            Rows of the training set.
        inputs, free : ndarray
            Volts of these samples.
        sigma_V : float
            Standard deviation of a reading in volts.
        bench : StatedErrors
        """
        before = self._before
        expected = V[:, model.topology.outputs]
        self._before = {"rows": rows, "free": free, "expected": expected, "values": model.values.copy()}
        self._before["inputs"] = inputs
        if not before or before["values"].shape != model.values.shape:
            return Figure.missing(AGREEMENT, ERROR, reason=NOT_MEASURED)
        _, now, then = np.intersect1d(rows, before["rows"], return_indices=True)
        same = (inputs[now] == before["inputs"][then]).all(axis=1)
        now, then = now[same], then[same]
        step = model.values - before["values"]
        if not len(now) or not step.any():
            return Figure.missing(AGREEMENT, ERROR, reason=NOT_MEASURED)
        measured, predicted = free[now] - before["free"][then], expected[now] - before["expected"][then]
        off = np.sqrt(((measured - predicted) ** 2).mean(axis=0))
        found = Figure(AGREEMENT, cosine(measured.ravel(), predicted.ravel()))
        if model.topology.elements is not None:
            worst = int(np.argmax(off))
            return [found, Figure(ERROR, float(off[worst]))]
        devices = _FACTORS * bench.device_error * np.sqrt((moves(model, V[now], step) ** 2).mean(axis=0))
        noise = np.sqrt(2) * sigma_V * rms_bound(len(now))
        limits = SIGMAS * devices + noise + 2 * GAIN * np.abs(predicted).max(axis=0)
        worst = int(np.argmax(off / np.maximum(limits, 1e-300)))
        return [found, Figure(ERROR, float(off[worst]), float(limits[worst]))]
