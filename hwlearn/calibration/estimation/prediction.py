"""Predicted readings with the uncertainty that the calibration leaves."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hwlearn.arrays import FloatArray
from hwlearn.calibration.estimation.excitation import Phase
from hwlearn.calibration.estimation.response import EdgeModel


@dataclass(frozen=True, eq=False)
class Prediction:
    """Expected readings and the uncertainty that remains after the calibration (read noise not included).

    Attributes
    ----------
    voltages, voltage_sigma : ndarray, shape (S, n_out)
        Expected ADC readings in volts.
    """

    voltages: FloatArray
    voltage_sigma: FloatArray


def predict(model: EdgeModel, unknowns: FloatArray, covariance: FloatArray, phase: Phase) -> Prediction:
    """Predict the voltage readings of a phase.

    Parameters
    ----------
    model : EdgeModel
    unknowns, covariance : ndarray, shapes (P,), (P, P)
        Estimate of the unknowns.
    phase : Phase

    Raises
    ------
    CircuitError
        If the circuit cannot be solved.
    """
    response = model.respond(unknowns, phase, currents=False)
    variance = np.einsum("sop,pq,soq->so", response.d_volts, covariance, response.d_volts, optimize=True)
    return Prediction(response.volts, np.sqrt(np.maximum(variance, 0.0)))
