"""Estimate output voltages from readings and known nudge currents.

`Kirchhoff.observe` then estimates the inner nodes. A reading and a known current are two equations for one output.
Weighted least squares combines them for the difference between phases, where errors common to both phases
(offsets, the model's error in the free state) cancel.
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
    inputs: FloatArray,
    free: Readout,
    plus: Readout,
    minus: Readout | None,
    model_error: float,
    impedance: FloatArray | None = None,
) -> tuple[FloatArray, FloatArray]:
    """Estimate the output volts (S, n_out) of the two phases of a contrast.

    Parameters
    ----------
    model : Kirchhoff
        Model whose output impedance relates currents to voltages.
    inputs : ndarray, shape (S, n_in)
        Volts.
    free, plus, minus : Readout
        Measured phases; without ``minus`` the plus phase is compared with the free phase.
    model_error : float
        Relative error of the model's impedance.
    impedance : ndarray, shape (n_out, n_out) or (S, n_out, n_out), optional
        The model's output impedance in ohm at these inputs, if it is known already.

    Returns
    -------
    (ndarray, ndarray)
        Volts in the phase nudged against the error, and in the phase nudged along it (or the free phase).
    """
    other = free if minus is None else minus
    if plus.output_currents is None or (minus is not None and minus.output_currents is None):
        return plus.voltages, other.voltages
    current = plus.output_currents - (0.0 if other.output_currents is None else other.output_currents)
    moved = plus.voltages - other.voltages
    change = moved
    if plus.voltage_sigma > 0:
        Z = model.output_impedance(inputs) if impedance is None else impedance
        reciprocal = not model.topology.has_three_terminals
        change = _combined(Z, moved, current, plus, model_error, reciprocal)
    if minus is None:
        return free.voltages + change, free.voltages
    middle = 0.5 * (plus.voltages + minus.voltages)
    return middle + 0.5 * change, middle - 0.5 * change


def shifted(
    model: Kirchhoff, free: FloatArray, drive: OutputDrive, inputs: FloatArray | None = None
) -> FloatArray:
    """Return the output volts (S, n_out) that the model predicts for a drive, from measured free outputs."""
    if drive.kind == "clamp":
        return drive.values
    Z = np.broadcast_to(model.output_impedance(inputs), (len(free), *2 * (free.shape[1],)))
    current = drive.values
    if drive.siemens is not None:
        pull = (drive.values - free)[:, :, None]
        current = np.asarray(np.linalg.solve(np.diag(1 / drive.siemens) + Z, pull)[:, :, 0], dtype=np.float64)
    return np.asarray(free + np.einsum("sij,sj->si", Z, current))


def _combined(
    impedance: FloatArray,
    moved: FloatArray,
    current: FloatArray,
    readout: Readout,
    model_error: float,
    reciprocal: bool,
) -> FloatArray:
    """Combine a measured displacement and the current that caused it, weighted by their uncertainties.

    The result d minimises ``|d - moved|^2 / s_V^2 + |d - Z i|^2 / s_Z^2`` in the eigenvectors of Z, or in its
    singular vectors if it is not ``reciprocal``. s_Z contains the uncertainty of the current and the model's
    relative error.
    """
    sigma_V = math.sqrt(2) * readout.voltage_sigma
    # modes: voltages in the columns of Q answer currents in those of P; transistors make Z non-symmetric
    if reciprocal:
        z, Q = np.linalg.eigh(impedance)
        P = Q
    else:
        Q, z, turned = np.linalg.svd(impedance)
        P = turned.swapaxes(-1, -2)
    one = Q.ndim == 2  # one impedance for all samples
    expected = (current @ P if one else np.einsum("si,sij->sj", current, P)) * z
    sigma_Z2 = 2 * (readout.current_sigma * z) ** 2 + (model_error * expected) ** 2
    # an error in one eigenvector's displacement also affects the others
    sigma_Z2 = sigma_Z2 + (model_error**2) * (expected**2).mean(axis=1, keepdims=True)
    weight = sigma_V**2 / (sigma_V**2 + sigma_Z2)
    measured = moved @ Q if one else np.einsum("si,sij->sj", moved, Q)
    best = measured + weight * (expected - measured)
    return np.asarray(best @ Q.T if one else np.einsum("sj,sij->si", best, Q))
