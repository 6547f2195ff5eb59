"""Optimizers: compute new target values from a gradient, within the range of the hardware.

They work on a position ``u`` in [0, 1] for each edge: the place of its value in its range, in siemens or volts.
The place of a conductance is linear or logarithmic; values whose parameter declares a linear scale, such as gate
voltages, are always moved linearly. The position is not quantised, so that small steps accumulate even if the
hardware's steps are coarse.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Literal

import numpy as np

from hwlearn.arrays import BoolArray, FloatArray
from hwlearn.circuit.elements.value_ranges import ValueRanges
from hwlearn.errors import LimitError, SetupError
from hwlearn.units import ROUNDING, is_number

Scale = Literal["linear", "log"]


class Optimizer(ABC):
    """Gradient descent on an unquantised copy of the values (the shadow), limited to their ranges.

    Parameters
    ----------
    rate : float
        Step size; each subclass defines its unit.
    scale : "linear" or "log"
        Whether steps of conductances are linear in conductance or in its logarithm. Gate voltages are always moved
        linearly.
    """

    def __init__(self, rate: float, *, scale: Scale = "linear") -> None:
        if not (is_number(rate) and rate > 0):
            raise SetupError(f"optimizer rate is {rate!r}; it must be positive")
        if scale not in ("linear", "log"):
            raise SetupError(f"optimizer scale must be 'linear' or 'log', got {scale!r}")
        self.rate = rate
        self.scale: Scale = scale
        self._state: dict[str, FloatArray] = {}

    # --- the shadow ---------------------------------------------------------------------------------

    def start(self, values: FloatArray, limits: tuple[float, float] | ValueRanges) -> None:
        """Start from values (E,).

        Parameters
        ----------
        values : ndarray, shape (E,)
            Siemens, or volts for gates.
        limits : (float, float) or ValueRanges
            Minimum and maximum conductance in siemens, or the range of each edge: `Limits.ranges`.

        Raises
        ------
        LimitError
            If a value lies outside its range.
        """
        if not isinstance(limits, ValueRanges):
            limits = ValueRanges.of_conductances(*limits, n_edges=len(values))
        low, high = limits.low, limits.high
        inside = (values >= low - ROUNDING * np.abs(low)) & (values <= high + ROUNDING * np.abs(high))
        if not inside.all():
            if limits.is_log is True:
                raise LimitError(f"initial conductances must lie between {low:g} and {high:g} S")
            k = int(np.flatnonzero(~inside)[0])
            ends = f"{np.broadcast_to(low, inside.shape)[k]:g} to {np.broadcast_to(high, inside.shape)[k]:g}"
            raise LimitError(f"the initial value {values[k]:g} of edge {k} is outside its limits, {ends}")
        self._range = limits
        self._logarithmic = limits.is_log if self.scale == "log" else False
        self._state = {"u": np.clip(self._position(values), 0.0, 1.0)}

    @property
    def shadow(self) -> FloatArray:
        """Unquantised values (E,) in siemens, or in volts for gates."""
        u, ranges = self._state["u"], self._range
        low, high = ranges.low, ranges.high
        g = low * (high / low) ** u if self._logarithmic is True else ranges.at(u, self._logarithmic)
        return np.asarray(np.clip(g, low, high))

    def step(self, gradient: FloatArray, trainable: BoolArray, pace: float = 1.0) -> FloatArray:
        """Take one step against a gradient (E,) on the trainable edges and return the new shadow (E,).

        Parameters
        ----------
        gradient : ndarray, shape (E,)
            Derivative of the cost by each value.
        trainable : ndarray of bool, shape (E,)
            The other edges do not change.
        pace : float
            Factor on the rate, used for annealing.

        Raises
        ------
        SetupError
            If the gradient is not finite.
        """
        if not np.isfinite(gradient).all():
            raise SetupError("the gradient is not finite; check the readings and the nudge strength")
        slope = self._slope()
        u = self._state["u"]
        every = bool(trainable.all())
        move = self._move(gradient * slope if every else np.where(trainable, gradient * slope, 0.0))
        moved = np.multiply(move, -pace)
        moved += u
        np.clip(moved, 0.0, 1.0, out=moved)
        self._state["u"] = moved if every else np.where(trainable, moved, u)
        return self.shadow

    def state(self) -> dict[str, FloatArray]:
        """Return the state for `restore`, as arrays by name."""
        return {name: np.array(value) for name, value in self._state.items()}

    def restore(self, state: Mapping[str, FloatArray]) -> None:
        """Restore a state; call `start` first."""
        self._state = {name: np.array(value) for name, value in state.items()}

    @abstractmethod
    def _move(self, gradient: FloatArray) -> FloatArray:
        """Return the step in u for a gradient dC/du (E,), before its sign is reversed."""

    def _memory(self, name: str, like: FloatArray) -> FloatArray:
        return self._state.get(name, np.zeros_like(like))

    def _slope(self) -> FloatArray | float:
        """Return the derivative (E,) of the values by u."""
        ranges, log = self._range, self._logarithmic
        if log is False:
            return ranges.span
        if log is True:
            return self.shadow * math.log(ranges.high / ranges.low)
        ratio = np.where(log, ranges.high, 1.0) / np.where(log, ranges.low, 1.0)
        return np.where(log, self.shadow * np.log(ratio), ranges.span)

    def _position(self, values: FloatArray) -> FloatArray:
        ranges, log = self._range, self._logarithmic
        linear = (values - ranges.low) / ranges.span
        if log is False:
            return np.asarray(linear)
        if log is True:
            return np.asarray(np.log(values / ranges.low) / math.log(ranges.high / ranges.low))
        low = np.where(log, ranges.low, 1.0)
        ratio = np.where(log, ranges.high, 1.0) / low
        return np.where(
            log, np.log(np.where(log, values, 1.0) / low) / np.log(np.where(log, ratio, math.e)), linear
        )


class SGD(Optimizer):
    """Plain gradient descent: ``u -= rate * dC/du``."""

    def _move(self, gradient: FloatArray) -> FloatArray:
        return self.rate * gradient


class Momentum(Optimizer):
    """Gradient descent with a decaying memory: ``m = momentum * m + dC/du; u -= rate * m``."""

    def __init__(self, rate: float, momentum: float = 0.9, *, scale: Scale = "linear") -> None:
        super().__init__(rate, scale=scale)
        if not (is_number(momentum) and 0 <= momentum < 1):
            raise SetupError(f"momentum is {momentum!r}; it must lie in [0, 1)")
        self.momentum = momentum

    def _move(self, gradient: FloatArray) -> FloatArray:
        memory = self.momentum * self._memory("m", gradient) + gradient
        self._state["m"] = memory
        return self.rate * memory


class Adam(Optimizer):
    """Adam (Kingma & Ba 2015), independent of the gradient's scale: ``rate`` is approximately the step in u.

    The small number in the denominator is relative to the largest edge, since gradients of different nudges have
    different units.
    """

    def __init__(
        self, rate: float = 0.01, beta1: float = 0.9, beta2: float = 0.999, *, scale: Scale = "linear"
    ) -> None:
        super().__init__(rate, scale=scale)
        for name, beta in (("beta1", beta1), ("beta2", beta2)):
            if not (is_number(beta) and 0 <= beta < 1):
                raise SetupError(f"Adam {name} is {beta!r}; it must lie in [0, 1)")
        self.beta1, self.beta2 = beta1, beta2

    def _move(self, gradient: FloatArray) -> FloatArray:
        count = self._memory("count", np.zeros(1)) + 1
        # in place: a network of many edges spends most of a step on passes over such arrays
        mean, square = self._memory("mean", gradient), self._memory("square", gradient)
        part = np.multiply(gradient, 1 - self.beta1)
        mean *= self.beta1
        mean += part
        np.multiply(gradient, gradient, out=part)
        part *= 1 - self.beta2
        square *= self.beta2
        square += part
        self._state |= {"count": count, "mean": mean, "square": square}
        size = np.sqrt(np.divide(square, 1 - self.beta2 ** count[0], out=part), out=part)
        least = 1e-8 * size.max(initial=0.0)
        if least == 0:
            return np.zeros_like(gradient)
        size += least
        move = np.multiply(mean, self.rate / (1 - self.beta1 ** count[0]))
        move /= size
        return np.asarray(move)


class Sign(Optimizer):
    """Step of fixed size against the sign of the gradient, for hardware that can only step up or down."""

    def _move(self, gradient: FloatArray) -> FloatArray:
        return self.rate * np.sign(gradient)
