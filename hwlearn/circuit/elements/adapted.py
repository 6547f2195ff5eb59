"""`Adapted`: an element of two terminals in a circuit with elements of three."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from hwlearn.arrays import BoolArray, FloatArray
from hwlearn.circuit.elements.element import Element
from hwlearn.circuit.elements.kinds import OHMIC
from hwlearn.circuit.elements.three_terminal import CONDUCTANCE, Parameter, Stamp, ThreeTerminal


@dataclass(frozen=True)
class Adapted(ThreeTerminal):
    """An element whose current depends on the drop alone and leaves at b what enters at a."""

    element: Element

    @property
    def parameter(self) -> Parameter:
        """Conductance in siemens."""
        return CONDUCTANCE

    @property
    def n_inner(self) -> int:
        """None."""
        return 0

    @property
    def scale_V(self) -> float:
        """Volts over which the slope changes."""
        return self.element.scale_V

    @property
    def has_kinks(self) -> bool:
        """Whether it is piecewise linear."""
        return math.isinf(self.element.scale_V) and self.element != OHMIC

    def in_range(self, controls: FloatArray) -> BoolArray:
        """Return a mask (1, S, K) of drops within the range of the law."""
        return np.asarray(self.element.in_range(controls[0])[None])

    def contrast(self, terminals: FloatArray, values: FloatArray) -> FloatArray:
        """Return d(co-content)/d(theta) (S, K)."""
        return np.asarray(self.element.cocontent(terminals[0] - terminals[1], values))

    def start(self, terminals: FloatArray) -> FloatArray:
        """Return nothing: there are no inner nodes."""
        return np.empty((0, *terminals.shape[1:]))

    def controls(self, volts: FloatArray) -> FloatArray:
        """Return the drop."""
        return np.asarray((volts[0] - volts[1])[None])

    def linearised_at(self, controls: FloatArray, before: FloatArray) -> FloatArray:
        """Return the drop at which the element is linearised; see `Element.linearised_at`."""
        return np.asarray(self.element.linearised_at(controls[0], before[0])[None])

    def stamp(self, volts: FloatArray, values: FloatArray, at: FloatArray) -> Stamp:
        """Return the currents; see `ThreeTerminal.stamp`."""
        v = at[0]
        slope = self.element.slope(v, values)
        current = self.element.current(v, values) + slope * (volts[0] - volts[1] - v)
        by_value = self.element.sensitivity(v, values)
        return Stamp(
            np.stack([current, -current]),
            np.stack([np.stack([slope, -slope]), np.stack([-slope, slope])]),
            np.stack([by_value, -by_value]),
        )
