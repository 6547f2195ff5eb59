"""`Arc2Array`: the devices of a crossbar on an ArC TWO, read and pulsed one at a time within our own limits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from hwlearn.arrays import FloatArray
from hwlearn.circuit.topology import Topology
from hwlearn.device_access import DeviceAccess, PulseLimits
from hwlearn.errors import ComplianceError, LimitError
from hwlearn.network.limits import Limits
from hwlearn.units import ROUNDING, format_quantity
from hwlearn_drivers.arc2.instrument import Arc2
from hwlearn_drivers.arc2.wiring import Arc2Wiring


@dataclass(frozen=True, slots=True)
class Arc2Devices:
    """How the devices stand on the instrument, and what is assumed of them.

    Attributes
    ----------
    read_volts : float
        Volts of every reading that the driver makes by itself.
    positive : "rows" or "columns"
        The lines that are the positive side of a SET pulse.
    current_sign : 1 or -1
        Sign of a reading at a device of positive conductance.
    headroom : float
        How many times its last known conductance a device is foreseen to have while it is pulsed.
    unknown_siemens : float
        Conductance foreseen of a device that was never read.
    pulsed : bool
        Whether devices may be pulsed at all.
    """

    read_volts: float
    positive: Literal["rows", "columns"]
    current_sign: Literal[1, -1]
    headroom: float
    unknown_siemens: float
    pulsed: bool = True


class Arc2Array(DeviceAccess):
    """Crosspoints of an array; all lines but the two of a crosspoint are at 0 V.

    The instrument has no compliance at a crosspoint, so what current a request drives is foreseen from what is
    known of the devices, and refused before the vendor's library is called: through the device within
    ``limits.current`` of the pulse limits, and at each of its two lines, which also feed the other devices
    there (at half the voltage of a pulse), within ``limits.current`` of the bench. A reading that finds more
    than that raises once every channel is at 0 V again.

    Parameters
    ----------
    arc : Arc2
    topology : Topology
    wiring : Arc2Wiring
    pulse_limits : PulseLimits
    limits : Limits
        Of the bench.
    devices : Arc2Devices
    """

    def __init__(
        self,
        arc: Arc2,
        topology: Topology,
        wiring: Arc2Wiring,
        pulse_limits: PulseLimits,
        limits: Limits,
        devices: Arc2Devices,
    ) -> None:
        super().__init__(topology.n_edges, pulse_limits)
        self.arc = arc
        self._topology, self._wiring, self._bench, self._devices = topology, wiring, limits, devices
        self._seen = np.full(topology.n_edges, np.nan)

    @property
    def seen(self) -> FloatArray:
        """Siemens (E,) that each device last showed, by a reading or after a pulse; NaN: never read."""
        return self._seen.copy()

    @property
    def pulsed(self) -> bool:
        """Whether the bench allows pulses at all."""
        return self._devices.pulsed

    @property
    def foreseen(self) -> FloatArray:
        """Siemens (E,) that each device is taken to have: what it last showed, else the worst assumed."""
        return np.where(np.isnan(self._seen), self._devices.unknown_siemens, np.abs(self._seen))

    def edge_name(self, edge: int) -> str:
        """Return the edge as the network calls it, with its two channels."""
        row, column = self._wiring.edges[edge]
        return f"{self._topology.edge_name(edge)} on channels {row} and {column}"

    def pulse(self, edge: int, amplitude: float, width: float) -> None:
        """Give one device one pulse, as `DeviceAccess.pulse`; one that was never read is read first.

        Raises
        ------
        LimitError
            Also if the current foreseen at one of its lines exceeds the bench's; nothing was applied.
        ComplianceError
            If the device draws more than the bench's current when it is read before or after the pulse; every
            channel is at 0 V.
        """
        k = self.checked_edge(edge)
        if not self._devices.pulsed:
            raise LimitError(
                "this bench allows no pulses; give it their limits under [backend.pulses] if its devices take any"
            )
        self.limits.check_pulse(self.edge_name(k), amplitude, width, 0.0, int(self.pulses[k]))
        if np.isnan(self._seen[k]):
            self.read(k, self._devices.read_volts)
        self._check_lines(k, amplitude / 2, selected=self.expected_current(k, amplitude))
        super().pulse(k, amplitude, width)

    def know_all(self) -> None:
        """Read every device that was never read."""
        for k in np.flatnonzero(np.isnan(self._seen)).tolist():
            self.read(k, self._devices.read_volts)

    def read_now(self) -> FloatArray:
        """Read every device at the usual voltage: siemens (E,)."""
        return self.read_all(self._devices.read_volts)

    def expected_current(self, edge: int, amplitude: float) -> float:
        """Return amperes through the device: Ohm's law at its last known conductance, times the headroom."""
        return self._devices.headroom * abs(amplitude) * float(self.foreseen[edge])

    # --- what is asked of the instrument ------------------------------------------------------------

    def _read(self, edge: int, voltage: float) -> float:
        low, high = self._sides(edge)
        self._check_lines(edge, voltage)
        amperes = self._devices.current_sign * self.arc.read_crosspoint(low, high, voltage)
        return self._taken(edge, amperes, voltage)

    def _pulse(self, edge: int, amplitude: float, width: float) -> None:
        low, high = self._sides(edge)
        volts = self._devices.read_volts
        self._seen[edge] = np.nan  # until it is known what came of it
        amperes = self.arc.pulse_crosspoint(low, high, amplitude, width, volts)
        self._taken(edge, self._devices.current_sign * amperes, volts)

    def _taken(self, edge: int, amperes: float, volts: float) -> float:
        self._seen[edge] = amperes / volts
        if abs(amperes) > self._bench.current * (1 + ROUNDING):
            raise ComplianceError(
                f"{self.edge_name(edge)} draws {format_quantity(amperes, 'A')} at {format_quantity(volts, 'V')}, "
                f"more than limits.current = {format_quantity(self._bench.current, 'A')}; it was brought back to "
                "0 V, and may be shorted"
            )
        return amperes / volts

    def _sides(self, edge: int) -> tuple[int, int]:
        """Return the low and the high channel of a device."""
        row, column = self._wiring.edges[edge]
        return (column, row) if self._devices.positive == "rows" else (row, column)

    def _check_lines(self, edge: int, line_volts: float, selected: float | None = None) -> None:
        """Refuse a device whose lines would carry too much: its own current and that of the others there."""
        each = abs(line_volts) * self.foreseen
        if selected is not None:
            each[edge] = selected
        for node in self._topology.edges[edge].tolist():
            here = (self._topology.edges == node).any(axis=1)
            total = float(each[here].sum())
            if not total <= self._bench.current * (1 + ROUNDING):
                unknown = int(np.isnan(self._seen[here]).sum())
                raise LimitError(
                    f"{self.edge_name(edge)}: {format_quantity(total, 'A')} are foreseen at "
                    f"{self._topology.names[node]}, more than limits.current = "
                    f"{format_quantity(self._bench.current, 'A')} ({unknown} devices there were never read and "
                    f"count {format_quantity(self._devices.unknown_siemens, 'S')} each); use less voltage"
                )
