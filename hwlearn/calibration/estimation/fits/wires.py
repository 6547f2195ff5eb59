"""`WireFit`: estimated resistances of a crossbar's wire segments and of its sources, with uncertainties."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Final, Self

import numpy as np
from scipy.optimize import nnls
from scipy.special import chdtri

from hwlearn.arrays import FloatArray
from hwlearn.calibration.estimation.posterior import Posterior
from hwlearn.calibration.estimation.programming import SIGNIFICANT
from hwlearn.calibration.estimation.response import EdgeModel
from hwlearn.calibration.misfit import LEVEL

DETERMINED: Final = 0.25
"""Segment resistances count as measured if their relative standard uncertainties are below this."""


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
            found.shown.get("segments", 0.0) > SIGNIFICANT,
            _shows_sources(model, found),
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


def with_possible_sources(model: EdgeModel, found: Posterior) -> Posterior:
    """Return an estimate in which every first segment with its source has a positive resistance, if chance allows.

    A source that is known badly may be estimated so negative that its sum with the first segment is. The most
    likely estimate without negative sources then replaces it. It is closer to the truth, so the uncertainties of
    the free estimate hold. A sum that is negative by more than chance stays, see `WireFit.is_possible`.

    Parameters
    ----------
    model : EdgeModel
    found : Posterior
    """
    wires, at = WireFit.of(model, found), model.layout.blocks["source"]
    if wires is None or wires.is_possible or not model.layout.n_sources:
        return found
    root = np.linalg.inv(np.linalg.cholesky(found.covariance[at, at]))
    sources, distance = nnls(root, root @ found.mean[at])
    if distance**2 > float(chdtri(len(sources), LEVEL)):
        return found
    along = root.T @ (root @ (sources - found.mean[at]))
    mean = found.mean + found.covariance[:, at] @ along
    mean[at] = sources
    return replace(found, mean=mean)


def _shows_sources(model: EdgeModel, found: Posterior) -> bool:
    """Return whether the readings show that the sources have resistances."""
    at = model.layout.blocks["source"]
    mean, covariance = found.mean[at], found.covariance[at, at]
    if not mean.size:
        return False
    return float(mean @ np.linalg.solve(covariance, mean)) > float(chdtri(mean.size, LEVEL))
