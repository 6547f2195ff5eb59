"""Optimizers: compute new target values from a gradient, within the range of the hardware.

They work on a position ``u`` in [0, 1] for each edge: the place of its value in its range, in siemens or volts.
The place of a conductance is linear, logarithmic or linear in resistance; values whose parameter declares a linear
scale, such as gate voltages, are always moved linearly. The position is not quantised, so that small steps
accumulate even if the hardware's steps are coarse.
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

Scale = Literal["linear", "log", "resistance"]


class Optimizer(ABC):
    """Gradient descent on an unquantised copy of the values (the shadow), limited to their ranges.

    Parameters
    ----------
    rate : float
        Step size; each subclass defines its unit.
    scale : "linear", "log" or "resistance"
        Whether steps of conductances are linear in conductance, in its logarithm or in resistance. Gate voltages
        are always moved linearly.
    decay : float
        Pull towards the initial values: ``decay * (u - u_initial)`` is added to dC/du, as for a cost with the term
        ``decay / 2 * (u - u_initial)^2``.
    """

    def __init__(self, rate: float, *, scale: Scale = "linear", decay: float = 0.0) -> None:
        if not (is_number(rate) and rate > 0):
            raise SetupError(f"optimizer rate is {rate!r}; it must be positive")
        if scale not in ("linear", "log", "resistance"):
            raise SetupError(f"optimizer scale must be 'linear', 'log' or 'resistance', got {scale!r}")
        if not (is_number(decay) and decay >= 0):
            raise SetupError(f"optimizer decay is {decay!r}; it must be zero or positive")
        self.rate: float = rate
        self.decay: float = decay
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
        if self.decay:
            self._state["initial"] = self._state["u"]

    @property
    def shadow(self) -> FloatArray:
        """Unquantised values (E,) in siemens, or in volts for gates."""
        u, ranges = self._state["u"], self._range
        low, high = ranges.low, ranges.high
        if self.scale == "resistance":
            low_S, high_S = self._siemens()
            siemens = 1.0 / (1.0 / low_S - u * (1.0 / low_S - 1.0 / high_S))
            g = self._or_linear(siemens, ranges.at(u, False))
        else:
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
        slope, u = self._slope(), self._state["u"]
        every = bool(trainable.all())
        by_u = gradient * slope
        if self.decay:
            by_u = by_u + self.decay * (u - self._state["initial"])
        move = self._move(by_u if every else np.where(trainable, by_u, 0.0))
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
        if self.scale == "resistance":
            low_S, high_S = self._siemens()
            return self._or_linear(self.shadow**2 * (1.0 / low_S - 1.0 / high_S), ranges.span)
        if log is False:
            return ranges.span
        if log is True:
            return self.shadow * math.log(ranges.high / ranges.low)
        ratio = np.where(log, ranges.high, 1.0) / np.where(log, ranges.low, 1.0)
        return np.where(log, self.shadow * np.log(ratio), ranges.span)

    def _position(self, values: FloatArray) -> FloatArray:
        ranges, log = self._range, self._logarithmic
        linear = (values - ranges.low) / ranges.span
        if self.scale == "resistance":
            low_S, high_S = self._siemens()
            siemens = self._or_linear(values, 1.0)
            return self._or_linear((1.0 / low_S - 1.0 / siemens) / (1.0 / low_S - 1.0 / high_S), linear)
        if log is False:
            return np.asarray(linear)
        if log is True:
            return np.asarray(np.log(values / ranges.low) / math.log(ranges.high / ranges.low))
        low = np.where(log, ranges.low, 1.0)
        ratio = np.where(log, ranges.high, 1.0) / low
        return np.where(
            log, np.log(np.where(log, values, 1.0) / low) / np.log(np.where(log, ratio, math.e)), linear
        )

    def _siemens(self) -> tuple[FloatArray, FloatArray]:
        """Return the ends of the ranges of conductances; 1 and 2 for other values."""
        return self._or_linear(self._range.low, 1.0), self._or_linear(self._range.high, 2.0)

    def _or_linear(self, of_conductances: FloatArray | float, linear: FloatArray | float) -> FloatArray:
        """Return one array for conductances, another one for values with a linear scale."""
        return np.where(self._range.is_log, of_conductances, linear)


class SGD(Optimizer):
    """Plain gradient descent: ``u -= rate * dC/du``."""

    def _move(self, gradient: FloatArray) -> FloatArray:
        return self.rate * gradient


class Momentum(Optimizer):
    """Gradient descent with a decaying memory: ``m = momentum * m + dC/du; u -= rate * m``."""

    def __init__(self, rate: float, momentum: float = 0.9, *, scale: Scale = "linear", decay: float = 0.0) -> None:
        super().__init__(rate, scale=scale, decay=decay)
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
        self,
        rate: float = 0.01,
        beta1: float = 0.9,
        beta2: float = 0.999,
        *,
        scale: Scale = "linear",
        decay: float = 0.0,
    ) -> None:
        super().__init__(rate, scale=scale, decay=decay)
        for name, beta in (("beta1", beta1), ("beta2", beta2)):
            if not (is_number(beta) and 0 <= beta < 1):
                raise SetupError(f"Adam {name} is {beta!r}; it must lie in [0, 1)")
        self.beta1: float = beta1
        self.beta2: float = beta2

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


class Potentiometer(Optimizer):
    """One step of a digital potentiometer for each edge and update, up or down by the sign of the gradient.

    The positions are equal steps in resistance over the conductance range, in volts for gate voltages. An edge
    without a contrast does not move, and annealing has no effect: such a circuit has one size of step. The twin's
    ``rheostat`` has the same positions.

    Parameters
    ----------
    positions : int
        Number of positions; 128 in Dillavou, Stern, Liu & Durian, Phys. Rev. Applied 18, 014040 (2022).

    Raises
    ------
    SetupError
        If there are fewer than two positions.
    """

    def __init__(self, positions: int = 128) -> None:
        if not (is_number(positions) and positions >= 2 and int(positions) == positions):
            raise SetupError(f"a potentiometer has {positions!r} positions; it needs a whole number of at least 2")
        super().__init__(1.0 / (positions - 1), scale="resistance")
        self.positions: int = int(positions)

    def start(self, values: FloatArray, limits: tuple[float, float] | ValueRanges) -> None:
        """Start from the positions nearest to values (E,); see `Optimizer.start`."""
        super().start(values, limits)
        self._state["u"] = np.rint(self._state["u"] * (self.positions - 1)) / (self.positions - 1)

    def step(self, gradient: FloatArray, trainable: BoolArray, pace: float = 1.0) -> FloatArray:
        """Move every trainable edge by one position; ``pace`` has no effect. See `Optimizer.step`."""
        return super().step(gradient, trainable)

    def _move(self, gradient: FloatArray) -> FloatArray:
        return self.rate * np.sign(gradient)
