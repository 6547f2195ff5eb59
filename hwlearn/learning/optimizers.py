"""Optimizers: compute new target conductances from a gradient, within the range of the hardware.

They work on a position ``u`` in [0, 1] for each edge, linear or logarithmic in conductance. The position is not
quantised, so that small steps accumulate even if the hardware's steps are coarse.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Literal

import numpy as np

from hwlearn.arrays import BoolArray, FloatArray
from hwlearn.errors import LimitError, SetupError
from hwlearn.units import ROUNDING, is_number

Scale = Literal["linear", "log"]


class Optimizer(ABC):
    """Gradient descent on an unquantised copy of the conductances (the shadow), limited to their range.

    Parameters
    ----------
    rate : float
        Step size; each subclass defines its unit.
    scale : "linear" or "log"
        Whether steps are linear in conductance or in its logarithm.
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

    def start(self, conductances: FloatArray, limits: tuple[float, float]) -> None:
        """Start from conductances (E,) in siemens, with the permitted range (low, high).

        Raises
        ------
        LimitError
            If a conductance lies outside the range.
        """
        low, high = limits
        if not ((conductances >= low * (1 - ROUNDING)) & (conductances <= high * (1 + ROUNDING))).all():
            raise LimitError(f"initial conductances must lie between {low:g} and {high:g} S")
        self._range = (low, high)
        self._state = {"u": np.clip(self._position(conductances), 0.0, 1.0)}

    @property
    def shadow(self) -> FloatArray:
        """Unquantised conductances (E,) in siemens."""
        low, high = self._range
        u = self._state["u"]
        g = low * (high / low) ** u if self.scale == "log" else low + u * (high - low)
        return np.asarray(np.clip(g, low, high))

    def step(self, gradient: FloatArray, trainable: BoolArray, pace: float = 1.0) -> FloatArray:
        """Take one step against a gradient dC/dg (E,) on the trainable edges and return the new shadow (E,).

        Parameters
        ----------
        gradient : ndarray, shape (E,)
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
        low, high = self._range
        slope = self.shadow * math.log(high / low) if self.scale == "log" else high - low
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

    def _position(self, g: FloatArray) -> FloatArray:
        low, high = self._range
        if self.scale == "log":
            return np.asarray(np.log(g / low) / math.log(high / low))
        return np.asarray((g - low) / (high - low))


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
