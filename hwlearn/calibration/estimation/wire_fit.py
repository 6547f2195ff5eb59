"""`WireFit`: estimated resistances of a crossbar's wire segments and of its sources, with uncertainties."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, Self

import numpy as np
from scipy.special import chdtri

from hwlearn.arrays import FloatArray, IntArray
from hwlearn.calibration.estimation.posterior import Posterior
from hwlearn.calibration.estimation.response import EdgeModel

_LEVEL: Final = 0.05
"""Probability that resistances of sources that are zero, or segments that are equal, are taken for others. It is
not smaller, because resistances that are there but not shown bias the other values."""

_LEAST_INFORMATION: Final = 0.01
"""Part of the prior's variance that readings must remove from a direction, so that it counts in a test."""

DETERMINED: Final = 0.25
"""A segment resistance counts as measured if its relative standard uncertainty is below this."""


@dataclass(frozen=True, eq=False)
class WireFit:
    """Wires of a crossbar.

    Attributes
    ----------
    lines : tuple of str
        Kinds of lines with resistance: ``"row"``, ``"column"``.
    declared_ohm : ndarray, shape (L,)
        Resistance of one segment as the topology declares it.
    ohm, sigma_ohm : ndarray, shape (L,)
        Geometric mean of the resistances of all segments of a kind, and its standard uncertainty. Without a
        measured current it includes the uncertainty of the edges' common scale: voltages determine only the
        product of both.
    spread : float
        Estimated standard deviation of the logarithm of the resistance from segment to segment.
    source_ohm, source_sigma_ohm : ndarray, shape (n_in,)
        Resistance between each input source and its line; empty if rows have no resistance.
    has_spread, has_sources : bool
        Whether the readings show a spread and resistances of the sources. If not, these count as zero in all other
        values, but not in the uncertainties.
    segment_ohm : ndarray, shape (F,)
        Most likely resistance of each segment, in the order of the topology's fixed edges; the first segment of a
        row includes its source.
    """

    lines: tuple[str, ...]
    declared_ohm: FloatArray
    ohm: FloatArray
    sigma_ohm: FloatArray
    spread: float
    source_ohm: FloatArray
    source_sigma_ohm: FloatArray
    has_spread: bool
    has_sources: bool
    segment_ohm: FloatArray

    @classmethod
    def of(cls, model: EdgeModel, found: Posterior, has: dict[str, bool]) -> Self | None:
        """Return the wires of an estimate; None for a circuit without unknown wires.

        Parameters
        ----------
        model : EdgeModel
        found : Posterior
        has : dict of str to bool
            Whether the readings show the groups ``segments`` and ``sources``.
        """
        segments, wires = model.segments, model.topology.wires
        if segments is None or wires is None:
            return None
        blocks = model.layout.blocks
        shares = segments.of_line / segments.of_line.sum(axis=0)
        means = np.zeros((len(segments.lines), len(found.mean)))
        means[:, blocks["log_ohm"]] = np.eye(len(segments.lines))
        means[:, blocks["segment"]] = shares.T
        ohm = segments.ohms * np.exp(means @ found.mean)
        sigma = np.sqrt(np.einsum("lp,pq,lq->l", means, found.covariance, means))
        source = model.source_ohm(found.mean)
        each = 1.0 / model.wire_siemens(found.mean)
        if len(source):
            # inputs are numbers of rows; segment m N is the first of row m
            each[model.topology.inputs * wires.columns] += source
        return cls(
            segments.lines,
            segments.ohms,
            ohm,
            np.asarray(ohm * sigma),
            found.prior.spread("segments"),
            source,
            model.ohm_of_row * np.sqrt(np.diagonal(found.covariance)[blocks["source"]]),
            has["segments"],
            has.get("sources", False),
            each,
        )

    @property
    def determined(self) -> bool:
        """Whether all segment resistances are measured better than within the factor `DETERMINED`."""
        return bool((self.sigma_ohm < DETERMINED * self.ohm).all())

    @property
    def is_possible(self) -> bool:
        """Whether every segment has a positive resistance."""
        return bool((self.segment_ohm > 0).all())

    @property
    def is_uniform(self) -> bool:
        """Whether all segments of a kind have the same most likely resistance."""
        return not (self.has_spread or self.has_sources)

    def declared_off(self, line: int) -> float:
        """Return the difference between found and declared resistance of one kind, in standard uncertainties."""
        sigma = float(self.sigma_ohm[line] / self.ohm[line])
        return abs(math.log(float(self.ohm[line] / self.declared_ohm[line]))) / sigma


def is_shown(found: Posterior, members: IntArray) -> bool:
    """Return whether the readings show that unknowns of prior mean 0 are not 0.

    Where they are 0, their estimate m has the covariance ``C - C C / s^2``, with the covariance C of the posterior
    and the variance s^2 of the prior.
    """
    if not members.size:
        return False
    value, vectors = np.linalg.eigh(found.covariance[np.ix_(members, members)])
    informed = value / float(found.prior.sigma[members[0]]) ** 2 < 1 - _LEAST_INFORMATION
    if not informed.any():
        return False
    along = vectors[:, informed].T @ found.mean[members]
    variance = value[informed] * (1 - value[informed] / float(found.prior.sigma[members[0]]) ** 2)
    test = float((along**2 / variance).sum())
    return test > float(chdtri(int(informed.sum()), _LEVEL))


def without(mean: FloatArray, covariance: FloatArray, members: IntArray) -> FloatArray:
    """Return the estimate (P,) on the condition that some unknowns are 0."""
    if not members.size:
        return mean
    own = covariance[np.ix_(members, members)]
    moved = mean - covariance[:, members] @ np.linalg.solve(own, mean[members])
    moved[members] = 0.0
    return np.asarray(moved)
