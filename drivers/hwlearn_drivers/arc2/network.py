"""`Arc2Network`: a crossbar whose rows and columns are connected to an ArC TWO."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from hwlearn.arrays import FloatArray
from hwlearn.circuit.topology import Topology
from hwlearn.errors import ComplianceError, LimitError, NetworkError
from hwlearn.network.network import Network, Programmed, Readout
from hwlearn.network.nudges import OutputDrive
from hwlearn.units import ROUNDING, format_quantity
from hwlearn_drivers.arc2.array import Arc2Array
from hwlearn_drivers.arc2.library import N_CHANNELS, VOLT_STEP
from hwlearn_drivers.arc2.pace import Arc2Pace
from hwlearn_drivers.transport.wire_log import WireLog

_SATURATED_V = 10.24 - 2 * VOLT_STEP

_MOST_READ_V = 11.0
"""The converters read up to 10.24 V; a larger value is no reading."""

Programmer = Callable[[Arc2Array, FloatArray], Programmed]
"""Programs the devices of an array to targets (E,) in siemens."""


class Arc2Network(Network):
    """A crossbar with voltages at its inputs and floating or clamped outputs; every other line floats.

    Every channel is at 0 V between two requests, so 0 V always counts as a driven terminal. The expected current
    of a request is computed from the last known conductances; devices that were never read are read first. If a
    measurement fails or is interrupted, every channel is brought to 0 V at once.

    Parameters
    ----------
    array : Arc2Array
        Devices, with wiring and limits of the bench. Its topology is the crossbar of the lines, without wires.
    pace : Arc2Pace
    programmer : callable, optional
        Programs the devices; without one, programming only reads them.
    tolerance : float
        Largest relative error of a device that counts as programmed if there is no programmer.
    topology : Topology, optional
        Graph of the network, if its lines have resistance: a crossbar with the same lines and devices.
    wire_log : WireLog, optional
        Closed with the network.
    """

    def __init__(
        self,
        array: Arc2Array,
        pace: Arc2Pace,
        programmer: Programmer | None = None,
        tolerance: float = 0.01,
        topology: Topology | None = None,
        wire_log: WireLog | None = None,
    ) -> None:
        self.array, self.arc, self.pace, self._lines = array, array.arc, pace, array.topology
        self._programmer, self._tolerance, self._wire_log = programmer, tolerance, wire_log
        self._channels = np.array(array.wiring.nodes)
        graph = array.topology if topology is None else topology
        super().__init__(graph, array.bench_limits, ("clamp",), resolution=VOLT_STEP)

    @property
    def instruments(self) -> tuple[str, ...]:
        """The instrument with its number on USB; it reports no serial number."""
        return (f"ArC Instruments {self.arc.name}",)

    # --- phases -------------------------------------------------------------------------------------

    @property
    def has_fixed_edges(self) -> bool:
        """Whether no device can be programmed: pulses are not allowed on this bench."""
        return self._programmer is None

    @property
    def settle_s(self) -> float:
        """Wait in seconds between a change of the sources and a reading."""
        return self.pace.settle_s

    def _measure(self, inputs: FloatArray, drive: OutputDrive | None) -> Readout:
        self._ready()
        self.array.read_unknown()
        held = self._held_volts(inputs, drive)
        self._check_expected(held)
        volts = np.empty((len(held), self._lines.n_nodes))
        amperes = np.empty_like(volts)
        with self.arc.phase() as hold:
            for s, levels in enumerate(held):
                driven = {int(self._channels[k]): float(levels[k]) for k in np.flatnonzero(~np.isnan(levels))}
                floating = [channel for channel in range(N_CHANNELS) if channel not in driven]
                all_volts, all_amperes = hold(driven, floating, self.pace.settle_s, self.pace.averaging)
                volts[s] = all_volts[self._channels]
                amperes[s] = self.pace.current_sign * all_amperes[self._channels]
                self._check_read(s, levels, volts[s], amperes[s])
        outputs = self.topology.outputs
        pushed = np.where(np.isnan(held[:, outputs]), 0.0, amperes[:, outputs])
        return Readout(
            volts[:, outputs],
            output_currents=pushed,
            source_currents=amperes[:, self.topology.inputs],
            nodes=volts if self.topology.n_nodes == self._lines.n_nodes else None,
            saturated=np.abs(volts[:, outputs]) >= _SATURATED_V,
            voltage_sigma=self.pace.voltage_sigma,
            current_sigma=self.pace.current_sigma,
        )

    def _held_volts(self, inputs: FloatArray, drive: OutputDrive | None) -> FloatArray:
        """Return the volts (S, lines) at which the ends of lines are held; NaN marks floating ones."""
        held = np.full((len(inputs), self._lines.n_nodes), np.nan)
        held[:, self.topology.inputs] = inputs
        if self.topology.ground is not None:
            held[:, self.topology.ground] = 0.0
        if drive is not None:
            held[:, self.topology.outputs] = drive.values
        return held

    def _check_expected(self, held: FloatArray) -> None:
        """Refuse drops between lines and 0 V, and expected currents at any line, beyond the limits."""
        low, high = np.fmin.reduce(held, axis=1, initial=0.0), np.fmax.reduce(held, axis=1, initial=0.0)
        spread = high - low
        limits, names = self.limits, self.topology.names
        over = np.flatnonzero(spread > limits.drop * (1 + ROUNDING))
        if over.size:
            raise LimitError(
                f"sample {over[0]} has {format_quantity(float(spread[over[0]]), 'V')} between its lines and 0 V, "
                f"more than limits.drop = {format_quantity(limits.drop, 'V')}; keep the inputs nearer to 0 V"
            )
        # no device has more than the spread across it, for any voltages of the floating lines
        on_line = np.zeros(self._lines.n_nodes)
        np.add.at(on_line, self._lines.edges, self.array.assumed[:, None])
        np.add.at(on_line, self._lines.fixed_edges, self._lines.fixed_conductances[:, None])
        worst = np.where(np.isnan(held), 0.0, spread[:, None] * on_line)
        over2 = np.argwhere(worst > limits.current * (1 + ROUNDING))
        if over2.size:
            sample, node = over2[0].tolist()
            raise LimitError(
                f"up to {format_quantity(float(worst[sample, node]), 'A')} are expected at {names[node]} "
                f"(sample {sample}), more than limits.current = {format_quantity(limits.current, 'A')}; "
                "nothing was applied; reduce the input voltages or the conductances"
            )

    def _check_read(self, sample: int, levels: FloatArray, volts: FloatArray, amperes: FloatArray) -> None:
        """Raise an error if a reading is missing or a line draws more than ``limits.current``."""
        held, names = ~np.isnan(levels), self.topology.names
        missing = np.flatnonzero(~(np.abs(volts) <= _MOST_READ_V) | (held & ~np.isfinite(amperes)))
        if missing.size:
            node = int(missing[0])
            raise NetworkError(
                f"{self.arc.name} has no reading of {names[node]} (channel {self._channels[node]}) in sample "
                f"{sample}, but {volts[node]:g} V and {amperes[node]:g} A; it may be beyond its range; "
                "the phase is void and every channel is at 0 V"
            )
        over = np.flatnonzero(held & (np.abs(amperes) > self.limits.current * (1 + ROUNDING)))
        if over.size:
            node = int(over[0])
            raise ComplianceError(
                f"{names[node]} draws {format_quantity(float(amperes[node]), 'A')} in sample {sample}, "
                f"more than limits.current = {format_quantity(self.limits.current, 'A')}; every channel is "
                "at 0 V"
            )

    # --- devices ------------------------------------------------------------------------------------

    def _device_access(self) -> Arc2Array | None:
        return self.array if self.array.pulsed else None

    def _program(self, conductances: FloatArray) -> Programmed:
        self._ready()
        try:
            if self._programmer is not None:
                return self._programmer(self.array, conductances)
            reached = self.array.read_at_default()
            return Programmed(
                conductances, reached, np.abs(reached - conductances) > self._tolerance * np.abs(conductances)
            )
        except BaseException:
            self.arc.halt()
            raise

    # --- the instrument -----------------------------------------------------------------------------

    def _ready(self) -> None:
        if self.arc.halted:
            self.arc.rearm()

    def _reconnect(self) -> None:
        """Reopen the instrument with every channel at 0 V; the known conductances are kept.

        Raises
        ------
        LinkError
            If it cannot be opened.
        """
        self.arc.reconnect()

    def _close(self) -> None:
        try:
            self.arc.close()
        finally:
            if self._wire_log is not None:
                self._wire_log.close()
