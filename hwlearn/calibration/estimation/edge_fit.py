"""What a campaign found of a network's edges, with uncertainties."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import ArrayLike

from hwlearn.arrays import BoolArray, FloatArray
from hwlearn.calibration.estimation.converter_fit import ConverterFit
from hwlearn.calibration.estimation.excitation import Phase
from hwlearn.calibration.estimation.response import EdgeModel
from hwlearn.circuit.batches import batch
from hwlearn.errors import SetupError
from hwlearn.network.nudges import OutputDrive

_TOLD: Final = 0.8
"""The scale counts as measured once its uncertainty is below this part of the prior's."""

_UNSEEN: Final = 0.9
"""An edge whose variance is above this part of the prior's is unseen."""

_WEIGHT_ROUNDS: Final = 4
_LEAST_VARIANCE: Final = 1e-16


@dataclass(frozen=True, eq=False)
class Prediction:
    """Readings that are expected, with the uncertainty that the calibration leaves (read noise not included).

    Attributes
    ----------
    voltages, voltage_sigma : ndarray, shape (S, n_out)
        What the ADCs will read, in volts.
    """

    voltages: FloatArray
    voltage_sigma: FloatArray


@dataclass(frozen=True, eq=False)
class EdgeFit:
    """All edges, and the converters, as the readings tell them.

    Attributes
    ----------
    model : EdgeModel
        The circuit; its base is that of the last configuration.
    unknowns : ndarray, shape (P,)
        The estimate of everything.
    covariance : ndarray, shape (P, P)
    stuck : ndarray of bool, shape (E,)
        Edges that never moved; their ``gains`` are relative to the middle of the range and they conduct the same
        whatever is programmed.
    scale_known : bool
        Whether a current or a known resistor told the common scale of the conductances. If not, it is the
        prior's (the gains' mean logarithm is about 0) and `gain_sigma` says so.
    scale_sigma : float
        Relative standard uncertainty of the common scale: the mean of the log-gains by `shape_weights`.
    spread, spread_sigma : float
        Standard deviation of the edges' log-gains, and its uncertainty.
    converters : ConverterFit
    chi2_per_dof, current_chi2_per_dof : float
        Of the residuals of volts and of amperes, in units of their stated noise; NaN if there were none.
    noise_factor, current_noise_factor : float
        By what the stated noise was multiplied to explain the residuals; all uncertainties contain it.
    configurations, rows : int
        Configurations and single readings used.
    """

    model: EdgeModel
    unknowns: FloatArray
    covariance: FloatArray
    stuck: BoolArray
    scale_known: bool
    scale_sigma: float
    spread: float
    spread_sigma: float
    converters: ConverterFit
    chi2_per_dof: float
    noise_factor: float
    current_chi2_per_dof: float
    current_noise_factor: float
    configurations: int
    rows: int

    @property
    def gains(self) -> FloatArray:
        """True over programmed conductance of each edge (E,)."""
        return np.exp(self.log_gains)

    @property
    def log_gains(self) -> FloatArray:
        """Logarithms of the gains (E,)."""
        return self.model.layout.take(self.unknowns, "log_gain")

    @property
    def log_covariance(self) -> FloatArray:
        """Covariance (E, E) of the log-gains, the uncertainty of the common scale included."""
        edges = self.model.layout.blocks["log_gain"]
        return self.covariance[edges, edges]

    @property
    def gain_sigma(self) -> FloatArray:
        """Standard uncertainty (E,) of the gains, that of the common scale included."""
        return np.asarray(self.gains * np.sqrt(np.diagonal(self.log_covariance)))

    @property
    def shape(self) -> FloatArray:
        """Gains (E,) over their weighted geometric mean: what is known even where the common scale is not."""
        return np.exp(self.log_gains - self.shape_weights @ self.log_gains)

    @property
    def shape_sigma(self) -> FloatArray:
        """Relative standard uncertainty (E,) of `shape`."""
        return np.sqrt(_variance_beside(self.log_covariance, self.shape_weights))

    @property
    def shape_weights(self) -> FloatArray:
        """Weights (E,) of the mean in `shape`, sum 1: the better an edge is known, the more it counts."""
        return scale_weights(self.log_covariance, self.stuck)

    @property
    def unseen(self) -> BoolArray:
        """Edges (E,) of which the readings tell next to nothing: between two sources, or leading nowhere.

        Their gains are what was expected, and matter to no reading that was taken.
        """
        variance = np.diagonal(self.log_covariance)
        return np.asarray(~self.stuck & (variance > _UNSEEN * self.spread**2))

    @property
    def edge_offsets(self) -> FloatArray:
        """Offsets (E,) in siemens; zero where none were fitted."""
        if not self.model.layout.edge_offsets:
            return np.zeros(self.model.layout.n_edges)
        return self.model.layout.take(self.unknowns, "edge_offset")

    def conductances(self, reached: ArrayLike) -> FloatArray:
        """Return calibrated conductances (E,) in siemens of edges that were programmed to ``reached`` (E,).

        Raises
        ------
        SetupError
            If the shape does not fit.
        """
        return self._model(reached).conductances(self.unknowns)

    def predict(self, reached: ArrayLike, inputs: ArrayLike, drive: OutputDrive | None = None) -> Prediction:
        """Predict what the ADCs read of inputs (S, n_in) with the edges at ``reached`` (E,).

        Parameters
        ----------
        reached : array_like, shape (E,)
            Siemens, as `Programmed.reached` says.
        inputs : array_like, shape (S, n_in)
            Volts asked of the input DACs.
        drive : OutputDrive, optional
            At the outputs.

        Raises
        ------
        SetupError, CircuitError
            If a shape does not fit.
        """
        model = self._model(reached)
        x = batch(inputs, model.layout.n_inputs, "inputs")
        if drive is None:
            phase = Phase("free", x, np.full((len(x), model.layout.n_outputs), np.nan))
        else:
            siemens = None
            if drive.siemens is not None:
                siemens = float(drive.siemens[0])
                if (drive.siemens != siemens).any():
                    raise SetupError("a prediction needs the same nudge conductance at every output")
            phase = Phase(drive.kind, x, drive.values, siemens)
        response = model.respond(self.unknowns, phase, currents=False)
        variance = np.einsum("sop,pq,soq->so", response.d_volts, self.covariance, response.d_volts, optimize=True)
        return Prediction(response.volts, np.sqrt(np.maximum(variance, 0.0)))

    def with_scale_of(self, edge: int, gain: float, relative_sigma: float) -> EdgeFit:
        """Return the fit with one edge known from elsewhere, which fixes the common scale.

        Parameters
        ----------
        edge : int
        gain : float
            Its true over its programmed conductance.
        relative_sigma : float
            The standard uncertainty of that.

        Raises
        ------
        SetupError
            If there is no such edge, or a value is not positive.
        """
        if not 0 <= edge < self.model.layout.n_edges:
            raise SetupError(f"there is no edge {edge}; the edges are 0 to {self.model.layout.n_edges - 1}")
        if not (gain > 0 and relative_sigma > 0):
            raise SetupError("a known edge needs a positive gain and a positive relative_sigma")
        towards = self.covariance[:, edge]
        variance = self.covariance[edge, edge] + relative_sigma**2
        unknowns = self.unknowns + towards * (math.log(gain) - self.unknowns[edge]) / variance
        covariance = self.covariance - np.outer(towards, towards) / variance
        return self._with(unknowns, covariance)

    def _with(self, unknowns: FloatArray, covariance: FloatArray) -> EdgeFit:
        edges = self.model.layout.blocks["log_gain"]
        sigma = common_scale_sigma(covariance[edges, edges], self.stuck)
        known = scale_is_known(sigma, self.spread, self.stuck)
        spreads = (self.converters.gain_spread, self.converters.offset_spread_V)
        converters = ConverterFit.from_unknowns(
            self.model.layout, unknowns, covariance, spreads, self.converters.linearity
        )
        return replace(
            self,
            unknowns=unknowns,
            covariance=covariance,
            scale_known=known,
            scale_sigma=sigma,
            converters=converters,
        )

    def _model(self, reached: ArrayLike) -> EdgeModel:
        g = np.asarray(reached, dtype=np.float64)
        if g.shape != (self.model.layout.n_edges,):
            raise SetupError(f"reached must have shape ({self.model.layout.n_edges},), got {g.shape}")
        return EdgeModel(self.model.topology, self.model.layout, np.where(self.stuck, self.model.base, g))


