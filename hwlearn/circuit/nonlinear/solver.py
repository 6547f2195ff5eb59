"""`NonlinearKirchhoff`: Kirchhoff's laws where edges are sinh elements, diodes, or what a user describes."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from functools import cached_property, lru_cache
from typing import Final, Self

import numpy as np
from numpy.typing import ArrayLike

from hwlearn.arrays import BoolArray, FloatArray, IntArray
from hwlearn.circuit.batches import batch, check_inputs, checked_errors, gradient_batch, outputs_batch
from hwlearn.circuit.elements import OHMIC, Element, ElementTable
from hwlearn.circuit.kirchhoff import Kirchhoff
from hwlearn.circuit.nonlinear.currents import Circuit, Rows
from hwlearn.circuit.nonlinear.linearised import Layout, Undetermined
from hwlearn.circuit.nonlinear.newton import PROMISED, OperatingPoint, Search, Unsettled
from hwlearn.circuit.topology import Topology
from hwlearn.errors import ConvergenceError

_KEPT: Final = 8
_KEPT_LAYOUTS: Final = 32
_GRAM_NODES: Final = 2000


class NonlinearKirchhoff(Kirchhoff):
    """A circuit of nonlinear elements: solves it and differentiates it exactly, as `Kirchhoff` does for resistors.

    `Kirchhoff` makes one where the topology has elements, or where it is given some. Conductances are the thetas
    of the edges (see `hwlearn.circuit.elements`). What depends on the operating point has one value a sample.

    Parameters
    ----------
    topology, conductances, allow_open, elements
        As `Kirchhoff` takes them.

    Raises
    ------
    CircuitError
        As `Kirchhoff`.

    Examples
    --------
    >>> from hwlearn.circuit.elements import Sinh
    >>> divider = Topology(3, [(0, 1), (1, 2)], [0], [1], ground=2)
    >>> model = Kirchhoff(divider, [1e-3, 1e-3], elements=Sinh(0.1))
    >>> model.solve([[1.0]]).round(9)
    array([[1. , 0.5, 0. ]])

    Notes
    -----
    The steady state is the minimum of the co-content, found by Newton's method; see `nonlinear.newton`.
    Voltages whose estimated error is beyond 1e-9 of the sample's largest voltage are refused.
    """

    def __init__(
        self,
        topology: Topology,
        conductances: ArrayLike,
        *,
        allow_open: bool = False,
        elements: Element | Iterable[Element] | None = None,
    ) -> None:
        if elements is not None:
            topology = topology.with_elements(elements)
        super().__init__(topology, conductances, allow_open=allow_open)
        self._table = topology.elements or ElementTable.of([OHMIC] * len(topology.all_edges))
        thetas = np.concatenate([self.conductances, topology.fixed_conductances])
        self._circuit = Circuit(topology, thetas, self._table)
        self._searches: OrderedDict[bytes, Search] = OrderedDict()

    @property
    def scale_V(self) -> float:
        """Volts over which the slope of the most nonlinear element changes."""
        return self._table.scale_V

    # --- voltages -----------------------------------------------------------------------------------

    def solve(
        self, inputs: ArrayLike, clamped: ArrayLike | None = None, injected: ArrayLike | None = None
    ) -> FloatArray:
        """Return node volts (S, N); see `Kirchhoff.solve`.

        Raises
        ------
        ConvergenceError
            If a sample's voltages cannot be told to 1e-9 of its largest voltage.
        """
        return self.operating_point(inputs, clamped, injected).V

    def solve_behind(self, inputs: ArrayLike, volts: ArrayLike, siemens: ArrayLike) -> FloatArray:
        """Return node volts (S, N) with the outputs driven from ``volts`` (S, n_out) behind conductances (n_out,).

        NaN leaves an output free.
        """
        top = self.topology
        x = batch(inputs, top.n_inputs, "inputs")
        check_inputs(x)
        y = outputs_batch(volts, top, "volts", len(x))
        kappa = np.where(np.isnan(y), 0.0, np.broadcast_to(np.asarray(siemens, dtype=np.float64), y.shape))
        V = np.zeros((len(x), top.n_nodes))
        V[:, top.inputs] = x
        search = self._search(np.zeros(top.n_outputs, dtype=bool))
        return self._found(search, V, np.arange(len(x)), None, (np.nan_to_num(y), kappa)).V

    def operating_point(
        self, inputs: ArrayLike, clamped: ArrayLike | None = None, injected: ArrayLike | None = None
    ) -> OperatingPoint:
        """Return node volts (S, N) and their estimated errors (S,); takes what `solve` takes."""
        top = self.topology
        x = batch(inputs, top.n_inputs, "inputs")
        check_inputs(x)
        current = None
        if injected is not None:
            current = np.nan_to_num(outputs_batch(injected, top, "injected", len(x)), nan=0.0)
        V, error = np.zeros((len(x), top.n_nodes)), np.zeros(len(x))
        V[:, top.inputs] = x
        held = np.zeros((len(x), top.n_outputs), dtype=bool)
        if clamped is not None:
            volts = outputs_batch(clamped, top, "clamped", len(x))
            held = ~np.isnan(volts)
            V[:, top.outputs] = np.nan_to_num(volts)
        patterns, which = np.unique(held, axis=0, return_inverse=True)
        for k, pattern in enumerate(patterns):
            rows = np.flatnonzero(which.ravel() == k)
            flowing = None if current is None else current[rows]
            point = self._found(self._search(pattern), V[rows], rows, flowing, None)
            V[rows], error[rows] = point.V, point.error_V
        return OperatingPoint(V, error)

    def _found(
        self,
        search: Search,
        V: FloatArray,
        rows: IntArray,
        injected: FloatArray | None,
        loads: tuple[FloatArray, FloatArray] | None,
    ) -> OperatingPoint:
        try:
            return search.find(V, injected, loads)
        except Unsettled as unsettled:
            raise ConvergenceError(
                f"no operating point of sample {rows[unsettled.sample]} to {PROMISED:g} of its largest voltage: "
                f"{unsettled.reason}; reduce the voltages, narrow the range of conductances, or shunt blocking "
                "elements with resistors"
            ) from None

    def _search(self, held: BoolArray) -> Search:
        key = held.tobytes()
        search = self._searches.get(key)
        if search is None:
            search = self._searches[key] = Search(self._circuit, _layout(self.topology, key))
            if len(self._searches) > _KEPT:
                self._searches.popitem(last=False)
        self._searches.move_to_end(key)
        return search

    # --- what follows from the voltages -------------------------------------------------------------

    def edge_currents(self, V: FloatArray) -> FloatArray:
        """Return the currents (S, E) in amperes through the edges, from a to b."""
        return self._of_edges("current", self.drops(V))

    def node_currents(self, V: FloatArray) -> FloatArray:
        """Return the current (S, N) in amperes that the outside pushes into every node; zero at inner ones."""
        return self._circuit.node_currents(V, self._circuit.bent_currents(self._circuit.drops(V)))

    def source_currents(self, V: FloatArray) -> FloatArray:
        """Return the current (S, n_in) in amperes that each input source delivers into the network."""
        return self._input_rows.currents(V, self._circuit.bent_currents(self._circuit.drops(V)))

    def output_currents(self, V: FloatArray) -> FloatArray:
        """Return the current (S, n_out) in amperes that the outside pushes into each output."""
        return self._output_rows.currents(V, self._circuit.bent_currents(self._circuit.drops(V)))

    @cached_property
    def _input_rows(self) -> Rows:
        # sums lose no more digits than the rounding of the voltages does
        return self._circuit.rows(self.topology.inputs)

    @cached_property
    def _output_rows(self) -> Rows:
        return self._circuit.rows(self.topology.outputs)

    def cocontent(self, drops: FloatArray) -> FloatArray:
        """Return d(co-content)/d(theta) (S, E) in V^2 of each edge at the given drops."""
        return self._of_edges("cocontent", drops)

    def contrast(self, high: FloatArray, low: FloatArray, weights: FloatArray) -> FloatArray:
        """Return the weighted sum over samples of d(co-content)/d(theta) at ``high`` minus at ``low``, (E,)."""
        if not self._edges_ohmic or self.topology.n_nodes > _GRAM_NODES:
            return super().contrast(high, low, weights)
        # (D+^2 - D-^2) / 2 = (D+ - D-)(D+ + D-) / 2, summed over samples before it is taken edge by edge
        return 0.5 * self._pair_sums((high - low) * weights[:, None], high + low)

    # --- derivatives at operating points --------------------------------------------------------------

    def output_impedance(self, inputs: ArrayLike | None = None) -> FloatArray:
        """Return Z in ohm of the circuit linearised at its operating points.

        Parameters
        ----------
        inputs : array_like, shape (S, n_in), optional
            Volts; all inputs at 0 V unless given.

        Returns
        -------
        ndarray, shape (S, n_out, n_out), or (n_out, n_out) without inputs
        """
        if inputs is None:
            return self._quiet_impedance.copy()
        n = self.topology.n_outputs
        V = self.solve(inputs)
        units = np.broadcast_to(np.eye(n)[:, None, :], (n, len(V), n))
        Z = self._responses(units, V)[:, :, self.topology.outputs].transpose(1, 2, 0)
        return 0.5 * (Z + Z.transpose(0, 2, 1))

    @cached_property
    def _quiet_impedance(self) -> FloatArray:
        return np.asarray(self.output_impedance(np.zeros((1, self.topology.n_inputs)))[0])

    def output_admittance(self) -> FloatArray:
        """Return Y (n_out, n_out) in siemens with all inputs at 0 V, linearised there."""
        return np.asarray(np.linalg.inv(self._quiet_impedance))

    def adjoint(self, error: ArrayLike, at: FloatArray | None = None) -> FloatArray:
        """Return the adjoint voltages lam (S, N): inputs at 0 V, errors (S, n_out) as currents into outputs.

        The circuit is linearised ``at`` node voltages (S, N), or (1, N) for all; at 0 V inputs unless given.
        """
        top = self.topology
        e = checked_errors(error, top, None)
        if at is None:
            at = self.solve(np.zeros((1, top.n_inputs)))
        return np.asarray(self._responses(e[None], np.broadcast_to(at, (len(e), top.n_nodes)))[0])

    def _responses(self, currents: FloatArray, V: FloatArray) -> FloatArray:
        """Return volts (m, S, N) that currents (m, S, n_out) into the outputs make, linearised at V (S, N)."""
        top = self.topology
        out = np.zeros((*currents.shape[:2], top.n_nodes))
        search = self._search(np.zeros(top.n_outputs, dtype=bool))
        layout, step = search.layout, max(1, search.linear.chunk // len(currents))
        for first in range(0, len(V), step):
            rows = slice(first, first + step)
            slopes = self._circuit.slopes(self._circuit.drops(V[rows]))
            into = np.zeros((len(currents), len(slopes), layout.free.size))
            into[:, :, layout.output_position] = currents[:, rows]
            try:
                out[:, rows, layout.free] = search.linear.factor(slopes).solve(into)
            except Undetermined as lost:
                raise ConvergenceError(
                    f"no derivative at sample {first + lost.sample}: nothing but blocking elements ties a node to "
                    "the sources; shunt them with resistors"
                ) from None
        return out

    def gradient(self, inputs: ArrayLike, error: ArrayLike) -> FloatArray:
        """Return dC/d(theta) (E,), exact, mean over the batch; see `Kirchhoff.gradient`.

        Notes
        -----
        ``dC/dtheta_k = -(B lam)_k dI_k/dtheta_k`` with lam of the circuit linearised at the operating point.
        """
        x, e = gradient_batch(self.topology, inputs, error)
        return self.gradient_at(self.solve(x), e)

    def gradient_at(self, V: FloatArray, error: ArrayLike) -> FloatArray:
        """Return dC/d(theta) (E,), mean over the batch, at node voltages V (S, N) for errors (S, n_out)."""
        lam = self.adjoint(error, V)
        if self._edges_ohmic and self.topology.n_nodes <= _GRAM_NODES:
            return -self._pair_sums(lam, V) / len(V)
        by_theta = self._of_edges("sensitivity", self.drops(V))
        return np.asarray(-np.einsum("se,se->e", self.drops(lam), by_theta) / len(V))

    def output_power(self, inputs: ArrayLike) -> FloatArray:
        """Return the sum over outputs of (dV_out/dtheta)^2 (E,), in V^2/S^2, mean over inputs (S, n_in)."""
        V = self.solve(inputs)
        by_theta = self._of_edges("sensitivity", self.drops(V))
        power = np.zeros(self.topology.n_edges)
        for unit in np.eye(self.topology.n_outputs):
            back = self.drops(self.adjoint(np.broadcast_to(unit, (len(V), len(unit))), V))
            power += ((back * by_theta) ** 2).mean(axis=0)
        return power

    # --- edge by edge -------------------------------------------------------------------------------

    @cached_property
    def _edges_ohmic(self) -> bool:
        return bool(self._table.ohmic[: self.topology.n_edges].all())

    def _of_edges(self, what: str, drops: FloatArray) -> FloatArray:
        """Return what the elements of the programmable edges answer at drops (S, E)."""
        n = self.topology.n_edges
        if self._edges_ohmic:
            return np.asarray(getattr(OHMIC, what)(drops, self.conductances))
        out = np.empty_like(drops)
        for k, kind in enumerate(self._table.kinds):
            at = np.flatnonzero(self._table.which[:n] == k)
            out[:, at] = getattr(kind, what)(drops[:, at], self.conductances[at])
        return out

    def _pair_sums(self, U: FloatArray, V: FloatArray) -> FloatArray:
        """Return the sum over samples (E,) of the drops of U times those of V."""
        sums = U.T @ V
        a, b = self.topology.edges.T
        own = np.einsum("sn,sn->n", U, V)
        return np.asarray(own[a] + own[b] - sums[a, b] - sums[b, a])

    def with_conductances(self, conductances: ArrayLike) -> Self:
        """Return the same circuit with other thetas (E,) in siemens."""
        return type(self)(self.topology, conductances, allow_open=self.allow_open)


@lru_cache(maxsize=_KEPT_LAYOUTS)
def _layout(topology: Topology, held: bytes) -> Layout:
    """Return the layout of a graph and the outputs (bytes of a bool array) that are held; circuits share them."""
    return Layout(topology, np.frombuffer(held, dtype=bool))
