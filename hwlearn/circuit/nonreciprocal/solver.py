"""Solver of circuits with elements of three terminals; their linearised equations are not symmetric."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from typing import Final

import numpy as np

from hwlearn.arrays import BoolArray, FloatArray
from hwlearn.circuit.elements.three_terminal import Stamp
from hwlearn.circuit.nonreciprocal.compiled import Compiled, suits
from hwlearn.circuit.nonreciprocal.equations import (
    Factor,
    joined_currents,
    joined_jacobians,
)
from hwlearn.circuit.nonreciprocal.newton import Drive, Newton
from hwlearn.circuit.nonreciprocal.search import BothSearches, FreeBatch, equations_of, find, groups_of, named
from hwlearn.circuit.solver import OperatingPoint, Where
from hwlearn.circuit.topology import Topology
from hwlearn.errors import CircuitError

_KEPT: Final = 8
_MOST_KEPT_VOLTS: Final = 1 << 22


class NonreciprocalSolver:
    """Solver of a circuit whose edges may have three terminals; a `Solver`.

    Resistors and other elements of two terminals are allowed too. Currents depend on both node voltages of an edge
    and may flow to ground in part, so there is no co-content, and the gradient needs the transposed equations.

    Parameters
    ----------
    topology : Topology
    values : ndarray, shape (E + F,)
        Trainable values of the edges, then of the fixed edges: siemens or, for transistors, volts.

    Notes
    -----
    Operating points are found by Newton's method; see `nonreciprocal.newton`, and `nonreciprocal.compiled` for
    circuits of transistors and resistors with numba. Voltages with an estimated error above 1e-9 of the sample's
    largest voltage raise an error. The voltages of the last batch are kept, for its gradient and for solutions
    with nudges.
    """

    def __init__(
        self,
        topology: Topology,
        values: FloatArray,
        *,
        compiled: bool = True,
        warm: bool = False,
        before: FreeBatch | None = None,
    ) -> None:
        self.topology, self.values = topology, values
        self._groups = groups_of(topology)
        self._values = [values[group.edges] for group in self._groups]
        self._searches: OrderedDict[bytes, BothSearches] = OrderedDict()
        self._last: FreeBatch | None = None
        self._may_compile, self._warm, self._before = compiled, warm, before

    @property
    def scale_V(self) -> float:
        """Volts over which the slope of the most nonlinear element changes."""
        return min(group.law.scale_V for group in self._groups)

    def with_conductances(self, siemens: FloatArray) -> NonreciprocalSolver:
        """Return a solver of the same circuit with other values (E + F,)."""
        before = (self._last or self._before) if self._warm else None
        return NonreciprocalSolver(
            self.topology, siemens, compiled=self._may_compile, warm=self._warm, before=before
        )

    def with_warm_starts(self) -> NonreciprocalSolver:
        """Return the same solver; those made from it begin at the last batch before, if it has the same inputs."""
        found = NonreciprocalSolver(self.topology, self.values, compiled=self._may_compile, warm=True)
        found._last = self._last
        return found

    def with_history(self, history: Mapping[str, np.ndarray]) -> NonreciprocalSolver:
        """Return the same solver, with compiled functions if the history says so.

        Raises
        ------
        CircuitError
            If they are not installed.
        """
        compiled = "compiled" in history
        if compiled and not suits(self._groups, self._free_search.newton.equations):
            raise CircuitError(
                "this circuit was solved by functions that numba compiles, which is not installed here, and the "
                "plain ones would round differently; install the extra `fast`: pip install 'hwlearn[fast]'"
            )
        warm = "warm" in history
        before = None
        if "warm_inputs" in history:
            before = FreeBatch(history["warm_inputs"], history["warm_volts"], history.get("warm_inner"))
        return NonreciprocalSolver(self.topology, self.values, compiled=compiled, warm=warm, before=before)

    @property
    def history(self) -> dict[str, np.ndarray]:
        """Whether compiled functions are used, and with warm starts the batch at which solutions begin."""
        found = {} if self._free_search.compiled is None else {"compiled": np.ones(1)}
        if self._warm:
            found["warm"] = np.ones(1)
            if self._before is not None:
                found |= {"warm_inputs": self._before.x, "warm_volts": self._before.V}
                if self._before.inner is not None:
                    found["warm_inner"] = self._before.inner
        return found

    # --- voltages -----------------------------------------------------------------------------------

    def solve(self, x: FloatArray, clamped: FloatArray | None, injected: FloatArray | None) -> FloatArray:
        """Return node voltages (S, N)."""
        return self.operating_point(x, clamped, injected).V

    def operating_point(
        self, x: FloatArray, clamped: FloatArray | None, injected: FloatArray | None
    ) -> OperatingPoint:
        """Return node voltages (S, N) and their estimated errors (S,).

        A search with currents or clamps at the outputs begins at the last solution without, if it has the same x.

        Raises
        ------
        ConvergenceError
            If the error of a sample's voltages exceeds 1e-9 of its largest voltage.
        """
        top = self.topology
        if clamped is None:
            V, inner = self._start(x, self._before if injected is None else self._last)
            found = find(self._free_search, V, inner, np.arange(len(x)), Drive(injected))
            if injected is None and V.size <= _MOST_KEPT_VOLTS:
                self._last = FreeBatch(x.copy(), found.V.copy(), found.inner)
            return OperatingPoint(found.V, found.error_V)
        V, inner = self._start(x, self._last)
        error = np.zeros(len(x))
        held = ~np.isnan(clamped)
        V[:, top.outputs] = np.where(held, clamped, V[:, top.outputs])
        patterns, which = np.unique(held, axis=0, return_inverse=True)
        for k, pattern in enumerate(patterns):
            rows = np.flatnonzero(which.ravel() == k)
            sources = Drive(None if injected is None else injected[rows])
            found = find(self._search(pattern), V[rows], inner if len(patterns) == 1 else None, rows, sources)
            V[rows], error[rows] = found.V, found.error_V
        return OperatingPoint(V, error)

    def solve_behind(self, x: FloatArray, volts: FloatArray, siemens: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return node voltages (S, N) and currents (S, n_out) of sources behind conductances at the outputs."""
        start, inner = self._start(x, self._last)
        sources = Drive(None, volts, siemens)
        V = find(self._free_search, start, inner, np.arange(len(x)), sources).V
        return V, (volts - V[:, self.topology.outputs]) * siemens

    def _at_mean(self, x: FloatArray) -> FloatArray:
        """Return node voltages (S, N): the inputs, and everywhere else the mean of all held nodes."""
        top = self.topology
        V = np.repeat(x.sum(axis=1, keepdims=True) / max(1, len(top.driven)), top.n_nodes, axis=1)
        V[:, top.driven] = 0.0
        V[:, top.inputs] = x
        return V

    def _start(self, x: FloatArray, last: FreeBatch | None) -> tuple[FloatArray, FloatArray | None]:
        """Return start values (S, N) of a search, and unknowns inside: a batch before if it has the same x."""
        if last is None or not np.array_equal(last.x, x):
            return self._at_mean(x), None
        return last.V.copy(), last.inner

    def estimated_error(self, held: BoolArray) -> float:
        """Refuse: the error of a nonlinear circuit depends on its inputs.

        Raises
        ------
        CircuitError
            Always.
        """
        raise CircuitError(
            "the error of a nonlinear circuit depends on its inputs; use operating_point(inputs).error_V"
        )

    def _search(self, held: BoolArray) -> BothSearches:
        key = held.tobytes()
        if key not in self._searches:
            equations = equations_of(self.topology, key)
            self._searches[key] = BothSearches(
                Newton(equations, self._groups, self._values),
                Compiled(equations, self._groups, self._values)
                if self._may_compile and suits(self._groups, equations)
                else None,
            )
            if len(self._searches) > _KEPT:
                self._searches.popitem(last=False)
        self._searches.move_to_end(key)
        return self._searches[key]

    @property
    def _free_search(self) -> BothSearches:
        return self._search(np.zeros(self.topology.n_outputs, dtype=np.bool_))

    # --- currents and power -------------------------------------------------------------------------

    def edge_currents(self, V: FloatArray) -> FloatArray:
        """Return the currents (S, E) that enter the programmable edges at a."""
        found = np.empty((len(V), len(self.topology.all_edges)))
        for rows, stamps in self._stamps(V):
            for group, stamp in zip(self._groups, stamps, strict=True):
                found[rows, group.edges] = stamp.currents[0]
        return found[:, : self.topology.n_edges]

    def currents(self, V: FloatArray, where: Where) -> FloatArray:
        """Return the currents (S, n) that enter the network from outside at some nodes."""
        top = self.topology
        nodes = {"everywhere": np.arange(top.n_nodes), "inputs": top.inputs, "outputs": top.outputs}[where]
        compiled = self._free_search.compiled
        if compiled is not None and len(V):
            last = self._last
            kept = last.inner if last is not None and np.array_equal(last.V, V) else None
            leaving_all = compiled.currents(V, kept)
            if leaving_all is not None:
                return leaving_all[:, nodes]
        total = np.zeros((len(V), top.n_nodes))
        ends = np.concatenate([group.nodes for group in self._groups], axis=1)
        for rows, stamps in self._stamps(V):
            leaving = joined_currents(stamps)
            for s, sums in enumerate(total[rows]):
                np.add.at(sums, ends, leaving[:, s])
        return total[:, nodes]

    def power(self, V: FloatArray) -> FloatArray:
        """Return the power (S,) dissipated in all edges; gates draw no current."""
        total = np.zeros(len(V))
        for rows, stamps in self._stamps(V):
            for group, stamp in zip(self._groups, stamps, strict=True):
                total[rows] += np.einsum("esk,esk->s", group.terminals(V[rows]), stamp.currents)
        return total

    def cocontent(self, drops: FloatArray) -> FloatArray:
        """Refuse: the current of an element of three terminals does not depend on its drop alone.

        Raises
        ------
        CircuitError
            Always.
        """
        raise CircuitError("a circuit with elements of three terminals has no co-content; use contrast")

    def contrast(self, high: FloatArray, low: FloatArray, weights: FloatArray) -> FloatArray:
        """Return the weighted sum over samples of each edge's contrast at ``high`` minus at ``low``, (E,).

        See `ThreeTerminal.contrast`.
        """
        total = np.zeros(len(self.topology.all_edges))
        for group, values in zip(self._groups, self._values, strict=True):
            at_high, at_low = (group.law.contrast(group.terminals(V), values) for V in (high, low))
            total[group.edges] = weights @ (at_high - at_low)
        return total[: self.topology.n_edges]

    # --- derivatives at operating points --------------------------------------------------------------

    def output_impedance(self, x: FloatArray | None) -> FloatArray:
        """Return Z (S, n_out, n_out) of the circuit linearised at its operating points; (n_out, n_out) at 0 V."""
        if x is None:
            return self._impedance_at_0V.copy()
        V = self.solve(x, None, None)
        at = self._free_search.newton.equations.at_outputs
        Z = np.empty((len(V), len(at), len(at)))
        for rows, _, factor in self._linearised(V):
            into = np.zeros((len(V[rows]), len(self._free_search.newton.equations.free), len(at)))
            into[:, at, np.arange(len(at))] = 1.0
            Z[rows] = factor.solve(into)[:, at]
        return Z

    @cached_property
    def _impedance_at_0V(self) -> FloatArray:
        return np.asarray(self.output_impedance(np.zeros((1, self.topology.n_inputs)))[0])

    def output_admittance(self) -> FloatArray:
        """Return Y (n_out, n_out) with all inputs at 0 V, linearised there."""
        return np.asarray(np.linalg.inv(self._impedance_at_0V))

    def adjoint(self, e: FloatArray, at: FloatArray | None) -> FloatArray:
        """Return the adjoint voltages (S, N) of the transposed equations, linearised ``at`` (S, N) or (1, N)."""
        top = self.topology
        if at is None:
            at = self.solve(np.zeros((1, top.n_inputs)), None, None)
        V = np.broadcast_to(at, (len(e), top.n_nodes))
        return np.concatenate([lam for _, _, lam in self._adjoints(V, e)]) if len(V) else np.zeros_like(V)

    def gradient(self, x: FloatArray, e: FloatArray) -> FloatArray:
        """Return dC/d(value) (E,), mean over the batch."""
        if self._last is None or not np.array_equal(self._last.x, x):
            self.solve(x, None, None)
        last = self._last
        if last is None or not np.array_equal(last.x, x):  # too large to be kept
            return self.gradient_at(self.solve(x, None, None), e)
        return self._gradient(last.V, last.inner, e)

    def gradient_at(self, V: FloatArray, e: FloatArray) -> FloatArray:
        """Return dC/d(value) (E,), mean over the batch, at node voltages (S, N).

        Notes
        -----
        ``dC/dvalue = -(lam_a dI_a/dvalue + lam_b dI_b/dvalue)`` with ``J^T lam = e`` at the operating point.
        """
        return self._gradient(V, None, e)

    def _gradient(self, V: FloatArray, inner: FloatArray | None, e: FloatArray) -> FloatArray:
        compiled = self._free_search.compiled
        sums = None if compiled is None or not len(V) else compiled.gradient(V, inner, e)
        if sums is None:
            sums = self._weighted(V, e, lambda product: product.sum(axis=0))
        return sums[: self.topology.n_edges] / -len(V)

    def output_power(self, x: FloatArray) -> FloatArray:
        """Return the sum over outputs of (dV_out/dvalue)^2 (E,), mean over the batch."""
        V = self.solve(x, None, None)
        total = np.zeros(len(self.topology.all_edges))
        for unit in np.eye(self.topology.n_outputs):
            e = np.broadcast_to(unit, (len(V), len(unit)))
            total += self._weighted(V, e, lambda product: (product**2).sum(axis=0))
        return total[: self.topology.n_edges] / len(V)

    def _weighted(self, V: FloatArray, e: FloatArray, reduce: Callable[[FloatArray], FloatArray]) -> FloatArray:
        """Return the sum over samples of ``reduce`` of lam_a dI_a/dvalue + lam_b dI_b/dvalue, (E + F,)."""
        total = np.zeros(len(self.topology.all_edges))
        for _, stamps, lam in self._adjoints(V, e):
            for group, stamp in zip(self._groups, stamps, strict=True):
                product = np.einsum("esk,esk->sk", group.terminals(lam), stamp.by_value)
                total[group.edges] += reduce(product)
        return total

    def _adjoints(self, V: FloatArray, e: FloatArray) -> Iterator[tuple[slice, list[Stamp], FloatArray]]:
        """Yield parts of a batch with their stamps and adjoint voltages (S, N) for errors (S, n_out)."""
        eq = self._free_search.newton.equations
        for rows, stamps, factor in self._linearised(V):
            into = np.zeros((len(V[rows]), len(eq.free), 1))
            into[:, eq.at_outputs, 0] = e[rows]
            lam = np.zeros_like(V[rows])
            with named(np.arange(rows.start, rows.stop)):
                lam[:, eq.free] = factor.solve(into, transposed=True)[:, :, 0]
            yield rows, stamps, lam

    def _linearised(self, V: FloatArray) -> Iterator[tuple[slice, list[Stamp], Factor]]:
        eq = self._free_search.newton.equations
        for rows, stamps in self._stamps(V):
            with named(np.arange(rows.start, rows.stop)):
                factor = eq.factor(joined_jacobians(stamps), None)
            yield rows, stamps, factor

    def _stamps(self, V: FloatArray) -> Iterator[tuple[slice, list[Stamp]]]:
        """Yield parts of a batch with the stamps of each group at node voltages (S, N)."""
        search = self._free_search.newton
        for first in range(0, len(V), search.chunk):
            rows = slice(first, min(first + search.chunk, len(V)))
            with named(np.arange(rows.start, rows.stop)):
                stamps = search.settled(V[rows])
            yield rows, stamps
