"""`MatrixDevices`: reads and pulses single devices through a switch matrix, with few source channels.

Both lines of a device and all other lines are on columns. With others at 0 V, currents say:

- with a second source that measures, held at 0 V at the other line: ``g = -I / V``;
- with one source: the current at line a at V holds all devices of a, that at b all devices of b, and that at both
  together all but the device between them, so ``g = (I_a + I_b - I_ab) / (2 V)``. It holds for nonlinear devices
  too, as the mean of both polarities.

Each current is measured at the read voltage and at 0 V, and their difference is used: offsets cancel.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np

from hwlearn.arrays import FloatArray
from hwlearn.circuit.topology import Topology
from hwlearn.device_access import DeviceAccess, PulseLimits
from hwlearn.errors import LimitError
from hwlearn.network.limits import Limits
from hwlearn.units import ROUNDING, format_quantity

Scheme = Literal["ground", "half", "third"]

SOURCES: Mapping[Scheme, int] = {"ground": 1, "half": 2, "third": 3}
"""Source rows that each scheme needs, besides a ground line."""


class DeviceLines(Protocol):
    """DeviceLines of a network that a matrix connects to source rows 0 to K - 1, or to the ground line, row K."""

    def read_lines(self, rows: Mapping[int, int], volts: FloatArray) -> FloatArray:
        """Return the current out of each source row (K,) in amperes, with nodes on rows at volts (K,)."""

    def pulse_lines(self, rows: Mapping[int, int], steps: Sequence[FloatArray], width_s: float) -> None:
        """Bring source rows to volts (K,) step by step, stay at the last for a time, and go back to 0 V."""


@dataclass(frozen=True, slots=True)
class DeviceScheme:
    """How single devices are reached.

    Attributes
    ----------
    scheme : {"ground", "half", "third"}
        Voltages of a pulse of V. Ground: V at the positive line, all others at 0 V; the other devices of that line
        see the whole pulse. Half: V/2 and -V/2, others at 0 V. Third: V and 0 V; other lines of the positive kind
        at V/3, other lines of the negative kind at 2 V/3, so that no other device sees more than V/3.
    first_is_positive : bool
        Whether the first node of an edge is positive in a pulse that raises its conductance.
    sources : int
        Number K of source rows.
    headroom : float
        Safety factor on the last known conductance for expected currents.
    unknown_siemens : float
        Conductance assumed for a device that was never read.
    pulsed : bool
        Whether pulses are allowed.
    """

    scheme: Scheme
    first_is_positive: bool
    sources: int
    headroom: float
    unknown_siemens: float
    pulsed: bool


class MatrixDevices(DeviceAccess):
    """The edges of a network as single devices, each between two lines on columns of a matrix.

    Parameters
    ----------
    lines : DeviceLines
    topology : Topology
        Every node of an edge is on a column.
    pulse_limits : PulseLimits
    limits : Limits
        Hard limits of the bench: of the voltage of a line, between two lines, and of the current of a row.
    how : DeviceScheme
    """

    def __init__(
        self, lines: DeviceLines, topology: Topology, pulse_limits: PulseLimits, limits: Limits, how: DeviceScheme
    ) -> None:
        super().__init__(topology.n_edges, pulse_limits)
        self._lines, self._topology, self._bench, self._how = lines, topology, limits, how
        self._nodes = sorted(set(topology.edges.ravel().tolist()))
        self._firsts = set(topology.edges[:, 0].tolist())
        self._known = np.full(topology.n_edges, np.nan)

    @property
    def pulsed(self) -> bool:
        """Whether the bench allows pulses."""
        return self._how.pulsed

    def edge_name(self, edge: int) -> str:
        """Return the name of the edge."""
        return self._topology.edge_name(edge)

    def pulse(self, edge: int, amplitude: float, width: float) -> None:
        """Apply one pulse to one device, as `DeviceAccess.pulse`.

        Raises
        ------
        LimitError
            Also if the bench allows no pulses, or voltage or expected current of a line exceed its limits; nothing
            was applied.
        """
        k = self.checked_edge(edge)
        if not self._how.pulsed:
            raise LimitError(
                "this bench allows no pulses; if its devices may be pulsed, set the limits under "
                "[backend.devices.pulses]"
            )
        self.limits.check_pulse(self.edge_name(k), amplitude, width, 0.0, int(self.pulses[k]))
        rows, steps = self._pulse_rows(k, amplitude)
        self._check_lines(k, rows, steps[-1])
        super().pulse(k, amplitude, width)

    def expected_current(self, edge: int, amplitude: float) -> float:
        """Return the amperes through the device by Ohm's law at its last known conductance, times the headroom."""
        return self._how.headroom * abs(amplitude) * float(self._assumed[edge])

    @property
    def _assumed(self) -> FloatArray:
        """Conductance (E,) for expected currents: the last measured one, else the worst case."""
        return np.where(np.isnan(self._known), self._how.unknown_siemens, np.abs(self._known))

    # --- reading ------------------------------------------------------------------------------------

    def _read(self, edge: int, voltage: float) -> float:
        return self._keep(edge, self._measured(edge, voltage, {}))

    def _read_all(self, voltage: float) -> FloatArray:
        sums: dict[int, float] = {}  # of single lines, which several devices share
        return np.array([self._keep(k, self._measured(k, voltage, sums)) for k in range(self.n_edges)])

    def _keep(self, edge: int, siemens: float) -> float:
        self._known[edge] = siemens
        return siemens

    def _measured(self, edge: int, voltage: float, sums: dict[int, float]) -> float:
        """Return the conductance of a device; ``sums`` keeps the conductance of all devices at a line."""
        a, b = self._topology.edges[edge].tolist()
        if self._how.sources > 1:
            return -self._siemens_at(edge, {a: 0, b: 1}, voltage, row=1)
        for node in (a, b):
            if node not in sums:
                sums[node] = self._siemens_at(edge, {node: 0}, voltage)
        return 0.5 * (sums[a] + sums[b] - self._siemens_at(edge, {a: 0, b: 0}, voltage))

    def _siemens_at(self, edge: int, driven: Mapping[int, int], voltage: float, row: int = 0) -> float:
        """Return the change of the current at a row per volt at row 0, with all other lines at 0 V."""
        rows = self._rows(driven)
        volts = np.zeros(self._how.sources)
        volts[0] = voltage
        self._check_lines(edge, rows, volts)
        at_rest = self._lines.read_lines(rows, 0 * volts)
        return float((self._lines.read_lines(rows, volts) - at_rest)[row]) / voltage

    def _rows(self, driven: Mapping[int, int]) -> dict[int, int]:
        return {**dict.fromkeys(self._nodes, self._how.sources), **driven}

    # --- pulses -------------------------------------------------------------------------------------

    def _pulse(self, edge: int, amplitude: float, width: float) -> None:
        self._known[edge] = np.nan  # unknown until it is read
        self._lines.pulse_lines(*self._pulse_rows(edge, amplitude), width)

    def _pulse_rows(self, edge: int, amplitude: float) -> tuple[dict[int, int], list[FloatArray]]:
        """Return the row of each line, and the volts of each row in the steps of a pulse.

        Sources of different instruments do not change at the same instant. In no order of them does another device
        see more than its share.
        """
        first, second = self._topology.edges[edge].tolist()
        up = (amplitude > 0) == self._how.first_is_positive
        high, low = (first, second) if up else (second, first)
        size, volts = abs(amplitude), np.zeros(self._how.sources)
        if self._how.scheme == "ground":
            volts[0] = size
            return self._rows({high: 0}), [volts]
        if self._how.scheme == "half":
            volts[:2] = 0.5 * size, -0.5 * size
            return self._rows({high: 0, low: 1}), [volts]
        steps = []
        for shares in ((1, 1, 1), (1, 1, 2), (3, 1, 2)):
            volts[:3] = size / 3 * np.array(shares)
            steps.append(volts.copy())
        kinds = {node: 1 if (node in self._firsts) == (high in self._firsts) else 2 for node in self._nodes}
        return self._rows({**kinds, high: 0, low: self._how.sources}), steps

    # --- limits of the bench ------------------------------------------------------------------------

    def _check_lines(self, edge: int, rows: Mapping[int, int], volts: FloatArray) -> None:
        """Refuse voltages of lines, and expected currents of rows, beyond the limits of the bench."""
        limits, name = self._bench, self.edge_name(edge)
        each = np.append(volts, 0.0)
        largest, spread = float(np.abs(each).max()), float(np.ptp(each))
        for what, found, key in (("at a line", largest, "voltage"), ("between two lines", spread, "drop")):
            most = getattr(limits, key)
            if not found <= most * (1 + ROUNDING):
                raise LimitError(
                    f"{name}: {format_quantity(found, 'V')} {what} exceeds limits.{key} = "
                    f"{format_quantity(most, 'V')}; nothing was applied"
                )
        at = np.zeros(self._topology.n_nodes)
        at[list(rows)] = each[list(rows.values())]
        through = self._how.headroom * self._assumed * (at[self._topology.edges] @ [1.0, -1.0])
        into = np.zeros(self._topology.n_nodes)
        np.add.at(into, self._topology.edges[:, 0], through)
        np.add.at(into, self._topology.edges[:, 1], -through)
        for row in sorted(set(rows.values())):
            total = abs(float(sum(into[node] for node, on in rows.items() if on == row)))
            if row < self._how.sources and not total <= limits.current * (1 + ROUNDING):
                raise LimitError(
                    f"{name}: {format_quantity(total, 'A')} are expected from source row {row}, more than "
                    f"limits.current = {format_quantity(limits.current, 'A')} (devices that were never read count "
                    f"{format_quantity(self._how.unknown_siemens, 'S')}); use a lower voltage"
                )
