"""Operating points of circuits with limited sources in 50-digit decimal arithmetic, from the laws alone.

`exact` takes the plane's claim of which sources are at their limits, solves Kirchhoff's laws with it by Newton's
method in decimals, and then checks every source against its characteristic. The circuit is convex: a point that
satisfies all laws is the operating point. No formula of the packages under test is used.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Context, Decimal, localcontext
from typing import Any

from hwlearn.circuit.elements import IdealDiode, Ohmic, Shockley, Sinh
from hwlearn.circuit.topology import Topology
from hwlearn_sim.plane.plane import AttachedChannel
from hwlearn_sim.plane.sources import CurrentSource, Open, VoltageSource

DIGITS = 50
_SETTLED = Decimal("1e-40")
_STEPS = 60
_TOLERANCE = Decimal("1e-12")
"""Share by which a source may exceed its limit: the plane decides in double precision."""

_LEAST_A = Decimal("1e-40")
"""Currents as small as this are rounding errors of 50 digits."""

Law = tuple[Decimal, Decimal]
"""Current and slope."""


@dataclass(frozen=True)
class Exact:
    """Exact voltages of the nodes that current can reach, currents into the terminals, and broken laws."""

    volts: dict[int, Decimal]
    amperes: dict[int, Decimal]
    broken: list[str]


def law(element: Any, v: Decimal, theta: Decimal) -> Law:
    """Return current and slope of an element, from its definition in docs/elements.md."""
    if isinstance(element, Ohmic):
        return theta * v, theta
    if isinstance(element, Sinh):
        scale = Decimal(element.V0)
        up, down = (v / scale).exp(), (-v / scale).exp()
        return theta * scale * (up - down) / 2, theta * (up + down) / 2
    if isinstance(element, Shockley):
        scale = Decimal(element.nVt)
        up = (v / scale).exp()
        return theta * scale * (up - 1), theta * up
    if isinstance(element, IdealDiode):
        leak, threshold = Decimal(element.leak), Decimal(element.threshold_V)
        on = v > threshold
        extra = (1 - leak) * (v - threshold) if on else Decimal(0)
        return theta * (leak * v + extra), theta * (1 if on else leak)
    if element.name == "cubic":
        return theta * (v + v**3), theta * (1 + 3 * v * v)
    raise ValueError(f"no exact law of {element!r}")


def exact(
    topology: Topology, thetas: Sequence[float], channels: Sequence[AttachedChannel], start: Sequence[float]
) -> Exact:
    """Solve the circuit with the claimed limits, and check every source.

    Parameters
    ----------
    topology : Topology
    thetas : sequence of float, length E + F
        Siemens; zero is an open edge.
    channels : sequence of AttachedChannel
        The plane's claims.
    start : sequence of float, length N
        Its node voltages, where Newton's method begins.
    """
    with localcontext(Context(prec=DIGITS)):
        return _Decimals(topology, thetas, channels, start).result()


class _Decimals:
    def __init__(
        self,
        topology: Topology,
        thetas: Sequence[float],
        channels: Sequence[AttachedChannel],
        start: Sequence[float],
    ) -> None:
        elements = [*topology.edge_elements, *topology.fixed_edge_elements]
        rows = zip(topology.all_edges.tolist(), elements, map(float, thetas), strict=True)
        self.edges = [(a, b, element, Decimal(theta)) for (a, b), element, theta in rows if theta > 0]
        self.ground, self.channels = topology.ground, channels
        self.beside: dict[int, set[int]] = {node: set() for node in range(topology.n_nodes)}
        for a, b, _, _ in self.edges:
            self.beside[a].add(b)
            self.beside[b].add(a)
        self.V = [Decimal(float(volts)) for volts in start]
        self.at: dict[int, list[AttachedChannel]] = {}
        for channel in channels:
            if channel.node != topology.ground:
                self.at.setdefault(channel.node, []).append(channel)

    def result(self) -> Exact:
        held, given = self._claims()
        reached = self._reached([*self.at, *([] if self.ground is None else [self.ground])])
        pinned = set(held) | self._pins(reached, held)
        for node, volts in held.items():
            self.V[node] = volts
        free = [node for node in sorted(reached) if node not in pinned]
        broken = self._newton(free, given)
        into = self._currents()
        amperes = {node: into[node] for node in self.at}
        broken += self._wrong_sources(amperes)
        broken += self._unbalanced(reached, held, pinned, into, given)
        return Exact({node: self.V[node] for node in reached}, amperes, broken)

    def _claims(self) -> tuple[dict[int, Decimal], dict[int, Decimal]]:
        """Return the voltages of held nodes, and the currents into the others with sources."""
        held = {} if self.ground is None else {self.ground: Decimal(0)}
        given: dict[int, Decimal] = {}
        for node, channels in self.at.items():
            total = Decimal(0)
            for channel in channels:
                source, point = channel.source, channel.operating_point
                if isinstance(source, VoltageSource) and not point.limited:
                    held[node] = Decimal(source.volts)
                elif isinstance(source, VoltageSource):
                    total += Decimal(source.limit_A) * (1 if point.amperes > 0 else -1)
                elif isinstance(source, CurrentSource) and point.limited:
                    held[node] = Decimal(source.limit_V) * (1 if point.volts > 0 else -1)
                elif isinstance(source, CurrentSource):
                    total += Decimal(source.amperes)
            if node not in held:
                given[node] = total
        return held, given

    def _reached(self, roots: Sequence[int]) -> set[int]:
        found, todo = set(roots), list(roots)
        while todo:
            for node in self.beside[todo.pop()] - found:
                found.add(node)
                todo.append(node)
        return found

    def _pins(self, reached: set[int], held: dict[int, Decimal]) -> set[int]:
        """Return one node of each part without a held node; its voltage is the plane's."""
        pins, left = set(), set(reached)
        while left:
            part = self._reached([min(left)])
            left -= part
            if not part & set(held):
                pins.add(min(part))
        return pins

    def _currents(self) -> list[Decimal]:
        out = [Decimal(0)] * len(self.V)
        for a, b, element, theta in self.edges:
            amps = law(element, self.V[a] - self.V[b], theta)[0]
            out[a] += amps
            out[b] -= amps
        return out

    def _newton(self, free: Sequence[int], given: dict[int, Decimal]) -> list[str]:
        place = {node: k for k, node in enumerate(free)}
        for _ in range(_STEPS):
            rows = [[Decimal(0)] * (len(free) + 1) for _ in free]
            for node, amps in given.items():
                if node in place:
                    rows[place[node]][-1] += amps
            for a, b, element, theta in self.edges:
                amps, slope = law(element, self.V[a] - self.V[b], theta)
                for node, other, sign in ((a, b, 1), (b, a, -1)):
                    if node not in place:
                        continue
                    row = rows[place[node]]
                    row[-1] -= sign * amps
                    row[place[node]] += slope
                    if other in place:
                        row[place[other]] -= slope
            step = _solved(rows)
            for node, move in zip(free, step, strict=True):
                self.V[node] += move
            largest = max(map(abs, self.V))
            if max(map(abs, step), default=Decimal(0)) <= _SETTLED * largest:
                return []
        return ["Newton's method did not converge from the plane's voltages"]

    def _wrong_sources(self, amperes: dict[int, Decimal]) -> list[str]:
        """Check that the current of each terminal is one that its sources can deliver at the exact voltage."""
        wrong = []
        for node, channels in self.at.items():
            most, least = self._delivered(self.V[node], channels)
            margin = (
                _TOLERANCE * max(abs(amperes[node]), *(abs(x) for x in (most, least) if x.is_finite())) + _LEAST_A
            )
            if not least - margin <= amperes[node] <= most + margin:
                wrong.append(
                    f"node {node}: {amperes[node]:.6g} A, its sources deliver {least:.6g} to {most:.6g} A"
                )
        return wrong

    def _delivered(self, volts: Decimal, channels: Sequence[AttachedChannel]) -> tuple[Decimal, Decimal]:
        most = least = Decimal(0)
        for source in (channel.source for channel in channels):
            if isinstance(source, VoltageSource):
                setpoint, limit = Decimal(source.volts), Decimal(source.limit_A)
                near = abs(volts - setpoint) <= _TOLERANCE * max(map(abs, self.V))
                most += limit if near or volts < setpoint else -limit
                least += -limit if near or volts > setpoint else limit
            elif isinstance(source, CurrentSource):
                wall = Decimal(source.limit_V)
                assert abs(volts) <= wall * (1 + _TOLERANCE)
                amps = Decimal(source.amperes)
                most += Decimal("Infinity") if volts <= -wall * (1 - _TOLERANCE) else amps
                least += Decimal("-Infinity") if volts >= wall * (1 - _TOLERANCE) else amps
            else:
                assert isinstance(source, Open)
        return most, least

    def _unbalanced(
        self,
        reached: set[int],
        held: dict[int, Decimal],
        pinned: set[int],
        into: list[Decimal],
        given: dict[int, Decimal],
    ) -> list[str]:
        """Check the current law at pinned nodes: the currents into a floating part must balance."""
        wrong = []
        for node in (pinned - set(held)) & reached:
            amps = given.get(node, Decimal(0))
            size = max((abs(x) for x in given.values()), default=Decimal(0))
            if abs(into[node] - amps) > _TOLERANCE * size + _LEAST_A:
                wrong.append(f"node {node}: {into[node]:.6g} A leave it, {amps:.6g} A enter")
        return wrong


def _solved(rows: list[list[Decimal]]) -> list[Decimal]:
    """Solve equations with a symmetric, diagonally dominant matrix, whose right side is the last column."""
    n = len(rows)
    for k in range(n):
        pivot = rows[k]
        for i in range(k + 1, n):
            if rows[i][k] == 0:
                continue
            factor = rows[i][k] / pivot[k]
            row = rows[i]
            for j in range(k, n + 1):
                if pivot[j]:
                    row[j] -= factor * pivot[j]
    found = [Decimal(0)] * n
    for k in reversed(range(n)):
        rest = sum((rows[k][j] * found[j] for j in range(k + 1, n) if rows[k][j]), Decimal(0))
        found[k] = (rows[k][n] - rest) / rows[k][k]
    return found
