"""Base classes of circuit elements."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np

from hwlearn.arrays import BoolArray, FloatArray


@dataclass(frozen=True, slots=True)
class Kink:
    """Law of two straight lines: slope ``below`` up to ``threshold_V``, and ``above`` from there on.

    Slopes are fractions of theta. The threshold is at least 0, and the current at 0 V is zero.
    """

    threshold_V: float
    below: float
    above: float


class Element(ABC):
    """Abstract circuit element: current and derivatives at drops (..., K) in volts, thetas (K,) in siemens."""

    @abstractmethod
    def current(self, v: FloatArray, theta: FloatArray) -> FloatArray:
        """Return the current in amperes from a to b at a drop of ``v`` from a to b."""

    @abstractmethod
    def slope(self, v: FloatArray, theta: FloatArray) -> FloatArray:
        """Return d(current)/dv in siemens, never negative."""

    @abstractmethod
    def sensitivity(self, v: FloatArray, theta: FloatArray) -> FloatArray:
        """Return d(current)/d(theta) in volts."""

    @abstractmethod
    def cocontent(self, v: FloatArray, theta: FloatArray) -> FloatArray:
        """Return d(co-content)/d(theta) in V^2: the integral of `sensitivity` from 0 to ``v``."""

    @property
    def scale_V(self) -> float:
        """Volts over which the slope changes; infinite for piecewise linear elements."""
        return math.inf

    @property
    def kink(self) -> Kink | None:
        """The law as two straight lines; None if it has another form."""
        return None

    def linearised_at(self, v: FloatArray, before: FloatArray) -> FloatArray:
        """Return the drop at which Newton's method linearises next, for a step from ``before`` to ``v``.

        This is ``v``, or a drop closer to ``before`` if the tangent would overshoot by far.
        """
        return v

    def in_range(self, v: FloatArray) -> BoolArray:
        """Return a mask of drops within the range of the law."""
        return np.ones(v.shape, dtype=np.bool_)

    def spice(self, across: str, theta: float) -> str | None:
        """Return the current as a SPICE expression of the drop ``across``; None if there is none."""
        return None


class Proportional(Element):
    """An element with current ``theta * f(v)``; its co-content per theta is ``F``, the integral of ``f``."""

    @abstractmethod
    def f(self, v: FloatArray) -> FloatArray:
        """Return the current per theta: amperes per siemens, in volts."""

    @abstractmethod
    def df(self, v: FloatArray) -> FloatArray:
        """Return df/dv."""

    @abstractmethod
    def F(self, v: FloatArray) -> FloatArray:
        """Return the integral of f from 0 to v in V^2."""

    def current(self, v: FloatArray, theta: FloatArray) -> FloatArray:
        """Return ``theta f(v)``."""
        return theta * self.f(v)

    def slope(self, v: FloatArray, theta: FloatArray) -> FloatArray:
        """Return ``theta df/dv``."""
        return theta * self.df(v)

    def sensitivity(self, v: FloatArray, theta: FloatArray) -> FloatArray:
        """Return ``f(v)``."""
        return self.f(v)

    def cocontent(self, v: FloatArray, theta: FloatArray) -> FloatArray:
        """Return ``F(v)``."""
        return self.F(v)
