"""`OpenedBench`: what every network on a bench of any instruments shares: on, off, ramps, readings, links."""

from __future__ import annotations

import functools
import logging
from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Concatenate, ParamSpec, TypeVar

import numpy as np

from hwlearn.arrays import FloatArray
from hwlearn.circuit.topology import Topology
from hwlearn.errors import HwlearnError
from hwlearn.network.limits import Limits
from hwlearn.network.network import Network, Programmed
from hwlearn.network.nudges import DriveKind
from hwlearn_drivers.bench.players import Players
from hwlearn_drivers.bench.ramp import ramp
from hwlearn_drivers.bench.setpoints import Setpoints
from hwlearn_drivers.edges.edges import Edges
from hwlearn_drivers.errors import HaltedError, LinkError, OutputsMayBeOnError, OutputStateError
from hwlearn_drivers.instrument import open_outputs
from hwlearn_drivers.instrument.stays_off import StaysOff
from hwlearn_drivers.instrument.threads import InstrumentThreads
from hwlearn_drivers.roles.instrument import BenchInstrument, DrivesOutputs, ReadsVoltages, SetsVoltages
from hwlearn_drivers.roles.values import ChannelReadings
from hwlearn_drivers.smu.pace import Pace
from hwlearn_drivers.transport.wire_log import WireLog

log = logging.getLogger("hwlearn_drivers")

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


class OpenedBench(Network):
    """A network on opened instruments: switches them on and off together, and moves all sources together.

    Instruments are addressed in parallel. If a measurement does not succeed (error, compliance, Ctrl-C), OFF is
    sent to every instrument, in the order of the players, also if one of them does not answer. If somebody else
    changed outputs, or switched them off, every measurement raises OutputStateError until `reconnect`.

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
        self.pace, self.edges, self._wire_log = pace, edges, wire_log
        self._instruments = players.instruments
        self._setpoints = Setpoints(players, limits)
        self._threads = InstrumentThreads([(one, [k]) for k, one in enumerate(self._instruments)])
        self._on = False
        self._stays_off = StaysOff(lambda: [one.halted_because for one in self._instruments])
        super().__init__(topology, limits, kinds, resolution=resolution_V)

    @property
    def instruments(self) -> tuple[str, ...]:
        """Maker, model, serial number and address of every instrument, as reported."""
        return tuple(one.provenance for one in self._instruments)

    # --- Network interface --------------------------------------------------------------------------

    @property
    def has_fixed_edges(self) -> bool:
        """Whether the edges are fixed resistors."""
        return self.edges.fixed

    @property
    def drives_outputs(self) -> bool:
        """Whether this process has left outputs on."""
        return self._on

    @property
    def settle_s(self) -> float:
        """Wait in seconds between a change of the sources and a reading."""
        return self.pace.settle_s

    def _program(self, conductances: FloatArray) -> Programmed:
        with self._driving():
            self._stays_off.check()
            if not self._on:
                self._rearm()  # the board of the edges may have sources too
            return self.edges.program(conductances)

    def _switch_off(self) -> None:
        self._halt()

    def _close(self) -> None:
        failed: list[str] = []
        try:
            open_outputs.halt_all(self._instruments)
        except OutputsMayBeOnError as error:
            log.critical("%s", error)  # closing each instrument tries again, and raises if it fails
        self._on = False
        try:
            self._threads.close()
        finally:
            self.edges.close()
            for one in self._instruments:
                try:
                    one.close()
                except OutputsMayBeOnError as error:
                    failed.append(str(error))
            if self._wire_log is not None:
                self._wire_log.close()
        if failed:
            raise OutputsMayBeOnError(" | ".join(failed))

    # --- on and off ---------------------------------------------------------------------------------

    @contextmanager
    def _driving(self) -> Iterator[None]:
        """Send OFF to every instrument unless the block succeeds."""
        try:
            yield
        except (OutputStateError, HaltedError) as error:
            self._halt()
            raise self._stays_off.because(error) from error
        except BaseException:
            self._halt()
            raise

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

    def _halt(self) -> None:
        self._on = False
        open_outputs.halt_all(self._instruments)

    def _reconnect(self) -> None:
        """Reconnect the instruments whose link dropped. All outputs are switched off first.

        If somebody else changed settings or switched off, all instruments are set up again.

        Raises
        ------
        OutputsMayBeOnError, LinkError
            If an instrument cannot be reached.
        UnknownInstrumentError
            If a different instrument answers.
        """
        for one in self._instruments:
            one.allow_again()
        self._halt()
        self._threads.wait()
        for one in self._instruments:
            if one.needs_reconnect:
                one.reconnect()
            elif self._stays_off.needed:
                one.start_again()
        for one in self._instruments:
            try:
                one.rearm()
            except HaltedError:
                raise
            except LinkError:  # it was out of step, and did not get into step again
                one.reconnect()
                one.rearm()
        self._stays_off.end()
        self.edges.reconnect()

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
