"""`Mosfet`: an n-channel transistor of SPICE level 1 whose gate voltage is the trainable value."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Final, Literal, Self

import numpy as np

from hwlearn.arrays import BoolArray, FloatArray
from hwlearn.circuit.elements.level1 import Channel
from hwlearn.circuit.elements.numbers import plain_number, shown
from hwlearn.circuit.elements.three_terminal import Parameter, Stamp, ThreeTerminal
from hwlearn.circuit.elements.transistors import Body, Reference, Transistors
from hwlearn.errors import CircuitError

BOLTZMANN: Final = 1.38064852e-23
CHARGE: Final = 1.6021766208e-19
"""J/K and C; the values of CODATA 2014, which ngspice has."""

Blocking = Literal["exponential", "constant"]


@dataclass(frozen=True)
class Mosfet(ThreeTerminal):
    """An n-channel MOSFET of SPICE level 1: drain at a, source at b; the gate voltage is trained.

    Body effect, channel-length modulation, series resistances and the junction diodes of the body are those of
    ngspice's level 1 at its nominal temperature. If the drain is below the source, the channel runs in reverse;
    drain and source keep their series resistances.

    Parameters
    ----------
    vto : float
        Threshold in volts with the body at the source.
    kp : float
        Transconductance in A/V^2.
    gamma, phi, lambda_ : float
        Body effect in V^0.5, surface potential in volts, channel-length modulation in 1/V.
    l, w : float
        Channel length and width in metres.
    rsh, nrd, nrs : float
        Sheet resistance in ohm, and squares of drain and source.
    is_ : float
        Saturation current in amperes of each junction.
    gmin : float
        Conductance in siemens in parallel with each junction, as in SPICE.
    blocking : {"exponential", "constant"}
        Current of a junction more than three thermal voltages below 0 V: the exponential law, or ``-is_``, as in
        SPICE, where it jumps by 5 % of ``is_``.
    body : {"ground", "drain", "source", "floating"}
        What the body is connected to. Currents into a grounded body do not arrive at the other end.
    gate : {"ground", "drain", "source"}
        What the gate voltage is measured against.
    least_gate, most_gate : float
        Range in volts of the gate voltage.
    celsius : float
        Temperature.

    Raises
    ------
    CircuitError
        If a number cannot be right.

    Examples
    --------
    >>> import hwlearn as hl
    >>> divider = hl.Topology(3, [(0, 1), (1, 2)], [0], [1], ground=2)
    >>> model = hl.Kirchhoff(divider, [3.0, 3.0], elements=Mosfet(vto=0.75, kp=6e-5, l=8e-6, w=140e-6))
    >>> model.solve([[0.5]]).round(6)
    array([[0.5     , 0.234436, 0.      ]])
    """

    vto: float
    kp: float
    gamma: float = 0.0
    phi: float = 0.6
    lambda_: float = 0.0
    l: float = 1e-4  # noqa: E741  # the name in SPICE
    w: float = 1e-4
    rsh: float = 0.0
    nrd: float = 1.0
    nrs: float = 1.0
    is_: float = 1e-14
    gmin: float = 1e-12
    blocking: Blocking = "exponential"
    body: Body = "ground"
    gate: Reference = "ground"
    least_gate: float = 0.0
    most_gate: float = 10.0
    celsius: float = 27.0

    def __post_init__(self) -> None:
        for one in fields(self):
            value = getattr(self, one.name)
            if one.name in ("body", "gate", "blocking"):
                continue
            number = plain_number(value)
            if not math.isfinite(number):
                raise CircuitError(f"Mosfet.{one.name} is {shown(value)}; it must be a finite number")
            object.__setattr__(self, one.name, number)
        for name in ("kp", "phi", "l", "w", "gmin", "is_"):
            if not getattr(self, name) > 0:
                raise CircuitError(f"Mosfet.{name} is {getattr(self, name)!r}; it must be positive")
        for name in ("gamma", "lambda_", "rsh", "nrd", "nrs"):
            if not getattr(self, name) >= 0:
                raise CircuitError(f"Mosfet.{name} is {getattr(self, name)!r}; it must be zero or positive")
        if not isinstance(self.body, str) or self.body not in ("ground", "drain", "source", "floating"):
            raise CircuitError(f"Mosfet.body is {self.body!r}; it must be ground, drain, source or floating")
        if not isinstance(self.gate, str) or self.gate not in ("ground", "drain", "source"):
            raise CircuitError(f"Mosfet.gate is {self.gate!r}; it must be ground, drain or source")
        if not isinstance(self.blocking, str) or self.blocking not in ("exponential", "constant"):
            raise CircuitError(f"Mosfet.blocking is {self.blocking!r}; it must be exponential or constant")
        if not self.least_gate < self.most_gate:
            raise CircuitError(
                f"Mosfet.least_gate = {self.least_gate!r} V must be below most_gate = {self.most_gate!r} V"
            )
        if not self.celsius > -273.15:
            raise CircuitError(f"Mosfet.celsius is {self.celsius!r}; it must be above -273.15")

    @cached_property
    def parameter(self) -> Parameter:
        """The gate voltage."""
        return Parameter("gate voltage", "V", self.least_gate, self.most_gate, "linear")

    @property
    def scale_V(self) -> float:
        """Thermal voltage of the junctions."""
        return BOLTZMANN / CHARGE * (self.celsius + 273.15)

    @property
    def alike(self) -> Hashable:
        """Connections of body and gate, and the blocking law."""
        return "Mosfet", self.body, self.gate, self.blocking

    @classmethod
    def together(cls, kinds: Sequence[Self]) -> Transistors:
        """Return one law for transistors with the same connections, whose numbers may differ."""

        def each(number: Callable[[Self], float]) -> FloatArray:
            found = np.array([number(one) for one in kinds])
            return found[:1] if (found == found[0]).all() else found

        channel = Channel(
            each(lambda one: one.kp * one.w / one.l),
            each(lambda one: one.vto),
            each(lambda one: one.gamma),
            each(lambda one: one.phi),
            each(lambda one: one.lambda_),
        )
        drain, source = each(lambda one: one.rsh * one.nrd), each(lambda one: one.rsh * one.nrs)
        first = kinds[0]
        return Transistors(
            channel,
            np.stack(np.broadcast_arrays(drain, source)),
            each(lambda one: one.is_),
            each(lambda one: one.gmin),
            each(lambda one: one.scale_V),
            each(lambda one: one.most_gate),
            first.body,
            first.gate,
            first.blocking == "constant",
            first.parameter,
        )

    @cached_property
    def _law(self) -> Transistors:
        return Mosfet.together([self])

    def start(self, terminals: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return where a search begins; see `Transistors.start`."""
        return self._law.start(terminals)

    def stamp(self, terminals: FloatArray, inner: FloatArray, before: FloatArray, values: FloatArray) -> Stamp:
        """Return the currents; see `ThreeTerminal.stamp`."""
        return self._law.stamp(terminals, inner, before, values)

    def in_range(self, terminals: FloatArray, inner: FloatArray) -> BoolArray:
        """Return whether both junctions are within the range of their law."""
        return self._law.in_range(terminals, inner)

    def contrast(self, terminals: FloatArray, values: FloatArray) -> FloatArray:
        """Return ``KP W / L v^2 / 2`` with the drop v from drain to source, as coupled learning compares it.

        In triode without series resistances and channel-length modulation, this is the integral of dI/dV_gate.
        """
        return self._law.contrast(terminals, values)

    @property
    def spreads(self) -> Mapping[str, Literal["V", "relative"]]:
        """Threshold in volts, and strength relative to ``kp``."""
        return {"vto": "V", "kp": "relative"}

    def varied(self, deviations: Mapping[str, float]) -> Mosfet:
        """Return a transistor with the threshold ``vto + deviation`` and the strength ``kp * factor``."""
        super().varied(deviations)  # refuses unknown names
        vto, kp = deviations.get("vto", 0.0), deviations.get("kp", 1.0)
        return replace(self, vto=self.vto + vto, kp=self.kp * kp)

    def spice(self, name: str, a: str, b: str, value: float) -> list[str]:
        """Return the transistor, the source of its gate, and its model.

        SPICE lets a blocking junction conduct a constant current below three thermal voltages (``blocking =
        "constant"`` here); the exponential differs from that by at most 5e-16 A.
        """
        reference = {"ground": "0", "drain": a, "source": b}[self.gate]
        body = {"ground": "0", "drain": a, "source": b, "floating": f"body{name}"}[self.body]
        return [
            f"VG{name} gate{name} {reference} {value!r}",
            f"M{name} {a} gate{name} {b} {body} mos{name} L={self.l!r} W={self.w!r} NRD={self.nrd!r} "
            f"NRS={self.nrs!r}",
            f".model mos{name} nmos level=1 vto={self.vto!r} kp={self.kp!r} gamma={self.gamma!r} phi={self.phi!r} "
            f"lambda={self.lambda_!r} rsh={self.rsh!r} is={self.is_!r} tnom={self.celsius!r}",
        ]

    @property
    def spice_options(self) -> dict[str, float]:
        """Conductance in parallel with junctions, and temperature."""
        return {"gmin": self.gmin, "temp": self.celsius}
