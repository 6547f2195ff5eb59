"""The observer's terminals: the best estimate of output volts from readings and known nudge currents.

`Kirchhoff.observe` then fills in the inner nodes. A reading and a known current are two equations for one
output; they are joined by weighted least squares in the difference between phases, where errors that the phases
share (offsets, the model's error in the free state) cancel.
"""

from __future__ import annotations

import math

import numpy as np

from hwlearn.arrays import FloatArray
from hwlearn.circuit.kirchhoff import Kirchhoff
from hwlearn.network.network import Readout
from hwlearn.network.nudges import OutputDrive


def nudged_outputs(
    model: Kirchhoff,
    free: Readout,
    plus: Readout,
    minus: Readout | None,
    model_error: float,
    inputs: FloatArray | None = None,
) -> tuple[FloatArray, FloatArray]:
    """Estimate the output volts (S, n_out) of the two phases that are contrasted.

    Parameters
    ----------
    model : Kirchhoff
        Its output impedance ties currents to volts.
    free, plus, minus : Readout
        Measured phases; without ``minus`` the plus phase is contrasted with the free one.
    model_error : float
        Relative error of the model's impedance.
    inputs : ndarray, shape (S, n_in), optional
        Volts, on which the impedance of nonlinear elements depends; all at 0 V unless given.

    Returns
    -------
    (ndarray, ndarray)
        Volts in the phase nudged against the error, and in the one along it (or the free one).
    """
    other = free if minus is None else minus
    if plus.output_currents is None or (minus is not None and minus.output_currents is None):
        return plus.voltages, other.voltages
    current = plus.output_currents - (0.0 if other.output_currents is None else other.output_currents)
    moved = plus.voltages - other.voltages
    better = _joined(model, moved, current, plus, model_error, inputs)
    if minus is None:
        return free.voltages + better, free.voltages
    middle = 0.5 * (plus.voltages + minus.voltages)
    return middle + 0.5 * better, middle - 0.5 * better


def shifted(
    model: Kirchhoff, free: FloatArray, drive: OutputDrive, inputs: FloatArray | None = None
) -> FloatArray:
    """Return the output volts (S, n_out) that the model expects under a drive, from measured free outputs."""
    if drive.kind == "clamp":
        return drive.values
    Z = np.broadcast_to(model.output_impedance(inputs), (len(free), *2 * (free.shape[1],)))
    current = drive.values
    if drive.siemens is not None:
        pull = (drive.values - free)[:, :, None]
        current = np.asarray(np.linalg.solve(np.diag(1 / drive.siemens) + Z, pull)[:, :, 0], dtype=np.float64)
    return np.asarray(free + np.einsum("sij,sj->si", Z, current))


def _joined(
    model: Kirchhoff,
    moved: FloatArray,
    current: FloatArray,
    readout: Readout,
    model_error: float,
    inputs: FloatArray | None,
) -> FloatArray:
    """Join a measured displacement and the current that made it, each with its uncertainty.

    Minimises ``|d - moved|^2 / s_V^2 + |d - Z i|^2 / s_Z^2`` in the eigenvectors of Z, where s_Z holds the
    current's own uncertainty and the model's relative error.
    """
    sigma_V = math.sqrt(2) * readout.voltage_sigma
    if sigma_V == 0:
        return moved
    z, Q = np.linalg.eigh(model.output_impedance(inputs))
    one = Q.ndim == 2  # one impedance for all samples
    expected = (current @ Q if one else np.einsum("si,sij->sj", current, Q)) * z
    sigma_Z2 = 2 * (readout.current_sigma * z) ** 2 + (model_error * expected) ** 2
    # the error of one eigenvector's displacement also spills into the others
    sigma_Z2 = sigma_Z2 + (model_error**2) * (expected**2).mean(axis=1, keepdims=True)
    weight = sigma_V**2 / (sigma_V**2 + sigma_Z2)
    seen = moved @ Q if one else np.einsum("si,sij->sj", moved, Q)
    best = seen + weight * (expected - seen)
    return np.asarray(best @ Q.T if one else np.einsum("sj,sij->si", best, Q))
