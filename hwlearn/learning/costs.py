"""Costs of measured outputs, and their errors dC/dV_out, which a nudge reduces."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike

from hwlearn.arrays import FloatArray, IntArray
from hwlearn.errors import DataError
from hwlearn.network.network import ErrorSignal, TargetError
from hwlearn.units import is_number


class Cost(ABC):
    """Cost C, the mean of `values` over samples; `error` is its gradient at the outputs."""

    classifies: bool = False
    """Whether targets are class numbers (S,) rather than volts (S, n_scored)."""

    power_weight: float = 0.0
    """Weight of the mean power of the free phase in what training minimises, in units of the cost per watt.

    Its gradient is that of the model. Values and scores of the cost are without it; `Epoch.energy` has the energy.
    """

    @abstractmethod
    def values(self, outputs: FloatArray, targets: FloatArray | IntArray) -> FloatArray:
        """Return the cost (S,) of each sample for output volts (S, n_out)."""

    @abstractmethod
    def error(self, outputs: FloatArray, targets: FloatArray | IntArray) -> FloatArray:
        """Return dC/dV_out (S, n_out) of each sample."""

    def least_error(self, resolution: float) -> float:
        """Return the largest error that is indistinguishable from zero at this reading resolution (V)."""
        return 0.0

    def signal(self, targets: FloatArray | IntArray) -> ErrorSignal:
        """Return the error as a function of the outputs, as `Network.two_phase` takes it."""
        return CostError(self, targets)

    def scored(self, outputs: FloatArray) -> FloatArray:
        """Return the volts (S, `n_scored`) that are compared with the targets: the outputs, unless overridden."""
        return outputs

    def n_scored(self, n_outputs: int) -> int:
        """Return the number of voltages that are compared with the targets, which is also that of classes."""
        return n_outputs

    def checked_targets(self, targets: ArrayLike, samples: int, n_outputs: int) -> FloatArray | IntArray:
        """Return targets in the form that this cost takes.

        Raises
        ------
        DataError
            If their shape or values are wrong.
        """
        if self.classifies:
            return _labels(targets, samples, n_outputs)
        array = np.asarray(targets, dtype=np.float64)
        if array.ndim == 1 and n_outputs == 1:
            array = array[:, None]
        if array.shape != (samples, n_outputs):
            raise DataError(f"targets must be volts of shape ({samples}, {n_outputs}), got {array.shape}")
        if not np.isfinite(array).all():
            raise DataError("targets contain NaN or infinity")
        return array


@dataclass(frozen=True, eq=False, slots=True)
class CostError:
    """Error of a cost for given targets; see `hwlearn.network.ErrorSignal`."""

    cost: Cost
    targets: FloatArray | IntArray

    def __call__(self, outputs: FloatArray) -> FloatArray:
        """Return dC/dV_out (S, n_out)."""
        return self.cost.error(outputs, self.targets)

    def least_error(self, resolution: float) -> float:
        """See `Cost.least_error`."""
        return self.cost.least_error(resolution)


@dataclass(frozen=True)
class MSE(Cost):
    """Half the squared distance to target volts: ``C = 1/2 |V_out - y|^2``, in V^2.

    Parameters
    ----------
    power_weight : float
        See `Cost.power_weight`.
    """

    power_weight: float = field(default=0.0, kw_only=True)

    def __post_init__(self) -> None:
        _not_negative("power_weight", self.power_weight)

    def values(self, outputs: FloatArray, targets: FloatArray | IntArray) -> FloatArray:
        """Return ``1/2 |V_out - y|^2`` (S,)."""
        return np.asarray(0.5 * ((outputs - targets) ** 2).sum(axis=1))

    def error(self, outputs: FloatArray, targets: FloatArray | IntArray) -> FloatArray:
        """Return ``V_out - y`` (S, n_out) in volts."""
        return np.asarray(outputs - targets)

    def least_error(self, resolution: float) -> float:
        """Return the resolution: a smaller error is not measurable."""
        return resolution

    def signal(self, targets: FloatArray | IntArray) -> ErrorSignal:
        """Return a `TargetError`, which a board can compute itself."""
        return TargetError(np.asarray(targets, dtype=np.float64))


@dataclass(frozen=True)
class CrossEntropy(Cost):
    """Cross-entropy of ``softmax(V_out / temperature_V)`` against class numbers.

    Parameters
    ----------
    temperature_V : float
        Volts that count as one unit of evidence; well above the read noise, at most the range of the outputs.
    power_weight : float
        See `Cost.power_weight`.
    """

    temperature_V: float = 0.02
    power_weight: float = field(default=0.0, kw_only=True)
    classifies = True

    def __post_init__(self) -> None:
        _positive("temperature_V", self.temperature_V)
        _not_negative("power_weight", self.power_weight)

    def values(self, outputs: FloatArray, targets: FloatArray | IntArray) -> FloatArray:
        """Return ``-log softmax(V/T)[class]`` (S,)."""
        z = outputs / self.temperature_V
        z = z - z.max(axis=1, keepdims=True)
        return np.asarray(np.log(np.exp(z).sum(axis=1)) - z[np.arange(len(z)), targets.astype(np.int64)])

    def error(self, outputs: FloatArray, targets: FloatArray | IntArray) -> FloatArray:
        """Return ``(softmax(V/T) - onehot) / T`` (S, n_out)."""
        z = outputs / self.temperature_V
        p = np.exp(z - z.max(axis=1, keepdims=True))
        p /= p.sum(axis=1, keepdims=True)
        p[np.arange(len(p)), targets.astype(np.int64)] -= 1.0
        return np.asarray(p / self.temperature_V)

    def least_error(self, resolution: float) -> float:
        """Return the error of a sample whose class has a probability of 0.999."""
        return 1e-3 / self.temperature_V


@dataclass(frozen=True)
class Hinge(Cost):
    """Multi-class hinge: ``sum over j != c of max(0, margin_V - (V_c - V_j))``, in volts.

    Parameters
    ----------
    margin_V : float
        Volts by which the output of the class should exceed every other; beyond this margin the error is zero.
    power_weight : float
        See `Cost.power_weight`.
    """

    margin_V: float = 0.02
    power_weight: float = field(default=0.0, kw_only=True)
    classifies = True

    def __post_init__(self) -> None:
        _positive("margin_V", self.margin_V)
        _not_negative("power_weight", self.power_weight)

    def values(self, outputs: FloatArray, targets: FloatArray | IntArray) -> FloatArray:
        """Return the summed shortfall (S,) in volts."""
        return np.asarray(np.maximum(self._shortfall(outputs, targets), 0.0).sum(axis=1))

    def error(self, outputs: FloatArray, targets: FloatArray | IntArray) -> FloatArray:
        """Return +1 at each output that is too close, minus their number at the class's output (S, n_out)."""
        e = (self._shortfall(outputs, targets) > 0).astype(np.float64)
        e[np.arange(len(e)), targets.astype(np.int64)] = -e.sum(axis=1)
        return np.asarray(e)

    def _shortfall(self, outputs: FloatArray, targets: FloatArray | IntArray) -> FloatArray:
        label = targets.astype(np.int64)
        rows = np.arange(len(outputs))
        short = self.margin_V - (outputs[rows, label][:, None] - outputs)
        short[rows, label] = 0.0
        return np.asarray(short)


