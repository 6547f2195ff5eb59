"""Solver of circuits of resistors: factored node equations, one factor for each set of held outputs."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from functools import cached_property
from typing import Final

import numpy as np

from hwlearn.arrays import BoolArray, FloatArray
from hwlearn.circuit.drops import drop_products, edge_drops
from hwlearn.circuit.linear.factor import FactoredSystem, may_use_cholmod, plan_for
from hwlearn.circuit.linear.lineage import Lineage
from hwlearn.circuit.linear.outputs import held_patterns, source_currents
from hwlearn.circuit.linear.plan import FactorTooLarge, IllConditioned
from hwlearn.circuit.linear.reduction import ReducedSystem
from hwlearn.circuit.outflow import outflow, power
from hwlearn.circuit.solver import OperatingPoint, Where
from hwlearn.circuit.topology import Topology
from hwlearn.errors import CircuitError, SingularCircuitError

_KEPT_FACTORS: Final = 8
_KEPT_NODES: Final = 1_000_000
"""Unknown nodes of all kept factors together, besides the one in use; each takes about 400 bytes on a grid."""

_NUMBERS_AT_ONCE: Final = 1 << 24


class OhmicSolver:
    """Solver of a circuit of resistors; a `Solver`.

    Parameters
    ----------
    topology : Topology
        All elements are resistors.
    siemens : ndarray, shape (E + F,)
        Conductances of the edges, then of the fixed edges.
    lineage : Lineage, optional
        History of the conductances; starts with ``siemens`` unless given.
    """

    scale_V: Final = float("inf")

    def __init__(self, topology: Topology, siemens: FloatArray, lineage: Lineage | None = None) -> None:
        self.topology, self.siemens = topology, siemens
        self.lineage = Lineage.beginning(siemens) if lineage is None else lineage
        self.systems: OrderedDict[bytes, FactoredSystem | ReducedSystem] = OrderedDict()
        """Factored equations by set of held outputs; the last one used comes last."""

    def with_conductances(self, siemens: FloatArray) -> OhmicSolver:
        """Return a solver with other conductances (E + F,) that shares eliminated edges; see `Lineage`."""
        return OhmicSolver(self.topology, siemens, self.lineage.child(siemens))

    def with_history(self, history: Mapping[str, np.ndarray]) -> OhmicSolver:
        """Return the same solver after the circuits of a history."""
        return OhmicSolver(self.topology, self.siemens, Lineage.from_history(history, self.siemens))

    @property
    def history(self) -> dict[str, np.ndarray]:
        """The circuits before, as far as the rounding of solutions depends on them; see `Lineage`."""
        history = self.lineage.history()
        if not may_use_cholmod(self.topology):
            history.pop("cholmod", None)  # it is never used
        return history

    # --- voltages -----------------------------------------------------------------------------------

    def solve(self, x: FloatArray, clamped: FloatArray | None, injected: FloatArray | None) -> FloatArray:
        """Return node voltages (S, N)."""
        n = self.topology.n_outputs
        parts = list(held_patterns(clamped, len(x), n))
        if len(parts) == 1:
            return self._solve_pattern(x, clamped, injected)
        V = np.empty((len(x), self.topology.n_nodes))
        for samples, _ in parts:
            part = [None if array is None else array[samples] for array in (clamped, injected)]
            V[samples] = self._solve_pattern(x[samples], *part)
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
        return self._system(held.tobytes()).estimated_error

    def _solve_pattern(self, x: FloatArray, volts: FloatArray | None, current: FloatArray | None) -> FloatArray:
        """Solve a batch in which every sample holds the same set of outputs."""
        top = self.topology
        V = np.zeros((len(x), top.n_nodes))
        V[:, top.inputs] = x
        open_outputs: slice | BoolArray = slice(None)
        key = bytes(top.n_outputs)
        if volts is not None and len(x):
            held = ~np.isnan(volts[0])
            V[:, top.outputs[held]] = volts[:, held]
            open_outputs, key = ~held, held.tobytes()
        system = self._system(key)
        if system.free.size:
            rhs = system.from_held(V)
            if current is not None:
                rhs[:, system.position[top.outputs[open_outputs]]] += current[:, open_outputs]
            try:
                V[:, system.free] = system.solve(rhs)
            except IllConditioned as ill:
                raise self._singular(ill) from None
        return V

    def _singular(self, ill: IllConditioned) -> SingularCircuitError:
        return SingularCircuitError(
            f"singular circuit: {self.topology.names[ill.node]} is connected to the sources too weakly, compared "
            "with its other conductances, to be solved in double precision; narrow the range of conductances, or "
            "merge nodes that are connected by a near-ideal wire"
        )

    def _system(self, key: bytes) -> FactoredSystem | ReducedSystem:
        """Return the equations for held outputs, given as the bytes of a bool array (n_out,)."""
        system = self.systems.get(key)
        if system is None:
            try:
                system = self.lineage.factor(plan_for(self.topology, key), key, self.siemens)
            except IllConditioned as ill:
                raise self._singular(ill) from None
            except (FactorTooLarge, MemoryError) as large:
                raise _too_large(large) from None
            self.systems[key] = system
            while len(self.systems) > 1 and (
                len(self.systems) > _KEPT_FACTORS
                or sum(kept.free.size for kept in self.systems.values()) > _KEPT_NODES + system.free.size
            ):
                self.systems.popitem(last=False)
        self.systems.move_to_end(key)
        return system

    # --- currents and power -------------------------------------------------------------------------

    def edge_currents(self, V: FloatArray) -> FloatArray:
        """Return the currents (S, E) through the programmable edges."""
        currents = edge_drops(self.topology.edges, V)
        currents *= self.siemens[: self.topology.n_edges]
        return currents

    def currents(self, V: FloatArray, where: Where) -> FloatArray:
        """Return the currents (S, n) that enter the network from outside at some nodes."""
        return outflow(self.topology, where).currents(V, self.siemens)

    def power(self, V: FloatArray) -> FloatArray:
        """Return the power (S,) dissipated in all edges."""
        return power(self.topology.all_edge_blocks, V, self.siemens)

    def cocontent(self, drops: FloatArray) -> FloatArray:
        """Return v^2 / 2 (S, E) at drops v (S, E)."""
        return 0.5 * drops**2

    def contrast(self, high: FloatArray, low: FloatArray, weights: FloatArray) -> FloatArray:
        """Return the weighted sum over samples of v^2 / 2 at ``high`` minus at ``low``, (E,)."""
        # (D+^2 - D-^2) / 2 = (D+ - D-)(D+ + D-) / 2
        return drop_products(self.topology.edge_blocks, (high - low) * (0.5 * weights[:, None]), high + low)

    # --- derivatives --------------------------------------------------------------------------------

    def output_impedance(self, x: FloatArray | None) -> FloatArray:
        """Return Z (n_out, n_out); it does not depend on the inputs."""
        return self._impedance.copy()

    @cached_property
    def _impedance(self) -> FloatArray:
        top = self.topology
        system = self._system(bytes(top.n_outputs))
        at = system.position[top.outputs]
        Z = np.empty((top.n_outputs, top.n_outputs))
        step = max(1, _NUMBERS_AT_ONCE // max(1, system.free.size))
        for start in range(0, len(at), step):
            some = at[start : start + step]
            unit = np.zeros((len(some), system.free.size))
            unit[np.arange(len(some)), some] = 1.0
            try:
                Z[start : start + step] = system.solve(unit)[:, at]
            except IllConditioned as ill:
                raise self._singular(ill) from None
        return np.asarray(0.5 * (Z + Z.T))

    def output_admittance(self) -> FloatArray:
        """Return Y (n_out, n_out), the Kron-reduced conductance of the outputs."""
        n = self.topology.n_outputs
        Y = self.currents(self.solve(np.zeros((n, self.topology.n_inputs)), np.eye(n), None), "outputs")
        return 0.5 * (Y + Y.T)

    def adjoint(self, e: FloatArray, at: FloatArray | None) -> FloatArray:
        """Return the adjoint voltages (S, N); they do not depend on the operating point."""
        return self._solve_pattern(np.zeros((len(e), self.topology.n_inputs)), None, e)

    def gradient(self, x: FloatArray, e: FloatArray) -> FloatArray:
        """Return dC/dg (E,), mean over the batch."""
        # both at once: a factor solves many right-hand sides for little more than a few
        volts, currents = np.zeros((2 * len(x), x.shape[1])), np.zeros((2 * len(x), e.shape[1]))
        volts[: len(x)], currents[len(x) :] = x, e
        V = self._solve_pattern(volts, None, currents)
        return drop_products(self.topology.edge_blocks, V[len(x) :] * (-1.0 / len(x)), V[: len(x)])

    def gradient_at(self, V: FloatArray, e: FloatArray) -> FloatArray:
        """Return dC/dg (E,), mean over the batch, at node voltages (S, N)."""
        back = np.broadcast_to(self.adjoint(e, V), V.shape)
        return drop_products(self.topology.edge_blocks, back * (-1.0 / len(V)), V)

    def output_power(self, x: FloatArray) -> FloatArray:
        """Return the sum over outputs of (dV_out/dg)^2 (E,), mean over the batch."""
        edges, V = self.topology.edge_blocks, self.solve(x, None, None)
        back = self.adjoint(np.eye(self.topology.n_outputs), None)
        return drop_products(edges, back, back) * drop_products(edges, V, V) / len(V)


def _too_large(large: FactorTooLarge | MemoryError) -> CircuitError:
    if isinstance(large, FactorTooLarge):
        reason = f"about {large.rows} rows of its matrix would become dense ({large.rows**2 * 8e-9:.0f} GB)"
    else:
        reason = "its factor does not fit into memory"
    return CircuitError(
        f"the circuit is too large: {reason}, and its conductances are too different for an iterative solution; "
        "use a smaller range of conductances, or a graph with fewer connections between distant nodes"
    )
