"""Solver of crossbars with wire resistance: block elimination of the lines instead of a sparse factor."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Final

import numpy as np

from hwlearn.arrays import BoolArray, FloatArray
from hwlearn.circuit.crossbar.elimination import Elimination, NotEliminated
from hwlearn.circuit.linear.factor import ERROR_BOUND
from hwlearn.circuit.linear.outputs import held_patterns, source_currents
from hwlearn.circuit.linear.solver import OhmicSolver
from hwlearn.circuit.solver import OperatingPoint, Where
from hwlearn.circuit.topology import Topology
from hwlearn.circuit.wired.eliminated import EliminatedSystem, eliminate
from hwlearn.circuit.wired.layout import Layout
from hwlearn.circuit.wired.sums import column_currents, device_drops, product_sums, squares, total_power

_KEPT_SYSTEMS: Final = 8
_KEPT_ELIMINATIONS: Final = 2
_MOST_KEPT_DROPS: Final = 1 << 22
"""Devices times samples up to which the drops of the last batch are kept for its gradient."""


class WiredSolver:
    """Solver of a wired crossbar of resistors; a `Solver`.

    Parameters
    ----------
    layout : Layout
        Of the general solver's topology.
    general : OhmicSolver
        The same circuit, for sets of held outputs that elimination cannot solve within `ERROR_BOUND`.

    Notes
    -----
    The last batch of inputs is kept, so that its gradient needs no second solution. Solutions do not depend on it.
    """

    scale_V: Final = float("inf")

    def __init__(self, layout: Layout, general: OhmicSolver) -> None:
        self.layout, self.general = layout, general
        self._g = general.siemens[: general.topology.n_edges]
        self._systems: dict[bytes, EliminatedSystem | None] = {}
        self._eliminations: dict[bytes, Elimination] = {}
        self._last: tuple[FloatArray, FloatArray] | None = None

    @property
    def topology(self) -> Topology:
        """Topology of the circuit."""
        return self.general.topology

    def with_conductances(self, siemens: FloatArray) -> WiredSolver:
        """Return a solver with other conductances (E + F,)."""
        return WiredSolver(self.layout, self.general.with_conductances(siemens))

    def with_history(self, history: Mapping[str, np.ndarray]) -> WiredSolver:
        """Return the same solver after the circuits of a history, on which only the general solver depends."""
        return WiredSolver(self.layout, self.general.with_history(history))

    @property
    def history(self) -> dict[str, np.ndarray]:
        """The history of the general solver."""
        return self.general.history

    # --- voltages -----------------------------------------------------------------------------------

    def solve(self, x: FloatArray, clamped: FloatArray | None, injected: FloatArray | None) -> FloatArray:
        """Return node voltages (S, N)."""
        parts = list(held_patterns(clamped, len(x), self.topology.n_outputs))
        if len(parts) == 1:
            return self._solve_pattern(parts[0][1], x, clamped, injected)
        V = np.empty((len(x), self.topology.n_nodes))
        for samples, held in parts:
            of_part = [None if array is None else array[samples] for array in (clamped, injected)]
            V[samples] = self._solve_pattern(held, x[samples], *of_part)
        return V

    def operating_point(
        self, x: FloatArray, clamped: FloatArray | None, injected: FloatArray | None
    ) -> OperatingPoint:
        """Return node voltages (S, N) and their estimated errors (S,)."""
        V = self.solve(x, clamped, injected)
        relative = np.empty(len(x))
        for samples, held in held_patterns(clamped, len(x), self.topology.n_outputs):
            relative[samples] = self.estimated_error(held)
        return OperatingPoint(V, relative * np.abs(V).max(axis=1, initial=0.0))

    def solve_behind(self, x: FloatArray, volts: FloatArray, siemens: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return node voltages (S, N) and currents (S, n_out) of sources behind conductances at the outputs."""
        free = self.solve(x, None, None)[:, self.topology.outputs]
        currents = source_currents(free, self._impedance, volts, siemens)
        return self.solve(x, None, currents), currents

    def estimated_error(self, held: BoolArray) -> float:
        """Return the estimated relative error of solutions with these outputs (n_out,) held."""
        system = self._system(held)
        return self.general.estimated_error(held) if system is None else system.estimated_error

    def _solve_pattern(
        self, held: BoolArray, x: FloatArray, clamped: FloatArray | None, injected: FloatArray | None
    ) -> FloatArray:
        """Solve a batch in which every sample holds these outputs (n_out,)."""
        system = self._system(held)
        if system is None or not len(x):
            return self.general.solve(x, clamped, injected)
        layout, volts, amperes = self.layout, None, None
        if clamped is not None and held.any():
            volts = layout.at_columns(np.where(held, clamped, 0.0))
        if injected is not None and not held.all():
            amperes = layout.at_columns(np.where(held, 0.0, injected))
        nodes = system.solve(layout.row_volts(x), volts, amperes)
        if volts is None and amperes is None and len(x) * len(self._g) <= _MOST_KEPT_DROPS:
            self._last = x.copy(), device_drops(layout, nodes)
        return nodes.T

    def _adjoint_nodes(self, e: FloatArray) -> FloatArray:
        """Return the voltages (n_nodes, S) for currents (S, n_out) into the outputs and inputs at 0 V."""
        held = np.zeros(self.topology.n_outputs, dtype=bool)
        system = self._system(held)
        if system is None or not len(e):
            return self.general.adjoint(e, None).T
        return system.solve(None, None, self.layout.at_columns(e))

    def _system(self, held: BoolArray) -> EliminatedSystem | None:
        """Return the equations for held outputs; None if double precision does not suffice for them."""
        # circuits may be solved in several threads: only whole entries are added and removed
        kept, key = self._systems, held.tobytes()
        try:
            system = kept.pop(key)
        except KeyError:
            try:
                system = self._eliminated(held)
            except NotEliminated:
                system = None
            if system is not None and not system.estimated_error < ERROR_BOUND:
                system = None
        kept[key] = system  # the last used entry is the last one
        for old in list(kept)[:-_KEPT_SYSTEMS]:
            kept.pop(old, None)
        return system

    def _eliminated(self, held: BoolArray) -> EliminatedSystem:
        columns = self.layout.columns_held(held)
        # the columns' ends are eliminated last, so their elimination serves all sets of held outputs
        kept, key = self._eliminations, columns.tobytes() if self.layout.along_rows else b""
        try:
            elimination = kept[key]
        except KeyError:
            with np.errstate(all="ignore"):
                elimination = eliminate(self.layout, self._g, columns)
            kept[key] = elimination
            for old in list(kept)[:-_KEPT_ELIMINATIONS]:
                kept.pop(old, None)
        return EliminatedSystem.of(self.layout, elimination, columns)

    # --- currents and power -------------------------------------------------------------------------

    def edge_currents(self, V: FloatArray) -> FloatArray:
        """Return the currents (S, E) through the devices."""
        return self.general.edge_currents(V)

    def currents(self, V: FloatArray, where: Where) -> FloatArray:
        """Return the currents (S, n) that enter the network from outside at some nodes."""
        return self.general.currents(V, where)

    def power(self, V: FloatArray) -> FloatArray:
        """Return the power (S,) dissipated in all edges."""
        return total_power(self.layout, np.ascontiguousarray(V.T), self._g)

    def cocontent(self, drops: FloatArray) -> FloatArray:
        """Return v^2 / 2 (S, E) at drops v (S, E)."""
        return self.general.cocontent(drops)

    def contrast(self, high: FloatArray, low: FloatArray, weights: FloatArray) -> FloatArray:
        """Return the weighted sum over samples of v^2 / 2 at ``high`` minus at ``low``, (E,)."""
        of_high, of_low = (squares(self.layout, np.ascontiguousarray(V.T), weights) for V in (high, low))
        return 0.5 * (of_high - of_low)

    # --- derivatives --------------------------------------------------------------------------------

    def output_impedance(self, x: FloatArray | None) -> FloatArray:
        """Return Z (n_out, n_out); it does not depend on the inputs."""
        return self._impedance.copy()

    @cached_property
    def _impedance(self) -> FloatArray:
        Z = self._adjoint_nodes(np.eye(self.topology.n_outputs))[self.topology.outputs]
        return np.asarray(0.5 * (Z + Z.T))

    def output_admittance(self) -> FloatArray:
        """Return Y (n_out, n_out), the Kron-reduced conductance of the outputs."""
        n = self.topology.n_outputs
        V = self.solve(np.zeros((n, self.topology.n_inputs)), np.eye(n), None)
        Y = -column_currents(self.layout, np.ascontiguousarray(V.T), self._g)[self.layout.outputs]
        return 0.5 * (Y + Y.T)

    def adjoint(self, e: FloatArray, at: FloatArray | None) -> FloatArray:
        """Return the adjoint voltages (S, N); they do not depend on the operating point."""
        return self._adjoint_nodes(e).T

    def gradient(self, x: FloatArray, e: FloatArray) -> FloatArray:
        """Return dC/dg (E,), mean over the batch."""
        last = self._last
        if last is None or not np.array_equal(last[0], x):
            V = self.solve(x, None, None)
            last = self._last
            if last is None or not np.array_equal(last[0], x):
                return self.gradient_at(V, e)
        return -product_sums(self.layout, last[1], self._adjoint_nodes(e)) / len(x)

    def gradient_at(self, V: FloatArray, e: FloatArray) -> FloatArray:
        """Return dC/dg (E,), mean over the batch, at node voltages (S, N)."""
        back = self._adjoint_nodes(e)
        drops = device_drops(self.layout, np.ascontiguousarray(V.T))
        return -product_sums(self.layout, drops, back) / len(V)

    def output_power(self, x: FloatArray) -> FloatArray:
        """Return the sum over outputs of (dV_out/dg)^2 (E,), mean over the batch."""
        nodes = np.ascontiguousarray(self.solve(x, None, None).T)
        back = self._adjoint_nodes(np.eye(self.topology.n_outputs))
        return squares(self.layout, back, None) * squares(self.layout, nodes, None) / len(x)
