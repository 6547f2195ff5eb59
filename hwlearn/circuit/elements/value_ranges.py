"""`ValueRanges`: the range of the trainable value of each edge, in the unit of its parameter."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hwlearn.arrays import BoolArray, FloatArray


@dataclass(frozen=True, eq=False, slots=True)
class ValueRanges:
    """Permitted values of each edge: siemens, or volts for the gates of transistors.

    Attributes
    ----------
    low, high : float or ndarray, shape (E,)
        Ends of the ranges; one number if all edges have the same.
    is_log : bool or ndarray of bool, shape (E,)
        Whether the parameter of the edge declares a logarithmic scale, as a conductance does.
    n_edges : int
    """

    low: float | FloatArray
    high: float | FloatArray
    is_log: bool | BoolArray
    n_edges: int

    @classmethod
    def of_conductances(cls, low: float, high: float, n_edges: int) -> ValueRanges:
        """Return the ranges of edges that all have a conductance in siemens."""
        return cls(low, high, True, n_edges)

    @property
    def span(self) -> float | FloatArray:
        """Widths of the ranges."""
        return self.high - self.low

    @property
    def ends(self) -> tuple[FloatArray, FloatArray]:
        """Lowest and highest value of each edge, (E,) each."""
        low, high = (np.full(self.n_edges, end) for end in (self.low, self.high))
        return low, high

    def middle(self) -> FloatArray:
        """Return the arithmetic mean (E,) of the ends of each range."""
        return np.full(self.n_edges, 0.5 * (self.low + self.high))

    def clipped(self, values: FloatArray) -> FloatArray:
        """Return values (E,) moved to the nearest end of their range where they lie outside."""
        return np.asarray(np.clip(values, self.low, self.high))

    def drawn(self, rng: np.random.Generator) -> FloatArray:
        """Return random values (E,): log-uniform where the scale is logarithmic, uniform elsewhere."""
        if self.is_log is True:
            return np.asarray(np.exp(rng.uniform(np.log(self.low), np.log(self.high), self.n_edges)))
        place = rng.uniform(size=self.n_edges)
        return np.asarray(self.at(place, self.is_log))

    def at(self, place: FloatArray, is_log: bool | BoolArray) -> FloatArray:
        """Return the values (E,) at places (E,) from 0 to 1 in their ranges, logarithmic where chosen."""
        linear = self.low + place * self.span
        if is_log is False or not np.any(is_log):
            return np.asarray(linear)
        safe = np.where(is_log, self.low, 1.0)
        log = safe * (np.where(is_log, self.high, 1.0) / safe) ** place
        return np.where(is_log, log, linear)
