"""`EdgeFit`: estimated edges of a network, with uncertainties."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import ArrayLike

from hwlearn.arrays import BoolArray, FloatArray
from hwlearn.calibration.estimation.excitation import Phase
from hwlearn.calibration.estimation.fits.converters import ConverterFit
from hwlearn.calibration.estimation.fits.wires import WireFit
from hwlearn.calibration.estimation.prediction import Prediction, predict
from hwlearn.calibration.estimation.programming import ProgrammingNoise, RepeatedProgramming
from hwlearn.calibration.estimation.response import EdgeModel
from hwlearn.calibration.misfit import Misfit
from hwlearn.circuit.batches import batch
from hwlearn.errors import SetupError
from hwlearn.network.nudges import OutputDrive

_MEASURED: Final = 0.8
"""The common scale counts as measured if its uncertainty is below this fraction of the prior's."""

_UNDETERMINED: Final = 0.9
"""An edge counts as undetermined if its variance is above this fraction of the prior's."""

_WEIGHT_ROUNDS: Final = 4
_LEAST_VARIANCE: Final = 1e-16


@dataclass(frozen=True, eq=False)
class EdgeFit:
    """Estimate of all edges and converters.

    Attributes
    ----------
    model : EdgeModel
        Circuit of the last configuration.
    unknowns : ndarray, shape (P,)
        Estimate of all unknowns.
    covariance : ndarray, shape (P, P)
    stuck : ndarray of bool, shape (E,)
        Edges that cannot be programmed; their ``gains`` are relative to the middle of the conductance range.
    scale_known : bool
        Whether a current or a known resistor determined the common scale of the conductances. If not, the scale is
        that of the prior (the mean log-gain is about 0), and `gain_sigma` includes its uncertainty.
    scale_sigma : float
        Relative standard uncertainty of the common scale, the mean of the log-gains weighted by `shape_weights`.
    spread, spread_sigma : float
        Standard deviation of the edges' log-gains, and its uncertainty.
    converters : ConverterFit
    misfit, current_misfit : Misfit
        Squared residuals of volts and of amperes, in units of the stated noise. Programming noise is fitted, so
        they show what else the model does not explain.
    noise_readings : float or None
        Number of readings from which the noise of the voltages was estimated; None: it is known exactly.
    noise_factor, current_noise_factor : float
        Factor on the stated noise that explains the residuals; all uncertainties include it.
    programming : ProgrammingNoise
        How much an edge's conductance differs from programming to programming; `gains` are means.
    repeats : RepeatedProgramming or None
        Comparison with configurations that were programmed twice; None if there is none.
    wires : WireFit or None
        Wires of a crossbar, estimated jointly; None for other circuits.
    configurations, rows : int
        Number of configurations and of single readings.
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
    misfit: Misfit
    noise_factor: float
    current_misfit: Misfit
    current_noise_factor: float
    noise_readings: float | None
    programming: ProgrammingNoise
    repeats: RepeatedProgramming | None
    wires: WireFit | None
    configurations: int
    rows: int

    @property
    def gains(self) -> FloatArray:
        """True conductance divided by programmed conductance of each edge (E,)."""
        return np.exp(self.log_gains)

    @property
    def log_gains(self) -> FloatArray:
        """Logarithms of the gains (E,)."""
        return self.model.layout.take(self.unknowns, "log_gain")

    @property
    def log_covariance(self) -> FloatArray:
        """Covariance (E, E) of the log-gains, including the uncertainty of the common scale."""
        edges = self.model.layout.blocks["log_gain"]
        return self.covariance[edges, edges]

    @property
    def gain_sigma(self) -> FloatArray:
        """Standard uncertainty (E,) of the gains, including that of the common scale."""
        return np.asarray(self.gains * np.sqrt(np.diagonal(self.log_covariance)))

    @property
    def programmed_sigma(self) -> FloatArray:
        """Standard uncertainty (E,) of the gains in one programming: `gain_sigma` and the programming noise."""
        return np.asarray(np.hypot(self.gain_sigma, self.gains * np.sqrt(self.programming_variance)))

    @property
    def programming_variance(self) -> FloatArray:
        """Variance (E,) of the edges' log-conductances from programming to programming; 0 for stuck edges."""
        return np.where(self.stuck, 0.0, self.programming.sigma**2)

    @property
    def chi(self) -> float:
        """Misfit of all readings in units of their noise; 1 is expected."""
        both, dof = self.misfit.chi2 + self.current_misfit.chi2, self.misfit.dof + self.current_misfit.dof
        return math.sqrt(both / dof) if dof > 0 else 0.0

    @property
    def chi2_per_dof(self) -> float:
        """Squared misfit of the voltages per degree of freedom; NaN without any."""
        return self.misfit.ratio

    @property
    def current_chi2_per_dof(self) -> float:
        """Squared misfit of the currents per degree of freedom; NaN without any."""
        return self.current_misfit.ratio

    @property
    def shape(self) -> FloatArray:
        """Gains (E,) divided by their weighted geometric mean: known even without the common scale."""
        return np.exp(self.log_gains - self.shape_weights @ self.log_gains)

    @property
    def shape_sigma(self) -> FloatArray:
        """Relative standard uncertainty (E,) of `shape`."""
        return np.sqrt(_variance_without_mean(self.log_covariance, self.shape_weights))

    @property
    def shape_weights(self) -> FloatArray:
        """Weights (E,) of the mean in `shape`, of sum 1: inverse variances of the edges."""
        return scale_weights(self.log_covariance, self.stuck)

    @property
    def undetermined(self) -> BoolArray:
        """Edges (E,) of which the readings contain almost no information: between sources, or in a dead end.

        Their gains are the expected ones and do not affect the readings.
        """
        variance = np.diagonal(self.log_covariance)
        return np.asarray(~self.stuck & (variance > _UNDETERMINED * self.spread**2))

    @property
    def edge_offsets(self) -> FloatArray:
        """Offsets (E,) in siemens; zero where none were fitted."""
        if not self.model.layout.edge_offsets:
            return np.zeros(self.model.layout.n_edges)
        return self.model.layout.take(self.unknowns, "edge_offset")

    def conductances(self, reached: ArrayLike) -> FloatArray:
        """Return calibrated conductances (E,) in siemens of edges programmed to ``reached`` (E,).

        Raises
        ------
        SetupError
            If the shape does not fit.
        """
        return self._model(reached).conductances(self.unknowns)

    def predict(self, reached: ArrayLike, inputs: ArrayLike, drive: OutputDrive | None = None) -> Prediction:
        """Predict the ADC readings for inputs (S, n_in) after one programming to ``reached`` (E,).

        Parameters
        ----------
        reached : array_like, shape (E,)
            Siemens, from `Programmed.reached`.
        inputs : array_like, shape (S, n_in)
            Setpoints of the input DACs in volts.
        drive : OutputDrive, optional
            Drive of the outputs.

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
            phase = Phase(drive.kind, x, drive.values, drive.siemens)
        covariance = self.covariance.copy()
        edges = np.arange(len(self.stuck)) + model.layout.blocks["log_gain"].start
        covariance[edges, edges] += self.programming_variance
        return predict(model, self.unknowns, covariance, phase)

    def with_scale_of(self, edge: int, gain: float, relative_sigma: float) -> EdgeFit:
        """Return the fit with one edge known from another measurement, which determines the common scale.

        Parameters
        ----------
        edge : int
        gain : float
            Its true conductance divided by its programmed conductance.
        relative_sigma : float
            Relative standard uncertainty of the gain.

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
    """Return the weights (E,) of the edges in their common scale: inverse variances of gains relative to it.

    An edge without influence on the readings (a dead end) then does not affect the scale of the others.
    """
    moving = (~stuck).astype(np.float64)
    weights = moving / moving.sum()
    for _ in range(_WEIGHT_ROUNDS):
        weights = moving / np.maximum(_variance_without_mean(log_covariance, weights), _LEAST_VARIANCE)
        weights /= weights.sum()
    return np.asarray(weights)


def common_scale_sigma(log_covariance: FloatArray, stuck: BoolArray) -> float:
    """Return the standard uncertainty of the weighted mean log-gain; NaN if every edge is stuck."""
    if stuck.all():
        return math.nan
    weights = scale_weights(log_covariance, stuck)
    return math.sqrt(float(weights @ log_covariance @ weights))


def _variance_without_mean(log_covariance: FloatArray, weights: FloatArray) -> FloatArray:
    """Return the variance (E,) of the log-gains minus their weighted mean."""
    without = np.eye(len(weights)) - weights[None, :]
    return np.asarray(np.einsum("ij,jk,ik->i", without, log_covariance, without, optimize=True))


def scale_is_known(scale_sigma: float, spread: float, stuck: BoolArray) -> bool:
    """Return whether the readings, not the prior, determine the common scale."""
    moving = int((~stuck).sum())
    return moving > 0 and scale_sigma < _MEASURED * spread / math.sqrt(moving)
