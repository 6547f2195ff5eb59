"""Derivatives of a user's function of arrays, by a complex step or central differences; its jumps and falls."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, Final

import numpy as np

from hwlearn.arrays import FloatArray
from hwlearn.errors import CircuitError

_COMPLEX_STEP: Final = 1e-30
_STEP: Final = 3e-5  # of the range: central differences with it and with half of it, extrapolated
_ACCURACY: Final = 1e-6
_ROUNDING: Final = 64 * float(np.finfo(np.float64).eps)  # of a current, relative to it
_INTERVALS: Final = 512
_PARTS: Final = 4
_KEPT: Final = 0.3  # larger share of a change in one of four parts: it is followed
_STAYS: Final = 0.75
_STEEPEST: Final = 2e-5
"""Share of the range within which a change is a jump."""
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
        return np.asarray(self._function(at.copy())), self._by_differences(at, _STEP)[0]

    def check(self, at: FloatArray) -> int | None:
        """Return the number of a point of (3, ...) whose derivatives are not accurate; None if there is none."""
        _, slopes = self(at)
        other, rounding = self._by_differences(at, 0.4 * _STEP)
        size = np.abs(slopes).max(axis=tuple(range(2, slopes.ndim)), keepdims=True)
        allowed = _ACCURACY * (np.abs(slopes) + 0.1 * size)
        if self.how == "complex step":  # exact, however little the differences can tell
            allowed += rounding
        wrong = (np.abs(slopes - other) > allowed).any(axis=(0, 1))
        return int(np.flatnonzero(wrong.ravel())[0]) if wrong.any() else None

    def _by_complex_step(self, at: FloatArray) -> tuple[FloatArray, FloatArray]:
        shifted = np.repeat(at[:, None].astype(np.complex128), 3, axis=1)
        for k in range(3):
            shifted[k, k] += 1j * _COMPLEX_STEP
        found = self._function(shifted)
        return np.ascontiguousarray(found[:, 0].real), np.ascontiguousarray(found.imag) / _COMPLEX_STEP

    def _by_differences(self, at: FloatArray, share: float) -> tuple[FloatArray, FloatArray]:
        """Return derivatives (2, 3, ...) and a bound on their rounding errors.

        Steps are a share of the range; at its ends a step inside.
        """
        low, high = self._bounds
        slopes = np.empty((2, 3, *at.shape[1:]))
        rounding = np.empty_like(slopes)
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
            rounding[:, k] = _ROUNDING * np.abs(found).max(axis=1) / width[1]
        return slopes, rounding

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


def scanned(along: Callable[[FloatArray], FloatArray], low: float, high: float) -> tuple[FloatArray, FloatArray]:
    """Return the points x (n,) of a scan from end to end, and the function there (2, n)."""
    at = np.linspace(low, high, _INTERVALS * _PARTS + 1)
    return at, along(at)


def jump(along: Callable[[FloatArray], FloatArray], at: FloatArray, found: FloatArray) -> float | None:
    """Return where a function of x (n,) -> (2, n), scanned at points, jumps; None if it does not.

    Changes that are concentrated in a part of their interval are followed into ever smaller ones, where that of a
    continuous function shrinks. One that stays, or is that of a whole interval, within `_STEEPEST` of the range is
    a jump.
    """
    changes = np.abs(np.diff(found, axis=1)).max(axis=0).reshape(-1, _PARTS)
    first, k = changes.sum(axis=1), changes.argmax(axis=1)
    left = np.flatnonzero((changes.max(axis=1) >= _KEPT * first) & (first > 1e-12 * np.abs(found).max()))
    a, b = at[left * _PARTS + k[left]], at[left * _PARTS + k[left] + 1]
    first, before = first[left], changes.max(axis=1)[left]
    span = at[-1] - at[0]
    while len(a) and b[0] - a[0] > _STEEPEST * span:
        a, b, change = _largest_part(along, a, b)
        stays = change >= _KEPT * before
        if b[0] - a[0] <= _STEEPEST * span:
            stays &= (change >= _KEPT * first) | (change >= _STAYS * before)
        a, b, first, before = a[stays], b[stays], first[stays], change[stays]
    if not len(a):
        return None
    largest = slice(int(np.argmax(before)), int(np.argmax(before)) + 1)
    a, b = a[largest], b[largest]
    while b[0] - a[0] > 1e-12 * span:
        a, b, _ = _largest_part(along, a, b)
    return float(0.5 * (a[0] + b[0]))


def _largest_part(
    along: Callable[[FloatArray], FloatArray], a: FloatArray, b: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return the ends of the quarter of each interval (m,) in which the function changes most, and its change."""
    ends = np.linspace(a, b, _PARTS + 1, axis=1)
    parts = np.abs(np.diff(along(ends.ravel()).reshape(2, *ends.shape), axis=2)).max(axis=0)
    j, every = parts.argmax(axis=1), np.arange(len(a))
    return ends[every, j], ends[every, j + 1], parts[every, j]


def fall(at: FloatArray, current: FloatArray) -> float | None:
    """Return where a current (n,) is lower than at the point (n,) before; None if it never falls."""
    changes = np.diff(current)
    least = 1e-6 * np.abs(changes).max() + 1e-12 * np.abs(current).max()
    falls = np.flatnonzero(changes < -least)
    return float(at[falls[0] + 1]) if falls.size else None
