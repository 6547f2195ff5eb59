"""Subsets of trainable edges; training only some edges costs little accuracy (arXiv:2602.03546)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from hwlearn.arrays import BoolArray, FloatArray, IntArray
from hwlearn.circuit.kirchhoff import Kirchhoff
from hwlearn.errors import SetupError
from hwlearn.units import is_count, is_number


class Subset(ABC):
    """Choice of trainable edges; the others keep their initial conductance."""

    @abstractmethod
    def mask(self, model: Kirchhoff, inputs: FloatArray) -> BoolArray:
        """Return the chosen edges (E,) for a model and the input volts (S, n_in) of the training set."""


@dataclass(frozen=True)
class RandomEdges(Subset):
    """Random fraction of the edges.

    Parameters
    ----------
    fraction : float
        Above 0, at most 1.
    seed : int
    """

    fraction: float
    seed: int = 0

    def __post_init__(self) -> None:
        _check_fraction(self.fraction)
        if not is_count(self.seed, 0):
            raise SetupError(f"the seed of a subset is {self.seed!r}; it must be a whole number of at least 0")

    def mask(self, model: Kirchhoff, inputs: FloatArray) -> BoolArray:
        """Return a random choice, at least one edge."""
        n = model.topology.n_edges
        order = np.random.default_rng(self.seed).permutation(n)
        return _chosen(n, order[: _count(self.fraction, n)])


@dataclass(frozen=True)
class MostSensitive(Subset):
    """Fraction of edges whose relative change has the largest effect on the model's outputs, over the inputs."""

    fraction: float

    def __post_init__(self) -> None:
        _check_fraction(self.fraction)

    def mask(self, model: Kirchhoff, inputs: FloatArray) -> BoolArray:
        """Return the most sensitive edges, at least one."""
        n = model.topology.n_edges
        return _chosen(n, np.argsort(-sensitivities(model, inputs), kind="stable")[: _count(self.fraction, n)])


class ListedEdges(Subset):
    """Edges of a list.

    Parameters
    ----------
    edges : iterable of int
        Edge numbers.
    """

    def __init__(self, edges: Iterable[int]) -> None:
        given: object = edges
        listed = tuple(given) if isinstance(given, Iterable) else None
        if listed is None or not all(is_count(edge, 0) for edge in listed):
            raise SetupError(f"the list of trainable edges must be edge numbers, got {edges!r}")
        self.edges: tuple[int, ...] = tuple(int(edge) for edge in listed)
        if not self.edges:
            raise SetupError("the list of trainable edges is empty")

    def mask(self, model: Kirchhoff, inputs: FloatArray) -> BoolArray:
        """Return the listed edges.

        Raises
        ------
        SetupError
            If the network has no such edge.
        """
        n = model.topology.n_edges
        for edge in self.edges:
            if not 0 <= edge < n:
                raise SetupError(f"the subset lists edge {edge}, but the edges are 0 to {n - 1}")
        return _chosen(n, np.asarray(self.edges))


def sensitivities(model: Kirchhoff, inputs: FloatArray) -> FloatArray:
    """Return the rms change (E,) of the outputs in volts per relative change of each edge, over the inputs.

    For values on a linear scale, such as gate voltages, it is the change per unit, as one volt.
    """
    return np.asarray(np.sqrt(model.output_power(inputs)) * units_of_change(model))


def units_of_change(model: Kirchhoff) -> FloatArray:
    """Return the change (E,) of each value that counts as one: itself on a logarithmic scale, else one unit."""
    unit = model.values.copy()
    for parameter, edges in model.topology.parameters:
        if parameter.scale == "linear":
            unit[edges] = 1.0
    return unit


def _chosen(n: int, edges: IntArray) -> BoolArray:
    mask = np.zeros(n, dtype=bool)
    mask[edges] = True
    return mask


def _count(fraction: float, n: int) -> int:
    return max(1, round(fraction * n))


def _check_fraction(fraction: float) -> None:
    if not (is_number(fraction) and 0 < fraction <= 1):
        raise SetupError(f"a subset's fraction is {fraction!r}; it must lie above 0 and be at most 1")
