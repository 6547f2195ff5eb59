"""Residuals and Jacobians of readings in units of their uncertainty."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hwlearn.arrays import BoolArray, FloatArray, IntArray
from hwlearn.calibration.estimation.excitation import Phase, Readings
from hwlearn.calibration.estimation.response import CircuitAt, EdgeModel
from hwlearn.errors import SetupError
from hwlearn.network.network import Readout


@dataclass(frozen=True)
class Noise:
    """Standard uncertainty of one reading.

    Attributes
    ----------
    volts : float or None
        None: as each readout states it.
    amperes : float or None
        None: as the readouts state it; currents of unknown uncertainty are not used.
    applied : float
        Uncertainty in volts of every source voltage, from rounding to its steps. It affects all readings of a
        pattern together.
    volts_factor, amperes_factor : float
        Factors on the first two.
    volts_readings : float or None
        Number of readings from which ``volts`` was estimated; None: it is known exactly.
    """

    volts: float | None = None
    amperes: float | None = None
    applied: float = 0.0
    volts_factor: float = 1.0
    amperes_factor: float = 1.0
    volts_readings: float | None = None

    def of_volts(self, stated: float) -> float:
        """Return the uncertainty of a voltage reading.

        Raises
        ------
        SetupError
            If neither the hardware nor the caller states one.
        """
        sigma = stated if self.volts is None else self.volts
        if not sigma > 0:
            raise SetupError(
                "the hardware states no read noise; set read_sigma in volts (the step noise measures it)"
            )
        return sigma * self.volts_factor

    def of_amperes(self, readings: Readings) -> float | None:
        """Return the uncertainty of a current reading among these readings; None if unknown."""
        sigma = self.amperes or max(
            (
                r.current_sigma
                for p, r in zip(readings.phases, readings.readouts, strict=True)
                if p.kind == "clamp"
            ),
            default=0.0,
        )
        return sigma * self.amperes_factor if sigma > 0 else None


@dataclass(frozen=True, eq=False)
class Block:
    """Readings of one configuration, in units of their uncertainty.

    Attributes
    ----------
    residual : ndarray, shape (R,)
        Measured minus predicted; independent of each other, zero where the reading is invalid.
    jacobian : ndarray, shape (R, P)
    is_current : ndarray of bool, shape (R,)
        Rows that are currents; the others are voltages.
    rows : ndarray, shape (2,)
        Number of valid readings of volts and of amperes.
    """

    residual: FloatArray
    jacobian: FloatArray
    is_current: BoolArray
    rows: FloatArray

    @property
    def chi2(self) -> FloatArray:
        """Sum of squared residuals of volts and of amperes (2,)."""
        square = self.residual**2
        amperes = float(square[self.is_current].sum())
        return np.array([float(square.sum()) - amperes, amperes])

    @classmethod
    def of(cls, model: EdgeModel, readings: Readings, unknowns: FloatArray, noise: Noise) -> Block:
        """Return the readings of one configuration about these unknowns (P,).

        Raises
        ------
        CircuitError
            If the circuit cannot be solved there.
        SetupError
            If no uncertainty of the readings is known.
        """
        amperes = noise.of_amperes(readings)
        circuit = model.at(unknowns)
        residuals, jacobians, currents, rows = [], [], [], np.zeros(2)
        for phase, readout in zip(readings.phases, readings.readouts, strict=True):
            residual, jacobian, used, n = _of_phase(circuit, phase, readout, noise, amperes)
            residuals.append(residual.ravel())
            jacobians.append(jacobian.reshape(residual.size, -1))
            currents.append(np.broadcast_to(np.arange(residual.shape[1]) >= n, residual.shape).ravel())
            rows += used[:, :n].sum(), used[:, n:].sum()
        return cls(np.concatenate(residuals), np.concatenate(jacobians), np.concatenate(currents), rows)


def whitened(
    volts: tuple[FloatArray, FloatArray],
    amperes: tuple[FloatArray, FloatArray] | None,
    sigma: tuple[float, float],
    applied: float,
    terminals: IntArray,
) -> tuple[FloatArray, FloatArray]:
    """Return residuals and Jacobian of patterns in units of the readings' joint uncertainty.

    Parameters
    ----------
    volts, amperes : (ndarray (S, R), ndarray (S, R, P))
        Residuals and Jacobian of the voltage and the current readings of S patterns; None: no currents.
    sigma : (float, float)
        Uncertainty of one reading in volts and in amperes.
    applied : float
        Uncertainty of the volts of each driven terminal; it affects all readings of one pattern together.
    terminals : ndarray of int
        Unknowns that are offsets of driven terminals: the readings' derivatives by terminal volts.

    Returns
    -------
    (ndarray (S, R), ndarray (S, R, P))
        Voltage readings first, then the currents, made independent of the voltages.
    """
    residual, jacobian = volts[0] / sigma[0], volts[1] / sigma[0]
    if amperes is not None:
        residual = np.concatenate([residual, amperes[0] / sigma[1]], axis=1)
        jacobian = np.concatenate([jacobian, amperes[1] / sigma[1]], axis=1)
    if applied == 0:
        return residual, jacobian
    moved = applied * jacobian[:, :, terminals]
    root = np.linalg.cholesky(moved @ moved.transpose(0, 2, 1) + np.eye(residual.shape[1]))
    # all its eigenvalues are at least 1, so inverting it is accurate
    unroot = np.linalg.inv(root)
    return np.asarray((unroot @ residual[:, :, None])[:, :, 0]), np.asarray(unroot @ jacobian)


def _of_phase(
    circuit: CircuitAt, phase: Phase, readout: Readout, noise: Noise, amperes: float | None
) -> tuple[FloatArray, FloatArray, BoolArray, int]:
    """Return whitened residuals (S, R) and Jacobian (S, R, P), valid readings, and the number of volts per row."""
    sources = None if amperes is None else readout.source_currents
    response = circuit.respond(phase, sources is not None)
    used = np.isfinite(readout.voltages)
    if readout.saturated is not None:
        used &= ~readout.saturated
    # an invalid reading becomes a row of zeros, without information
    volts = (
        np.where(used, np.nan_to_num(readout.voltages) - response.volts, 0.0),
        np.where(used[:, :, None], response.d_volts, 0.0),
    )
    n = used.shape[1]
    currents = None
    if sources is not None:
        on = ~np.isnan(phase.values) & (phase.kind == "clamp" and readout.output_currents is not None)
        pushed = np.zeros(on.shape) if readout.output_currents is None else readout.output_currents
        currents = (
            np.concatenate([sources - response.sources, np.where(on, pushed - response.clamps, 0.0)], axis=1),
            np.concatenate([response.d_sources, np.where(on[:, :, None], response.d_clamps, 0.0)], axis=1),
        )
        used = np.concatenate([used, np.ones(sources.shape, dtype=bool), on], axis=1)
    sigma = (noise.of_volts(readout.voltage_sigma), 1.0 if amperes is None else amperes)
    return (*whitened(volts, currents, sigma, noise.applied, circuit.model.layout.terminals), used, n)
