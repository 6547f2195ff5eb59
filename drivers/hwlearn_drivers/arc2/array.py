"""`Arc2Array`: reads and pulses single devices of a crossbar on an ArC TWO within the limits of the bench."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from hwlearn.arrays import FloatArray
from hwlearn.circuit.topology import Topology
from hwlearn.device_access.access import DeviceAccess
from hwlearn.device_access.limits import PulseLimits
from hwlearn.errors import ComplianceError, LimitError
from hwlearn.network.limits import Limits
from hwlearn.units import ROUNDING, format_quantity
from hwlearn_drivers.arc2.instrument import Arc2
from hwlearn_drivers.arc2.wiring import Arc2Wiring


@dataclass(frozen=True, slots=True)
class Arc2Devices:
    """Polarity of the devices on the instrument, and assumptions about their conductance.

    Attributes
    ----------
    read_volts : float
        Read voltage in volts of readings that the driver makes on its own.
    positive : "rows" or "columns"
        Lines that are positive in a SET pulse.
    current_sign : 1 or -1
        Sign of the current reading at a device of positive conductance.
    headroom : float
        Safety factor on the last known conductance for the expected current of a pulse.
    unknown_siemens : float
        Conductance assumed for a device that was never read.
    pulsed : bool
        Whether pulses are allowed.
    """

    read_volts: float
    positive: Literal["rows", "columns"]
    current_sign: Literal[1, -1]
    headroom: float
    unknown_siemens: float
    pulsed: bool = True


class Arc2Array(DeviceAccess):
    """Crosspoints of an array; all lines except the two of the crosspoint are at 0 V.

    The instrument has no current compliance at a crosspoint. The expected current of a request is therefore
    computed from the known conductances and checked before the vendor's library is called. The current through the
    device is checked against the pulse limits. The current at each of its two lines, which also feed the other
    devices there (at half the voltage of a pulse), is checked against ``limits.current`` of the bench. A reading
    above that raises an error after every channel is at 0 V again.

    Parameters
    ----------
    arc : Arc2
    topology : Topology
    wiring : Arc2Wiring
    pulse_limits : PulseLimits
    limits : Limits
        Hard limits of the bench.
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
        self.arc, self.topology, self.wiring, self.bench_limits = arc, topology, wiring, limits
        self._devices = devices
        self._measured = np.full(topology.n_edges, np.nan)

    @property
    def measured(self) -> FloatArray:
        """Last measured conductance of each device (E,) in siemens; NaN: never read."""
        return self._measured.copy()

    @property
    def pulsed(self) -> bool:
        """Whether the bench allows pulses."""
        return self._devices.pulsed

    @property
    def assumed(self) -> FloatArray:
        """Conductance (E,) in siemens for expected currents: the last measured one, else the worst case."""
        return np.where(np.isnan(self._measured), self._devices.unknown_siemens, np.abs(self._measured))

    def edge_name(self, edge: int) -> str:
        """Return the name of the edge with its two channels."""
        row, column = self.wiring.edges[edge]
        return f"{self.topology.edge_name(edge)} on channels {row} and {column}"

    def pulse(self, edge: int, amplitude: float, width: float) -> None:
        """Apply one pulse to one device, as `DeviceAccess.pulse`; a device that was never read is read first.

        Raises
        ------
        LimitError
            Also if the expected current at one of its lines exceeds ``limits.current``; nothing was applied.
        ComplianceError
            If the device draws more than ``limits.current`` in the reading before or after the pulse; every
            channel is at 0 V.
        """
        k = self.checked_edge(edge)
        if not self._devices.pulsed:
            raise LimitError(
                "this bench allows no pulses; if its devices may be pulsed, set the limits under [backend.pulses]"
            )
        self.limits.check_pulse(self.edge_name(k), amplitude, width, 0.0, int(self.pulses[k]))
        if np.isnan(self._measured[k]):
            self.read(k, self._devices.read_volts)
        self._check_lines(k, amplitude / 2, selected=self.expected_current(k, amplitude))
        super().pulse(k, amplitude, width)

    def read_unknown(self) -> None:
        """Read every device that was never read."""
        for k in np.flatnonzero(np.isnan(self._measured)).tolist():
            self.read(k, self._devices.read_volts)

    def read_at_default(self) -> FloatArray:
        """Return the conductances (E,) in siemens, read at the default read voltage."""
        return self.read_all(self._devices.read_volts)

    def expected_current(self, edge: int, amplitude: float) -> float:
        """Return the amperes through the device by Ohm's law at its last known conductance, times the headroom."""
        return self._devices.headroom * abs(amplitude) * float(self.assumed[edge])

    # --- requests to the instrument -----------------------------------------------------------------

    def _read(self, edge: int, voltage: float) -> float:
        low, high = self._sides(edge)
        self._check_lines(edge, voltage)
        amperes = self._devices.current_sign * self.arc.read_crosspoint(low, high, voltage)
        return self._conductance(edge, amperes, voltage)

    def _pulse(self, edge: int, amplitude: float, width: float) -> None:
        low, high = self._sides(edge)
        volts = self._devices.read_volts
        self._measured[edge] = np.nan  # unknown until the reading after the pulse
        amperes = self.arc.pulse_crosspoint(low, high, amplitude, width, volts)
        self._conductance(edge, self._devices.current_sign * amperes, volts)

    def _conductance(self, edge: int, amperes: float, volts: float) -> float:
        self._measured[edge] = amperes / volts
        if abs(amperes) > self.bench_limits.current * (1 + ROUNDING):
            raise ComplianceError(
                f"{self.edge_name(edge)} draws {format_quantity(amperes, 'A')} at {format_quantity(volts, 'V')}, "
                f"more than limits.current = {format_quantity(self.bench_limits.current, 'A')}; every channel "
                "is at 0 V, the device may be shorted"
            )
        return amperes / volts

    def _sides(self, edge: int) -> tuple[int, int]:
        """Return the low and the high channel of a device."""
        row, column = self.wiring.edges[edge]
        return (column, row) if self._devices.positive == "rows" else (row, column)

    def _check_lines(self, edge: int, line_volts: float, selected: float | None = None) -> None:
        """Refuse a request if the expected current at a line of the device exceeds ``limits.current``."""
        each = abs(line_volts) * self.assumed
        if selected is not None:
            each[edge] = selected
        for node in self.topology.edges[edge].tolist():
            here = (self.topology.edges == node).any(axis=1)
            total = float(each[here].sum())
            if not total <= self.bench_limits.current * (1 + ROUNDING):
                unknown = int(np.isnan(self._measured[here]).sum())
                counted = format_quantity(self._devices.unknown_siemens, "S")
                raise LimitError(
                    f"{self.edge_name(edge)}: {format_quantity(total, 'A')} are expected at "
                    f"{self.topology.names[node]}, more than limits.current = "
                    f"{format_quantity(self.bench_limits.current, 'A')} ({unknown} devices there "
                    f"were never read and count {counted} each); use a lower voltage"
                )
