"""`SwitchedNetwork`: what every network on instruments with outputs shares: OFF after a failure, and closing."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Generic, Protocol, TypeVar

from hwlearn.arrays import FloatArray
from hwlearn.circuit.topology import Topology
from hwlearn.network.limits import Limits
from hwlearn.network.network import Network, Programmed
from hwlearn.network.nudges import DriveKind
from hwlearn_drivers.edges.edges import Edges
from hwlearn_drivers.errors import HaltedError, OutputsMayBeOnError, OutputStateError
from hwlearn_drivers.instrument import open_outputs
from hwlearn_drivers.instrument.pace import Pace
from hwlearn_drivers.instrument.stays_off import StaysOff
from hwlearn_drivers.instrument.threads import InstrumentThreads
from hwlearn_drivers.transport.wire_log import WireLog

log = logging.getLogger("hwlearn_drivers")


class SwitchedInstrument(Protocol):
    """An open instrument whose outputs a network switches on and off; `Source` describes the operations."""

    def halt(self, reopen: bool = True) -> None:
        """Switch every output off, without a query."""

    @property
    def halted_because(self) -> str | None:
        """Why something else in this process switched it off; None if nothing did."""

    def allow_again(self) -> None:
        """Forget why it was switched off, because a person reconnects it."""

    @property
    def needs_reconnect(self) -> bool:
        """Whether its link is closed, or was opened again only to send OFF."""

    def reconnect(self) -> None:
        """Send OFF, check that the same instrument answers, and set it up again."""

    def start_again(self) -> None:
        """Send OFF and set everything up again."""

    def close(self) -> None:
        """Send OFF and close the link."""


_Instrument = TypeVar("_Instrument", bound=SwitchedInstrument)


class SwitchedNetwork(Network, Generic[_Instrument]):
    """A network on opened instruments that are switched on and off together.

    If an operation does not succeed (error, compliance, Ctrl-C), OFF is sent to every instrument in their order,
    also if one of them does not answer. If somebody else changed outputs, or switched them off, every operation
    raises OutputStateError until `reconnect`.

    Parameters
    ----------
    topology : Topology
    limits : Limits
    kinds : iterable of {"clamp", "current", "resistor"}
        Drives that every output can make.
    instruments : sequence of (instrument, list of int)
        Each with the numbers of its terminals, in the order in which they are switched off. They are addressed in
        parallel, and closed with the network.
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
        instruments: Sequence[tuple[_Instrument, list[int]]],
        edges: Edges,
        pace: Pace,
        resolution_V: float,
        wire_log: WireLog | None = None,
    ) -> None:
        self.pace, self.edges, self._wire_log = pace, edges, wire_log
        self._instruments = tuple(one for one, _ in instruments)
        self._threads = InstrumentThreads(instruments)
        self._on = False
        self._stays_off = StaysOff(lambda: [one.halted_because for one in self._instruments])
        super().__init__(topology, limits, kinds, resolution=resolution_V)

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
            return self.edges.program(conductances)

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

    def _halt(self) -> None:
        self._on = False
        open_outputs.halt_all(self._instruments)

    def _switch_off(self) -> None:
        self._halt()

    def _reconnect(self) -> None:
        """Reconnect the instruments whose link dropped. All outputs are switched off first.

        If somebody else changed settings or switched off, all instruments are reset and set up again.

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
        self._reconnected()
        self._stays_off.end()
        self.edges.reconnect()

    def _reconnected(self) -> None:
        """Do what a network needs once its instruments answer again, with all outputs off."""

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
