"""`SmuNetwork`: a resistor network whose terminals hang on source-measure units."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ALL_COMPLETED, FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait

import numpy as np

from hwlearn.arrays import FloatArray
from hwlearn.circuit.topology import Topology
from hwlearn.errors import ComplianceError, NetworkError
from hwlearn.network.limits import Limits
from hwlearn.network.network import Network, Programmed, Readout
from hwlearn.network.nudges import OutputDrive
from hwlearn.units import format_quantity
from hwlearn_drivers.edges.edges import Edges
from hwlearn_drivers.errors import OutputsMayBeOnError
from hwlearn_drivers.instrument import open_outputs
from hwlearn_drivers.smu.channel import SmuChannel
from hwlearn_drivers.smu.operating_range import UNIT, Quantity
from hwlearn_drivers.smu.pace import Pace
from hwlearn_drivers.smu.reading import Reading
from hwlearn_drivers.smu.wiring import check_wiring
from hwlearn_drivers.transport.wire_log import WireLog

log = logging.getLogger("hwlearn_drivers")


class SmuNetwork(Network):
    """A network on SMU channels: voltage sources at the inputs, at the outputs whatever the phase asks for.

    An output floats at 0 A behind a voltage limit, is pushed by a current source, or is clamped by a voltage
    source whose current is measured. Separate instruments are addressed in parallel. Whatever ends a
    measurement but its success (an error, a limit reached, Ctrl-C) switches every output off.

    Parameters
    ----------
    topology : Topology
    limits : Limits
    channels : mapping of int to SmuChannel
        The channel at each input and each output node. Their channel_limits must not exceed the limits.
    edges : Edges
        What sets the conductances.
    pace : Pace, optional
    wire_log : WireLog, optional
        Closed with the network.

    Raises
    ------
    SetupError
        If a terminal has no channel, a channel no terminal, or a channel limit exceeds the limits.
    """

    def __init__(
        self,
        topology: Topology,
        limits: Limits,
        channels: Mapping[int, SmuChannel],
        edges: Edges,
        pace: Pace | None = None,
        wire_log: WireLog | None = None,
    ) -> None:
        self.pace = Pace() if pace is None else pace
        self._wire_log = wire_log
        self.edges = edges
        self._nodes = [*topology.inputs.tolist(), *topology.outputs.tolist()]
        check_wiring(topology, limits, channels)
        self._channels = [channels[node] for node in self._nodes]
        self._smus = list(dict.fromkeys(channel.smu for channel in self._channels))
        # terminals of one instrument share its wire; each instrument has a thread of its own
        self._racks = [[k for k, channel in enumerate(self._channels) if channel.smu is smu] for smu in self._smus]
        self._pool = ThreadPoolExecutor(len(self._smus), thread_name_prefix="smu")
        self._pending: list[Future[None]] = []
        self._levels: FloatArray = np.zeros(len(self._nodes))
        self._live = False
        super().__init__(topology, limits, ("clamp", "current"), resolution=self.pace.voltage_sigma)

    @property
    def instruments(self) -> tuple[str, ...]:
        """Maker, model, serial number and address of every source-measure unit, as it told them."""
        told = ((smu.identity, smu.transport.name) for smu in self._smus)
        return tuple(f"{who.maker} {who.model}, serial {who.serial}, at {where}" for who, where in told)

    # --- the bench ----------------------------------------------------------------------------------

    @property
    def settle_s(self) -> float:
        """Wait in seconds between a change of the sources and a reading."""
        return self.pace.settle_s

    def _measure(self, inputs: FloatArray, drive: OutputDrive | None) -> Readout:
        try:
            self._go_live()
            return self._read_batch(inputs, drive)
        except BaseException:
            self._halt()
            raise

    def _program(self, conductances: FloatArray) -> Programmed:
        try:
            return self.edges.program(conductances)
        except BaseException:
            self._halt()
            raise

    def _close(self) -> None:
        failed: list[str] = []
        try:
            open_outputs.halt_all(self._smus)
        except OutputsMayBeOnError as error:
            log.critical("%s", error)  # closing each instrument tries once more, and raises
        self._live = False
        try:
            self._quiesce()
            self._pool.shutdown()
        finally:
            for smu in self._smus:
                try:
                    smu.close()
                except OutputsMayBeOnError as error:
                    failed.append(str(error))
            self.edges.close()
            if self._wire_log is not None:
                self._wire_log.close()
        if failed:
            raise OutputsMayBeOnError(" | ".join(failed))

    # --- on and off ---------------------------------------------------------------------------------

    def _go_live(self) -> None:
        """Switch on from OFF: inputs at 0 V, then outputs at 0 A, each with its limit set before."""
        if self._live:
            return
        self._quiesce()
        for smu in self._smus:
            smu.rearm()
        self._levels[:] = 0.0
        self._in_parallel(self._prepare)
        n_in = self.topology.n_inputs
        self._in_parallel(lambda k: self._channels[k].on() if k < n_in else None)
        self._in_parallel(lambda k: self._channels[k].on() if k >= n_in else None)
        self._live = True

    def _prepare(self, k: int) -> None:
        if k < self.topology.n_inputs:
            self._channels[k].voltage_source(0.0, self.limits.current)
        else:
            self._channels[k].current_source(0.0, self.limits.voltage)

    def _halt(self) -> None:
        self._live = False
        open_outputs.halt_all(self._smus)

    def _quiesce(self) -> None:
        """Wait until no thread talks to an instrument any more; each is bounded by its time-outs."""
        _wait(self._pending)
        self._pending = []

    def reconnect(self) -> None:
        """Reach the instruments again whose link dropped: outputs off first, the same instruments or none.

        Raises
        ------
        OutputsMayBeOnError, LinkError
            If one cannot be reached.
        UnknownInstrumentError
            If another one answers.
        """
        self._check_open()
        self._halt()
        self._quiesce()
        for smu in self._smus:
            if smu.needs_reconnect:
                smu.reconnect()
        self.edges.reconnect()

    # --- a batch ------------------------------------------------------------------------------------

    def _read_batch(self, inputs: FloatArray, drive: OutputDrive | None) -> Readout:
        n_in = self.topology.n_inputs
        volts = np.empty((len(inputs), len(self._nodes)))
        amperes = np.empty_like(volts)
        pushed = np.zeros((len(inputs), self.topology.n_outputs))
        for s, x in enumerate(inputs):
            sources, levels = self._wanted(x, None if drive is None else drive.values[s], drive)
            self._match(sources)
            self._ramp(levels)
            time.sleep(self.pace.settle_s)
            for k, reading in enumerate(self._read_all(s)):
                volts[s, k], amperes[s, k] = reading.volts, reading.amperes
            clamped = np.array([source == "voltage" for source in sources[n_in:]])
            pushed[s] = np.where(clamped, amperes[s, n_in:], levels[n_in:])
        outputs = volts[:, n_in:]
        saturated = np.isinf(volts[:, n_in:])
        return Readout(
            np.where(saturated, np.copysign(self.limits.voltage, outputs), outputs),
            output_currents=pushed,
            source_currents=amperes[:, :n_in],
            saturated=saturated,
            voltage_sigma=self.pace.voltage_sigma,
            current_sigma=self.pace.current_sigma,
        )

    def _wanted(
        self, x: FloatArray, values: FloatArray | None, drive: OutputDrive | None
    ) -> tuple[list[Quantity], FloatArray]:
        """Return what every terminal is to be a source of, and its level."""
        n_out = self.topology.n_outputs
        sources: list[Quantity] = [*_repeated("voltage", len(x)), *_repeated("current", n_out)]
        levels = np.concatenate([x, np.zeros(n_out)])
        if drive is not None and values is not None:
            for j in np.flatnonzero(~np.isnan(values)).tolist():  # NaN floats: 0 A
                sources[len(x) + j] = "voltage" if drive.kind == "clamp" else "current"
                levels[len(x) + j] = values[j]
        return sources, levels

    def _match(self, sources: list[Quantity]) -> None:
        """Turn sources of the wrong kind into the right one, at what they read now, so that no node jumps."""

        def turn(k: int) -> None:
            channel = self._channels[k]
            if channel.source == sources[k]:
                return
            now = channel.read()
            self._check_number(k, now)
            if sources[k] == "voltage":
                level = _inside(now.volts, self.limits.voltage)
                channel.voltage_source(level, self.limits.current)
            else:
                level = _inside(now.amperes, self.limits.current)
                channel.current_source(level, self.limits.voltage)
            self._levels[k] = level

        if any(channel.source != source for channel, source in zip(self._channels, sources, strict=True)):
            self._in_parallel(turn)

    def _ramp(self, levels: FloatArray) -> None:
        """Move all sources together along a straight line, which stays within the limits if its ends do."""
        start, change = self._levels.copy(), levels - self._levels
        if not change.any():
            return
        voltage = np.array([channel.source == "voltage" for channel in self._channels])
        per_unit = np.where(voltage, 1.0, self.limits.voltage / self.limits.current)
        steps = max(1, math.ceil(float(np.max(np.abs(change) * per_unit)) / self.pace.ramp_step_V - 1e-9))
        step_s = self.pace.ramp_step_V / self.pace.slew_V_per_s
        moving = change != 0
        for step in range(1, steps + 1):
            due = time.monotonic() + step_s
            last = step == steps
            target = levels if last else start + change * (step / steps)

            def move(k: int, target: FloatArray = target, last: bool = last) -> None:
                if moving[k]:
                    self._channels[k].set_level(float(target[k]))
                    if last:
                        self._channels[k].check_errors()

            self._in_parallel(move)
            self._levels[:] = target
            if not last:
                time.sleep(max(0.0, due - time.monotonic()))

    def _read_all(self, sample: int) -> list[Reading]:
        """Read every channel; a source at its limit ends the measurement."""
        readings: list[Reading | None] = [None] * len(self._channels)
        tripped = np.zeros(len(self._channels), dtype=bool)

        def read(k: int) -> None:
            channel = self._channels[k]
            readings[k] = channel.read()
            tripped[k] = channel.limited()

        self._in_parallel(read)
        complete = [reading for reading in readings if reading is not None]
        for k in np.flatnonzero(tripped).tolist():
            raise self._trip(k, complete[k], sample)
        for k, reading in enumerate(complete):
            self._check_number(k, reading)
        return complete

    # --- complaints ---------------------------------------------------------------------------------

    def _trip(self, k: int, reading: Reading, sample: int) -> ComplianceError:
        channel = self._channels[k]
        quantity: Quantity = "current" if channel.source == "voltage" else "voltage"
        limit = self.limits.current if quantity == "current" else self.limits.voltage
        return ComplianceError(
            f"{channel.name} at node {self.topology.names[self._nodes[k]]} reached its {quantity} limit of "
            f"{format_quantity(limit, UNIT[quantity])} (sample {sample}): it reads "
            f"{format_quantity(reading.volts, 'V')} and {format_quantity(reading.amperes, 'A')}; the phase "
            "is void and all outputs are off, reduce the drive or the conductances"
        )

    def _check_number(self, k: int, reading: Reading) -> None:
        if math.isnan(reading.volts) or math.isnan(reading.amperes) or math.isinf(reading.amperes):
            raise NetworkError(
                f"{self._channels[k].name} at node {self.topology.names[self._nodes[k]]} read "
                f"{reading.volts} V and {reading.amperes} A; widen its range or let the instrument choose"
            )

    # --- threads ------------------------------------------------------------------------------------

    def _in_parallel(self, act: Callable[[int], None]) -> None:
        """Do something at every terminal: one after the other on one instrument, instruments side by side."""

        def rack(columns: list[int]) -> None:
            for k in columns:
                act(k)

        if len(self._racks) == 1:
            rack(self._racks[0])
            return
        self._pending = [self._pool.submit(rack, columns) for columns in self._racks]
        _wait(self._pending, FIRST_EXCEPTION)
        for future in self._pending:
            if future.done():
                future.result()


def _wait(futures: list[Future[None]], until: str = ALL_COMPLETED) -> None:
    """Wait for futures; in slices, because on some systems Ctrl-C does not interrupt an endless wait."""
    while True:
        done, running = wait(futures, timeout=0.2, return_when=until)
        if not running or (until == FIRST_EXCEPTION and any(future.exception() for future in done)):
            return


def _repeated(quantity: Quantity, count: int) -> list[Quantity]:
    return [quantity] * count


def _inside(value: float, most: float) -> float:
    """Return a reading that noise carried over the limit back onto it."""
    return min(max(value, -most), most)
