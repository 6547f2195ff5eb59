"""Resistor, sinh element, junction diode and ideal diode; the table of the elements of a circuit.

Each edge has one parameter theta in siemens. For the elements of this file, theta is the slope at small drops (for
`IdealDiode`: of the conducting side), like the conductance of a resistor. Currents increase with the drop, so the
steady state is the only minimum of the co-content, the sum over edges of the integral of I dv.
Source: docs/elements.md; arXiv:2602.03546 for learning with them.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np

from hwlearn.arrays import BoolArray, FloatArray, IntArray
from hwlearn.circuit.elements.element import Element, Kink, Proportional
from hwlearn.circuit.elements.numbers import real_number, shown
from hwlearn.circuit.elements.three_terminal import CONDUCTANCE, Parameter, ThreeTerminal
from hwlearn.errors import CircuitError

MOST_EXPONENT: Final = 300.0
"""Above this exponent, an exponential continues along its tangent; no operating point may be there."""


@dataclass(frozen=True)
class Ohmic(Proportional):
    """A resistor: ``I = theta v``."""

    def f(self, v: FloatArray) -> FloatArray:
        """Return v."""
        return v

    def df(self, v: FloatArray) -> FloatArray:
        """Return 1."""
        return np.ones_like(v)

    def F(self, v: FloatArray) -> FloatArray:
        """Return v^2 / 2."""
        return 0.5 * v**2

    def spice(self, across: str, theta: float) -> str:
        """Return ``theta * across``."""
        return f"{theta!r}*{across}"


@dataclass(frozen=True)
class Sinh(Proportional):
    """A memristive (RRAM) cell or another tunnelling device: ``I = theta V0 sinh(v / V0)``.

    Parameters
    ----------
    V0 : float
        Volts.
    """

    V0: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "V0", _positive("Sinh", "V0", self.V0))

    @property
    def scale_V(self) -> float:
        """V0."""
        return self.V0

    def f(self, v: FloatArray) -> FloatArray:
        """Return ``V0 sinh(v / V0)``."""
        u = v / self.V0
        inside = np.clip(u, -MOST_EXPONENT, MOST_EXPONENT)
        return np.asarray(self.V0 * (np.sinh(inside) + np.cosh(inside) * (u - inside)))

    def df(self, v: FloatArray) -> FloatArray:
        """Return ``cosh(v / V0)``."""
        return np.asarray(np.cosh(np.clip(v / self.V0, -MOST_EXPONENT, MOST_EXPONENT)))

    def F(self, v: FloatArray) -> FloatArray:
        """Return ``V0^2 (cosh(v / V0) - 1)``."""
        u = v / self.V0
        inside = np.clip(u, -MOST_EXPONENT, MOST_EXPONENT)
        more = u - inside
        within = 2 * np.sinh(0.5 * inside) ** 2  # keeps the digits that cosh(u) - 1 would lose
        return np.asarray(self.V0**2 * (within + more * (np.sinh(inside) + 0.5 * more * np.cosh(inside))))

    def linearised_at(self, v: FloatArray, before: FloatArray) -> FloatArray:
        """Return the drop at the current that the tangent at ``before`` predicts, if it is smaller than ``v``."""
        u, u0 = v / self.V0, before / self.V0
        with np.errstate(over="ignore", invalid="ignore"):
            predicted = np.arcsinh(np.sinh(u0) + np.cosh(u0) * (u - u0))
        far = (np.abs(u) > np.abs(u0)) & (np.abs(u - u0) > 1.0) & (np.abs(predicted) < np.abs(u))
        return np.where(far, self.V0 * predicted, v)

    def in_range(self, v: FloatArray) -> BoolArray:
        """Return whether ``|v / V0|`` is at most 300."""
        return np.asarray(np.abs(v) <= MOST_EXPONENT * self.V0)

    def spice(self, across: str, theta: float) -> str:
        """Return ``theta V0 sinh(across / V0)``."""
        return f"{theta * self.V0!r}*sinh({across}/{self.V0!r})"


@dataclass(frozen=True)
class Shockley(Proportional):
    """A junction diode that conducts from a to b: ``I = Is (exp(v / nVt) - 1)`` with ``Is = theta nVt``.

    Parameters
    ----------
    nVt : float
        Ideality factor times thermal voltage, in volts; 25.85 mV at 300 K and ideality 1.
    """

    nVt: float = 0.02585

    def __post_init__(self) -> None:
        object.__setattr__(self, "nVt", _positive("Shockley", "nVt", self.nVt))

    def theta(self, saturation_A: float) -> float:
        """Return the theta in siemens of a diode with this saturation current in amperes."""
        return saturation_A / self.nVt

    @property
    def scale_V(self) -> float:
        """nVt."""
        return self.nVt

    def f(self, v: FloatArray) -> FloatArray:
        """Return ``nVt (exp(v / nVt) - 1)``."""
        u = v / self.nVt
        inside = np.minimum(u, MOST_EXPONENT)
        return np.asarray(self.nVt * (np.expm1(inside) + np.exp(inside) * (u - inside)))

    def df(self, v: FloatArray) -> FloatArray:
        """Return ``exp(v / nVt)``."""
        return np.asarray(np.exp(np.minimum(v / self.nVt, MOST_EXPONENT)))

    def F(self, v: FloatArray) -> FloatArray:
        """Return ``nVt^2 (exp(v / nVt) - 1 - v / nVt)``."""
        u = v / self.nVt
        inside = np.minimum(u, MOST_EXPONENT)
        more = u - inside
        series = np.zeros_like(inside)
        small = np.abs(inside) < 0.1
        for k in range(10, 2, -1):  # (u^2 / 2) (1 + u/3 (1 + u/4 (...)))
            series = inside / k * (1 + series)
        within = np.where(small, 0.5 * inside**2 * (1 + series), np.expm1(inside) - inside)
        return np.asarray(self.nVt**2 * (within + more * (np.expm1(inside) + 0.5 * more * np.exp(inside))))

    def linearised_at(self, v: FloatArray, before: FloatArray) -> FloatArray:
        """Return the drop at the current that the tangent at ``before`` predicts, for steps up the exponential."""
        return shockley_linearised_at(self.nVt, v, before)

    def in_range(self, v: FloatArray) -> BoolArray:
        """Return whether ``v / nVt`` is at most 300."""
        return np.asarray(v <= MOST_EXPONENT * self.nVt)

    def spice(self, across: str, theta: float) -> str:
        """Return ``Is (exp(across / nVt) - 1)``."""
        return f"{theta * self.nVt!r}*(exp({across}/{self.nVt!r})-1)"


def shockley_linearised_at(nVt: float | FloatArray, v: FloatArray, before: FloatArray) -> FloatArray:
    """Return where diodes are linearised, ``v`` itself if that is so for all; see `Shockley.linearised_at`."""
    up = (v - before > nVt) & (v > nVt)
    if not up.any():
        return v
    # far on the blocking side the tangent is useless: start from 0 V
    base = np.maximum(before, 0.0)
    climb = np.log1p(np.where(up, (v - base) / nVt, 0.0))
    return np.where(up, base + nVt * climb, v)


@dataclass(frozen=True)
class IdealDiode(Proportional):
    """A piecewise linear diode that conducts from a to b: theta above the threshold, a leak below.

    ``I = theta (leak v + (1 - leak) max(v - threshold_V, 0))``. With a small leak this models an active rectifier:
    a comparator with a switch.

    Parameters
    ----------
    threshold_V : float
        Volts; zero or positive.
    leak : float
        Conductance of the blocking side as a fraction of theta. It is above 0 because a node between diodes that
        block completely would float.
    """

    threshold_V: float = 0.0
    leak: float = 1e-6

    def __post_init__(self) -> None:
        threshold, leak = real_number(self.threshold_V), real_number(self.leak)
        if not (math.isfinite(threshold) and threshold >= 0):
            raise CircuitError(
                f"IdealDiode.threshold_V is {shown(self.threshold_V)}; it must be zero or a positive number of "
                "volts"
            )
        if not 0 < leak <= 1:
            raise CircuitError(
                f"IdealDiode.leak is {shown(self.leak)}; it must be a fraction of theta: above 0, "
                "at most 1 (for example 1e-12)"
            )
        object.__setattr__(self, "threshold_V", threshold)
        object.__setattr__(self, "leak", leak)

    @property
    def kink(self) -> Kink:
        """Both pieces: ``leak`` below the threshold, 1 from there on."""
        return Kink(self.threshold_V, self.leak, 1.0)

    def f(self, v: FloatArray) -> FloatArray:
        """Return ``leak v + (1 - leak) max(v - threshold, 0)``."""
        return np.asarray(self.leak * v + (1 - self.leak) * np.maximum(v - self.threshold_V, 0.0))

    def df(self, v: FloatArray) -> FloatArray:
        """Return 1 at and above the threshold, ``leak`` below it."""
        return np.where(v >= self.threshold_V, 1.0, self.leak)

    def F(self, v: FloatArray) -> FloatArray:
        """Return ``leak v^2 / 2 + (1 - leak) max(v - threshold, 0)^2 / 2``."""
        above = np.maximum(v - self.threshold_V, 0.0)
        return np.asarray(0.5 * (self.leak * v**2 + (1 - self.leak) * above**2))

    def spice(self, across: str, theta: float) -> str:
        """Return both pieces as one expression."""
        on = f"{theta * (1 - self.leak)!r}*max({across}-{self.threshold_V!r},0)"
        return f"{theta * self.leak!r}*{across}+{on}"


OHMIC: Final = Ohmic()

AnyElement = Element | ThreeTerminal
"""An element of two or of three terminals."""


@dataclass(frozen=True, eq=False)
class ElementTable:
    """Elements of the edges of a circuit: the programmable edges, then the fixed ones.

    Attributes
    ----------
    kinds : tuple of Element or ThreeTerminal
        The distinct elements.
    which : ndarray of int, shape (E + F,)
        Index into ``kinds``.
    """

    kinds: tuple[AnyElement, ...]
    which: IntArray

    @classmethod
    def of(cls, elements: Iterable[AnyElement]) -> ElementTable:
        """Return the table for one element per edge."""
        index: dict[AnyElement, int] = {}
        which = np.array([index.setdefault(element, len(index)) for element in elements], dtype=np.int64)
        which.flags.writeable = False
        return cls(tuple(index), which)

    @classmethod
    def repeated(cls, element: AnyElement, count: int) -> ElementTable:
        """Return the table of ``count`` edges with the same element."""
        return cls((element,) if count else (), np.broadcast_to(np.int64(0), count))

    def followed_by(self, other: ElementTable) -> ElementTable:
        """Return the table of these edges, then those of another table."""
        index = {kind: k for k, kind in enumerate(self.kinds)}
        numbers = [index.setdefault(kind, len(index)) for kind in other.kinds]
        which = np.concatenate([self.which, np.array(numbers, dtype=np.int64)[other.which]])
        which.flags.writeable = False
        return ElementTable(tuple(index), which)

    def __getitem__(self, edge: int) -> AnyElement:
        return self.kinds[int(self.which[edge])]

    @property
    def has_three_terminals(self) -> bool:
        """Whether any edge has an element of three terminals."""
        return any(isinstance(kind, ThreeTerminal) for kind in self.kinds)

    def parameter(self, edge: int) -> Parameter:
        """Return what is programmed and learned at an edge."""
        kind = self[edge]
        return kind.parameter if isinstance(kind, ThreeTerminal) else CONDUCTANCE

    def parameters(self, n_edges: int) -> tuple[tuple[Parameter, IntArray], ...]:
        """Return each parameter of the first edges (n_edges,), with the numbers of its edges in order."""
        found: dict[Parameter, list[IntArray]] = {}
        which = self.which[:n_edges]
        for k, kind in enumerate(self.kinds):
            parameter = kind.parameter if isinstance(kind, ThreeTerminal) else CONDUCTANCE
            found.setdefault(parameter, []).append(np.flatnonzero(which == k))
        joined = ((parameter, np.sort(np.concatenate(edges))) for parameter, edges in found.items())
        return tuple((parameter, edges) for parameter, edges in joined if edges.size)

    def refused(self, values: FloatArray) -> BoolArray:
        """Return which edges (n,), the first of the table, do not accept their values (n,)."""
        which = self.which[: len(values)]
        wrong = np.zeros(len(values), dtype=np.bool_)
        for k, kind in enumerate(self.kinds):
            at = which == k
            wrong[at] = ~(kind.parameter if isinstance(kind, ThreeTerminal) else CONDUCTANCE).accepts(values[at])
        return wrong

    def two_terminal(self, k: int) -> Element:
        """Return element k of ``kinds``, which has two terminals."""
        kind = self.kinds[k]
        assert isinstance(kind, Element), f"{kind!r} has three terminals"
        return kind

    @cached_property
    def ohmic(self) -> BoolArray:
        """Mask (E + F,) of resistors."""
        return np.array([kind == OHMIC for kind in self.kinds] or [True], dtype=np.bool_)[self.which]

    @cached_property
    def groups(self) -> tuple[tuple[Element, IntArray], ...]:
        """Each nonlinear element of two terminals with its edges in order."""
        pairs = ((kind, np.flatnonzero(self.which == k)) for k, kind in enumerate(self.kinds))
        return tuple((kind, edges) for kind, edges in pairs if isinstance(kind, Element) and kind != OHMIC)

    @property
    def scale_V(self) -> float:
        """Smallest scale of any element in volts."""
        return min((kind.scale_V for kind in self.kinds), default=math.inf)

    def text(self) -> str:
        """Return a text that identifies the table."""
        return f"{[repr(kind) for kind in self.kinds]}|{self.which.tolist()}"


def _positive(element: str, name: str, value: float) -> float:
    number = real_number(value)
    if not (math.isfinite(number) and number > 0):
        raise CircuitError(f"{element}.{name} is {shown(value)}; it must be a positive number of volts")
    return number
