"""Predicted readings of a network with imperfect converters, and their exact derivatives by all unknowns."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np

from hwlearn.arrays import BoolArray, FloatArray, IntArray
from hwlearn.calibration.estimation.excitation import Phase
from hwlearn.calibration.estimation.segments import Segments, with_free_wires
from hwlearn.calibration.estimation.unknowns import Unknowns
from hwlearn.circuit.kirchhoff import Kirchhoff
from hwlearn.circuit.topology import Topology


@dataclass(frozen=True, eq=False)
class Response:
    """Predicted readings of patterns with their Jacobians.

    Attributes
    ----------
    volts : ndarray, shape (S, n_out)
        Expected ADC readings.
    d_volts : ndarray, shape (S, n_out, P)
    sources : ndarray, shape (S, n_in)
        Amperes from the input sources.
    d_sources : ndarray, shape (S, n_in, P)
    clamps : ndarray, shape (S, n_out)
        Amperes into clamped outputs, zero elsewhere.
    d_clamps : ndarray, shape (S, n_out, P)
    """

    volts: FloatArray
    d_volts: FloatArray
    sources: FloatArray
    d_sources: FloatArray
    clamps: FloatArray
    d_clamps: FloatArray


@dataclass(frozen=True, eq=False)
class EdgeModel:
    """Circuit as a function of the unknowns: edges conduct ``base exp(log_gain) + edge_offset``.

    Wire segments of a crossbar conduct ``exp(-log_ohm)`` times as much as declared, and ``source`` times the
    declared resistance of a row segment lies between the source of an input and its line.

    Attributes
    ----------
    topology : Topology
    layout : Unknowns
    base : ndarray, shape (E,)
        Conductances that the programmer reports; a constant for a stuck edge.
    """

    topology: Topology
    layout: Unknowns
    base: FloatArray

    def conductances(self, unknowns: FloatArray) -> FloatArray:
        """Return the conductances (E,) in siemens."""
        g = self.base * np.exp(self.layout.take(unknowns, "log_gain"))
        return g + self.layout.take(unknowns, "edge_offset") if self.layout.edge_offsets else g

    @cached_property
    def segments(self) -> Segments | None:
        """Wire segments with an unknown resistance; None if there are none."""
        return Segments.of(self.topology) if self.layout.n_lines else None

    def circuit(self, unknowns: FloatArray) -> Kirchhoff:
        """Return the circuit between the lines of inputs and outputs; unknown wires are further edges.

        Raises
        ------
        CircuitError
            If the unknowns make a conductance negative or the circuit singular.
        """
        g = self.conductances(unknowns)
        if self.segments is None:
            return Kirchhoff(self.topology, g)
        return Kirchhoff(with_free_wires(self.topology), np.concatenate([g, self.wire_siemens(unknowns)]))

    def wire_siemens(self, unknowns: FloatArray) -> FloatArray:
        """Return the conductances (F,) in siemens of the unknown wire segments."""
        if self.segments is None:
            return np.zeros(0)
        deviation = np.zeros(len(self.segments.kind))
        if self.layout.n_segments:
            deviation = self.layout.take(unknowns, "segment")
        return self.segments.siemens(self.layout.take(unknowns, "log_ohm"), deviation)

    def source_ohm(self, unknowns: FloatArray) -> FloatArray:
        """Return the unknown resistances (n_in,) in ohm of the input sources; empty if there are none."""
        return self.layout.take(unknowns, "source") * self.ohm_of_row

    @property
    def ohm_of_row(self) -> float:
        """Declared resistance of a row segment in ohm; zero for other circuits."""
        return 0.0 if self.topology.wires is None else self.topology.wires.row_ohms

    def respond(self, unknowns: FloatArray, phase: Phase, currents: bool = True) -> Response:
        """Return the predicted readings of a phase and their derivatives.

        Parameters
        ----------
        unknowns : ndarray, shape (P,)
        phase : Phase
        currents : bool
            Whether to predict currents too; without them those fields have no rows.

        Raises
        ------
        CircuitError
            If the unknowns make a conductance negative or the circuit singular.
        """
        layout, S = self.layout, len(phase.inputs)
        n_in, n_out = layout.n_inputs, layout.n_outputs
        rows = S if currents else 0
        whole = Response(
            np.zeros((S, n_out)),
            np.zeros((S, n_out, layout.size)),
            np.zeros((rows, n_in)),
            np.zeros((rows, n_in, layout.size)),
            np.zeros((rows, n_out)),
            np.zeros((rows, n_out, layout.size)),
        )
        circuit = self.circuit(unknowns)
        for at, held in _by_drive(phase):
            _PhaseCircuit(self, circuit, unknowns, phase, held, currents).into(whole, at, unknowns)
        return whole


class _PhaseCircuit:
    """Response with one set of driven terminals, linear in their volts and in injected currents."""

    def __init__(
        self,
        model: EdgeModel,
        circuit: Kirchhoff,
        unknowns: FloatArray,
        phase: Phase,
        held: BoolArray,
        currents: bool,
    ) -> None:
        self.layout, self.phase, self.currents = model.layout, phase, currents
        top = circuit.topology
        self.driven = np.flatnonzero(held) if phase.kind in ("clamp", "resistor") else np.zeros(0, dtype=np.int64)
        if phase.kind == "resistor" and phase.siemens is not None:
            siemens = tuple(phase.siemens[self.driven].tolist())
            top = _with_resistors(top, tuple(self.driven.tolist()), siemens)
            circuit = Kirchhoff(top, circuit.conductances)
        n_out, k = top.n_outputs, len(self.driven)
        n_in = model.layout.n_inputs
        inputs = np.eye(n_in + k)[:, : top.n_inputs]
        ground = np.full((1, n_out), np.nan)
        clamped = np.full((n_in + k, n_out), np.nan)
        if phase.kind == "clamp":
            clamped[:, self.driven] = 0.0
            clamped[n_in + np.arange(k), self.driven] = 1.0
            ground[:, self.driven] = 0.0
        # volts of every node per volt at a terminal, and per ampere into an output
        self.per_volt = circuit.solve(inputs, clamped=clamped)
        self.per_amp = circuit.solve(np.zeros((n_out, top.n_inputs)), clamped=ground, injected=np.eye(n_out))
        self.outputs = top.outputs
        self.by_log_gain = model.base * np.exp(model.layout.take(unknowns, "log_gain"))
        self.ohm_of_row = model.ohm_of_row
        self.segments, self.wire_siemens = model.segments, model.wire_siemens(unknowns)
        if currents or model.layout.n_sources:
            nodes = top.inputs if phase.kind != "clamp" else np.concatenate([top.inputs, top.outputs[self.driven]])
            into_nodes = _into_nodes(top, tuple(nodes.tolist()))
            flow = np.concatenate([circuit.conductances, top.fixed_conductances])
            a, b = top.all_edges.T
            self.admittance = ((self.per_volt[:, a] - self.per_volt[:, b]) * flow) @ into_nodes
            self.current_per_amp = ((self.per_amp[:, a] - self.per_amp[:, b]) * flow) @ into_nodes
        if model.layout.n_sources:
            self._put_behind(model.source_ohm(unknowns))
        self.drops_per_volt, self.drops_per_amp = circuit.drops(self.per_volt), circuit.drops(self.per_amp)

    def _put_behind(self, source_ohm: FloatArray) -> None:
        """Put resistances (n_in,) between the sources and the inputs' nodes."""
        ohm = np.zeros(len(self.admittance))
        ohm[: len(source_ohm)] = source_ohm
        # volts u of the nodes at source volts x: u = x - ohm i with the currents i = u Y
        moved = np.linalg.inv(np.eye(len(ohm)) + self.admittance * ohm)
        back = (self.current_per_amp * ohm) @ moved
        self.per_amp = self.per_amp - back @ self.per_volt
        self.current_per_amp = self.current_per_amp - back @ self.admittance
        self.per_volt, self.admittance = moved @ self.per_volt, moved @ self.admittance

    def into(self, whole: Response, at: IntArray, unknowns: FloatArray) -> None:
        """Fill in the rows ``at`` of a response."""
        layout, driven, b = self.layout, self.driven, self.layout.blocks
        n_in = layout.n_inputs
        setpoints = np.concatenate([self.phase.inputs[at], self.phase.values[at][:, driven]], axis=1)
        gain = np.concatenate([unknowns[b["dac_gain"]], unknowns[b["drive_gain"]][driven]])
        offset = np.concatenate([unknowns[b["dac_offset"]], unknowns[b["drive_offset"]][driven]])
        applied = setpoints * (1 + gain) + offset
        V, drops = applied @ self.per_volt, applied @ self.drops_per_volt
        injected = None
        if self.phase.kind == "current":
            injected = np.nan_to_num(self.phase.values[at], nan=0.0)
            V, drops = V + injected @ self.per_amp, drops + injected @ self.drops_per_amp

        # an ADC reports (volts - offset) / (1 + gain)
        slope = 1 / (1 + unknowns[b["adc_gain"]])
        whole.volts[at] = read = (V[:, self.outputs] - unknowns[b["adc_offset"]]) * slope
        d_volts = self._derivatives(-self.drops_per_amp, drops, self.per_volt[:, self.outputs].T, setpoints)
        flow = None
        if self.currents or layout.n_sources:
            flow = applied @ self.admittance
            if injected is not None:
                flow = flow + injected @ self.current_per_amp
        if layout.n_sources and flow is not None:
            d_volts[:, :, b["source"]] = flow[:, None, :n_in] * self.current_per_amp[:, :n_in] * self.ohm_of_row
        d_volts *= slope[:, None]
        j = np.arange(layout.n_outputs)
        d_volts[:, j, b["adc_gain"].start + j] = -read * slope
        d_volts[:, j, b["adc_offset"].start + j] = -slope
        whole.d_volts[at] = d_volts
        if not self.currents or flow is None:
            return
        d_flow = self._derivatives(self.drops_per_volt, drops, self.admittance.T, setpoints)
        if layout.n_sources:
            d_flow[:, :, b["source"]] = -flow[:, None, :n_in] * self.admittance[:, :n_in] * self.ohm_of_row
        whole.sources[at], whole.d_sources[at] = flow[:, :n_in], d_flow[:, :n_in]
        if self.phase.kind == "clamp" and len(driven):
            whole.clamps[np.ix_(at, driven)] = flow[:, n_in:]
            whole.d_clamps[np.ix_(at, driven)] = d_flow[:, n_in:]

    def _derivatives(
        self, adjoint: FloatArray, drops: FloatArray, terminal: FloatArray, setpoints: FloatArray
    ) -> FloatArray:
        """Return derivatives (S, R, P) by the conductances and by the converters of driven terminals.

        Parameters
        ----------
        adjoint : ndarray, shape (R, K)
            Drops in the adjoint circuit of each reading; derivatives by conductances are its products with drops.
        drops : ndarray, shape (S, K)
            Drops across edges, then across unknown wires.
        terminal : ndarray, shape (R, T)
            Derivatives by the volts of driven terminals.
        setpoints : ndarray, shape (S, T)
        """
        layout, b, n_in = self.layout, self.layout.blocks, self.layout.n_inputs
        E = layout.n_edges
        by = np.zeros((len(drops), len(adjoint), layout.size))
        by_siemens = adjoint * drops[:, None]
        by[:, :, b["log_gain"]] = by_siemens[:, :, :E] * self.by_log_gain
        if layout.edge_offsets:
            by[:, :, b["edge_offset"]] = by_siemens[:, :, :E]
        if self.segments is not None:
            segment = -by_siemens[:, :, E:] * self.wire_siemens
            by[:, :, b["log_ohm"]] = segment @ self.segments.of_line
            if layout.n_segments:
                by[:, :, b["segment"]] = segment
        gain_at = np.concatenate([np.arange(n_in) + b["dac_gain"].start, self.driven + b["drive_gain"].start])
        offset_at = np.concatenate(
            [np.arange(n_in) + b["dac_offset"].start, self.driven + b["drive_offset"].start]
        )
        by[:, :, gain_at] = setpoints[:, None, :] * terminal
        by[:, :, offset_at] = terminal
        return by


