"""`CalibratedNetwork`: any network, corrected by a calibration record."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike

from hwlearn.arrays import BoolArray, FloatArray
from hwlearn.calibrated.record import CalibrationRecord
from hwlearn.circuit.batches import batch
from hwlearn.circuit.terminal_conductance import terminal_conductances
from hwlearn.circuit.topology import Topology
from hwlearn.errors import LimitError
from hwlearn.network.limits import Limits
from hwlearn.network.network import ErrorSignal, Network, Programmed, Readout, TwoPhase
from hwlearn.network.nudges import Nudge, OutputDrive
from hwlearn.network.wrapped import WrappedNetwork


class CalibratedNetwork(WrappedNetwork):
    """A network corrected by a calibration record: setpoints, readings and conductances are calibrated values.

    Limits are checked twice: on the requested values, and on the corrected setpoints sent to the hardware.
    `topology` has the wires that the calibration found; nodes, edges and terminals are those of the inner network.
    `devices` are those of the inner network: their siemens are as read, without the gains of the record.

    Parameters
    ----------
    network : Network
        The inner network as its backend opened it, with nominal values; it is closed with this one.
    record : CalibrationRecord
        Checked against the topology and the instruments of the network.

    Raises
    ------
    SetupError
        If the record was made on another topology or on other instruments; nothing was applied.

    Notes
    -----
    Where the nominal value of a target conductance lies beyond an end of ``limits.conductance``, that end is
    programmed, and `Programmed.reached` reports its calibrated value. The nominal value never leaves the limits.
    Inputs that share sources (`Network.direct_levels`) are not corrected.
    A board that computes the nudges itself does so in its nominal volts. With calibrated converters the phases are
    therefore measured one by one.
    """

    def __init__(self, network: Network, record: CalibrationRecord) -> None:
        network.topology.require_two_terminals("a network with a calibration record")
        record.check(network.topology, network.instruments)
        super().__init__(network)
        self.record = record
        self.topology: Topology = record.circuit(network.topology)
        top = self.topology
        found = record.converters
        self._in_gain, self._in_offset = np.ones(top.n_inputs), np.zeros(top.n_inputs)
        self._read_gain, self._read_offset = np.ones(top.n_outputs), np.zeros(top.n_outputs)
        self._drive_gain, self._drive_offset = np.ones(top.n_outputs), np.zeros(top.n_outputs)
        if found is not None:
            if network.direct_levels is None:  # inputs that share sources have no correction of their own
                self._in_gain, self._in_offset = found.input_gain, found.input_offset_V
            self._read_gain, self._read_offset = found.reading_gain, found.reading_offset_V
            if found.drive_gain is not None:
                self._drive_gain = found.drive_gain
            if found.drive_offset_V is not None:
                self._drive_offset = found.drive_offset_V
        self._edge_gain = np.ones(top.n_edges) if record.edges is None else record.edges.gain
        self._stuck = [] if record.edges is None else list(record.edges.stuck)

    # --- setpoints ----------------------------------------------------------------------------------

    def setpoints(self, inputs: ArrayLike) -> FloatArray:
        """Return the DAC setpoints (S, n_in) that put these volts (S, n_in) on the inputs."""
        return self._setpoints(batch(inputs, self.topology.n_inputs, "inputs"))

    @property
    def reach_V(self) -> float:
        """Largest magnitude in volts of inputs of any sign whose corrected setpoints stay within the limits."""
        most = min(self.limits.voltage, 0.5 * self.limits.drop)
        inside = (most - np.abs(self._in_offset / self._in_gain)) * self._in_gain
        return max(0.0, min(most, float(inside.min())))

    def _check_request(self, inputs: FloatArray, drive: OutputDrive | None) -> None:
        super()._check_request(inputs, drive)
        try:
            super()._check_request(self._setpoints(inputs), self._drive_setpoints(drive))
        except LimitError as error:
            raise LimitError(f"after the calibration's correction, {error}; request a little less") from None

    def _nudge_limits(self) -> Limits:
        """Return limits narrowed by the corrections: the setpoints of a nudge within them keep the hard limits."""
        limits, top = super()._nudge_limits(), self.topology
        gain = np.concatenate([self._in_gain, self._drive_gain, [1.0]])  # the ground needs no correction
        low, high = float(gain.min()), float(gain.max())
        offset = float(max(np.abs(self._in_offset).max(initial=0.0), np.abs(self._drive_offset).max(initial=0.0)))
        # terminals at v and w have setpoints (v - a) / g and (w - b) / h; this part does not follow from v - w
        shift = 2 * offset + limits.voltage * (high - low) / high
        siemens = terminal_conductances(top, limits.conductance[1])[top.n_inputs :]
        narrowed = {
            "voltage": limits.voltage * low - offset,
            "drop": limits.drop * low - shift,
            "current": limits.current * low - shift * float(siemens.max()),
        }
        least = {name: 1e-6 * getattr(limits, name) for name in narrowed}  # no headroom: such nudges are skipped
        return replace(limits, **{k: min(max(v, least[k]), getattr(limits, k)) for k, v in narrowed.items()})

    def _setpoints(self, inputs: FloatArray) -> FloatArray:
        return np.asarray((inputs - self._in_offset) / self._in_gain)

    def _drive_setpoints(self, drive: OutputDrive | None) -> OutputDrive | None:
        if drive is None or drive.kind == "current":
            return drive
        return replace(drive, values=(drive.values - self._drive_offset) / self._drive_gain)

    # --- readings -----------------------------------------------------------------------------------

    @property
    def noise_is_from_data_sheet(self) -> bool:
        """Whether the uncertainty is that of a data sheet; not with the noise and the converters of a record."""
        own = self.record.noise is not None or self.record.converters is not None
        return not own and super().noise_is_from_data_sheet

    def _corrected(self, read: Readout, drive: OutputDrive | None) -> Readout:
        """Return a readout in calibrated volts; ``drive`` is the requested output drive."""
        volts = read.voltages * self._read_gain + self._read_offset
        currents, nodes = read.output_currents, read.nodes
        if currents is not None and drive is not None and drive.siemens is not None:
            # the hardware computed a resistor's current from the nominal voltages at its ends
            through = drive.siemens * (drive.values - volts)
            currents = np.where(np.isnan(drive.values) | (currents == 0), currents, through)
        if nodes is not None:
            nodes = nodes.copy()
            nodes[:, self.topology.outputs] = volts
        return replace(
            read, voltages=volts, output_currents=currents, nodes=nodes, voltage_sigma=self._sigma(read, volts)
        )

    def _sigma(self, read: Readout, volts: FloatArray) -> float:
        """Return the standard uncertainty of a reading: measured noise and the residual of the converter fit."""
        noise, found = self.record.noise, self.record.converters
        sigma = read.voltage_sigma
        if noise is not None:
            measured = float(noise.reading_sigma_V.max())
            # the bench may average more now: the measured noise scales with the specified one
            sigma = sigma * measured / noise.stated_sigma_V if noise.stated_sigma_V > 0 else max(sigma, measured)
        sigma *= float(self._read_gain.max())
        if found is None:
            return sigma
        size = np.nanmax(np.abs(volts), axis=0, initial=0.0)
        left = np.hypot(found.reading_offset_sigma_V, found.reading_gain_sigma * size)
        return math.hypot(sigma, float(left.max()))

    def _true_outputs(self, inputs: FloatArray) -> FloatArray | None:
        return super()._true_outputs(self._setpoints(inputs))

    def _measure(self, inputs: FloatArray, drive: OutputDrive | None) -> Readout:
        return self._corrected(super()._measure(self._setpoints(inputs), self._drive_setpoints(drive)), drive)

    def _measure_sides(
        self, inputs: FloatArray, plus: OutputDrive, minus: OutputDrive | None
    ) -> tuple[Readout, Readout | None, BoolArray | None]:
        plus_setpoints = self._drive_setpoints(plus)
        assert plus_setpoints is not None
        high, low, refused = super()._measure_sides(
            self._setpoints(inputs), plus_setpoints, self._drive_setpoints(minus)
        )
        return self._corrected(high, plus), None if low is None else self._corrected(low, minus), refused

    def _both_phases(
        self, inputs: FloatArray, error: ErrorSignal, nudge: Nudge, symmetric: bool
    ) -> TwoPhase | None:
        if self.record.converters is not None:
            return None
        whole = super()._both_phases(inputs, error, nudge, symmetric)
        if whole is None:
            return None
        minus = whole.minus
        return replace(
            whole,
            free=self._corrected(whole.free, None),
            plus=self._corrected(whole.plus, None),
            minus=None if minus is None else self._corrected(minus, None),
        )

    def _max_strength(self, nudge: Nudge, free: FloatArray, error: FloatArray) -> FloatArray:
        return super()._max_strength(nudge, (free - self._read_offset) / self._read_gain, error)

    # --- conductances -------------------------------------------------------------------------------

    def _program(self, conductances: FloatArray) -> Programmed:
        nominal = np.clip(conductances / self._edge_gain, *self.limits.conductance)
        done = super()._program(nominal)
        reached, failed = self._edge_gain * done.reached, done.failed.copy()
        # the gain of a stuck edge is its conductance over the middle of the range, for every target
        reached[self._stuck] = self._edge_gain[self._stuck] * math.sqrt(math.prod(self.limits.conductance))
        failed[self._stuck] = True
        return Programmed(conductances, reached, failed)
