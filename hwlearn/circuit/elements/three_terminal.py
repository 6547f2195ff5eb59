"""`ThreeTerminal`: elements whose current depends on both node voltages, and may flow to ground in part."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal, Self

import numpy as np

from hwlearn.arrays import BoolArray, FloatArray
from hwlearn.circuit.elements.numbers import plain_number, shown
from hwlearn.errors import CircuitError

UNITS: Final = {"conductance": "S", "gate voltage": "V"}
"""Units of the parameters whose limits and settings this package knows by name; no parameter may have another."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """What is programmed and learned at an edge.

    Attributes
    ----------
    name, unit : str
        Such as ``"conductance"`` and ``"S"``. Limits and settings go by the name: a conductance is in siemens, a
        gate voltage in volts, and parameters of one name in a circuit have one unit.
    low, high : float
        Ends of the values that the law accepts; `low` itself is accepted if ``includes_low``.
    scale : {"log", "linear"}
        On which learning moves it unless told otherwise.
    includes_low : bool

    Raises
    ------
    CircuitError
        If the name is empty or no text, the unit is no text or not that of a known name, the range is empty or no
        numbers, the scale is unknown, or the scale is logarithmic and the values are not all positive.
    """

    name: str
    unit: str
    low: float
    high: float
    scale: Literal["log", "linear"]
    includes_low: bool = True

    def __post_init__(self) -> None:
        for what in ("name", "unit"):
            text: object = getattr(self, what)
            if not isinstance(text, str) or (what == "name" and not text.strip()):
                raise CircuitError(f"the {what} of a Parameter is {shown(text)}; it must be text, such as 'V'")
        unit = UNITS.get(self.name, self.unit)
        if self.unit != unit:
            raise self._wrong(
                "unit", f"it must be {unit!r}, as the limits of this name are in {unit}: use another name"
            )
        if not isinstance(self.includes_low, bool | np.bool_):
            raise self._wrong("includes_low", "it must be True or False")
        if not isinstance(self.scale, str) or self.scale not in ("log", "linear"):
            raise self._wrong("scale", "it must be 'log' or 'linear'")
        for end in ("low", "high"):
            number = plain_number(getattr(self, end))
            if math.isnan(number):
                raise self._wrong(end, f"it must be a number in {self.unit or 'its unit'}")
            object.__setattr__(self, end, number)
        if not self.low < self.high:
            raise self._wrong("low", f"it must be below high = {self.high!r}")
        if self.scale == "log" and not (self.low > 0 or (self.low == 0 and not self.includes_low)):
            raise self._wrong("low", "on a logarithmic scale it must be positive, or 0 with includes_low = False")

    def _wrong(self, field: str, rule: str) -> CircuitError:
        return CircuitError(f"Parameter {self.name!r} has {field} = {shown(getattr(self, field))}; {rule}")

    @property
    def allowed(self) -> str:
        """Say which values are accepted."""
        if self.low == 0 and not self.includes_low and np.isinf(self.high):
            return "positive and finite"
        return f"{self.low:g} to {self.high:g} {self.unit}"

    def accepts(self, values: FloatArray) -> BoolArray:
        """Return which values are finite and within the range."""
        above = values >= self.low if self.includes_low else values > self.low
        return np.asarray(np.isfinite(values) & above & (values <= self.high))


CONDUCTANCE = Parameter("conductance", "S", 0.0, np.inf, "log", includes_low=False)
"""The parameter of a resistor."""


def require_conductances(parameters: Iterable[Parameter], where: str = "this network") -> None:
    """Refuse parameters of which one is no conductance.

    Raises
    ------
    CircuitError
        Naming the parameter and what to use instead.
    """
    for parameter in parameters:
        if parameter.name != CONDUCTANCE.name:
            raise CircuitError(
                f"{where} has a {parameter.name} in {parameter.unit}, no conductance; use values instead of "
                "conductances"
            )


@dataclass(eq=False, slots=True)
class Stamp:
    """Currents of edges that leave a and b, linearised; unknowns inside the element are eliminated.

    (S, K) are samples and edges, n is the number of inner unknowns, c of exponential parts.

    Attributes
    ----------
    currents : ndarray, shape (2, S, K)
        Amperes that leave a and b into the element, if both stay where they are.
    jacobian : ndarray, shape (2, 2, S, K)
        Siemens; row: current, column: voltage.
    by_value : ndarray, shape (2, S, K)
        Derivatives of the currents by the trainable value.
    inner : ndarray, shape (n, S, K), or None
        Inner unknowns after the step, if a and b stay where they are. None without inner unknowns.
    inner_slopes : ndarray, shape (n, 2, S, K), or None
        Their derivatives by the voltages of a and b.
    at : ndarray, shape (c, S, K), or None
        Voltages at which the exponential parts were linearised. None without such parts.
    is_true : ndarray of bool, shape (S,), or None
        Samples whose exponential parts were linearised where they are. None for all.
    """

    currents: FloatArray
    jacobian: FloatArray
    by_value: FloatArray
    inner: FloatArray | None = None
    inner_slopes: FloatArray | None = None
    at: FloatArray | None = None
    is_true: BoolArray | None = None


def linearised_truly(at: FloatArray, controls: FloatArray) -> BoolArray:
    """Return which samples (S,) were linearised ``at`` the voltages (c, S, K) where they are."""
    return np.asarray((np.abs(at - controls) <= 1e-12 * (1 + np.abs(controls))).all(axis=(0, 2)))


class ThreeTerminal(ABC):
    """An element between a and b whose currents depend on both node voltages.

    What enters at a and does not leave at b flows to ground. Nodes behind series resistances, floating bodies
    and the like are unknowns inside the element. `stamp` eliminates them.
    """

    @property
    @abstractmethod
    def parameter(self) -> Parameter:
        """What is programmed and learned."""

    def start(self, terminals: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return inner unknowns (n, S, K), and where exponential parts (c, S, K) are taken to have been before.

        A search from terminals at (2, S, K) volts begins there. Nothing unless overridden.
        """
        nothing = np.empty((0, *terminals.shape[1:]))
        return nothing, nothing

    @abstractmethod
    def stamp(self, terminals: FloatArray, inner: FloatArray, before: FloatArray, values: FloatArray) -> Stamp:
        """Return the linearised currents for terminals (2, S, K), inner unknowns (n, S, K) and values (K,).

        Exponential parts, linearised at ``before`` (c, S, K) in the step before, are linearised where they carry
        the current that their tangent predicts; see `Element.linearised_at`.
        """

    @property
    def scale_V(self) -> float:
        """Volts over which the slope changes; infinite for piecewise linear elements."""
        return math.inf

    @property
    def has_kinks(self) -> bool:
        """Whether the slope jumps somewhere."""
        return False

    def in_range(self, terminals: FloatArray, inner: FloatArray) -> BoolArray:
        """Return a mask (S, K) of what is within the range of the law."""
        return np.ones(terminals.shape[1:], dtype=np.bool_)

    @property
    def out_of_range(self) -> str:
        """Say what is wrong where `in_range` is false."""
        return "an exponential element is driven beyond exp(300)"

    @abstractmethod
    def contrast(self, terminals: FloatArray, values: FloatArray) -> FloatArray:
        """Return what coupled learning compares between two phases (S, K), for voltages (2, S, K) of a and b.

        For an element of two terminals d(co-content)/d(value); see each element.
        """

    @property
    def spreads(self) -> Mapping[str, Literal["V", "relative"]]:
        """Parameters of the device that may differ from one to the next, by name: in volts, or relative."""
        return {}

    def varied(self, deviations: Mapping[str, float]) -> ThreeTerminal:
        """Return an element that deviates from this one, as a device does from its data sheet.

        Parameters
        ----------
        deviations : mapping of str to float
            By the names in `spreads`: volts that are added, or factors.

        Raises
        ------
        CircuitError
            If a name is none of `spreads`.
        """
        known = ", ".join(self.spreads) or "none"
        wrong = next((name for name in deviations if name not in self.spreads), None)
        if wrong is None:
            return self
        raise CircuitError(f"{type(self).__name__} has no parameter {wrong!r} that may vary; it has: {known}")

    @property
    def alike(self) -> Hashable:
        """What elements that are evaluated together have in common; the element itself unless overridden."""
        return self

    @classmethod
    def together(cls, kinds: Sequence[Self]) -> ThreeTerminal:
        """Return one law for K edges of these elements, all `alike`."""
        return kinds[0]

    def spice(self, name: str, a: str, b: str, value: float) -> list[str]:
        """Return the cards of an edge between nodes a and b, with a name of its own; empty if there are none."""
        return []

    @property
    def spice_options(self) -> dict[str, float]:
        """Options of the simulator that the law depends on, by name."""
        return {}
