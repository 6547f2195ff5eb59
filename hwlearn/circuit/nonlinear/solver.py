"""Solver of circuits with nonlinear elements: Newton's method and linearised responses."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property, lru_cache, partial
from typing import Final

import numpy as np

from hwlearn.arrays import BoolArray, FloatArray, IntArray
from hwlearn.circuit.drops import drop_products, edge_drops, sum_by_edge
from hwlearn.circuit.elements import Element
from hwlearn.circuit.nonlinear.balance import OutputSources
from hwlearn.circuit.nonlinear.currents import Circuit, structure
from hwlearn.circuit.nonlinear.last_batch import LastBatch
from hwlearn.circuit.nonlinear.linearised import Factor, SingularSample
from hwlearn.circuit.nonlinear.newton import LARGEST_ERROR, Found, NotConverged, Search, Start
from hwlearn.circuit.nonlinear.node_order import NodeOrder
from hwlearn.circuit.nonlinear.switching import Switching
from hwlearn.circuit.solver import OperatingPoint, Where
from hwlearn.circuit.topology import Topology
from hwlearn.errors import CircuitError, ConvergenceError

Law = Callable[[Element, FloatArray, FloatArray], FloatArray]
"""Element, drops (S, K) and thetas (K,) -> a value (S, K) for each drop."""

_KEPT_SEARCHES: Final = 8
_KEPT_ORDERS: Final = 32
_MOST_KEPT_VOLTS: Final = 1 << 22


class NewtonSolver:
    """Solver of a circuit with nonlinear elements; a `Solver`.

    The conductances are the thetas of the elements (see `hwlearn.circuit.elements`). Values that depend on the
    operating point have one entry a sample.

    Parameters
    ----------
    topology : Topology
        Resistors are allowed too.
    thetas : ndarray, shape (E + F,)
        Siemens of the edges, then of the fixed edges.
    compiled : bool
        Use compiled functions where they suit the circuit and numba is installed.

    Notes
    -----
    The steady state is the minimum of the co-content, found by Newton's method; see `nonlinear.newton`.
    Voltages with an estimated error above 1e-9 of the sample's largest voltage raise an error. The voltages of the
    last batch without clamps and currents are kept, so that its gradient needs no second search. A search for the
    same inputs with clamps or currents starts there. Without a nonlinear element that changes sides it ends after
    one step; its voltages are equal to those of a search from 0 V within their estimated error.
    """

    def __init__(self, topology: Topology, thetas: FloatArray, compiled: bool = True) -> None:
        self.topology, self.thetas, self._compiled = topology, thetas, compiled
        self._last: LastBatch | None = None
        self._circuit = Circuit(topology, thetas)
        self._searches: OrderedDict[bytes, Search] = OrderedDict()

    @property
    def scale_V(self) -> float:
        """Volts over which the slope of the most nonlinear element changes."""
        return self._circuit.structure.table.scale_V

    def with_conductances(self, siemens: FloatArray) -> NewtonSolver:
        """Return a solver of the same circuit with other thetas (E + F,)."""
        return NewtonSolver(self.topology, siemens, self._compiled)

    def with_history(self, history: Mapping[str, np.ndarray]) -> NewtonSolver:
        """Return the same solver, with compiled functions if the history says so.

        Raises
        ------
        CircuitError
            If the circuit was solved by compiled functions, and numba is not installed.
        """
        compiled = "compiled" in history
        if compiled and not Switching.is_installed():
            raise CircuitError(
                "this circuit was solved by functions that numba compiles, which is not installed here, and the "
                "plain ones would round differently; install the extra `fast`: pip install 'hwlearn[fast]'"
            )
        return NewtonSolver(self.topology, self.thetas, compiled)

    @property
    def history(self) -> dict[str, np.ndarray]:
        """Whether compiled functions are used; empty if not."""
        order = _node_order(self.topology, self._none_held.tobytes())
        return {"compiled": np.ones(1)} if self._compiled and Switching.suits(self._circuit, order) else {}

    # --- voltages -----------------------------------------------------------------------------------

    def solve(self, x: FloatArray, clamped: FloatArray | None, injected: FloatArray | None) -> FloatArray:
        """Return node voltages (S, N)."""
        return self.operating_point(x, clamped, injected).V

    def operating_point(
        self, x: FloatArray, clamped: FloatArray | None, injected: FloatArray | None
    ) -> OperatingPoint:
        """Return node voltages (S, N) and their estimated errors (S,).

        Raises
        ------
        ConvergenceError
            If the error of a sample's voltages exceeds 1e-9 of its largest voltage.
        """
        if clamped is not None:
            return self._clamped_point(x, clamped, injected)
        search = self._search(self._none_held)
        if injected is not None:
            V, start = self._start(x)
            return self._find(search, V, None, OutputSources(injected), start).point
        found = self._find(search, self._at_0V(x), None, OutputSources(), None)
        if found.point.V.size <= _MOST_KEPT_VOLTS:
            self._last = LastBatch(x.copy(), found.point.V.copy(), found.factor)
        return found.point

    def _clamped_point(self, x: FloatArray, clamped: FloatArray, injected: FloatArray | None) -> OperatingPoint:
        top = self.topology
        V, start = self._start(x)
        start = None if start is None else Start(None)  # other nodes are free
        held = ~np.isnan(clamped)
        V[:, top.outputs] = np.where(held, clamped, V[:, top.outputs])
        if (held == held[:1]).all() and len(held):
            return self._find(self._search(held[0]), V, None, OutputSources(injected), start).point
        error = np.zeros(len(x))
        patterns, which = np.unique(held, axis=0, return_inverse=True)
        for k, pattern in enumerate(patterns):
            rows = np.flatnonzero(which.ravel() == k)
            sources = OutputSources(injected).rows(rows)
            point = self._find(self._search(pattern), V[rows], rows, sources, start).point
            V[rows], error[rows] = point.V, point.error_V
        return OperatingPoint(V, error)

    def solve_behind(self, x: FloatArray, volts: FloatArray, siemens: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return node voltages (S, N) and currents (S, n_out) of sources behind conductances at the outputs."""
        start, known = self._start(x)
        search = self._search(self._none_held)
        near = None if known is None else Start(None)  # the loads change the equations
        V = self._find(search, start, None, OutputSources(None, (volts, siemens)), near).point.V
        return V, (volts - V[:, self.topology.outputs]) * siemens

    def _at_0V(self, x: FloatArray) -> FloatArray:
        """Return node voltages (S, N): the inputs, and 0 V everywhere else."""
        V = np.zeros((len(x), self.topology.n_nodes))
        V[:, self.topology.inputs] = x
        return V

    def _start(self, x: FloatArray) -> tuple[FloatArray, Start | None]:
        """Return start values (S, N) of a search with clamps, currents or loads: the last batch if it has x."""
        rows = None if self._last is None else self._last.rows_of(x)
        if self._last is None or rows is None:
            return self._at_0V(x), None
        factor = self._last.factor
        return self._last.V[rows], Start(None if factor is None else factor.rows(rows))

    @cached_property
    def _none_held(self) -> BoolArray:
        return np.zeros(self.topology.n_outputs, dtype=bool)

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

    def _find(
        self,
        search: Search,
        V: FloatArray,
        rows: IntArray | None,
        sources: OutputSources,
        start: Start | None,
    ) -> Found:
        """Search from V (S, N); ``rows`` are the numbers of the samples in messages."""
        try:
            return search.find(V, sources, start)
        except NotConverged as lost:
            if start is not None:
                far = V.copy()
                far[:, search.order.free] = 0.0
                return self._find(search, far, rows, sources, None)
            sample = lost.sample if rows is None else rows[lost.sample]
            raise ConvergenceError(
                f"no operating point of sample {sample} to {LARGEST_ERROR:g} of its largest voltage: "
                f"{lost.reason}; reduce the voltages, narrow the range of conductances, or shunt blocking "
                "elements with resistors"
            ) from None

    def _search(self, held: BoolArray) -> Search:
        key = held.tobytes()
        search = self._searches.get(key)
        if search is None:
            order = _node_order(self.topology, key)
            search = self._searches[key] = Search(self._circuit, order, self._compiled)
            if len(self._searches) > _KEPT_SEARCHES:
                self._searches.popitem(last=False)
        self._searches.move_to_end(key)
        return search

    # --- currents and power -------------------------------------------------------------------------

    def edge_currents(self, V: FloatArray) -> FloatArray:
        """Return the currents (S, E) through the programmable edges."""
        return self._by_edge(lambda element, *at: element.current(*at), edge_drops(self.topology.edges, V))

    def currents(self, V: FloatArray, where: Where) -> FloatArray:
        """Return the currents (S, n) that enter the network from outside at some nodes."""
        return self._circuit.currents(V, where)

    def power(self, V: FloatArray) -> FloatArray:
        """Return the power (S,) dissipated in all edges."""
        return self._circuit.power(V)

    def cocontent(self, drops: FloatArray) -> FloatArray:
        """Return d(co-content)/d(theta) (S, E) in V^2 at drops (S, E)."""
        return self._by_edge(_cocontent, drops)

    def contrast(self, high: FloatArray, low: FloatArray, weights: FloatArray) -> FloatArray:
        """Return the weighted sum over samples of d(co-content)/d(theta) at ``high`` minus at ``low``, (E,)."""
        if self._edges_ohmic:
            # (D+^2 - D-^2) / 2 = (D+ - D-)(D+ + D-) / 2, summed over samples before it is taken edge by edge
            return drop_products(self.topology.edge_blocks, (high - low) * (0.5 * weights[:, None]), high + low)

        def rise(some: slice, drops: list[FloatArray]) -> FloatArray:
            at_high, at_low = (self._by_edge(_cocontent, v, some) for v in drops)
            return weights @ (at_high - at_low)

        return sum_by_edge(self.topology.edges, (high, low), rise)

    # --- derivatives at operating points --------------------------------------------------------------

    def output_impedance(self, x: FloatArray | None) -> FloatArray:
        """Return Z (S, n_out, n_out) of the circuit linearised at its operating points; (n_out, n_out) at 0 V."""
        if x is None:
            return self._impedance_at_0V.copy()
        n = self.topology.n_outputs
        V = self.solve(x, None, None)
        units, Z = np.broadcast_to(np.eye(n)[:, None, :], (n, len(V), n)), np.empty((n, len(V), n))
        for rows, factor in self._factors(V, n):
            with _no_derivative(rows):
                Z[:, rows] = factor().responses(units[:, rows])
        Z = Z.transpose(1, 2, 0)
        return 0.5 * (Z + Z.transpose(0, 2, 1))

    @cached_property
    def _impedance_at_0V(self) -> FloatArray:
        return np.asarray(self.output_impedance(np.zeros((1, self.topology.n_inputs)))[0])

    def output_admittance(self) -> FloatArray:
        """Return Y (n_out, n_out) with all inputs at 0 V, linearised there."""
        return np.asarray(np.linalg.inv(self._impedance_at_0V))

    def adjoint(self, e: FloatArray, at: FloatArray | None) -> FloatArray:
        """Return the adjoint voltages (S, N), linearised ``at`` node voltages (S, N) or (1, N)."""
        top = self.topology
        if at is None:
            at = self.solve(np.zeros((1, top.n_inputs)), None, None)
        return np.asarray(self._responses(e[None], np.broadcast_to(at, (len(e), top.n_nodes)))[0])

    def _responses(self, currents: FloatArray, V: FloatArray) -> FloatArray:
        """Return the volts (m, S, N) caused by currents (m, S, n_out) into the outputs, linearised at V (S, N)."""
        top = self.topology
        out = np.zeros((*currents.shape[:2], top.n_nodes))
        order = self._search(self._none_held).order
        for rows, factor in self._factors(V, len(currents)):
            into = np.zeros((len(currents), len(V[rows]), order.free.size))
            into[:, :, order.output_position] = currents[:, rows]
            with _no_derivative(rows):
                out[:, rows, order.free] = factor().solve(into)
        return out

    def _factors(self, V: FloatArray, currents: int) -> Iterator[tuple[slice, Callable[[], Factor]]]:
        """Yield parts of a batch, and factors of the circuits linearised at V (S, N), for a number of currents."""
        search = self._search(self._none_held)
        step = max(1, search.linear.chunk // currents)
        for first in range(0, len(V), step):
            rows = slice(first, first + step)
            slopes = self._circuit.slopes(self._circuit.drops(V[rows]))
            yield rows, partial(search.linear.factor, slopes)

    def gradient(self, x: FloatArray, e: FloatArray) -> FloatArray:
        """Return dC/d(theta) (E,), mean over the batch."""
        last = self._last
        if last is not None and np.array_equal(last.x, x):
            return self.gradient_at(last.V, e)
        return self.gradient_at(self.solve(x, None, None), e)

    def gradient_at(self, V: FloatArray, e: FloatArray) -> FloatArray:
        """Return dC/d(theta) (E,), mean over the batch, at node voltages (S, N).

        Notes
        -----
        ``dC/dtheta_k = -(B lam)_k dI_k/dtheta_k`` with lam of the circuit linearised at the operating point.
        """
        lam = self.adjoint(e, V)
        if self._edges_ohmic:
            return drop_products(self.topology.edge_blocks, lam * (-1.0 / len(V)), V)

        def products(some: slice, drops: list[FloatArray]) -> FloatArray:
            back, v = drops
            return np.asarray(np.einsum("se,se->e", back, self._by_edge(_sensitivity, v, some)))

        return -sum_by_edge(self.topology.edges, (lam, V), products) / len(V)

    def output_power(self, x: FloatArray) -> FloatArray:
        """Return the sum over outputs of (dV_out/dtheta)^2 (E,), mean over the batch."""
        V = self.solve(x, None, None)
        total = np.zeros(self.topology.n_edges)

        def squares(some: slice, drops: list[FloatArray]) -> FloatArray:
            back, v = drops
            return np.asarray(((back * self._by_edge(_sensitivity, v, some)) ** 2).sum(axis=0))

        for unit in np.eye(self.topology.n_outputs):
            lam = self.adjoint(np.broadcast_to(unit, (len(V), len(unit))), V)
            total += sum_by_edge(self.topology.edges, (lam, V), squares)
        return total / len(V)

    # --- programmable edges -------------------------------------------------------------------------

    @property
    def _edges_ohmic(self) -> bool:
        return self._circuit.structure.edges_ohmic

    def _by_edge(self, law: Law, drops: FloatArray, some: slice = slice(None)) -> FloatArray:
        """Return what a law gives for some programmable edges (n,) at drops (S, n)."""
        table, thetas = self._circuit.structure.table, self.thetas[: self.topology.n_edges][some]
        which = table.which[: self.topology.n_edges][some]
        if len(which) and (which == which[0]).all():
            return np.asarray(law(table.kinds[which[0]], drops, thetas))
        out = np.empty_like(drops)
        for k in np.unique(which).tolist():
            at = np.flatnonzero(which == k)
            out[:, at] = law(table.kinds[k], drops[:, at], thetas[at])
        return out


def _cocontent(element: Element, drops: FloatArray, thetas: FloatArray) -> FloatArray:
    return element.cocontent(drops, thetas)


def _sensitivity(element: Element, drops: FloatArray, thetas: FloatArray) -> FloatArray:
    return element.sensitivity(drops, thetas)


@contextmanager
def _no_derivative(rows: slice) -> Iterator[None]:
    """Raise ConvergenceError, with the number of the sample, for a part of a batch that is singular."""
    try:
        yield
    except SingularSample as singular:
        raise ConvergenceError(
            f"no derivative at sample {rows.start + singular.sample}: only blocking elements connect a node to "
            "the sources; shunt them with resistors"
        ) from None


@lru_cache(maxsize=_KEPT_ORDERS)
def _node_order(topology: Topology, held: bytes) -> NodeOrder:
    """Return the node order of a graph and the held outputs (bytes of a bool array); circuits share it."""
    return NodeOrder(structure(topology), np.frombuffer(held, dtype=bool))
