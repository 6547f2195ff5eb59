"""`WireFit`: estimated resistances of a crossbar's wire segments and of its sources, with uncertainties."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Final, Self

import numpy as np
from scipy.special import chdtri

from hwlearn.arrays import FloatArray
from hwlearn.calibration.estimation.posterior import Posterior
from hwlearn.calibration.estimation.response import EdgeModel
from hwlearn.calibration.misfit import LEVEL

_LEAST_INFORMATION: Final = 0.01
"""Part of the prior's variance that readings must remove from a direction, so that it counts in a test."""

DETERMINED: Final = 0.25
"""Segment resistances count as measured if relative standard uncertainties, sources included, are below this."""


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
        Estimated standard deviation of the logarithm of the resistance from segment to segment; NaN if there are
        too many segments to estimate it.
    source_ohm, source_sigma_ohm : ndarray, shape (n_in,)
        Resistance between each input source and its line; empty if rows have no resistance.
    has_spread, has_sources : bool
        Whether the readings show a spread and resistances of the sources. The other values and their uncertainties
        allow for both, shown or not.
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
    def of(cls, model: EdgeModel, found: Posterior) -> Self | None:
        """Return the wires of an estimate; None for a circuit without unknown wires.

        Parameters
        ----------
        model : EdgeModel
        found : Posterior
        """
        segments, wires = model.segments, model.topology.wires
        if segments is None or wires is None:
            return None
        blocks = model.layout.blocks
        means = np.zeros((len(segments.lines), len(found.mean)))
        means[:, blocks["log_ohm"]] = np.eye(len(segments.lines))
        if model.layout.n_segments:
            means[:, blocks["segment"]] = (segments.of_line / segments.of_line.sum(axis=0)).T
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
            found.prior.spread("segments") if model.layout.n_segments else math.nan,
            source,
            model.ohm_of_row * np.sqrt(np.diagonal(found.covariance)[blocks["source"]]),
            _is_shown(found, "segments"),
            _is_shown(found, "sources"),
            each,
        )

    @property
    def determined(self) -> bool:
        """Whether all segment resistances are measured better than within the factor `DETERMINED`.

        Each source must be measured within that part of a declared row segment. Otherwise its expected resistance
        decides how a row is divided into source and segments, and the interval depends on that expectation.
        """
        sources_known = self.source_sigma_ohm < DETERMINED * self.declared_ohm[0]
        return bool((self.sigma_ohm < DETERMINED * self.ohm).all() and sources_known.all())

    @property
    def is_possible(self) -> bool:
        """Whether every segment has a positive resistance."""
        return bool((self.segment_ohm > 0).all())


def without(found: Posterior, name: str) -> Posterior:
    """Return an estimate on the condition that a group of unknowns is 0; uncertainties still allow for them."""
    members = found.prior.groups[name].members
    own = found.covariance[np.ix_(members, members)]
    mean = found.mean - found.covariance[:, members] @ np.linalg.solve(own, found.mean[members])
    mean[members] = 0.0
    return replace(found, mean=mean)


def _is_shown(found: Posterior, name: str) -> bool:
    """Return whether the readings show that the unknowns of a group, of prior mean 0, are not 0.

    Where they are 0, their estimate m has the covariance ``C - C C / s^2``, with the covariance C of the posterior
    and the variance s^2 of the prior.
    """
    if name not in found.prior.groups:
        return False
    members = found.prior.groups[name].members
    value, vectors = np.linalg.eigh(found.covariance[np.ix_(members, members)])
    left = value / found.prior.spread(name) ** 2
    informed = left < 1 - _LEAST_INFORMATION
    if not informed.any():
        return False
    along = vectors[:, informed].T @ found.mean[members]
    test = float((along**2 / (value * (1 - left))[informed]).sum())
    return test > float(chdtri(int(informed.sum()), LEVEL))
