"""`RelayBank`: the relays of a switch matrix between nodes of an analog plane."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from hwlearn_drivers.roles.values import Crosspoint
from hwlearn_sim.instruments.instrument import Clock
from hwlearn_sim.placed import RelayParts
from hwlearn_sim.plane.contacts import Contact
from hwlearn_sim.plane.plane import AnalogPlane
from hwlearn_sim.plane.sources import CurrentSource, Open

RelayFault = Literal["stuck open", "stuck closed", "does not move"]
"""``stuck open``, ``stuck closed``: of the contact; the instrument reports what it has set and does not know.
``does not move``: the instrument cannot move the relay, and reports where it is."""

_HIGHEST_V: Final = 1e3  # of thermal voltages driven as currents; nothing reaches it
_LEAST_OHM: Final = 1e-3


@dataclass(frozen=True, slots=True)
class HotMove:
    """A relay that moved with a voltage across its open contact or a current through its closed one.

    Attributes
    ----------
    crosspoint : Crosspoint
    volts : float
        Across the contact before it closed; 0 for one that opened.
    amperes : float
        Through the contact before it opened; 0 for one that closed.
    """

    crosspoint: Crosspoint
    volts: float
    amperes: float


class RelayBank:
    """Relays between the rows and the columns of a matrix. Those without nodes are only counted.

    A contact that has been told to move reads as bouncing until its time has passed, or until the instrument obeys
    another message: it answers only when its relays have settled.

    Parameters
    ----------
    plane : AnalogPlane
    label : str
        Name of the matrix.
    rows, columns : mapping of str to int
        Node of each row and column in use.
    parts : RelayParts
    rng : numpy.random.Generator
    clock : Clock

    Attributes
    ----------
    closed : set of Crosspoint
        As the instrument reports it.
    faults : dict of Crosspoint to RelayFault
        Faults on demand; see `set_fault`.
    closures : Counter
        How often each relay was closed.
    moves : int
        How often any relay was opened or closed.
    hot_V, hot_A : float
        Largest voltage across a relay that closed, and largest current through one that opened.
    hot_moves : list of HotMove
        Moves beyond `noticed_V` or `noticed_A`.
    noticed_V, noticed_A : float
    """

    def __init__(
        self,
        plane: AnalogPlane,
        label: str,
        rows: Mapping[str, int],
        columns: Mapping[str, int],
        parts: RelayParts,
        rng: np.random.Generator,
        clock: Clock,
    ) -> None:
        self._plane, self._label, self._parts, self._clock = plane, label, parts, clock
        self._ends = {
            Crosspoint(row, column): (one, other) for row, one in rows.items() for column, other in columns.items()
        }
        ohms = parts.contact_ohm * (1 + parts.spread * rng.standard_normal(len(self._ends)))
        self._siemens = dict(zip(self._ends, (1 / np.maximum(ohms, _LEAST_OHM)).tolist(), strict=True))
        emfs = rng.uniform(-1.0, 1.0, len(self._ends)) * parts.emf_V
        self._emf = dict(zip(self._ends, emfs.tolist(), strict=True))
        self._bounces = rng.spawn(1)[0]
        nodes = {*rows.values(), *columns.values()} if parts.emf_V else set()
        self._drives = {node: plane.attach(node, f"{label} thermal voltages at {node}") for node in nodes}
        self.closed: set[Crosspoint] = set()
        self.faults: dict[Crosspoint, RelayFault] = {}
        self.closures: Counter[Crosspoint] = Counter()
        self.moves = 0
        self.hot_V = self.hot_A = 0.0
        self.hot_moves: list[HotMove] = []
        self.noticed_V, self.noticed_A = 5e-3, 5e-6
        self._moving: list[Crosspoint] = []
        self._until = 0.0

    def set_fault(self, crosspoint: Crosspoint, fault: RelayFault | None) -> None:
        """Let a relay fail from now on, or repair it."""
        with self._plane.exclusive:
            if fault is None:
                self.faults.pop(crosspoint, None)
            else:
                self.faults[crosspoint] = fault
            self._connect(self._touching())

    def move(self, opening: Collection[Crosspoint], closing: Collection[Crosspoint]) -> None:
        """Open some relays and close others, all at once."""
        with self._plane.exclusive:
            self.settle()
            dead = {one for one, fault in self.faults.items() if fault == "does not move"}
            released = self.closed.intersection(opening) - dead
            operated = set(closing) - self.closed - dead
            before = self._touching()
            self.closed -= released
            self.closed |= operated
            self.moves += len(released) + len(operated)
            self.closures.update(operated)
            after = self._touching()
            self._note(after - before, before - after)
            self._moving = sorted(after ^ before)
            if self._moving:
                parts = self._parts
                seconds = max(
                    parts.operate_s + parts.bounce_s if after - before else 0.0,
                    parts.release_s if before - after else 0.0,
                )
                self._until = time.monotonic() + seconds
                self._plane.while_moving(self._label, self._bounce)
                self._clock.advance(seconds)
                if self._clock.real:
                    self.settle()

    def settle(self) -> None:
        """Let every relay come to rest; the instrument does not answer earlier."""
        with self._plane.exclusive:
            if self._moving:
                self._moving.clear()
                self._plane.while_moving(self._label, None)
                self._connect(self._touching())

    def _touching(self) -> frozenset[Crosspoint]:
        """Return the relays whose contact is closed once they are at rest, of those with nodes."""
        stuck = {one for one, fault in self.faults.items() if fault == "stuck closed"}
        broken = {one for one, fault in self.faults.items() if fault == "stuck open"}
        return frozenset(((self.closed | stuck) - broken) & self._ends.keys())

    def _bounce(self) -> None:
        """Open or close the contacts that have not settled, by chance; settle those whose time has passed."""
        if time.monotonic() >= self._until:
            self.settle()
            return
        touching = set(self._touching())
        for one, closed in zip(self._moving, self._bounces.random(len(self._moving)) < 0.5, strict=True):
            (touching.add if closed else touching.discard)(one)
        self._connect(frozenset(touching))

    def _connect(self, touching: frozenset[Crosspoint]) -> None:
        contacts, into = [], dict.fromkeys(self._drives, 0.0)
        for one in sorted(touching):
            row, column = self._ends[one]
            contacts.append(Contact(row, column, self._siemens[one]))
            if into:  # the thermal voltage in series with the contact, as a current beside it
                amperes = self._siemens[one] * self._emf[one]
                into[row] += amperes
                into[column] -= amperes
        with self._plane.at_once():
            self._plane.set_contacts(self._label, tuple(contacts))
            for node, amperes in into.items():
                source = CurrentSource(amperes, _HIGHEST_V) if amperes else Open()
                self._plane.drive(self._drives[node], source)

    def _note(self, operated: Collection[Crosspoint], released: Collection[Crosspoint]) -> None:
        """Record voltages and currents at relays that are about to move."""
        if not (operated or released):
            return
        volts = self._plane.node_voltages()
        for one in sorted({*operated, *released}):
            row, column = self._ends[one]
            drop = float(volts[row] - volts[column])
            across = abs(drop) if one in operated else 0.0
            through = abs(drop - self._emf[one]) * self._siemens[one] if one in released else 0.0
            self.hot_V, self.hot_A = max(self.hot_V, across), max(self.hot_A, through)
            if across > self.noticed_V or through > self.noticed_A:
                self.hot_moves.append(HotMove(one, across, through))