def scale_weights(log_covariance: FloatArray, stuck: BoolArray) -> FloatArray:
    """Return the weights (E,) of the edges in their common scale: how well each is known beside it.

    An edge that the terminals do not see (a dead end) must not blur the scale of the others.
    """
    moving = (~stuck).astype(np.float64)
    weights = moving / moving.sum()
    for _ in range(_WEIGHT_ROUNDS):
        weights = moving / np.maximum(_variance_beside(log_covariance, weights), _LEAST_VARIANCE)
        weights /= weights.sum()
    return np.asarray(weights)


def common_scale_sigma(log_covariance: FloatArray, stuck: BoolArray) -> float:
    """Return the standard uncertainty of the weighted mean log-gain of the edges that move; NaN if none does."""
    if stuck.all():
        return math.nan
    weights = scale_weights(log_covariance, stuck)
    return math.sqrt(float(weights @ log_covariance @ weights))


def _variance_beside(log_covariance: FloatArray, weights: FloatArray) -> FloatArray:
    """Return the variance (E,) of log-gains less their weighted mean."""
    without = np.eye(len(weights)) - weights[None, :]
    return np.asarray(np.einsum("ij,jk,ik->i", without, log_covariance, without, optimize=True))


def scale_is_known(scale_sigma: float, spread: float, stuck: BoolArray) -> bool:
    """Tell whether the readings, rather than the prior, fix the common scale."""
    moving = int((~stuck).sum())
    return moving > 0 and scale_sigma < _TOLD * spread / math.sqrt(moving)