def _by_drive(phase: Phase) -> Iterator[tuple[IntArray, BoolArray]]:
    """Yield the rows of a phase that drive the same outputs, with the mask of those outputs."""
    on = ~np.isnan(phase.values)
    if phase.kind in ("free", "current"):
        yield np.arange(len(on)), np.zeros(on.shape[1], dtype=bool)
        return
    masks, which = np.unique(on, axis=0, return_inverse=True)
    for k, mask in enumerate(masks):
        yield np.flatnonzero(which.ravel() == k), mask


@lru_cache(maxsize=64)
def _into_nodes(topology: Topology, nodes: tuple[int, ...]) -> FloatArray:
    """Return the dense columns (E + F, len(nodes)) of the incidence: edge currents to currents into the nodes."""
    return np.asarray(topology.all_incidence[:, list(nodes)].toarray())


@lru_cache(maxsize=64)
def _with_resistors(topology: Topology, outputs: tuple[int, ...], siemens: tuple[float, ...]) -> Topology:
    """Return the circuit with a source behind a known resistor (siemens) at each of the given outputs."""
    n, k = topology.n_nodes, len(outputs)
    sources = n + np.arange(k)
    return Topology(
        n + k,
        topology.edges,
        [*topology.inputs.tolist(), *sources.tolist()],
        topology.outputs,
        topology.ground,
        names=[*topology.names, *(f"drive of {topology.names[topology.outputs[j]]}" for j in outputs)],
        fixed_edges=np.concatenate(
            [topology.fixed_edges, np.stack([sources, topology.outputs[list(outputs)]], axis=1)]
        ),
        fixed_conductances=np.concatenate([topology.fixed_conductances, np.array(siemens)]),
    )
