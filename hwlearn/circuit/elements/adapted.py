"""`Adapted`: an element of two terminals in a circuit with elements of three."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from hwlearn.arrays import BoolArray, FloatArray
from hwlearn.circuit.elements.element import Element
from hwlearn.circuit.elements.kinds import OHMIC
from hwlearn.circuit.elements.three_terminal import CONDUCTANCE, Parameter, Stamp, ThreeTerminal, linearised_truly


@dataclass(frozen=True)
class Adapted(ThreeTerminal):
    """An element whose current depends on the drop alone and leaves at b what enters at a."""

    element: Element

    @property
    def parameter(self) -> Parameter:
        """Conductance in siemens."""
        return CONDUCTANCE

    @property
    def scale_V(self) -> float:
        """Volts over which the slope changes."""
        return self.element.scale_V

    @property
    def has_kinks(self) -> bool:
        """Whether it is piecewise linear."""
        return math.isinf(self.element.scale_V) and self.element != OHMIC

    def start(self, terminals: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return nothing inside, and a drop of 0 V before."""
        shape = terminals.shape[1:]
        return np.empty((0, *shape)), np.zeros((1, *shape))

    def in_range(self, terminals: FloatArray, inner: FloatArray) -> BoolArray:
        """Return a mask (S, K) of drops within the range of the law."""
        return self.element.in_range(terminals[0] - terminals[1])

    def contrast(self, terminals: FloatArray, values: FloatArray) -> FloatArray:
        """Return d(co-content)/d(theta) (S, K)."""
        return np.asarray(self.element.cocontent(terminals[0] - terminals[1], values))

    def stamp(self, terminals: FloatArray, inner: FloatArray, before: FloatArray, values: FloatArray) -> Stamp:
        """Return the currents; see `ThreeTerminal.stamp`."""
        drop = terminals[0] - terminals[1]
        v = self.element.linearised_at(drop, before[0])
        slope = self.element.slope(v, values)
        current = self.element.current(v, values)
        is_true = None
        if v is not drop:
            current = current + slope * (drop - v)
            is_true = linearised_truly(v[None], drop[None])
        by_value = self.element.sensitivity(v, values)
        return Stamp(
            np.stack([current, -current]),
            np.stack([slope, -slope, -slope, slope]).reshape(2, 2, *drop.shape),
            np.stack([by_value, -by_value]),
            at=v[None],
            is_true=is_true,
        )
