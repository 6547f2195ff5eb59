"""`OpenedBench`: what every network on a bench of any instruments shares: on, off, ramps, readings, links."""

from __future__ import annotations

import functools
from abc import abstractmethod
from collections.abc import Callable, Iterable
from typing import Concatenate, ParamSpec, TypeVar

import numpy as np

from hwlearn.arrays import FloatArray
from hwlearn.circuit.topology import Topology
from hwlearn.errors import HwlearnError
from hwlearn.network.limits import Limits
from hwlearn.network.network import Programmed
from hwlearn.network.nudges import DriveKind
from hwlearn_drivers.bench.players import Players
from hwlearn_drivers.bench.ramp import ramp
from hwlearn_drivers.bench.setpoints import Setpoints
from hwlearn_drivers.edges.edges import Edges
from hwlearn_drivers.errors import HaltedError, LinkError
from hwlearn_drivers.instrument.pace import Pace
from hwlearn_drivers.roles.instrument import BenchInstrument, DrivesOutputs, ReadsVoltages, SetsVoltages
from hwlearn_drivers.roles.values import ChannelReadings
from hwlearn_drivers.switched_network import SwitchedNetwork
from hwlearn_drivers.transport.wire_log import WireLog

_Value = TypeVar("_Value")
_Bench = TypeVar("_Bench", bound="OpenedBench")
_Request = ParamSpec("_Request")


def off_if_interrupted(
    operation: Callable[Concatenate[_Bench, _Request], _Value],
) -> Callable[Concatenate[_Bench, _Request], _Value]:
    """Send OFF to every instrument if anything but an error of this package ends an operation.

    A refused request applies nothing, and other errors of this package have switched off where they were raised.
    """

    @functools.wraps(operation)
    def guarded(self: _Bench, /, *request: _Request.args, **named: _Request.kwargs) -> _Value:
        try:
            return operation(self, *request, **named)
        except HwlearnError:
            raise
        except BaseException:
            self._halt()
            raise

    return guarded


class OpenedBench(SwitchedNetwork[BenchInstrument]):
    """A network on opened instruments of any kind: moves all their sources together.

    Parameters
    ----------
    topology : Topology
    limits : Limits
    kinds : iterable of {"clamp", "current", "resistor"}
        Drives that every output can make.
    players : Players
    edges : Edges
        Sets the conductances.
    pace : Pace
    resolution_V : float
        Smallest voltage difference that a reading can resolve.
    wire_log : WireLog, optional
        Closed with the network.
    """

    def __init__(
        self,
        topology: Topology,
        limits: Limits,
        kinds: Iterable[DriveKind],
        players: Players,
        edges: Edges,
        pace: Pace,
        resolution_V: float,
        wire_log: WireLog | None = None,
    ) -> None:
        self._setpoints = Setpoints(players, limits)
        numbered = [(one, [k]) for k, one in enumerate(players.instruments)]
        super().__init__(topology, limits, kinds, numbered, edges, pace, resolution_V, wire_log)

    @property
    def instruments(self) -> tuple[str, ...]:
        """Maker, model, serial number and address of every instrument, as reported."""
        return tuple(one.provenance for one in self._instruments)

    def _program(self, conductances: FloatArray) -> Programmed:
        with self._driving():
            self._stays_off.check()
            if not self._on:
                self._rearm()  # the board of the edges may have sources too
            return self.edges.program(conductances)

    # --- on and off ---------------------------------------------------------------------------------

    def _switch_on(self) -> None:
        """Switch on: every limit is set first; then sources at 0 V, then outputs that float."""
        self._stays_off.check()
        if self._on:
            return
        self._threads.wait()
        self._rearm()
        self._setpoints.reset()
        self._each(_prepare)
        self._each(lambda one, _: one.switch_sources_on() if isinstance(one, SetsVoltages) else None)
        self._each(lambda one, _: one.switch_outputs_on() if isinstance(one, DrivesOutputs) else None)
        self._switched_on()
        self._on = True

    @abstractmethod
    def _switched_on(self) -> None:
        """Bring what is no source to its first state; called when sources are at 0 V and outputs float."""

    def _rearm(self) -> None:
        """Allow commands again after OFF; the outputs stay off."""
        for one in self._instruments:
            one.rearm()

    def _reconnected(self) -> None:
        for one in self._instruments:
            try:
                one.rearm()
            except HaltedError:
                raise
            except LinkError:  # it was out of step, and did not get into step again
                one.reconnect()
                one.rearm()

    # --- sources and readings -----------------------------------------------------------------------

    def _ramp(self, levels: FloatArray) -> None:
        """Move all sources together along a straight line.

        The first and the last step read back state and errors.
        """
        points = self._setpoints
        levels = np.where(np.isnan(levels), points.levels, levels)  # a source behind an open switch stays
        for target, check in ramp(points.levels, levels, points.volts_per_unit, self.pace):

            def move(one: BenchInstrument, k: int, to: FloatArray = target, ends: bool = check) -> None:
                points.move(one, k, to, ends)

            self._each(move)
            points.moved(target)

    def _read_instruments(self, players: Players) -> list[ChannelReadings | None]:
        """Read, in parallel, every channel that these players read."""
        found: list[ChannelReadings | None] = [None] * len(self._instruments)

        def read(one: BenchInstrument, k: int) -> None:
            channels = players.reads[k]
            if channels and isinstance(one, ReadsVoltages):
                found[k] = one.read(channels)

        self._each(read)
        return found

    def _check_states(self) -> None:
        self._each(lambda one, _: one.check_state())

    def _each(self, act: Callable[[BenchInstrument, int], None]) -> None:
        """Call ``act`` for every instrument and its number, in parallel."""
        self._threads.each_instrument(lambda one, numbers: act(one, numbers[0]))


def _prepare(one: BenchInstrument, _: int) -> None:
    if isinstance(one, SetsVoltages):
        one.prepare_sources()
    if isinstance(one, DrivesOutputs):
        one.prepare_outputs()
