"""`KirchhoffTwin`: a simulated network with the imperfections of real hardware.

One file because a twin is one object: what it measures depends on everything that it is.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Literal, TypedDict

import numpy as np

from hwlearn.arrays import FloatArray, IntArray
from hwlearn.circuit.elements import AnyElement
from hwlearn.circuit.kirchhoff import Kirchhoff
from hwlearn.circuit.topology import Topology
from hwlearn.errors import ComplianceError, LimitError, SetupError
from hwlearn.network.edge_codes import CodeLaw
from hwlearn.network.limits import Limits
from hwlearn.network.network import Network, Programmed, Readout
from hwlearn.network.nudges import DriveKind, OutputDrive
from hwlearn.network.simulation import Simulation, State, part, prefixed
from hwlearn.units import ROUNDING, format_quantity
from hwlearn_sim.devices.faults import EdgeFault
from hwlearn_sim.devices.imperfections import Imperfections
from hwlearn_sim.devices.programmed import Devices
from hwlearn_sim.devices.state import generator_states, restore_generators, restored
from hwlearn_sim.twin.converters import ConverterBank
from hwlearn_sim.twin.cut_edges import CutEdges
from hwlearn_sim.twin.true_circuit import InputEdges, true_circuit, with_spread_parameters
from hwlearn_sim.twin.values import check_values, value_noise, value_steps, within_elements


class TwinOptions(TypedDict, total=False):
    """Keywords of `KirchhoffTwin` that a subclass passes on unchanged."""

    settle_s: float
    reading_s: float
    averages: int
    nudges: Iterable[DriveKind]
    node_readout: bool
    current_readout: bool
    edge_law: CodeLaw | None


class KirchhoffTwin(Network):
    """A simulated bench that implements `hwlearn.Network`, with noise, offsets and finite resolution.

    Parameters
    ----------
    topology : Topology
        The graph.
    limits : Limits
        Hard limits of the bench. The sources go into compliance at ``limits.current`` and ``limits.voltage``.
    imperfections : Imperfections
        Deviations from an ideal bench.
    seed : int
        Seed of all random numbers: two twins with equal arguments behave identically.
    settle_s : float
        Wait in seconds between a change of the sources and a reading.
    reading_s : float
        Duration in seconds of one reading of all channels; for the account of time and energy.
    averages : int
        Number of readings averaged into one.
    nudges : iterable
        Supported kinds of output drive.
    node_readout : bool
        Read every node, not only the outputs (few real benches can).
    current_readout : bool
        Measure the current of clamped outputs and of the input sources, as SMUs do.
    edge_law : CodeLaw, optional
        Programming resolution: the edges take only the conductances of these codes.

    Raises
    ------
    SetupError
        If a limit is beyond a converter's range, a stuck edge does not exist, both conductance bits and an edge
        law are given, or wires are given for a network that cannot have them.

    Notes
    -----
    Inner nodes that open edges leave without a path to a source change nothing. If a node that is read is left so,
    programming raises SingularCircuitError, because it has no voltage; `node_readout` reads every node.

    `Programmed.reached` and `Readout` contain only values that a real bench would report. `true_outputs` and
    `true_values` are for reports and tests. Transistors of the twin may differ from the declared ones by
    `Imperfections.device_spread`; a model made of ``topology`` has the declared ones.
    """

    has_any_values = True

    def __init__(
        self,
        topology: Topology,
        limits: Limits,
        imperfections: Imperfections | None = None,
        *,
        seed: int = 0,
        settle_s: float = 50e-6,
        reading_s: float = 10e-6,
        averages: int = 1,
        nudges: Iterable[DriveKind] = ("clamp", "current", "resistor"),
        node_readout: bool = False,
        current_readout: bool = True,
        edge_law: CodeLaw | None = None,
    ) -> None:
        flaws = Imperfections() if imperfections is None else imperfections
        if edge_law is not None and flaws.conductance_bits is not None:
            raise SetupError(
                "programming resolution comes from conductance_bits or from edge_law, not both; remove one"
            )
        if limits.voltage > flaws.dac_range_V:
            raise SetupError(
                f"limits.voltage = {format_quantity(limits.voltage, 'V')} is beyond the DAC range of "
                f"{format_quantity(flaws.dac_range_V, 'V')}; lower the limit or increase the DAC range"
            )
        if averages < 1 or int(averages) != averages:
            raise SetupError(f"averages is {averages}; it must be a whole number of at least 1")
        if not (math.isfinite(settle_s) and settle_s >= 0):
            raise SetupError(f"settle_s is {settle_s}; it must be zero or positive")
        if not (math.isfinite(reading_s) and reading_s >= 0):
            raise SetupError(f"reading_s is {reading_s}; it must be zero or positive")
        self.imperfections = flaws
        self.averages: int = int(averages)
        self._settle_s, self._reading_s = settle_s, reading_s
        self._edge_law = edge_law
        self._node_readout, self._current_readout = node_readout, current_readout
        # one random stream per cause, so that enabling one imperfection does not change the others
        streams = np.random.default_rng(seed).spawn(7)
        devices, converters, writes, self._noise, self._walk, wires, transistors = streams
        check_values(topology, flaws, edge_law is not None)
        self._ranges = limits.ranges(topology)
        noise = value_noise(topology, flaws) if topology.has_three_terminals else None
        self._devices = Devices(self._ranges, flaws, devices, writes, noise, cuts_any=True)
        real = with_spread_parameters(topology, flaws.parameter_spreads, transistors)
        self._circuit, self._nodes = true_circuit(real, flaws, wires)
        self._true_inputs = InputEdges.of(self._circuit)
        self._truth: Kirchhoff
        self._open_edges: CutEdges | None = None
        ranges = (flaws.dac_gain, flaws.dac_offset_V, flaws.dac_bits, flaws.dac_range_V)
        self._input_dac = ConverterBank.drawn(converters, topology.n_inputs, *ranges)
        self._output_dac = ConverterBank.drawn(converters, topology.n_outputs, *ranges)
        # one ADC channel per node: an output reads the same with and without node_readout
        self._adc = ConverterBank.drawn(
            converters,
            topology.n_nodes,
            flaws.adc_gain,
            flaws.adc_offset_V,
            flaws.adc_bits,
            flaws.adc_range_V,
        )
        self._read_nodes = np.arange(topology.n_nodes) if node_readout else topology.outputs
        super().__init__(topology, limits, nudges, resolution=self._adc.step)
        self._voltage_sigma = math.hypot(flaws.read_noise_V, self._adc.step / math.sqrt(12)) / math.sqrt(averages)
        self._last: FloatArray = np.zeros(topology.n_nodes)
        self._steps = value_steps(topology, limits, flaws) if topology.has_three_terminals else None
        middle = self._quantised(self._ranges.middle())
        self._set_true_values(self._written(middle))

    # --- operations of the network ------------------------------------------------------------------

    def _measure(self, inputs: FloatArray, drive: OutputDrive | None) -> Readout:
        for setpoints in (inputs, None if drive is None or drive.kind == "current" else drive.values):
            if setpoints is None:
                continue
            if np.nanmax(np.abs(setpoints), initial=0.0) > self.imperfections.dac_range_V:
                raise LimitError("a voltage is beyond the DAC range; nothing was applied")
        self._age(len(inputs))
        V, output_currents = self._solve(inputs, drive)
        sources = None
        if self._current_readout or not self._sources_within(V):
            sources = self._truth.source_currents(V)
            self._check_limit(sources, self.topology.inputs, "current", "A")
            sources = sources if self._current_readout else None
        self._check_compliance(V, output_currents, drive)
        V = self._settled(V[:, self._nodes])
        read = self._read(V)
        volts = read if not self._node_readout else read[:, self.topology.outputs]
        currents, sigma = self._known_output_currents(drive, volts, output_currents)
        return Readout(
            volts,
            output_currents=currents,
            source_currents=None if sources is None else self._with_current_noise(sources),
            nodes=read if self._node_readout else None,
            saturated=self._channels(self.topology.outputs).saturated(volts),
            voltage_sigma=self._voltage_sigma,
            current_sigma=sigma,
        )

    def _program(self, values: FloatArray) -> Programmed:
        reached = self._quantised(values)
        self._devices.begin_programming(self.true_values)
        self._set_true_values(self._written(reached))
        # a read-back shows that an edge did not change, but not its value
        return Programmed(values, reached, self._devices.stuck)

    def fail_edges(self, fault: EdgeFault, *, now: bool = False) -> None:
        """Let edges fail when ``fault.at_step`` comes, or now; for tests of what happens then.

        Raises
        ------
        SetupError
            If an edge does not exist or cannot have the conductance of the fault, or that step is over.
        """
        if not now:
            self._devices.schedule(fault)
            return
        self._set_true_values(self._devices.fail(fault, self.true_values))

    def _close(self) -> None:
        self._last = np.zeros(self.topology.n_nodes)

    # --- true values --------------------------------------------------------------------------------

    @property
    def true_values(self) -> FloatArray:
        """True values (E,): siemens, or volts for gates, 0 for a cut edge; for reports and tests only."""
        return self._truth.values

    @property
    def true_elements(self) -> tuple[AnyElement, ...]:
        """True element of each edge (E,), with the spread of its device; for reports and tests only."""
        return self._circuit.edge_elements

    @property
    def true_conductances(self) -> FloatArray:
        """True conductances (E,) in siemens: the `true_values` of a network whose values are conductances."""
        self.topology.require_conductances()
        return self.true_values

    @property
    def drives_outputs(self) -> bool:
        """False: there are no outputs."""
        return False

    @property
    def settle_s(self) -> float:
        """Wait in seconds between a change of the sources and a reading."""
        return self._settle_s

    @property
    def reading_s(self) -> float:
        """Duration in seconds of reading one sample, with all averages."""
        return self._reading_s * self.averages

    @property
    def dac_step_V(self) -> float | None:
        """Step in volts of the input converters; None without quantisation."""
        bits, most = self.imperfections.dac_bits, self.imperfections.dac_range_V
        return None if bits is None or not math.isfinite(most) else 2 * most / 2**bits

    @property
    def conductance_step_S(self) -> float | None:
        """Step in siemens of the programmable conductances; None without quantisation or with an edge law."""
        bits = self.imperfections.conductance_bits
        if bits is None or self._edge_law is not None:
            return None
        low, high = self.limits.conductance
        return float((high - low) / (2**bits - 1))

    def _true_outputs(self, inputs: FloatArray) -> FloatArray:
        return self._truth.solve(self._input_dac.output(inputs))[:, self.topology.outputs]

    # --- state --------------------------------------------------------------------------------------

    @property
    def simulation(self) -> Simulation:
        """The twin itself: its state can be stored and restored."""
        return self

    def state(self) -> dict[str, np.ndarray]:
        """Return noise, drift, write noise and true conductances; see `Simulation`."""
        return {
            "generators": generator_states([self._noise, self._walk]),
            "settled": self._last.copy(),
            "conductances": self.true_values.copy(),
            **prefixed("devices", self._devices.state()),
            **prefixed("history", self._truth.history),
        }

    def restore(self, state: State) -> None:
        """Continue from a state; raises KeyError or ValueError if it is of another bench."""
        true = restored(self.true_values, state["conductances"])
        self._devices.restore(part("devices", state))
        restore_generators([self._noise, self._walk], state["generators"])
        self._last = restored(self._last, state["settled"])
        self._open_edges = None
        self._set_true_values(true)
        self._truth = self._truth.with_history(part("history", state))

    # --- physics ------------------------------------------------------------------------------------

    def _solve(self, inputs: FloatArray, drive: OutputDrive | None) -> tuple[FloatArray, FloatArray]:
        """Return the true node voltages (S, N') and the true currents into the outputs (S, n_out)."""
        applied = self._input_dac.output(inputs)
        if drive is None:
            V = self._truth.solve(applied)
            return V, np.zeros((len(V), self.topology.n_outputs))
        if drive.kind == "current":
            V = self._truth.solve(applied, injected=drive.values)
            return V, np.nan_to_num(drive.values, nan=0.0)
        volts = self._output_dac.output(drive.values)
        if drive.siemens is None:
            V = self._truth.solve(applied, clamped=volts)
            return V, np.where(np.isnan(volts), 0.0, self._truth.output_currents(V))
        return self._truth.solve_behind(applied, volts, drive.siemens)

    def _sources_within(self, V: FloatArray) -> bool:
        """Return whether a bound on the currents of the input sources at V (S, N') excludes compliance."""
        siemens = self._true_inputs.most_siemens(self._truth.values)
        return bool(siemens * (V.max(initial=0.0) - V.min(initial=0.0)) <= self.limits.current)

    def _check_compliance(self, V: FloatArray, outputs: FloatArray, drive: OutputDrive | None) -> None:
        top = self.topology
        self._check_limit(outputs, top.outputs, "current", "A")
        if drive is not None and drive.kind == "current":
            volts = np.where(np.isnan(drive.values), 0.0, V[:, top.outputs])
            self._check_limit(volts, top.outputs, "voltage", "V")

    def _check_limit(
        self, values: FloatArray, nodes: IntArray, name: Literal["current", "voltage"], unit: str
    ) -> None:
        """Raise `ComplianceError` if a value (S, n) at the nodes (n,) is beyond the limit of that name."""
        limit = self.limits.current if name == "current" else self.limits.voltage
        over = np.abs(values) > limit * (1 + ROUNDING)
        if not over.any():
            return
        sample, k = np.argwhere(over)[0]
        raise ComplianceError(
            f"the source at {self.topology.names[nodes[k]]} would need {format_quantity(values[sample, k], unit)} "
            f"(sample {sample}), more than limits.{name} = {format_quantity(limit, unit)}; the phase is "
            "invalid, reduce the drive or the conductances"
        )

    def _settled(self, V: FloatArray) -> FloatArray:
        """Return node voltages that follow the sources with a time constant, from sample to sample."""
        tau = self.imperfections.settle_tau_s
        if tau == 0 or not len(V):
            return V
        from scipy.signal import lfilter  # slow to import, and few benches use it

        left = math.exp(-self._settle_s / tau)
        lagging, _ = lfilter([1 - left], [1, -left], V, axis=0, zi=(left * self._last)[None, :])
        self._last = lagging[-1]
        return np.asarray(lagging)

    def _age(self, samples: int) -> None:
        walk = self.imperfections.drift_per_sqrt_hour
        if walk == 0:
            return
        hours = samples * self._settle_s * self.averages / 3600
        step = walk * math.sqrt(hours) * self._walk.standard_normal(self.topology.n_edges)
        self._truth = self._truth.with_values(self._truth.values * np.exp(step))

    # --- readings -----------------------------------------------------------------------------------

    def _channels(self, nodes: IntArray) -> ConverterBank:
        adc = self._adc
        return ConverterBank(adc.gain[nodes], adc.offset[nodes], adc.bits, adc.range_V)

    def _read(self, V: FloatArray) -> FloatArray:
        """Return the averaged ADC readings of the nodes that are read."""
        adc, volts = self._channels(self._read_nodes), V[:, self._read_nodes]
        noise = self.imperfections.read_noise_V
        if noise == 0:
            return adc.reading(volts)
        draws = self._noise.standard_normal((self.averages, *volts.shape))
        return np.asarray(adc.reading(volts + noise * draws).mean(axis=0))

    def _with_current_noise(self, amperes: FloatArray) -> FloatArray:
        noise = self.imperfections.current_noise_A / math.sqrt(self.averages)
        return amperes + noise * self._noise.standard_normal(amperes.shape) if noise else amperes

    def _known_output_currents(
        self, drive: OutputDrive | None, volts: FloatArray, true: FloatArray
    ) -> tuple[FloatArray | None, float]:
        """Return the output currents as the bench knows them, and their uncertainty in amperes."""
        if drive is None or drive.kind == "current":
            return true, 0.0  # no current, or the setpoint of the current source
        if drive.siemens is not None:
            across = np.where(np.isnan(drive.values), 0.0, drive.values - volts)
            return across * drive.siemens, self._voltage_sigma * float(drive.siemens.max())
        if not self._current_readout:
            return None, 0.0
        noisy = np.where(np.isnan(drive.values), 0.0, self._with_current_noise(true))
        return noisy, self.imperfections.current_noise_A / math.sqrt(self.averages)

    # --- devices ------------------------------------------------------------------------------------

    def _quantised(self, values: FloatArray) -> FloatArray:
        if self._edge_law is not None:
            return self._edge_law.siemens(self._edge_law.nearest(values))
        step, low = self.conductance_step_S if self._steps is None else self._steps, self._ranges.low
        if step is None:
            return values
        if self._steps is None:
            return np.asarray(low + step * np.rint((values - low) / step))
        exact = np.where(self._steps > 0, self._steps, 1.0)
        stepped = np.minimum(low + exact * np.rint((values - low) / exact), self._ranges.high)
        return np.where(self._steps > 0, stepped, values)

    def _written(self, nominal: FloatArray) -> FloatArray:
        """Return the true values (E,) after programming to nominal values (E,)."""
        written = within_elements(self.topology, self._devices.written(nominal))
        return np.where(self._devices.cut, 0.0, written)

    def _set_true_values(self, true: FloatArray) -> None:
        """Change the values (E,) of the circuit, reusing its factorisation if possible."""
        open_edges = CutEdges.of(self._circuit, true, self._devices.cut, self._nodes[self._read_nodes])
        if open_edges == self._open_edges:
            self._truth = self._truth.with_values(true)
        else:
            self._open_edges, self._truth = open_edges, open_edges.circuit(self._circuit, true)
