"""The copies of a pair: their checks, common limits and state, and the nudged phases of the clamped one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

from hwlearn.arrays import BoolArray, FloatArray
from hwlearn.errors import HwlearnError, SetupError
from hwlearn.network.limits import Limits
from hwlearn.network.network import Network, Readout
from hwlearn.network.nudges import Nudge, OutputDrive
from hwlearn.network.opened import topology_difference
from hwlearn.network.simulation import Simulation, State, part, prefixed
from hwlearn.network.wrapped import WrappedNetwork


@contextmanager
def named(copy: str) -> Iterator[None]:
    """Put the name of a copy, ``"free"`` or ``"clamped"``, before the message of an error of this package."""
    try:
        yield
    except HwlearnError as error:
        error.args = (f"the {copy} copy: {error}", *error.args[1:])
        raise


def narrower(first: Limits, second: Limits) -> Limits:
    """Return the limits that both allow.

    Raises
    ------
    SetupError
        If both have limits of different values, or no value lies within both.
    """
    ranges, others = dict(first.values), dict(second.values)
    if set(ranges) != set(others):
        mine, theirs = ", ".join(ranges), ", ".join(others)
        raise SetupError(f"the copies of a pair have limits of {mine} and of {theirs}; give both the same")
    both = {name: (max(low, others[name][0]), min(high, others[name][1])) for name, (low, high) in ranges.items()}
    empty = next((name for name, (low, high) in both.items() if not low < high), None)
    if empty is not None:
        raise SetupError(
            f"the copies of a pair have limits of the {empty} of {ranges[empty]} and {others[empty]}: no range "
            "lies within both; give both copies the same limits"
        )
    names = ("voltage", "drop", "nudge", "current")
    return Limits(**{name: min(getattr(first, name), getattr(second, name)) for name in names}, values=both)


def check_copies(free: Network, clamped: Network) -> None:
    """Refuse copies that are no open networks of one design.

    Raises
    ------
    SetupError
        Naming the copy.
    """
    given: tuple[tuple[str, object], ...] = (("free", free), ("clamped", clamped))
    for name, copy in given:
        if not isinstance(copy, Network):
            raise SetupError(f"the {name} copy of a pair is {copy!r:.80}; it must be an hwlearn.Network")
        if copy.closed:
            raise SetupError(f"the {name} copy of a pair is closed; open it first")
    if free is clamped:
        raise SetupError("both copies of a pair are the same network; open a second one with devices of its own")
    different = topology_difference(free.topology, clamped.topology)
    if different is not None:
        raise SetupError(
            f"the copies of a pair are different circuits, {free.topology} and {clamped.topology}: the "
            f"{different} is another; both must have the same edges, fixed edges and conductances of these, wires "
            "and elements"
        )


@dataclass(frozen=True)
class PairSimulation:
    """State of two simulated copies; see `hwlearn.network.simulation.Simulation`."""

    free: Simulation
    clamped: Simulation

    def state(self) -> dict[str, np.ndarray]:
        """Return the states of both copies, under ``free.`` and ``clamped.``."""
        return {**prefixed("free", self.free.state()), **prefixed("clamped", self.clamped.state())}

    def restore(self, state: State) -> None:
        """Continue from a state of both copies."""
        self.free.restore(part("free", state))
        self.clamped.restore(part("clamped", state))


class ClampedCopy(WrappedNetwork):
    """The clamped copy, with what its hardware does faster or within limits of its own."""

    def sides(
        self, inputs: FloatArray, plus: OutputDrive, minus: OutputDrive | None
    ) -> tuple[Readout, Readout | None, BoolArray | None]:
        """Measure both nudged phases of checked inputs, or only ``plus``; see `Network._measure_sides`."""
        for drive in (plus,) if minus is None else (plus, minus):
            self._check_request(inputs, drive)
        sides = self._checked_sides(inputs, plus, minus)
        self._count(len(inputs) * (1 if minus is None else 2))
        return sides

    def nudge_limits(self) -> Limits:
        """Return the limits for choosing strengths."""
        return self._checked_nudge_limits()

    def max_strength(self, nudge: Nudge, free: FloatArray, error: FloatArray) -> FloatArray:
        """Return the maximum strengths (S,) that the hardware supports."""
        return self._checked_max_strength(nudge, free, error)
