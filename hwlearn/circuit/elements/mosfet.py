"""`Mosfet`: an n-channel transistor of SPICE level 1 whose gate voltage is the trainable value."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Final, Literal

import numpy as np

from hwlearn.arrays import BoolArray, FloatArray
from hwlearn.circuit.elements.kinds import MOST_EXPONENT, Shockley
from hwlearn.circuit.elements.level1 import Channel
from hwlearn.circuit.elements.three_terminal import Parameter, Stamp, ThreeTerminal
from hwlearn.errors import CircuitError

BOLTZMANN: Final = 1.38064852e-23
CHARGE: Final = 1.6021766208e-19
"""J/K and C; the values of CODATA 2014, which ngspice has."""

Body = Literal["ground", "drain", "source", "floating"]
Reference = Literal["ground", "drain", "source"]
Blocking = Literal["exponential", "constant"]

_Columns = list[tuple[int, float]]
"""A voltage as a sum of local unknowns: their places and signs."""


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
            if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
                raise CircuitError(f"Mosfet.{one.name} is {value!r}; it must be a finite number")
        for name in ("kp", "phi", "l", "w", "gmin", "is_"):
            if not getattr(self, name) > 0:
                raise CircuitError(f"Mosfet.{name} is {getattr(self, name)!r}; it must be positive")
        for name in ("gamma", "lambda_", "rsh", "nrd", "nrs"):
            if not getattr(self, name) >= 0:
                raise CircuitError(f"Mosfet.{name} is {getattr(self, name)!r}; it must be zero or positive")
        if self.body not in ("ground", "drain", "source", "floating"):
            raise CircuitError(f"Mosfet.body is {self.body!r}; it must be ground, drain, source or floating")
        if self.gate not in ("ground", "drain", "source"):
            raise CircuitError(f"Mosfet.gate is {self.gate!r}; it must be ground, drain or source")
        if self.blocking not in ("exponential", "constant"):
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

    @cached_property
    def _channel(self) -> Channel:
        return Channel(self.kp * self.w / self.l, self.vto, self.gamma, self.phi, self.lambda_)

    @cached_property
    def _junction(self) -> Shockley:
        return Shockley(BOLTZMANN / CHARGE * (self.celsius + 273.15))

    @cached_property
    def _drops(self) -> tuple[int | None, int | None]:
        """Places among the local unknowns of the drops across the series resistances at drain and source."""
        count = 2
        places: list[int | None] = []
        for squares in (self.nrd, self.nrs):
            places.append(count if self.rsh * squares > 0 else None)
            count += self.rsh * squares > 0
        return places[0], places[1]

    @property
    def n_inner(self) -> int:
        """Drops across series resistances, and the voltage of a floating body."""
        return sum(place is not None for place in self._drops) + (self.body == "floating")

    @property
    def scale_V(self) -> float:
        """Thermal voltage of the junctions."""
        return self._junction.nVt

    def start(self, terminals: FloatArray) -> FloatArray:
        """Return no drops across series resistances, and a floating body at the lower of both ends."""
        inner = np.zeros((self.n_inner, *terminals.shape[1:]))
        if self.body == "floating":
            inner[-1] = terminals.min(axis=0)
        return inner

    def controls(self, volts: FloatArray) -> FloatArray:
        """Return the voltages from body to drain and to source."""
        body = self._body(volts)
        return np.stack([body - end for end in self._ends(volts)])

    def _ends(self, volts: FloatArray) -> list[FloatArray]:
        """Return the voltages (S, K) at both ends of the channel."""
        return [
            volts[terminal] if drop is None else volts[terminal] - volts[drop]
            for terminal, drop in enumerate(self._drops)
        ]

    def _body(self, volts: FloatArray) -> FloatArray:
        at = {"ground": None, "drain": 0, "source": 1, "floating": -1}[self.body]
        return np.zeros(volts.shape[1:]) if at is None else volts[at]

    def begun_at(self, controls: FloatArray) -> FloatArray:
        """Return the voltages, but not beyond the one at which a junction conducts as much as the channel can."""
        vt = self._junction.nVt
        strong = max(self._channel.beta * self.most_gate, self.gmin)
        return np.minimum(controls, vt * math.log1p(strong * vt / self.is_))

    def linearised_at(self, controls: FloatArray, before: FloatArray) -> FloatArray:
        """Return where the junctions are linearised; see `Shockley.linearised_at`."""
        return self._junction.linearised_at(controls, before)

    def in_range(self, controls: FloatArray) -> BoolArray:
        """Return whether the junctions are within the range of their law."""
        return self._junction.in_range(controls)

    def contrast(self, terminals: FloatArray, values: FloatArray) -> FloatArray:
        """Return ``KP W / L v^2 / 2`` with the drop v from drain to source, as coupled learning compares it.

        In triode without series resistances and channel-length modulation, this is the integral of dI/dV_gate.
        """
        return np.asarray(0.5 * self._channel.beta * (terminals[0] - terminals[1]) ** 2)

    def stamp(self, volts: FloatArray, values: FloatArray, at: FloatArray) -> Stamp:
        """Return the currents; see `ThreeTerminal.stamp`.

        The inner unknowns are drops across series resistances, so that their currents lose no digits where the
        channel carries little.
        """
        count, shape = len(volts), volts.shape[1:]
        F, J, T = np.zeros((count, *shape)), np.zeros((count, count, *shape)), np.zeros((count, *shape))
        drops, (drain, source), body = self._drops, self._ends(volts), self._body(volts)
        # row of the current that leaves each end of the channel; columns of its voltage, with signs
        rows = [terminal if drop is None else drop for terminal, drop in enumerate(drops)]
        ends: list[_Columns] = [
            [(terminal, 1.0)] if drop is None else [(terminal, 1.0), (drop, -1.0)]
            for terminal, drop in enumerate(drops)
        ]
        place: dict[str, _Columns] = {
            "ground": [],
            "drain": [(0, 1.0)],
            "source": [(1, 1.0)],
            "floating": [(count - 1, 1.0)],
        }
        at_body, reference = place[self.body], place[self.gate]
        for terminal, (drop, squares) in enumerate(zip(drops, (self.nrd, self.nrs), strict=True)):
            if drop is not None:
                siemens = 1 / (self.rsh * squares)
                F[terminal] += siemens * volts[drop]
                J[terminal, drop] += siemens
                F[drop] -= siemens * volts[drop]
                J[drop, drop] -= siemens

        def leaves(row: int, current: FloatArray, slopes: list[tuple[_Columns, FloatArray]]) -> None:
            F[row] += current
            for columns, slope in slopes:
                for column, sign in columns:
                    J[row, column] += sign * slope

        gate = np.broadcast_to(values, shape) + sum(volts[column] for column, _ in reference)
        current, by_gate, by_drain, by_source, by_body = self._channel.currents(gate, drain, source, body)
        slopes = [(ends[0], by_drain), (ends[1], by_source), (at_body, by_body), (reference, by_gate)]
        leaves(rows[0], current, slopes)
        leaves(rows[1], -current, [(columns, -slope) for columns, slope in slopes])
        T[rows[0]] += by_gate
        T[rows[1]] -= by_gate
        known, slope = self._junction_currents(at)
        for k, end in enumerate((drain, source)):
            out = known[k] + slope[k] * (body - end - at[k])  # from the body
            leaves(rows[k], -out, [(ends[k], slope[k]), (at_body, -slope[k])])
            for row, _ in at_body:
                leaves(row, out, [(at_body, slope[k]), (ends[k], -slope[k])])
        return Stamp(F, J, T)

    def _junction_currents(self, at: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return currents and slopes (2, S, K) of both junctions at voltages (2, S, K) from the body."""
        u = at / self._junction.nVt
        inside = np.minimum(u, MOST_EXPONENT)
        rise = np.exp(inside)
        slope = self.is_ / self._junction.nVt * rise + self.gmin
        current = self.is_ * (np.expm1(inside) + rise * (u - inside)) + self.gmin * at
        if self.blocking == "constant":
            slope = np.where(u <= -3, self.gmin, slope)
            current = np.where(u <= -3, self.gmin * at - self.is_, current)
        return current, slope

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
