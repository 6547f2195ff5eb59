"""Predicted readings of a network with imperfect converters, and their exact derivatives by all unknowns."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Final

import numpy as np

from hwlearn.arrays import BoolArray, FloatArray, IntArray
from hwlearn.calibration.estimation.excitation import Phase
from hwlearn.calibration.estimation.segments import Segments, with_free_wires
from hwlearn.calibration.estimation.unknowns import Unknowns
from hwlearn.circuit.kirchhoff import Kirchhoff
from hwlearn.circuit.topology import Topology
from hwlearn.errors import CircuitError

_MOST_CONDITION: Final = 1e12
"""Largest condition number of the terminals' equations: beyond it, fewer than 4 digits remain."""


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
        return self.at(unknowns).respond(phase, currents)

    def at(self, unknowns: FloatArray) -> CircuitAt:
        """Return the circuit at these unknowns (P,), for several phases.

        Raises
        ------
        CircuitError
            If the unknowns make a conductance negative or the circuit singular.
        """
        return CircuitAt(self, unknowns)


class CircuitAt:
    """Circuit at one set of unknowns, seen from its terminals: inputs, then outputs.

    The circuit is solved once, with every terminal held. A phase leaves some terminals floating and drives others
    through resistors: a small dense system in the volts of the terminals, whatever the size of the circuit.

    Parameters
    ----------
    model : EdgeModel
    unknowns : ndarray, shape (P,)

    Raises
    ------
    CircuitError
        If the unknowns make a conductance negative or the circuit singular.
    """

    def __init__(self, model: EdgeModel, unknowns: FloatArray) -> None:
        self.model, self.unknowns = model, unknowns
        circuit = model.circuit(unknowns)
        top = circuit.topology
        n_in, n_out = top.n_inputs, top.n_outputs
        held = np.eye(n_in + n_out)
        V = circuit.solve(held[:, :n_in], clamped=held[:, n_in:])
        a, b = top.all_edges.T
        flow = (V[:, a] - V[:, b]) * circuit.all_values
        # drops (T, K) and currents (T, T) into the terminals, per volt at each terminal
        self.drops = circuit.drops(V)
        self.admittance = flow @ _into_nodes(top, (*top.inputs.tolist(), *top.outputs.tolist()))
        self.by_log_gain = model.base * np.exp(model.layout.take(unknowns, "log_gain"))
        self.wire_siemens = model.wire_siemens(unknowns)
        self.ohm = np.zeros(n_in + n_out)
        if model.layout.n_sources:
            self.ohm[:n_in] = model.source_ohm(unknowns)

    def respond(self, phase: Phase, currents: bool = True) -> Response:
        """Return the predicted readings of a phase and their derivatives; see `EdgeModel.respond`.

        Raises
        ------
        CircuitError
            If the circuit is singular.
        """
        layout, b, unknowns = self.model.layout, self.model.layout.blocks, self.unknowns
        n_in, n_out, S = layout.n_inputs, layout.n_outputs, len(phase.inputs)
        # rows that drive the same outputs share one system of the terminals
        on = np.zeros(phase.values.shape, dtype=bool)
        masks, which = np.zeros((1, n_out), dtype=bool), np.zeros(S, dtype=np.int64)
        if S and phase.kind in ("clamp", "resistor"):
            on = ~np.isnan(phase.values)
            masks, which = np.unique(on, axis=0, return_inverse=True)
            which = which.ravel()
        held = np.concatenate([np.ones((len(masks), n_in), dtype=bool), masks], axis=1)
        per_source, per_amp = _of_terminals(self.admittance, held, self._ohm(phase))
        # rows in the order of the terminals: applied volts where a source drives, amperes where one floats
        nominal = np.concatenate([phase.inputs, np.where(on, phase.values, 0.0)], axis=1)
        gain = np.concatenate([unknowns[b["dac_gain"]], unknowns[b["drive_gain"]]])
        offset = np.concatenate([unknowns[b["dac_offset"]], unknowns[b["drive_offset"]]])
        driven = held[which]
        applied = np.where(driven, nominal * (1 + gain) + offset, 0.0)
        volts = (applied[:, None] @ per_source[which])[:, 0]
        if phase.kind == "current":
            injected = np.nan_to_num(phase.values, nan=0.0)
            volts += (injected[:, None] @ per_amp[which][:, n_in:])[:, 0]
        drops, flow = volts @ self.drops, volts @ self.admittance
        per_volt = np.where(held[:, :, None], per_source, 0.0)
        amps = per_amp[:, n_in:]
        passed = _Passed(drops, nominal, flow[:, :n_in], which)
        # an ADC reports (volts - offset) / (1 + gain)
        slope = 1 / (1 + unknowns[b["adc_gain"]])
        read = (volts[:, n_in:] - unknowns[b["adc_offset"]]) * slope
        d_volts = self._derivatives(
            passed, -amps @ self.drops, per_volt[:, :, n_in:].transpose(0, 2, 1), -amps @ self.admittance[:, :n_in]
        )
        d_volts *= slope[:, None]
        j = np.arange(n_out)
        d_volts[:, j, b["adc_gain"].start + j] = -read * slope
        d_volts[:, j, b["adc_offset"].start + j] = -slope
        if not currents:
            none = np.zeros((0, n_in)), np.zeros((0, n_in, layout.size))
            return Response(read, d_volts, *none, np.zeros((0, n_out)), np.zeros((0, n_out, layout.size)))
        clamps, d_clamps = np.zeros((S, n_out)), np.zeros((S, n_out, layout.size))
        rows = slice(0, n_in + n_out if phase.kind == "clamp" else n_in)
        inward = per_volt[:, rows] @ self.admittance
        d_flow = self._derivatives(passed, per_volt[:, rows] @ self.drops, inward, inward[:, :, :n_in])
        if phase.kind == "clamp":
            clamps, d_clamps = np.where(on, flow[:, n_in:], 0.0), d_flow[:, n_in:]
        return Response(read, d_volts, flow[:, :n_in], d_flow[:, :n_in], clamps, d_clamps)

    def _ohm(self, phase: Phase) -> FloatArray:
        """Return the resistances (T,) between sources and terminals."""
        if phase.kind != "resistor" or phase.siemens is None:
            return self.ohm
        return np.concatenate([self.ohm[: self.model.layout.n_inputs], 1 / phase.siemens])

    def _derivatives(
        self, passed: _Passed, adjoint: FloatArray, terminal: FloatArray, at_sources: FloatArray
    ) -> FloatArray:
        """Return derivatives (S, R, P) by conductances, by converters of driven terminals, and by sources.

        Parameters
        ----------
        passed : _Passed
        adjoint : ndarray, shape (M, R, K)
            Drops in the adjoint circuit of each reading; derivatives by conductances are its products with drops.
        terminal : ndarray, shape (M, R, T)
            Derivatives by the volts of the sources of terminals; zero where none drives.
        at_sources : ndarray, shape (M, R, n_in)
            Derivatives by the volts of the input sources, for their resistances.
        """
        model, layout, which = self.model, self.model.layout, passed.which
        b, n_in, E = layout.blocks, layout.n_inputs, layout.n_edges
        by = np.zeros((len(which), adjoint.shape[1], layout.size))
        by_siemens = adjoint[which] * passed.drops[:, None]
        by[:, :, b["log_gain"]] = by_siemens[:, :, :E] * self.by_log_gain
        if layout.edge_offsets:
            by[:, :, b["edge_offset"]] = by_siemens[:, :, :E]
        if model.segments is not None:
            segment = -by_siemens[:, :, E:] * self.wire_siemens
            by[:, :, b["log_ohm"]] = segment @ model.segments.of_line
            if layout.n_segments:
                by[:, :, b["segment"]] = segment
        if layout.n_sources:
            by[:, :, b["source"]] = -passed.flow[:, None] * at_sources[which] * model.ohm_of_row
        of_terminals = terminal[which]
        scaled = of_terminals * passed.nominal[:, None]
        by[:, :, b["dac_gain"]], by[:, :, b["drive_gain"]] = scaled[:, :, :n_in], scaled[:, :, n_in:]
        by[:, :, b["dac_offset"]], by[:, :, b["drive_offset"]] = (
            of_terminals[:, :, :n_in],
            of_terminals[:, :, n_in:],
        )
        return by


