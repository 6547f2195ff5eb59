"""Derivatives of a user's function of arrays: by a complex step, or by central differences; and its jumps."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, Final

import numpy as np

from hwlearn.arrays import FloatArray
from hwlearn.errors import CircuitError

_COMPLEX_STEP: Final = 1e-30
_STEP: Final = 3e-5  # of the range: central differences with it and with half of it, extrapolated
_ACCURACY: Final = 1e-6
_SCANNED: Final = 513
_NOT_ANALYTIC: Final = frozenset(
    {
        "absolute", "fabs", "conjugate", "sign", "copysign", "floor", "ceil", "rint", "trunc",
        "heaviside", "hypot", "arctan2", "remainder", "fmod", "mod", "floor_divide", "real", "imag",
        "angle", "nan_to_num", "around", "round",
    }
)  # fmt: skip
"""Functions of NumPy whose imaginary parts are no derivatives, or that have none."""


class Differentiated:
    """A function of three arguments with its derivatives.

    Parameters
    ----------
    function : callable
        Arguments (3, ...) -> currents (2, ...); real, and complex if the function accepts that.
    bounds : ndarray, shape (2, 3)
        Lower and upper ends of the arguments; the function is not called outside. The third may be unlimited.
    points : ndarray, shape (3, n)
        Arguments at which the function is tried.

    Attributes
    ----------
    how : {"complex step", "differences"}
    """

    def __init__(self, function: Callable[[Any], Any], bounds: FloatArray, points: FloatArray) -> None:
        self._function, self._bounds = function, bounds
        self.how = "complex step" if self._is_analytic(points) else "differences"

    def __call__(self, at: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return the currents (2, ...) and their derivatives (2, 3, ...) at arguments (3, ...)."""
        if self.how == "complex step":
            return self._by_complex_step(at)
        return np.asarray(self._function(at.copy())), self._by_differences(at, _STEP)

    def check(self, at: FloatArray) -> int | None:
        """Return the number of a point of (3, ...) whose derivatives are not accurate; None if there is none."""
        _, slopes = self(at)
        other = self._by_differences(at, 0.4 * _STEP)
        size = np.abs(slopes).max(axis=tuple(range(2, slopes.ndim)), keepdims=True)
        wrong = (np.abs(slopes - other) > _ACCURACY * (np.abs(slopes) + 0.1 * size)).any(axis=(0, 1))
        return int(np.flatnonzero(wrong.ravel())[0]) if wrong.any() else None

    def _by_complex_step(self, at: FloatArray) -> tuple[FloatArray, FloatArray]:
        shifted = np.repeat(at[:, None].astype(np.complex128), 3, axis=1)
        for k in range(3):
            shifted[k, k] += 1j * _COMPLEX_STEP
        found = self._function(shifted)
        return np.ascontiguousarray(found[:, 0].real), np.ascontiguousarray(found.imag) / _COMPLEX_STEP

    def _by_differences(self, at: FloatArray, share: float) -> FloatArray:
        """Return derivatives (2, 3, ...) with steps of a share of the range; at its ends a step inside."""
        low, high = self._bounds
        slopes = np.empty((2, 3, *at.shape[1:]))
        for k in range(3):
            step = np.full(at[k].shape, share * (high[k] - low[k]))
            if k == 2:  # the value may span decades, or have no upper end
                own = share * np.abs(at[k])
                step = np.where(own > 0, np.minimum(step, own), np.minimum(step, share))
            middle = np.clip(at[k], low[k] + step, high[k] - step)
            sides = np.repeat(at[:, None], 4, axis=1)
            for j, times in enumerate((1.0, -1.0, 0.5, -0.5)):
                sides[k, j] = middle + times * step
            width = sides[k, 0] - sides[k, 1], sides[k, 2] - sides[k, 3]
            found = self._function(sides)
            whole, half = (found[:, 0] - found[:, 1]) / width[0], (found[:, 2] - found[:, 3]) / width[1]
            slopes[:, k] = (4 * half - whole) / 3
        return slopes

    def _is_analytic(self, at: FloatArray) -> bool:
        """Return whether the function accepts complex arrays and uses none of `_NOT_ANALYTIC`."""
        try:
            with np.errstate(all="ignore"):
                real = np.asarray(self._function(at.copy()))
                watched = _Watched.of(at + 1j * _COMPLEX_STEP)
                found = np.asarray(self._function(watched))
        except (CircuitError, TypeError, ValueError):
            return False
        same = np.allclose(found.real, real, rtol=1e-9, atol=1e-14 * np.abs(real).max())
        return bool(same and not _Watched.used & _NOT_ANALYTIC)


class _Watched(np.ndarray):
    """An array that records which functions of NumPy are applied to it."""

    used: ClassVar[set[str]] = set()

    @classmethod
    def of(cls, array: Any) -> _Watched:
        """Return an array of this kind, and forget what was recorded."""
        cls.used = set()
        return np.asarray(array).view(cls)

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
        _Watched.used.add(ufunc.__name__)
        plain = [np.asarray(one) for one in inputs]
        if "out" in kwargs:
            kwargs["out"] = tuple(np.asarray(one) for one in kwargs["out"])
        found = getattr(ufunc, method)(*plain, **kwargs)
        return found.view(_Watched) if isinstance(found, np.ndarray) else found

    def __array_function__(self, func: Any, types: Any, args: Any, kwargs: Any) -> Any:
        _Watched.used.add(func.__name__)
        return super().__array_function__(func, types, args, kwargs)


def breaks(along: Callable[[FloatArray], FloatArray], low: float, high: float) -> float | None:
    """Return where a function of x (n,) -> (2, n) jumps between two ends; None if it does not.

    The largest change between neighbouring points is followed into ever smaller intervals: that of a continuous
    function shrinks with them.
    """
    at = np.linspace(low, high, _SCANNED)
    found = along(at)
    changes = np.abs(np.diff(found, axis=1)).max(axis=0)
    k = int(np.argmax(changes))
    if changes[k] <= 1e-12 * np.abs(found).max():
        return None
    a, b, first = float(at[k]), float(at[k + 1]), float(changes[k])
    for _ in range(30):
        ends = np.linspace(a, b, 5)
        parts = np.abs(np.diff(along(ends), axis=1)).max(axis=0)
        j = int(np.argmax(parts))
        a, b = float(ends[j]), float(ends[j + 1])
        if parts[j] < 0.3 * first:
            return None
        if b - a <= 1e-12 * (high - low):
            break
    return 0.5 * (a + b)
