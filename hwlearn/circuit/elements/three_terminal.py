"""`ThreeTerminal`: elements whose current depends on both node voltages, and may flow to ground in part."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from hwlearn.arrays import BoolArray, FloatArray
from hwlearn.errors import CircuitError


@dataclass(frozen=True, slots=True)
class Parameter:
    """What is programmed and learned at an edge.

    Attributes
    ----------
    name, unit : str
        Such as ``"conductance"`` and ``"S"``.
    low, high : float
        Ends of the values that the law accepts; `low` itself is accepted if ``includes_low``.
    scale : {"log", "linear"}
        On which learning moves it unless told otherwise.
    includes_low : bool
    """

    name: str
    unit: str
    low: float
    high: float
    scale: Literal["log", "linear"]
    includes_low: bool = True

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
    """Currents of edges that leave their local nodes, linearised at the voltages of these nodes.

    The local nodes are a, b, then inner unknowns. n is their number, (S, K) samples and edges.

    Attributes
    ----------
    currents : ndarray, shape (n, S, K)
        Amperes that leave each local node into the element.
    jacobian : ndarray, shape (n, n, S, K)
        Siemens; row: current, column: voltage.
    by_value : ndarray, shape (n, S, K)
        Derivatives of the currents by the trainable value.
    """

    currents: FloatArray
    jacobian: FloatArray
    by_value: FloatArray

    def eliminate(self) -> None:
        """Eliminate the inner unknowns, last first; the rows of a and b then describe the whole element.

        The other rows stay as they were when their node was eliminated, for `inner_steps`.
        """
        F, J, T = self.currents, self.jacobian, self.by_value
        for k in range(len(F) - 1, 1, -1):
            for i in range(k):
                share = J[i, k] / J[k, k]
                J[i, :k] -= share * J[k, :k]
                F[i] -= share * F[k]
                T[i] -= share * T[k]

    def rounding(self, volts: FloatArray) -> FloatArray:
        """Return the sums (n, S, K) of the absolute terms of each current at voltages (n, S, K).

        Call it before `eliminate`. The terms at inner unknowns are passed on to a and b as the elimination does.
        """
        size = np.einsum("ijsk,jsk->isk", np.abs(self.jacobian), np.abs(volts)) + np.abs(self.currents)
        J = self.jacobian
        for k in range(len(size) - 1, 1, -1):
            for i in range(k):
                share = J[i, k] / J[k, k]
                J[i, :k] -= share * J[k, :k]
                size[i] += np.abs(share) * size[k]
        return np.asarray(size)

    def inner_steps(self, steps: FloatArray) -> FloatArray:
        """Return the steps (n - 2, S, K) inside for steps (2, S, K) of a and b, after `eliminate`."""
        F, J = self.currents, self.jacobian
        every = np.empty_like(F)
        every[:2] = steps
        for k in range(2, len(F)):
            every[k] = -(F[k] + np.einsum("jsk,jsk->sk", J[k, :k], every[:k])) / J[k, k]
        return every[2:]


class ThreeTerminal(ABC):
    """An element between a and b whose currents depend on both node voltages.

    What enters at a and does not leave at b flows to ground. Nodes behind series resistances, floating bodies
    and the like are unknowns inside the element; `Stamp.eliminate` removes them. The local unknowns are the
    voltages of a and b, then n_inner others.
    """

    @property
    @abstractmethod
    def parameter(self) -> Parameter:
        """What is programmed and learned."""

    @property
    @abstractmethod
    def n_inner(self) -> int:
        """Number of inner unknowns."""

    @abstractmethod
    def start(self, terminals: FloatArray) -> FloatArray:
        """Return the inner unknowns (n_inner, S, K) at which a search from terminals at (2, S, K) volts begins."""

    @abstractmethod
    def controls(self, volts: FloatArray) -> FloatArray:
        """Return the voltages (c, S, K) across the exponential parts, for local unknowns (n, S, K)."""

    def begun_at(self, controls: FloatArray) -> FloatArray:
        """Return where a search that begins at these voltages takes the exponential parts to have been before."""
        return np.zeros_like(controls)

    @abstractmethod
    def linearised_at(self, controls: FloatArray, before: FloatArray) -> FloatArray:
        """Return where the exponential parts are linearised next; see `Element.linearised_at`."""

    @abstractmethod
    def stamp(self, volts: FloatArray, values: FloatArray, at: FloatArray) -> Stamp:
        """Return the currents for local unknowns (n, S, K) and values (K,).

        Exponential parts are linearised ``at`` voltages (c, S, K).
        """

    @property
    @abstractmethod
    def scale_V(self) -> float:
        """Volts over which the slope changes; infinite for piecewise linear elements."""

    @property
    def has_kinks(self) -> bool:
        """Whether the slope jumps somewhere."""
        return False

    @abstractmethod
    def in_range(self, controls: FloatArray) -> BoolArray:
        """Return a mask (c, S, K) of voltages within the range of the law."""

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

    def spice(self, name: str, a: str, b: str, value: float) -> list[str]:
        """Return the cards of an edge between nodes a and b, with a name of its own; empty if there are none."""
        return []

    @property
    def spice_options(self) -> dict[str, float]:
        """Options of the simulator that the law depends on, by name."""
        return {}