@dataclass(frozen=True, eq=False)
class _Passed:
    """Drops (S, K), setpoints of terminals (S, T), currents of inputs (S, n_in), and system (S,) of each row."""

    drops: FloatArray
    nominal: FloatArray
    flow: FloatArray
    which: IntArray


@lru_cache(maxsize=64)
def _into_nodes(topology: Topology, nodes: tuple[int, ...]) -> FloatArray:
    """Return the dense columns (E + F, len(nodes)) of the incidence: edge currents to currents into the nodes."""
    return np.asarray(topology.all_incidence[:, list(nodes)].toarray())


def _of_terminals(admittance: FloatArray, held: BoolArray, ohm: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the terminals' volts per volt of each source (M, T, T), and per ampere into each terminal (M, T, T).

    Parameters
    ----------
    admittance : ndarray, shape (T, T)
        Currents into the terminals, per volt at each.
    held : ndarray of bool, shape (M, T)
        Terminals that a source drives; the others float.
    ohm : ndarray, shape (T,)
        Resistances between the sources and their terminals.

    Raises
    ------
    CircuitError
        If a system is singular.
    """
    # volts u, currents u Y: behind a source of x volts u = x - ohm u Y, and u Y is given where a terminal floats
    own = np.diagonal(admittance)
    with np.errstate(divide="ignore", invalid="ignore"):
        behind, floating = np.eye(len(own)) + admittance * ohm, admittance / own
        matrix = np.where(held[:, None], behind, floating)
        drive = np.where(held, ohm, 1 / own)
    try:
        inverse = np.linalg.inv(matrix)
    except np.linalg.LinAlgError:
        inverse = np.full(matrix.shape, np.inf)
    condition = np.abs(matrix).sum(axis=1).max() * np.abs(inverse).sum(axis=1).max()
    if not condition < _MOST_CONDITION:
        raise CircuitError("the circuit between its terminals is singular; check that no output is disconnected")
    return np.asarray(inverse), np.asarray(inverse * drive[:, :, None])
