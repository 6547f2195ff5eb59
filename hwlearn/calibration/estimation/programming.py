"""Programming noise: how much the conductance of an edge differs from programming to programming.

A model that lacks a wire, or bends where the hardware is straight, deviates differently in each configuration too.
A fit cannot tell such deviations from programming noise, but the same configuration programmed twice can: its
readings differ by programming noise and read noise only, whatever the model.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, Self

import numpy as np

from hwlearn.arrays import FloatArray, IntArray
from hwlearn.calibration.estimation.whitening import Block
from hwlearn.calibration.misfit import LEVEL, POWER, Misfit, lower, upper

SIGNIFICANT: Final = 10.8
"""2 log likelihood ratio that one more parameter exceeds by chance with the probability `LEVEL`."""


@dataclass(frozen=True)
class ProgrammingNoise:
    """Standard deviation of an edge's log-conductance from programming to programming.

    Attributes
    ----------
    sigma, sigma_error : float
        Mean and standard deviation of its posterior.
    evidence : float
        2 log of the likelihood ratio of its most likely value and zero.
    """

    sigma: float
    sigma_error: float
    evidence: float

    @property
    def is_significant(self) -> bool:
        """Whether the readings show it."""
        return self.evidence > SIGNIFICANT

    @property
    def dof(self) -> float:
        """Degrees of freedom of the estimated variance."""
        return 0.5 * (self.sigma / self.sigma_error) ** 2 if self.sigma_error > 0 else math.inf


@dataclass(frozen=True)
class RepeatedProgramming:
    """Programming noise from configurations that were programmed twice, compared with the fitted one.

    Attributes
    ----------
    misfit : Misfit
        Squared differences of the readings, in units of those that the fitted programming noise explains.
    fitted : ProgrammingNoise
    sigma : float
        Most likely programming noise by the repeats alone.
    """

    misfit: Misfit
    fitted: ProgrammingNoise
    sigma: float

    @classmethod
    def of(cls, pairs: list[tuple[Block, Block]], edges: IntArray, fitted: ProgrammingNoise) -> Self | None:
        """Return the comparison of pairs of readings about the same unknowns; None without any.

        Parameters
        ----------
        pairs : list of (Block, Block)
            Readings of the same patterns after two programmings to the same targets.
        edges : ndarray of int
            Unknowns that are the log-gains of the edges that move.
        fitted : ProgrammingNoise
        """
        squares, weights, halves, values = [], [], [], []
        for first, second in pairs:
            of_edges = 0.5 * (first.jacobian + second.jacobian)[:, edges]
            value, vectors = np.linalg.eigh(of_edges @ of_edges.T)
            explained = fitted.sigma**2 * np.maximum(value, 0.0)
            half = vectors.T @ (first.residual - second.residual) / math.sqrt(2)
            squares.append(half**2 / (1 + explained))
            weights.append(explained / (1 + explained))
            halves.append(half**2)
            values.append(np.maximum(value, 0.0))
        if not pairs:
            return None
        sigma = _most_likely(np.concatenate(halves), np.concatenate(values), fitted.sigma)
        return cls(Misfit.weighted(np.concatenate(squares), np.concatenate(weights)), fitted, sigma)

    @property
    def agrees(self) -> bool:
        """Whether the repeats differ as much as the fitted programming noise explains.

        If they differ less, the model is wrong: its errors were taken for programming noise.
        """
        return self.misfit.dof < 1 or self.misfit.ratio >= lower(self.misfit.dof, self.fitted.dof, LEVEL)

    @property
    def found_error(self) -> float:
        """Error of the model, in units of the programming noise, that this comparison finds with `POWER`."""
        if self.misfit.dof < 1:
            return math.inf
        least = lower(self.misfit.dof, self.fitted.dof, LEVEL) / upper(self.misfit.dof, self.fitted.dof, 1 - POWER)
        return math.sqrt(max(1 / least - 1, 0.0)) if least > 0 else math.inf


def _most_likely(squares: FloatArray, values: FloatArray, fitted: float) -> float:
    """Return the tau at which squares (N,) of expectation ``1 + tau^2 value`` are most likely."""
    taus = fitted * np.concatenate([[0.0], np.geomspace(1e-3, 10.0, 200)])
    expected = 1 + np.outer(taus**2, values)
    return float(taus[np.argmin((squares / expected + np.log(expected)).sum(axis=1))])
