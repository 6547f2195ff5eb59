"""`Law`: an element between two nodes that a user defines by one function of both node voltages."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cached_property
from typing import Final

import numpy as np

from hwlearn.arrays import BoolArray, FloatArray
from hwlearn.circuit.elements.differentiation import Differentiated, fall, jump, scanned
from hwlearn.circuit.elements.numbers import real_number, shown
from hwlearn.circuit.elements.three_terminal import Parameter, Stamp, ThreeTerminal
from hwlearn.errors import CircuitError

Currents = Callable[[FloatArray, FloatArray, FloatArray], "FloatArray | tuple[FloatArray, FloatArray]"]
"""Volts at a and b and values, of one shape -> amperes from a to b, or those that leave a and b."""

_POINTS: Final = 48
_SCANS: Final = 4
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(16)


class Law(ThreeTerminal):
    """An element whose current is a function of the voltages at a and b and of its trainable value.

    Parameters
    ----------
    function : callable
        ``(va, vb, value) -> current``, the amperes from a to b, or ``-> (I_a, I_b)``, the amperes that leave a
        and b into the element; what enters at a and does not leave at b flows to ground. Arguments are arrays of
        one shape in volts against ground and in the unit of the value. Each entry of the result belongs to the
        same entry of the arguments. ``I_a`` must not fall when the voltage at a rises, nor ``I_b`` when that at b
        does.
    parameter : Parameter
        Name, unit, range and scale of the value.
    volts : (float, float)
        Range of the voltages at a and b. The function is never called outside: on the way to an operating point it
        is continued along its tangents, and an operating point outside raises an error.
    scale : float
        Volts over which the slope changes; nudges of strength ``"auto"`` stay far below it.
    name : str, optional
        Name in messages; part of the fingerprint of a topology. That of the function unless given.

    Attributes
    ----------
    derivatives : {"complex step", "differences"}
        How the function is differentiated.

    Raises
    ------
    CircuitError
        If an argument has a wrong type or is out of range. Naming the law: if the function raises an error or
        changes its arguments, if it returns nothing, another shape or something that is not finite, depends on
        other entries, jumps, falls, or has derivatives that cannot be computed to 1e-6.

    Notes
    -----
    Derivatives are those of a complex step: the function is called with ``v + 1e-30 i``, and the imaginary part
    of the result is exact to rounding (Squire & Trapp, SIAM Rev. 40, 110, 1998). Functions that do not accept
    complex arrays, or use what is not analytic, such as ``np.abs``, are differentiated by central differences of
    two steps. Either way they are compared with differences of other steps when the law is made.

    Examples
    --------
    >>> import hwlearn as hl
    >>> gated = Law(
    ...     lambda va, vb, gate: 1e-4 * gate * (va - vb) + 1e-6 * (va**3 - vb**3),
    ...     Parameter("gate voltage", "V", 0.1, 5.0, "linear"),
    ...     name="gated",
    ... )
    >>> divider = hl.Topology(3, [(0, 1), (1, 2)], [0], [1], ground=2, elements=gated)
    >>> hl.Kirchhoff(divider, [1.0, 1.0]).solve([[0.5]]).round(6)
    array([[0.5     , 0.250468, 0.      ]])
    """

    def __init__(
        self,
        function: Currents,
        parameter: Parameter,
        *,
        volts: tuple[float, float] = (-1.0, 1.0),
        scale: float = math.inf,
        name: str | None = None,
    ) -> None:
        self.name: str = str(getattr(function, "__name__", "law")) if name is None else name
        if not isinstance(self.name, str) or not self.name:
            raise CircuitError(f"a Law has name = {shown(name)}; it must be text")
        if not callable(function):
            raise self._wrong("function", function, "it must be a function of va, vb and the value")
        if not isinstance(parameter, Parameter):
            raise self._wrong(
                "parameter", parameter, "it must be a Parameter, such as Parameter('x', 'V', 0, 1, 'linear')"
            )
        self._function, self._parameter, self._scale = function, parameter, real_number(scale)
        ends = [real_number(end) for end in volts] if isinstance(volts, tuple | list | np.ndarray) else []
        if not (len(ends) == 2 and all(map(math.isfinite, ends)) and ends[0] < ends[1]):
            raise self._wrong("volts", volts, "they must be two numbers, the lower one first")
        self._low, self._high = ends
        if not self._scale > 0:
            raise self._wrong("scale", scale, "it must be positive volts")
        self._check()

    def _wrong(self, what: str, given: object, rule: str) -> CircuitError:
        return CircuitError(f"the law {self.name!r} has {what} = {shown(given)}; {rule}")

    # --- identity -------------------------------------------------------------------------------------

    @property
    def _key(self) -> tuple[object, ...]:
        return self._function, self._parameter, self._low, self._high, self._scale, self.name

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Law) and self._key == other._key

    def __hash__(self) -> int:
        return hash(self._key)

    def __repr__(self) -> str:
        volts = (self._low, self._high)
        return f"Law({self.name!r}, {self._parameter!r}, volts={volts!r}, scale={self._scale!r})"

    # --- a ThreeTerminal ------------------------------------------------------------------------------

    @property
    def parameter(self) -> Parameter:
        """As given."""
        return self._parameter

    @property
    def scale_V(self) -> float:
        """As given."""
        return self._scale

    @property
    def derivatives(self) -> str:
        """How the function is differentiated: ``"complex step"`` or ``"differences"``."""
        return self._differentiated.how

    def in_range(self, terminals: FloatArray, inner: FloatArray) -> BoolArray:
        """Return whether both voltages are within ``volts``."""
        slack = 1e-9 * (self._high - self._low)
        inside = (terminals >= self._low - slack) & (terminals <= self._high + slack)
        return np.asarray(inside.all(axis=0))

    @property
    def out_of_range(self) -> str:
        """Say what is wrong where `in_range` is false."""
        return f"the law {self.name!r} is driven beyond its volts, {self._low:g} to {self._high:g} V"

    def stamp(self, terminals: FloatArray, inner: FloatArray, before: FloatArray, values: FloatArray) -> Stamp:
        """Return the currents; see `ThreeTerminal.stamp`."""
        inside = np.clip(terminals, self._low, self._high)
        theta = np.broadcast_to(values, terminals.shape[1:])
        currents, slopes = self._differentiated(np.stack([*inside, theta]))
        jacobian = slopes[:, :2]
        beyond = terminals - inside
        if beyond.any():
            currents = currents + jacobian[:, 0] * beyond[0] + jacobian[:, 1] * beyond[1]
        return Stamp(currents, np.ascontiguousarray(jacobian), slopes[:, 2])

    def contrast(self, terminals: FloatArray, values: FloatArray) -> FloatArray:
        """Return the integral of dI_a/d(value) while the voltage at a goes from that at b to its own, vb fixed.

        By Gauss's rule with 16 points. For an element of two terminals it is d(co-content)/d(value).
        """
        a, b = np.clip(terminals, self._low, self._high)
        theta = np.broadcast_to(values, a.shape)
        total = np.zeros(a.shape)
        for node, weight in zip(_NODES.tolist(), _WEIGHTS.tolist(), strict=True):
            at = b + 0.5 * (1 + node) * (a - b)
            _, slopes = self._differentiated(np.stack([at, b, theta]))
            total += 0.5 * weight * slopes[0, 2]
        return np.asarray(total * (a - b))

    # --- the function -----------------------------------------------------------------------------------

    @cached_property
    def _differentiated(self) -> Differentiated:
        one = self._parameter
        bounds = np.array([[self._low, self._low, one.low], [self._high, self._high, one.high]])
        return Differentiated(self._called, bounds, self._samples(np.random.default_rng(1), 16)[:, 0])

    @cached_property
    def _bounds(self) -> FloatArray:
        """Range (2, 3) of both voltages and the value to try; a value without an end gets one."""
        one = self._parameter
        low = one.low if math.isfinite(one.low) else -1.0
        high = one.high if math.isfinite(one.high) else max(low + 1.0, 2 * low)
        return np.array([[self._low, self._low, low], [self._high, self._high, high]])

    def _called(self, at: FloatArray) -> FloatArray:
        """Return the currents (2, ...) at va, vb and value (3, ...), real or complex, checked."""
        a, b, theta = at
        for one in (a, b, theta):
            one.flags.writeable = False
        try:
            with np.errstate(all="ignore"):
                found = self._function(a, b, theta)
        except Exception as error:
            raise CircuitError(
                f"the law {self.name!r} raised {type(error).__name__}: {error}; it is called with arrays of volts "
                "at a, volts at b and values, which it must not change"
            ) from error
        pair = found if isinstance(found, tuple) else (found,)
        if not 1 <= len(pair) <= 2:
            raise CircuitError(
                f"the law {self.name!r} returned {len(pair)} arrays; it must return one current or two"
            )
        currents = np.empty((2, *a.shape), dtype=a.dtype)
        for k, one in enumerate(pair):
            currents[k] = self._array(one, a)
        if len(pair) == 1:
            np.negative(currents[0], out=currents[1])
        if not np.isfinite(currents).all():
            bad = ~np.isfinite(currents).all(axis=0)
            raise CircuitError(
                f"the law {self.name!r} is not finite at {_place(at, np.flatnonzero(bad.ravel())[0])}"
            )
        return currents

    def _array(self, returned: object, a: FloatArray) -> FloatArray:
        """Return a current that the function returned for voltages ``a``, checked for its shape and type."""
        if returned is None:
            raise CircuitError(
                f"the law {self.name!r} returned None; it must return one current or two, so end it with "
                "`return current`"
            )
        try:
            array = np.asarray(returned)
        except ValueError:  # lists of different lengths
            array = np.array(None)
        if array.shape != a.shape or array.dtype.kind not in ("f", "i", "u", a.dtype.kind):
            raise CircuitError(
                f"the law {self.name!r} returned an array of shape {array.shape} and type {array.dtype} for "
                f"arguments of shape {a.shape}; it must return one number for each entry"
            )
        return array

    # --- checks on entry ---------------------------------------------------------------------------------

    def _check(self) -> None:
        rng = np.random.default_rng(0)
        points = self._samples(rng, _POINTS)
        currents = self._called(points.copy())
        if not np.array_equal(currents, self._called(points.copy())):
            raise CircuitError(f"the law {self.name!r} returned two results for the same arguments")
        some = self._called(points[:, :2, 5:9].copy())
        if not np.allclose(some, currents[:, :2, 5:9], rtol=1e-9, atol=1e-14 * np.abs(currents).max()):
            raise CircuitError(
                f"the law {self.name!r} returned other currents when it was called with fewer entries; each "
                "result must depend on its own voltages and value alone"
            )
        for axis in range(3):
            self._check_lines(axis, rng)
        wrong = self._differentiated.check(points)
        if wrong is not None:
            raise CircuitError(
                f"the law {self.name!r} has no derivatives to 1e-6 at {_place(points, wrong)}: its slope jumps "
                "there, or changes within less than 1e-5 of the range"
            )
        _, slopes = self._differentiated(points)
        for k, end in enumerate("ab"):
            least = slopes[k, k]
            falls = least < -1e-6 * np.abs(slopes[:, :2]).max()
            if falls.any():
                raise self._falls(end, _place(points, np.flatnonzero(falls.ravel())[0]))

    def _samples(self, rng: np.random.Generator, count: int) -> FloatArray:
        """Return voltages and values (3, 3, count) within the ranges."""
        low, high = self._bounds
        found = rng.uniform(low[:, None, None], high[:, None, None], (3, 3, count))
        if self._parameter.scale == "log" and not math.isfinite(self._parameter.high):
            found[2] = max(low[2], 0.0) + 10 ** rng.uniform(-9, -3, (3, count))
        return found

    def _check_lines(self, axis: int, rng: np.random.Generator) -> None:
        """Refuse a function that jumps or falls along lines on which one argument runs over its range."""
        low, high = self._bounds
        for line in self._samples(rng, _SCANS).reshape(3, -1).T[:_SCANS]:

            def along(x: FloatArray, line: FloatArray = line) -> FloatArray:
                at = np.repeat(line[:, None], len(x), axis=1)
                at[axis] = x
                return self._called(at)

            at, found = scanned(along, low[axis], high[axis])
            where = jump(along, at, found)
            if where is not None:
                argument = ("the voltage at a", "the voltage at b", f"the {self._parameter.name}")[axis]
                raise CircuitError(
                    f"the current of the law {self.name!r} jumps where {argument} is {where:.6g}; "
                    "it must be continuous"
                )
            where = fall(at, found[axis]) if axis < 2 else None
            if where is not None:
                line[axis] = where
                raise self._falls("ab"[axis], _place(line, 0))

    def _falls(self, end: str, where: str) -> CircuitError:
        return CircuitError(
            f"the current of the law {self.name!r} that leaves {end} falls when the voltage there rises, at "
            f"{where}; a circuit could have several steady states"
        )


def _place(points: FloatArray, number: int) -> str:
    a, b, value = (float(one.real) for one in points.reshape(3, -1)[:, number])
    return f"{a:g} V at a, {b:g} V at b, value {value:g}"