def _labels(targets: ArrayLike, samples: int, n_outputs: int) -> IntArray:
    array = np.asarray(targets)
    if array.shape == (samples, n_outputs) and n_outputs > 1:  # one-hot rows
        if not (np.isin(array, (0, 1)).all() and (array.sum(axis=1) == 1).all()):
            raise DataError("targets with one column per class must be one-hot rows of 0 and 1")
        return np.asarray(array.argmax(axis=1), dtype=np.int64)
    if array.shape != (samples,):
        raise DataError(f"targets must be {samples} class numbers, got shape {array.shape}")
    if not np.issubdtype(array.dtype, np.number) or not np.isfinite(array.astype(np.float64)).all():
        raise DataError("class numbers must be whole numbers, not text or NaN")
    labels = array.astype(np.int64)
    if (labels != array).any() or labels.min(initial=0) < 0 or labels.max(initial=0) >= n_outputs:
        raise DataError(f"class numbers must be whole numbers from 0 to {n_outputs - 1}")
    return labels


def _positive(name: str, value: float) -> None:
    if not (is_number(value) and value > 0):
        raise DataError(f"{name} is {value!r}; it must be positive")


def _not_negative(name: str, value: float) -> None:
    if not (is_number(value) and value >= 0):
        raise DataError(f"{name} is {value!r}; it must be zero or a positive number")
