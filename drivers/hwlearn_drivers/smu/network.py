"""`SmuNetwork`: a resistor network whose terminals are connected to source-measure units."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping

import numpy as np

from hwlearn.arrays import FloatArray
from hwlearn.circuit.topology import Topology
from hwlearn.errors import ComplianceError, NetworkError
from hwlearn.network.limits import Limits
from hwlearn.network.network import Readout
from hwlearn.network.nudges import OutputDrive
from hwlearn.units import format_quantity
from hwlearn_drivers.edges.edges import Edges
from hwlearn_drivers.instrument.pace import Pace
from hwlearn_drivers.smu.operating_range import UNIT, Quantity
from hwlearn_drivers.smu.reading import PlausibleRange, Reading
from hwlearn_drivers.smu.smu import Smu
from hwlearn_drivers.smu.wiring import check_wiring
from hwlearn_drivers.switched_network import SwitchedNetwork
from hwlearn_drivers.transport.wire_log import WireLog


class SmuNetwork(SwitchedNetwork[Smu]):
    """A network on SMU channels. Inputs are voltage sources; the source at an output depends on the phase.

    A floating output is a current source at 0 A with a voltage limit. A current nudge is a current source. A
    clamped output is a voltage source whose current is measured. Instruments are addressed in parallel. If a
    measurement does not succeed (error, compliance, Ctrl-C), every output is switched off.

    Output, source, level and limit of every channel are read back with every reading and once more at the end of
    each batch, so that a change before the last reading is found in the same batch, and a later one in the next.
    If somebody else changed them, or switched the outputs off, every measurement raises OutputStateError until
    `reconnect`.

    Parameters
    ----------
    topology : Topology
    limits : Limits
    wired : mapping of int to (Smu, int)
        Instrument and channel number at each input and each output node. The channel limits must not exceed the
        limits of the bench.
    edges : Edges
        Sets the conductances.
    pace : Pace, optional
    wire_log : WireLog, optional
        Closed with the network.

    Raises
    ------
    SetupError
        If a terminal has no channel, a channel has no terminal, or a channel limit exceeds the limits.
    """

    has_any_values = True  # what sets them is checked by the edges

    def __init__(
        self,
        topology: Topology,
        limits: Limits,
        wired: Mapping[int, tuple[Smu, int]],
        edges: Edges,
        pace: Pace | None = None,
        wire_log: WireLog | None = None,
    ) -> None:
        pace = Pace() if pace is None else pace
        self._nodes = [*topology.inputs.tolist(), *topology.outputs.tolist()]
        channels = {node: smu.channel(number) for node, (smu, number) in wired.items()}
        check_wiring(topology, limits, channels)
        self._channels = [channels[node] for node in self._nodes]
        for node, channel in channels.items():
            channel.terminal = f"node {topology.names[node]}"
        smus = [wired[node][0] for node in self._nodes]
        # terminals of one instrument share its link; each instrument has its own thread
        numbered = [(smu, [k for k, used in enumerate(smus) if used is smu]) for smu in dict.fromkeys(smus)]
        self._levels: FloatArray = np.zeros(len(self._nodes))
        self._plausible = PlausibleRange(limits, pace.voltage_sigma, pace.current_sigma)
        super().__init__(
            topology, limits, ("clamp", "current"), numbered, edges, pace, pace.voltage_sigma, wire_log
        )

    @property
    def instruments(self) -> tuple[str, ...]:
        """Maker, model, serial number, firmware and address of every source-measure unit, as it reports them."""
        return tuple(smu.identity.text(smu.transport.name) for smu in self._instruments)

    # --- Network interface --------------------------------------------------------------------------

    @property
    def noise_is_from_data_sheet(self) -> bool:
        """Whether the uncertainty of a reading is the figure of a data sheet."""
        return self.pace.noise_is_from_data_sheet

    @property
    def dac_step_V(self) -> float:
        """Largest programming resolution in volts of the sources at the inputs."""
        at = self._channels[: self.topology.n_inputs]
        reach = self.limits.voltage
        return max(one.smu.operating_range.resolution("voltage", one.voltage_range or reach) for one in at)

    def _measure(self, inputs: FloatArray, drive: OutputDrive | None) -> Readout:
        with self._driving():
            self._switch_on()
            return self._read_batch(inputs, drive)

    # --- on and off ---------------------------------------------------------------------------------

    def _switch_on(self) -> None:
        """Switch the outputs on: first inputs at 0 V, then outputs at 0 A. Every limit is set before."""
        self._stays_off.check()
        if self._on:
            return
        self._threads.wait()
        for smu in self._instruments:
            smu.rearm()
        self._levels[:] = 0.0
        self._threads.each_terminal(self._prepare)
        n_in = self.topology.n_inputs
        self._threads.each_terminal(lambda k: self._channels[k].on() if k < n_in else None)
        self._threads.each_terminal(lambda k: self._channels[k].on() if k >= n_in else None)
        self._on = True

    def _prepare(self, k: int) -> None:
        if k < self.topology.n_inputs:
            self._channels[k].voltage_source(0.0, self.limits.current)
        else:
            self._channels[k].current_source(0.0, self.limits.voltage)

    # --- one batch ----------------------------------------------------------------------------------

    def _read_batch(self, inputs: FloatArray, drive: OutputDrive | None) -> Readout:
        n_in = self.topology.n_inputs
        volts = np.empty((len(inputs), len(self._nodes)))
        amperes = np.empty_like(volts)
        output_A = np.zeros((len(inputs), self.topology.n_outputs))
        for s, x in enumerate(inputs):
            sources, levels = self._setpoints(x, None if drive is None else drive.values[s], drive)
            self._match(sources)
            self._ramp(levels)
            time.sleep(self.pace.settle_s)
            for k, reading in enumerate(self._read_all(s)):
                volts[s, k], amperes[s, k] = reading.volts, reading.amperes
            clamped = np.array([source == "voltage" for source in sources[n_in:]])
            output_A[s] = np.where(clamped, amperes[s, n_in:], levels[n_in:])
        self._check_states()
        self.edges.check()
        return Readout(
            volts[:, n_in:],
            output_currents=output_A,
            source_currents=amperes[:, :n_in],
            saturated=np.zeros((len(inputs), self.topology.n_outputs), dtype=np.bool_),  # it would void the phase
            voltage_sigma=self.pace.voltage_sigma,
            current_sigma=self.pace.current_sigma,
        )

    def _setpoints(
        self, x: FloatArray, values: FloatArray | None, drive: OutputDrive | None
    ) -> tuple[list[Quantity], FloatArray]:
        """Return the source quantity and the level of every terminal."""
        n_out = self.topology.n_outputs
        sources: list[Quantity] = [*_repeated("voltage", len(x)), *_repeated("current", n_out)]
        levels = np.concatenate([x, np.zeros(n_out)])
        if drive is not None and values is not None:
            for j in np.flatnonzero(~np.isnan(values)).tolist():  # NaN: floating, 0 A
                sources[len(x) + j] = "voltage" if drive.kind == "clamp" else "current"
                levels[len(x) + j] = values[j]
        return sources, levels

    def _match(self, sources: list[Quantity]) -> None:
        """Change the kind of source where needed, at the present reading, so that no node voltage jumps."""

        def change(k: int) -> None:
            channel = self._channels[k]
            if channel.source == sources[k]:
                return
            now = channel.read()
            self._check_plausible(k, now)
            if sources[k] == "voltage":
                level = _inside(now.volts, self.limits.voltage)
                channel.voltage_source(level, self.limits.current)
            else:
                level = _inside(now.amperes, self.limits.current)
                channel.current_source(level, self.limits.voltage)
            self._levels[k] = level

        if any(channel.source != source for channel, source in zip(self._channels, sources, strict=True)):
            self._threads.each_terminal(change)

    def _ramp(self, levels: FloatArray) -> None:
        """Ramp all sources together along a straight line; if both ends are within the limits, every step is.

        The first step reads back the state before it, the last step the error queue.
        """
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

            def move(k: int, target: FloatArray = target, ends: bool = last or step == 1) -> None:
                if moving[k] and ends:
                    self._channels[k].change_level(float(target[k]))
                elif moving[k]:
                    self._channels[k].set_level(float(target[k]))

            self._threads.each_terminal(move)
            self._levels[:] = target
            if not last:
                time.sleep(max(0.0, due - time.monotonic()))

    def _read_all(self, sample: int) -> list[Reading]:
        """Read every channel; raise if a source is at its limit (compliance)."""
        readings: list[Reading | None] = [None] * len(self._channels)

        def read(k: int) -> None:
            readings[k] = self._channels[k].read()

        self._threads.each_terminal(read)
        complete = [reading for reading in readings if reading is not None]
        faults = [self._fault(k, reading) for k, reading in enumerate(complete)]
        if any(reading.limited for reading in complete) or any(faults):
            self._check_states()  # the cause may be an output that somebody switched off after its reading
        for k, reading in enumerate(complete):
            if reading.limited:
                raise self._compliance_error(k, reading, sample)
        for k, reading in enumerate(complete):
            self._check_plausible(k, reading, f" (sample {sample})")
        return complete

    def _check_states(self) -> None:
        self._threads.each_instrument(lambda smu, used: smu.check_states([self._channels[k] for k in used]))

    # --- errors -------------------------------------------------------------------------------------

    def _compliance_error(self, k: int, reading: Reading, sample: int) -> ComplianceError:
        channel = self._channels[k]
        quantity: Quantity = "current" if channel.source == "voltage" else "voltage"
        limit = self.limits.current if quantity == "current" else self.limits.voltage
        return ComplianceError(
            f"{channel.name} at node {self.topology.names[self._nodes[k]]} reached its {quantity} limit of "
            f"{format_quantity(limit, UNIT[quantity])} (sample {sample}): it reads "
            f"{format_quantity(reading.volts, 'V')} and {format_quantity(reading.amperes, 'A')}; the phase "
            "is void and all outputs are off, reduce the drive or the conductances"
        )

    def _fault(self, k: int, reading: Reading) -> str:
        channel = self._channels[k]
        return self._plausible.fault(reading, channel.voltage_range, channel.current_range)

    def _check_plausible(self, k: int, reading: Reading, where: str = "") -> None:
        """Refuse a reading that is no number, or that no source within the limits can cause."""
        if fault := self._fault(k, reading):
            raise NetworkError(
                f"{self._channels[k].name} at node {self.topology.names[self._nodes[k]]}{where} {fault}; "
                "the phase is void and all outputs are off; check the range and the wiring"
            )


def _repeated(quantity: Quantity, count: int) -> list[Quantity]:
    return [quantity] * count


def _inside(value: float, most: float) -> float:
    """Clip a reading to the limit, because noise may carry it beyond."""
    return min(max(value, -most), most)
