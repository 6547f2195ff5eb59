"""`CalibratedNetwork`: any network, read and programmed through a calibration record."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike

from hwlearn.arrays import BoolArray, FloatArray
from hwlearn.calibrated.record import CalibrationRecord
from hwlearn.circuit.batches import batch
from hwlearn.device_access import DeviceAccess
from hwlearn.errors import LimitError
from hwlearn.network.limits import Limits
from hwlearn.network.network import ErrorSignal, Network, Programmed, Readout, TwoPhase
from hwlearn.network.nudges import Nudge, OutputDrive


class CalibratedNetwork(Network):
    """A network whose volts and siemens are calibrated ones: told, read and programmed as the record says.

    Whatever is asked passes the limits twice: as asked, and as the hardware is told after the correction. Closing
    it closes the network inside.

    Parameters
    ----------
    network : Network
        The network as its backend opened it; its numbers are nominal.
    record : CalibrationRecord
        Checked against the network's topology and instruments.

    Raises
    ------
    SetupError
        If the record was made on another topology or on other instruments; nothing was applied.

    Notes
    -----
    A calibrated target whose nominal value lies beyond the ends of ``limits.conductance`` becomes the end, the
    nearest that the hardware can be programmed to, and `Programmed.reached` says where that is: as with any other
    target between two codes. Neither the nominal nor the calibrated value leaves the limits by it.
    A board that finds nudges by itself does so in its own volts; with calibrated converters the phases are
    measured one by one instead.
    """

    def __init__(self, network: Network, record: CalibrationRecord) -> None:
        record.check(network.topology, network.instruments)
        super().__init__(network.topology, network.limits, network.nudges, resolution=network.resolution)
        self.record = record
        self._network = network
        top = network.topology
        found = record.converters
        self._in_gain, self._in_offset = np.ones(top.n_inputs), np.zeros(top.n_inputs)
        self._read_gain, self._read_offset = np.ones(top.n_outputs), np.zeros(top.n_outputs)
        self._drive_gain, self._drive_offset = np.ones(top.n_outputs), np.zeros(top.n_outputs)
        if found is not None:
            self._in_gain, self._in_offset = found.input_gain, found.input_offset_V
            self._read_gain, self._read_offset = found.reading_gain, found.reading_offset_V
            if found.drive_gain is not None:
                self._drive_gain = found.drive_gain
            if found.drive_offset_V is not None:
                self._drive_offset = found.drive_offset_V
        self._edge_gain = np.ones(top.n_edges) if record.edges is None else record.edges.gain
        self._stuck = [] if record.edges is None else list(record.edges.stuck)

    # --- what it hangs on ---------------------------------------------------------------------------

    @property
    def network(self) -> Network:
        """The network inside, whose numbers are nominal."""
        return self._network

    @property
    def instruments(self) -> tuple[str, ...]:
        """What the network inside hangs on."""
        return self._network.instruments

    @property
    def devices(self) -> DeviceAccess | None:
        """Single edges of the network inside, in siemens as they are read: without the gains of the record."""
        return self._network.devices

    def true_outputs(self, inputs: ArrayLike) -> FloatArray | None:
        """Return the true output volts (S, n_out) where a simulator knows them; the inputs are corrected first."""
        return self._network.true_outputs(self._told(batch(inputs, self.topology.n_inputs, "inputs")))

    # --- what is asked ------------------------------------------------------------------------------

    def _check_request(self, inputs: FloatArray, drive: OutputDrive | None) -> None:
        super()._check_request(inputs, drive)
        try:
            self._network._check_request(self._told(inputs), self._told_drive(drive))
        except LimitError as error:
            raise LimitError(f"as corrected by the calibration, {error}; ask for a little less") from None

    def told(self, inputs: ArrayLike) -> FloatArray:
        """Return what the DACs are told (S, n_in) so that these volts (S, n_in) are at the inputs."""
        return self._told(batch(inputs, self.topology.n_inputs, "inputs"))

    @property
    def reach_V(self) -> float:
        """Inputs of this magnitude, any sign, stay within the limits of voltage and drop when corrected."""
        most = min(self.limits.voltage, 0.5 * self.limits.drop)
        inside = (most - np.abs(self._in_offset / self._in_gain)) * self._in_gain
        return max(0.0, min(most, float(inside.min())))

    def _nudge_limits(self) -> Limits:
        """Return limits narrowed by what the corrections add, so that a nudge chosen within them stays allowed."""
        limits, top = self.limits, self.topology
        gain = np.concatenate([self._in_gain, self._drive_gain, [1.0]])  # the ground is as it is
        low, high = float(gain.min()), float(gain.max())
        offset = float(max(np.abs(self._in_offset).max(initial=0.0), np.abs(self._drive_offset).max(initial=0.0)))
        # two terminals v and w are told (v - a) / g and (w - b) / h: this much is not told by v - w
        shift = 2 * offset + limits.voltage * (high - low) / high
        siemens = np.bincount(top.edges.ravel(), minlength=top.n_nodes) * limits.conductance[1]
        siemens += np.bincount(top.fixed_edges.ravel(), np.repeat(top.fixed_conductances, 2), top.n_nodes)
        room = {
            "voltage": limits.voltage * low - offset,
            "drop": limits.drop * low - shift,
            "current": limits.current * low - shift * float(siemens[top.outputs].max()),
        }
        least = {name: 1e-6 * getattr(limits, name) for name in room}  # none left: such nudges are skipped
        return replace(limits, **{k: min(max(v, least[k]), getattr(limits, k)) for k, v in room.items()})

    def _told(self, inputs: FloatArray) -> FloatArray:
        """Return what the DACs must be told (S, n_in) for the volts that are wanted."""
        return np.asarray((inputs - self._in_offset) / self._in_gain)

    def _told_drive(self, drive: OutputDrive | None) -> OutputDrive | None:
        if drive is None or drive.kind == "current":
            return drive
        return replace(drive, values=(drive.values - self._drive_offset) / self._drive_gain)

    # --- what is read -------------------------------------------------------------------------------

    def _corrected(self, read: Readout, drive: OutputDrive | None) -> Readout:
        """Return a readout in calibrated volts; ``drive`` is what was wanted at the outputs."""
        volts = read.voltages * self._read_gain + self._read_offset
        currents, nodes = read.output_currents, read.nodes
        if currents is not None and drive is not None and drive.siemens is not None:
            # a resistor's current is reckoned from both ends; the hardware reckoned from nominal ones
            through = drive.siemens * (drive.values - volts)
            currents = np.where(np.isnan(drive.values) | (currents == 0), currents, through)
        if nodes is not None:
            nodes = nodes.copy()
            nodes[:, self.topology.outputs] = volts
        return replace(
            read, voltages=volts, output_currents=currents, nodes=nodes, voltage_sigma=self._sigma(read, volts)
        )

    def _sigma(self, read: Readout, volts: FloatArray) -> float:
        """Return the standard uncertainty of a reading: noise as it was found, and what the converters leave."""
        noise, found = self.record.noise, self.record.converters
        sigma = read.voltage_sigma
        if noise is not None:
            measured = float(noise.reading_sigma_V.max())
            # the bench may average more by now: what was measured scales with what it states
            sigma = sigma * measured / noise.stated_sigma_V if noise.stated_sigma_V > 0 else max(sigma, measured)
        sigma *= float(self._read_gain.max())
        if found is None:
            return sigma
        size = np.nanmax(np.abs(volts), axis=0, initial=0.0)
        left = np.hypot(found.reading_offset_sigma_V, found.reading_gain_sigma * size)
        return math.hypot(sigma, float(left.max()))

    def _measure(self, inputs: FloatArray, drive: OutputDrive | None) -> Readout:
        return self._corrected(self._network._measure(self._told(inputs), self._told_drive(drive)), drive)

    def _measure_sides(
        self, inputs: FloatArray, plus: OutputDrive, minus: OutputDrive | None
    ) -> tuple[Readout, Readout | None, BoolArray | None]:
        told_plus = self._told_drive(plus)
        assert told_plus is not None
        high, low, refused = self._network._measure_sides(self._told(inputs), told_plus, self._told_drive(minus))
        return self._corrected(high, plus), None if low is None else self._corrected(low, minus), refused

    def _both_phases(
        self, inputs: FloatArray, error: ErrorSignal, nudge: Nudge, symmetric: bool
    ) -> TwoPhase | None:
        if self.record.converters is not None:
            return None
        whole = self._network._both_phases(inputs, error, nudge, symmetric)
        if whole is None:
            return None
        minus = whole.minus
        return replace(
            whole,
            free=self._corrected(whole.free, None),
            plus=self._corrected(whole.plus, None),
            minus=None if minus is None else self._corrected(minus, None),
        )

    def _most_strength(self, nudge: Nudge, free: FloatArray, error: FloatArray) -> FloatArray:
        return self._network._most_strength(nudge, (free - self._read_offset) / self._read_gain, error)

    # --- what is programmed -------------------------------------------------------------------------

    def _program(self, conductances: FloatArray) -> Programmed:
        nominal = np.clip(conductances / self._edge_gain, *self.limits.conductance)
        done = self._network._program(nominal)
        reached, failed = self._edge_gain * done.reached, done.failed.copy()
        # what an edge that does not move was told says nothing of where it stands
        reached[self._stuck] = self._edge_gain[self._stuck] * math.sqrt(math.prod(self.limits.conductance))
        failed[self._stuck] = True
        return Programmed(conductances, reached, failed)

    def _close(self) -> None:
        self._network.close()
