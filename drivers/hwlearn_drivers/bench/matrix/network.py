"""`MatrixNetwork`: a network whose terminals share few instruments through a switch matrix."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from hwlearn.arrays import BoolArray, FloatArray, IntArray
from hwlearn.circuit.topology import Topology
from hwlearn.device_access import DeviceAccess
from hwlearn.errors import NetworkError
from hwlearn.network.limits import Limits
from hwlearn.network.network import Readout
from hwlearn.network.nudges import OutputDrive
from hwlearn.units import format_quantity
from hwlearn_drivers.bench.matrix.plan import OPEN, SampleGroup, SourceRows, plan_batch
from hwlearn_drivers.bench.matrix.reading import MatrixReading
from hwlearn_drivers.bench.matrix.superposed import SingleInputs, with_composed
from hwlearn_drivers.bench.matrix.superposition_record import BenchIdentity
from hwlearn_drivers.bench.matrix.visits import make_visits, source_players
from hwlearn_drivers.bench.opened import OpenedBench, off_if_interrupted
from hwlearn_drivers.bench.readout import Found, Tolerances, readout_of
from hwlearn_drivers.bench.setpoints import Targets
from hwlearn_drivers.bench.terminals import Wiring
from hwlearn_drivers.edges.edges import Edges
from hwlearn_drivers.errors import InputDeviationError, OutputStateError
from hwlearn_drivers.instrument.pace import Pace
from hwlearn_drivers.roles.instrument import (
    BenchInstrument,
    ConnectsCrosspoints,
    DrivesOutputs,
    SetsVoltages,
)
from hwlearn_drivers.roles.values import Crosspoint
from hwlearn_drivers.transport.wire_log import WireLog


class MatrixNetwork(OpenedBench):
    """A network on a bench with a switch matrix: K source rows serve every sample of at most K voltages.

    Inputs of equal voltage share a source row; 0 V is served by a ground line, if there is one. The samples of a
    batch are grouped and ordered so that few relays move (`plan_batch`). Readers visit one output after the other,
    and in each visit all samples of a group are measured. Terminals that are not on a column keep instruments of
    their own.

    Relays move only while every source is at 0 V, every output floats at 0 A, each source has confirmed that, and
    the settling time is over. OFF reaches the sources first, then the matrix, which opens every relay.

    Currents of the single inputs are not known, because inputs share a source.

    Parameters
    ----------
    topology : Topology
    limits : Limits
    wiring : Wiring
        With a matrix.
    instruments : mapping of str to BenchInstrument
        By name in the bench file; the matrix is the last one.
    edges : Edges
        Sets the conductances.
    pace : Pace, optional
    reading : MatrixReading, optional
    wire_log : WireLog, optional
        Closed with the network.

    Raises
    ------
    SetupError
        If an instrument does not play the role of one of its channels.
    """

    def __init__(
        self,
        topology: Topology,
        limits: Limits,
        wiring: Wiring,
        instruments: Mapping[str, BenchInstrument],
        edges: Edges,
        pace: Pace | None = None,
        reading: MatrixReading | None = None,
        wire_log: WireLog | None = None,
    ) -> None:
        assert wiring.matrix is not None, "a MatrixNetwork needs a matrix"
        how = MatrixReading() if reading is None else reading
        self._lines, self._wiring = wiring.matrix, wiring
        matrix = instruments[wiring.matrix.instrument]
        assert isinstance(matrix, ConnectsCrosspoints), f"{matrix.name} says that it is a matrix, and is not"
        self._matrix = matrix
        self._visits = make_visits(wiring, instruments, how.read_inputs)
        self._superposition = how.superposition
        kinds = frozenset.intersection(*(terminal.kinds for terminal in wiring.outputs))
        first = self._visits[0].players
        super().__init__(topology, limits, kinds, first, edges, Pace() if pace is None else pace, 0.0, wire_log)
        self._tolerances = [
            Tolerances(visit.players, self._setpoints, topology, limits, how.input_tolerance)
            for visit in self._visits
        ]
        self.resolution = max(one.resolution_V for one in self._tolerances)
        self.rows = SourceRows(len(wiring.matrix.sources), wiring.matrix.ground is not None)
        self._on_columns = np.array([one.column is not None for one in wiring.inputs])
        self._closed_points: frozenset[Crosspoint] = frozenset()
        self._at: IntArray = np.full(int(self._on_columns.sum()), OPEN)
        self._visit = 0
        ground = wiring.matrix.ground
        self._row_names = [row.name for row in (*wiring.matrix.sources, *(() if ground is None else (ground,)))]
        self._sources = source_players(wiring, instruments)
        self._source_tolerances = Tolerances(self._sources, self._setpoints, topology, limits, how.input_tolerance)
        self._devices: DeviceAccess | None = None

    @property
    def dac_step_V(self) -> float | None:
        """Largest step in volts of a source; None if one of them is continuous or unknown."""
        return self._setpoints.input_step_V

    @property
    def relay_moves(self) -> int:
        """Number of relays that were opened or closed since the bench was opened."""
        return self._matrix.relay_moves

    # --- one batch ----------------------------------------------------------------------------------

    @off_if_interrupted
    def _measure(self, inputs: FloatArray, drive: OutputDrive | None) -> Readout:
        many = self.rows.levels(inputs[:, self._on_columns]) > self.rows.sources
        if not many.any():
            return self._measure_direct(inputs, drive)
        self._check_composed(inputs, many)
        single = SingleInputs.of(inputs[many])
        self.limits.check_terminals(self.topology, single.requests)
        found = self._measure_direct(np.concatenate([single.requests, inputs[~many]]), drive)
        return with_composed(found, single, inputs, many)

    def _measure_direct(self, inputs: FloatArray, drive: OutputDrive | None) -> Readout:
        groups = plan_batch(inputs[:, self._on_columns], self.rows, self._at)
        work = [(group, self._targets(group, inputs, drive)) for group in groups]
        with self._driving():
            self._switch_on()
            return self._read_batch(work, len(inputs))

    def _check_composed(self, inputs: FloatArray, many: BoolArray) -> None:
        """Refuse samples with more voltages than source rows, unless they may be composed.

        Raises
        ------
        NetworkError
            With the sample and what is possible; nothing was applied.
        """
        if self._superposition is not None:
            self._superposition.require(self._identity())
            return
        first = int(np.flatnonzero(many)[0])
        needed = int(self.rows.levels(inputs[first : first + 1, self._on_columns])[0])
        besides = " besides 0 V" if self.rows.ground else ""
        raise NetworkError(
            f"sample {first} has {needed} different voltages{besides} at the inputs on the matrix, which has "
            f"{self.rows.sources} source row{'s' if self.rows.sources > 1 else ''}; nothing was applied; use data "
            "of fewer voltages (data.encoding = 'thresholds'), more source rows, or on resistors superpose = true"
        )

    @property
    def direct_levels(self) -> int:
        """Number of different voltages besides 0 V that one sample may have to be measured directly."""
        return self.rows.sources - (0 if self.rows.ground else 1)

    def _keep_superposition(self, holds: bool, found: str) -> None:
        if self._superposition is not None:
            self._superposition.keep(self._identity(), holds, found)

    def _identity(self) -> BenchIdentity:
        columns = ", ".join(f"{self.topology.names[node]} = {at}" for node, at in self._lines.columns.items())
        return BenchIdentity.of(self.topology.fingerprint, self.instruments, columns)

    def _targets(self, group: SampleGroup, inputs: FloatArray, drive: OutputDrive | None) -> list[Targets]:
        """Return what the sources are to do in each sample of a group; refuse what they cannot do."""
        own = inputs[group.samples][:, ~self._on_columns]
        targets = [
            self._setpoints.targets(x, None if drive is None else drive.values[s], drive)
            for s, x in zip(group.samples.tolist(), np.concatenate([group.levels, own], axis=1), strict=True)
        ]
        self._setpoints.check(targets)
        return targets

    def _read_batch(self, work: Sequence[tuple[SampleGroup, list[Targets]]], samples: int) -> Readout:
        topology = self.topology
        volts = np.full((samples, topology.n_outputs), np.nan)
        saturated = np.zeros(volts.shape, dtype=np.bool_)
        currents: FloatArray | None = np.zeros(volts.shape)
        parts: list[Readout] = []
        for group, targets in work:
            for k in self._order():
                self._connect(group.rows, k)
                rows = [self._sample(target, k, group, n) for n, target in enumerate(targets)]
                visit = self._visits[k]
                part = readout_of(rows, targets, visit.players, self._setpoints, self._tolerances[k])
                place = np.ix_(group.samples, np.array(visit.outputs, dtype=np.int64))
                volts[place] = part.voltages[:, visit.outputs]
                if part.saturated is not None:
                    saturated[place] = part.saturated[:, visit.outputs]
                if currents is not None and part.output_currents is not None:
                    currents[group.samples] = part.output_currents
                else:
                    currents = None
                parts.append(part)
        self._check_states()
        self.edges.check()
        return Readout(
            volts,
            output_currents=currents,
            saturated=saturated,
            voltage_sigma=max((one.voltage_sigma for one in self._tolerances), default=0.0),
            current_sigma=max((one.current_sigma for one in parts), default=0.0),
        )

    def _sample(self, target: Targets, visit: int, group: SampleGroup, sample: int) -> Found:
        """Apply one sample, with what is connected, and read it."""
        self._change_drives(target)
        self._ramp(target.levels)
        time.sleep(self.pace.settle_s)
        number = int(group.samples[sample])
        found = self._read_instruments(self._visits[visit].players)
        fault = self._tolerances[visit].fault(found, target, number) or self._misread(found, target, visit, number)
        if fault is not None:
            self._check_states()  # the cause may be an output that somebody switched off
            raise fault
        return found

    def _misread(self, found: Found, target: Targets, visit: int, sample: int) -> InputDeviationError | None:
        """Return the error of the first input that does not have the voltage of its row."""
        here = self._visits[visit]
        columns = np.flatnonzero(self._on_columns).tolist()
        for volts, i in zip(self._tolerances[visit].inner_volts(found).tolist(), here.inputs, strict=True):
            row = int(self._at[columns.index(i)])
            wanted = 0.0 if row == self.rows.sources else self._setpoints.nearest(row, float(target.levels[row]))
            allowed = self._tolerances[visit].inner_tolerance(here.inputs.index(i))
            if not abs(volts - wanted) <= allowed:
                return InputDeviationError(
                    f"node {self._wiring.inputs[i].name} on column {self._wiring.inputs[i].column} of "
                    f"{self._matrix.name} reads {format_quantity(volts, 'V', 6)} in sample {sample}, but it is "
                    f"connected to {format_quantity(wanted, 'V', 6)}; they may differ by "
                    f"{format_quantity(allowed, 'V')} (input_tolerance); the phase is void and all outputs are "
                    "off; check the relay, the wiring and the load"
                )
        return None

    def _order(self) -> Iterator[int]:
        """Yield the visits, beginning where the readers are.

        Inputs that are read back come last: a contact that opens before is noticed in the same batch.
        """
        order = range(len(self._visits))
        is_free = not any(visit.inputs for visit in self._visits)
        yield from reversed(order) if self._visit == order[-1] and is_free else order

    # --- single devices -----------------------------------------------------------------------------

    def reach_devices(self, access: DeviceAccess) -> None:
        """Offer access to single devices, which uses `read_lines` and `pulse_lines`."""
        self._devices = access

    def _device_access(self) -> DeviceAccess | None:
        return self._devices

    @off_if_interrupted
    def read_lines(self, rows: Mapping[int, int], volts: FloatArray) -> FloatArray:
        """Return the currents of the source rows with nodes on rows, and bring the rows to 0 V again.

        Parameters
        ----------
        rows : mapping of int to int
            Node -> row; others float. Row K is the ground line.
        volts : ndarray, shape (K,)

        Returns
        -------
        ndarray, shape (K,)
            Amperes out of each row.

        Raises
        ------
        LimitError
            If a source cannot set its voltage; nothing was applied.
        ComplianceError, OutputStateError, InputDeviationError
            All outputs are off.
        """
        target = self._line_target(volts)
        with self._driving():
            self._connect_lines(rows)
            self._ramp(target.levels)
            time.sleep(self.pace.settle_s)
            found = self._read_instruments(self._sources)
            fault = self._source_tolerances.fault(found, target, 0)
            if fault is not None:
                self._check_states()
                raise fault
            self._ramp(np.zeros(len(target.levels)))
        return np.array([self._source_tolerances.amperes(found, k) for k in range(self.rows.sources)])

    @off_if_interrupted
    def pulse_lines(self, rows: Mapping[int, int], steps: Sequence[FloatArray], width_s: float) -> None:
        """Bring source rows to volts (K,) step by step, stay at the last, and go back to 0 V; see `read_lines`.

        The host times the pulse. Sources of one instrument are set one after the other.
        """
        up = [self._line_target(volts).levels for volts in steps]
        with self._driving():
            self._connect_lines(rows)
            for levels in up[:-1]:
                self._step(levels, check=False)
            started = time.monotonic()
            self._step(up[-1], check=False)
            time.sleep(max(0.0, width_s - (time.monotonic() - started)))
            for levels in reversed(up[:-1]):
                self._step(levels, check=False)
            self._step(np.zeros(len(up[-1])), check=True)

    def _line_target(self, volts: FloatArray) -> Targets:
        own = np.zeros(self._setpoints.input_count - len(volts))
        target = self._setpoints.targets(np.concatenate([volts, own]), None, None)
        self._setpoints.check([target])
        return target

    def _connect_lines(self, rows: Mapping[int, int]) -> None:
        """Connect nodes to rows, with every source at 0; readers and nudges are connected to nothing."""
        self._switch_on()
        if self._setpoints.levels.any():
            self._quiet()
        self._close_points(
            frozenset(Crosspoint(self._row_names[row], self._lines.columns[node]) for node, row in rows.items())
        )
        nodes = self.topology.inputs[self._on_columns].tolist()
        self._at = np.array([rows.get(node, OPEN) for node in nodes], dtype=np.int64)

    def _step(self, levels: FloatArray, check: bool) -> None:
        """Bring all sources to levels at once."""
        self._each(lambda one, k: self._setpoints.move(one, k, levels, check))
        self._setpoints.moved(levels)

    # --- relays -------------------------------------------------------------------------------------

    def _switched_on(self) -> None:
        found = self._matrix.closed()
        if found:
            names = ", ".join(sorted(self._matrix.channel(one) for one in found)[:4])
            raise OutputStateError(f"{self._matrix.name} has closed relays after OFF: {names}")
        self._closed_points, self._at = frozenset(), np.full(len(self._at), OPEN)

    def _connect(self, at: IntArray, visit: int) -> None:
        """Connect the inputs on columns to rows, and the readers of a visit, with every source at 0."""
        columns = [one.column for one in self._wiring.inputs if one.column is not None]
        inputs = {
            Crosspoint(self._row_names[row], column) for row, column in zip(at.tolist(), columns, strict=True)
        }
        self._close_points(frozenset(inputs | self._visits[visit].crosspoints))
        self._at, self._visit = at, visit

    def _close_points(self, wanted: frozenset[Crosspoint]) -> None:
        """Close these crosspoints and open all others."""
        opening, closing = self._closed_points - wanted, wanted - self._closed_points
        if not opening and not closing:
            return
        self._quiet()
        self._matrix.change(opening, closing)
        self._closed_points = wanted

    def _quiet(self) -> None:
        """Bring every source to 0 V and every output to 0 A; wait until each has confirmed it, and has settled.

        Raises
        ------
        LinkError, OutputStateError
            If a source does not answer, or reports another level: no relay moves then.
        """
        points = self._setpoints
        at_rest = points.targets(np.zeros(points.input_count), None, None)
        self._ramp(np.zeros(len(points.levels)))  # clamps to 0 V first
        self._change_drives(at_rest)
        self._ramp(at_rest.levels)
        self._each(_confirm)
        time.sleep(self.pace.settle_s)

    def _change_drives(self, target: Targets) -> None:
        """Change what drives each output where needed, at its present voltage, so that no node voltage jumps."""
        self._each(lambda one, k: self._setpoints.change_drives(one, k, target.clamped))
        self._setpoints.changed(target)


def _confirm(one: BenchInstrument, _: int) -> None:
    """Let an instrument that drives something answer: it has then executed what was sent before."""
    if isinstance(one, SetsVoltages | DrivesOutputs):
        one.check_state()
