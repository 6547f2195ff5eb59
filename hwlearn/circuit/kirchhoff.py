"""Kirchhoff's laws in node form: voltages, currents, output impedance and the exact gradient."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from functools import cached_property
from typing import Any, Final, Self, cast

import numpy as np
from numpy.typing import ArrayLike

from hwlearn.arrays import BoolArray, FloatArray, IntArray
from hwlearn.circuit.batches import batch, check_inputs, checked_errors, gradient_batch, outputs_batch
from hwlearn.circuit.elements.kinds import Element
from hwlearn.circuit.linear.factor import FactoredSystem, WeaklyTied, plan_for
from hwlearn.circuit.linear.lineage import Lineage
from hwlearn.circuit.linear.outflow import outflow
from hwlearn.circuit.linear.reduction import ReducedSystem
from hwlearn.circuit.topology import Topology
from hwlearn.errors import CircuitError, SingularCircuitError

_KEPT_FACTORS: Final = 8
_NUMBERS_AT_ONCE: Final = 1 << 14


class Kirchhoff:
    """A resistor network with known conductances: solves it and differentiates it exactly.

    The object is a value: conductances do not change, `with_conductances` makes another one. Each set of
    held nodes is factored once, when first needed, and serves every batch from then on.

    Parameters
    ----------
    topology : Topology
        The graph.
    conductances : array_like, shape (E,)
        Siemens, in edge order; positive and finite.
    allow_open : bool
        Take zero conductance as an open edge, as long as every node stays tied to a source.
    elements : Element, or sequence of Element, shape (E,) or (E + F,), optional
        What the edges are, in place of the topology's; see `hwlearn.circuit.nonlinear.solver`.

    Raises
    ------
    CircuitError
        If a conductance is negative, zero (unless allowed), NaN or infinite; the edge is named.
    SingularCircuitError
        If part of the circuit floats, or the equations cannot be solved in double precision.

    Examples
    --------
    >>> from hwlearn.circuit.topology import Topology
    >>> divider = Kirchhoff(Topology(3, [(0, 1), (1, 2)], [0], [1], ground=2), [1e-3, 3e-3])
    >>> divider.solve([[1.0]])
    array([[1.  , 0.25, 0.  ]])

    Notes
    -----
    Voltages are in volts against ground, currents into a node count positive, the sample axis is first.
    Source: Lin, Desai, Barrows, Caravelli, arXiv:2602.03546 (2026).
    """

    def __new__(
        cls,
        topology: Topology | None = None,
        conductances: ArrayLike = (),
        *,
        allow_open: bool = False,
        elements: Element | Iterable[Element] | None = None,
    ) -> Self:
        """Return a `NonlinearKirchhoff` where an edge is no resistor."""
        if cls is Kirchhoff and (elements is not None or (topology is not None and topology.elements is not None)):
            from hwlearn.circuit.nonlinear.solver import NonlinearKirchhoff  # it derives from this class

            return cast(Self, object.__new__(NonlinearKirchhoff))
        return object.__new__(cls)

    def __init__(
        self,
        topology: Topology,
        conductances: ArrayLike,
        *,
        allow_open: bool = False,
        elements: Element | Iterable[Element] | None = None,
    ) -> None:
        self.topology = topology
        self.allow_open = allow_open
        self.conductances: FloatArray = _checked_conductances(topology, conductances, allow_open)
        self._all_conductances = (
            np.concatenate([self.conductances, topology.fixed_conductances])
            if len(topology.fixed_conductances)
            else self.conductances
        )
        self._systems: OrderedDict[bytes, FactoredSystem | ReducedSystem] = OrderedDict()
        self._lineage = Lineage(self._all_conductances)
        floating = topology.floating_nodes(self.conductances > 0) if allow_open else topology.floating
        if floating.size:
            names = ", ".join(topology.names[n] for n in floating[:5])
            raise SingularCircuitError(
                f"singular circuit: no conducting path ties {len(floating)} node(s) to a source: {names}"
            )

    def with_conductances(self, conductances: ArrayLike) -> Self:
        """Return the same circuit with other conductances (E,) in siemens.

        Where the same few edges keep changing from one circuit to the next, as in subset training, a large
        circuit is solved on the nodes that they touch: everything else is eliminated once and shared.
        """
        other = type(self)(self.topology, conductances, allow_open=self.allow_open)
        other._lineage = self._lineage.child(other._all_conductances)
        return other

    def __getstate__(self) -> dict[str, Any]:
        # factors cannot be pickled, and are soon made anew
        return self.__dict__ | {"_systems": OrderedDict(), "_lineage": Lineage(self._all_conductances)}

    # --- voltages -----------------------------------------------------------------------------------

    def solve(
        self, inputs: ArrayLike, clamped: ArrayLike | None = None, injected: ArrayLike | None = None
    ) -> FloatArray:
        """Solve the circuit for a batch.

        Parameters
        ----------
        inputs : array_like, shape (S, n_in)
            Volts at the inputs.
        clamped : array_like, shape (S, n_out), optional
            Volts at which outputs are held; NaN leaves that output free.
        injected : array_like, shape (S, n_out), optional
            Amperes pushed into the outputs; NaN counts as none. At a clamped output the clamp takes it up.

        Returns
        -------
        ndarray, shape (S, N)
            Volts at every node.

        Raises
        ------
        CircuitError
            If a shape does not fit or a value is not finite.
        """
        top = self.topology
        x = batch(inputs, top.n_inputs, "inputs")
        check_inputs(x)
        current = None
        if injected is not None:
            current = np.nan_to_num(outputs_batch(injected, top, "injected", len(x)), nan=0.0)
        if clamped is None:
            return self._solve_pattern(x, None, current)
        volts = outputs_batch(clamped, top, "clamped", len(x))
        held = ~np.isnan(volts)
        if not len(x) or (held == held[0]).all():
            return self._solve_pattern(x, volts, current)
        V = np.empty((len(x), top.n_nodes))
        patterns, which = np.unique(held, axis=0, return_inverse=True)
        for k in range(len(patterns)):
            rows = np.flatnonzero(which.ravel() == k)
            V[rows] = self._solve_pattern(x[rows], volts[rows], None if current is None else current[rows])
        return V

    def observe(self, inputs: ArrayLike, outputs: ArrayLike) -> FloatArray:
        """Estimate all node voltages (S, N) from measured terminals: inputs (S, n_in), outputs (S, n_out).

        Inputs and outputs are held at what was measured and the inner nodes solved for. Errors of the
        model stay inside the network because both ends are pinned to measurements.
        """
        return self.solve(inputs, clamped=outputs)

    def _solve_pattern(self, x: FloatArray, volts: FloatArray | None, current: FloatArray | None) -> FloatArray:
        """Solve a batch in which every sample holds the same set of outputs."""
        top = self.topology
        V = np.zeros((len(x), top.n_nodes))
        V[:, top.inputs] = x
        held = np.zeros(top.n_outputs, dtype=bool)
        if volts is not None and len(x):
            held = ~np.isnan(volts[0])
            V[:, top.outputs[held]] = volts[:, held]
        system = self._system(held)
        if system.free.size:
            rhs = system.from_held(V)
            if current is not None:
                open_outputs = ~held
                rhs[:, system.position[top.outputs[open_outputs]]] += current[:, open_outputs]
            try:
                V[:, system.free] = system.solve(rhs)
            except WeaklyTied as weak:
                raise self._singular(weak) from None
        return V

    def _singular(self, weak: WeaklyTied) -> SingularCircuitError:
        return SingularCircuitError(
            f"singular circuit: {self.topology.names[weak.node]} is tied to the sources by so little beside its "
            "other conductances that double precision cannot tell its voltage; narrow their range, or make nodes "
            "that a near-ideal wire joins one node"
        )

    def _system(self, held: BoolArray) -> FactoredSystem | ReducedSystem:
        key = held.tobytes()
        system = self._systems.get(key)
        if system is None:
            try:
                system = self._lineage.factor(plan_for(self.topology, key), key, self._all_conductances)
            except WeaklyTied as weak:
                raise self._singular(weak) from None
            self._systems[key] = system
            if len(self._systems) > _KEPT_FACTORS:
                self._systems.popitem(last=False)
        self._systems.move_to_end(key)
        return system

    # --- what follows from the voltages -------------------------------------------------------------

    def drops(self, V: FloatArray) -> FloatArray:
        """Return the drops (S, E) in volts across the edges, a minus b, of node voltages (S, N)."""
        edges = self.topology.edges
        return V[:, edges[:, 0]] - V[:, edges[:, 1]]

    def edge_currents(self, V: FloatArray) -> FloatArray:
        """Return the currents (S, E) in amperes through the edges, from a to b."""
        return self.drops(V) * self.conductances

    def node_currents(self, V: FloatArray) -> FloatArray:
        """Return the current (S, N) in amperes that the outside pushes into every node; zero at inner ones."""
        return outflow(self.topology, "everywhere").currents(V, self._all_conductances)

    def source_currents(self, V: FloatArray) -> FloatArray:
        """Return the current (S, n_in) in amperes that each input source delivers into the network."""
        return outflow(self.topology, "inputs").currents(V, self._all_conductances)

    def output_currents(self, V: FloatArray) -> FloatArray:
        """Return the current (S, n_out) in amperes that the outside pushes into each output."""
        return outflow(self.topology, "outputs").currents(V, self._all_conductances)

    def estimated_error(self, clamped: ArrayLike | None = None) -> float:
        """Return the estimated error of solved voltages, relative to the largest voltage of a sample.

        Parameters
        ----------
        clamped : array_like, shape (n_out,), optional
            As in `solve`, one sample: which outputs are held (not NaN). None unless given.

        Raises
        ------
        SingularCircuitError
            If it exceeds `hwlearn.circuit.linear.factor.ERROR_BOUND`, 1e-10: such a circuit is never solved.
        CircuitError
            If elements are nonlinear: their error depends on the inputs and comes with each operating point.
        """
        if np.isfinite(self.scale_V):
            raise CircuitError(
                "the error of a nonlinear circuit depends on its inputs; ask operating_point(inputs).error_V"
            )
        held = np.zeros(self.topology.n_outputs, dtype=bool)
        if clamped is not None:
            held = ~np.isnan(outputs_batch(clamped, self.topology, "clamped", 1)[0])
        return self._system(held).estimated_error

    def power(self, V: FloatArray) -> FloatArray:
        """Return the power (S,) in watts dissipated in all edges, the fixed ones included."""
        edges = self.topology.all_edges
        drops = V[:, edges[:, 0]] - V[:, edges[:, 1]]
        return np.asarray((drops**2) @ self._all_conductances)

    def output_impedance(self, inputs: ArrayLike | None = None) -> FloatArray:
        """Return Z (n_out, n_out) in ohm: volts at output i per ampere into output j, inputs held.

        Resistors have the same at all ``inputs``; other elements have one a sample, see `NonlinearKirchhoff`.
        """
        return self._output_impedance.copy()

    @cached_property
    def _output_impedance(self) -> FloatArray:
        top = self.topology
        system = self._system(np.zeros(top.n_outputs, dtype=bool))
        at = system.position[top.outputs]
        unit = np.zeros((top.n_outputs, system.free.size))
        unit[np.arange(top.n_outputs), at] = 1.0
        try:
            Z = system.solve(unit)[:, at]
        except WeaklyTied as weak:
            raise self._singular(weak) from None
        return np.asarray(0.5 * (Z + Z.T))

    def output_admittance(self) -> FloatArray:
        """Return Y (n_out, n_out) in siemens, the Kron-reduced conductance of the outputs, inputs held."""
        top = self.topology
        V = np.zeros((top.n_outputs, top.n_inputs))
        Y = self.output_currents(self.solve(V, clamped=np.eye(top.n_outputs)))
        return 0.5 * (Y + Y.T)

    def adjoint(self, error: ArrayLike, at: FloatArray | None = None) -> FloatArray:
        """Return the adjoint voltages lam (S, N): inputs at 0 V, errors (S, n_out) as currents into outputs.

        Resistors have the same at all operating points ``at``, node voltages (S, N).
        """
        e = checked_errors(error, self.topology, None)
        return self.solve(np.zeros((len(e), self.topology.n_inputs)), injected=e)

    def gradient(self, inputs: ArrayLike, error: ArrayLike) -> FloatArray:
        """Return dC/dg (E,), exact, mean over the batch.

        Parameters
        ----------
        inputs : array_like, shape (S, n_in)
            Volts.
        error : array_like, shape (S, n_out)
            dC/dV_out of each sample.

        Raises
        ------
        CircuitError
            If a shape does not fit, a value is not finite, or there is no sample.

        Notes
        -----
        ``dC/dg_k = -(B lam)_k (B V)_k`` with the adjoint voltages lam.
        """
        x, e = gradient_batch(self.topology, inputs, error)
        # both at once: a factor takes many right-hand sides for little more than a few
        volts, currents = np.zeros((2 * len(x), x.shape[1])), np.zeros((2 * len(x), e.shape[1]))
        volts[: len(x)], currents[len(x) :] = x, e
        V = self._solve_pattern(volts, None, currents)
        return -drop_products(self.topology.edges, V) / len(x)

    def gradient_at(self, V: FloatArray, error: ArrayLike) -> FloatArray:
        """Return dC/dg (E,), mean over the batch, at node voltages V (S, N) for errors (S, n_out)."""
        back = np.broadcast_to(self.adjoint(error), V.shape)
        return -drop_products(self.topology.edges, np.concatenate([V, back])) / len(V)

    def contrast(self, high: FloatArray, low: FloatArray, weights: FloatArray) -> FloatArray:
        """Return the weighted sum over samples of d(co-content)/dg at ``high`` minus at ``low``, (E,).

        Node voltages (S, N), weights (S,).
        """
        rise = self.cocontent(self.drops(high)) - self.cocontent(self.drops(low))
        return np.asarray(weights @ rise)

    def output_power(self, inputs: ArrayLike) -> FloatArray:
        """Return the sum over outputs of (dV_out/dg)^2 (E,), in V^2/S^2, mean over inputs (S, n_in)."""
        D = self.drops(self.solve(inputs))
        back = self.drops(self.adjoint(np.eye(self.topology.n_outputs)))
        return np.asarray(np.einsum("oe,oe->e", back, back) * np.einsum("se,se->e", D, D) / len(D))

    @property
    def scale_V(self) -> float:
        """Volts over which the slope of any element changes; infinite for resistors."""
        return np.inf

    def cocontent(self, drops: FloatArray) -> FloatArray:
        """Return d(co-content)/dg (S, E) of each edge at the given drops: v^2 / 2 for an ohmic edge."""
        return 0.5 * drops**2


def drop_products(edges: IntArray, both: FloatArray) -> FloatArray:
    """Return the sum over samples (E,) of drops times drops: of the first half of V (2 S, N) and the second."""
    S = len(both) // 2
    # samples innermost, and few edges at a time, so that what is gathered stays in the cache
    V, (a, b) = np.ascontiguousarray(both.T), np.ascontiguousarray(edges.T)
    out, step = np.empty(len(edges)), max(1, _NUMBERS_AT_ONCE // max(1, 2 * S))
    for k in range(0, len(edges), step):
        some = slice(k, k + step)
        drops = V.take(a[some], axis=0)
        drops -= V.take(b[some], axis=0)
        out[some] = np.einsum("es,es->e", drops[:, :S], drops[:, S:])
    return out


def _checked_conductances(topology: Topology, conductances: ArrayLike, allow_open: bool) -> FloatArray:
    try:
        g = np.array(conductances, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise CircuitError(f"conductances must be numbers, shape ({topology.n_edges},)") from error
    if g.shape != (topology.n_edges,):
        raise CircuitError(f"conductances must have shape ({topology.n_edges},), one an edge, got {g.shape}")
    wrong = ~((g >= 0 if allow_open else g > 0) & np.isfinite(g))
    if wrong.any():
        k = int(np.flatnonzero(wrong)[0])
        kind = "NaN" if np.isnan(g[k]) else "infinite" if np.isinf(g[k]) else "zero" if g[k] == 0 else "negative"
        more = f" (and {wrong.sum() - 1} more)" if wrong.sum() > 1 else ""
        raise CircuitError(
            f"{kind} conductance {g[k]:g} S at {topology.edge_name(k)}{more}; "
            "conductances must be positive and finite"
        )
    g.flags.writeable = False
    return g
