"""Kirchhoff's laws in node form: voltages, currents, output impedance and the exact gradient."""

from __future__ import annotations

from collections import OrderedDict
from functools import lru_cache
from typing import Final, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.linalg.lapack import dpotrf, dpotrs
from scipy.sparse import csc_array
from scipy.sparse.linalg import splu

from hwlearn.circuit.topology import FloatArray, IntArray, Topology, incidence
from hwlearn.errors import CircuitError, SingularCircuitError

DENSE_NODES: Final = 320
"""Up to this many unknown nodes a dense Cholesky factor is used, above it a sparse one."""

_KEPT_FACTORS: Final = 8
_REFINED_ABOVE: Final = 1e-10  # relative error of the factor's own solution
_REFUSED_ABOVE: Final = 1e-8
_REFINEMENTS: Final = 3


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

    def __init__(self, topology: Topology, conductances: ArrayLike, *, allow_open: bool = False) -> None:
        self.topology = topology
        self.allow_open = allow_open
        self.conductances: FloatArray = _checked_conductances(topology, conductances, allow_open)
        self._all_conductances = (
            np.concatenate([self.conductances, topology.fixed_conductances])
            if len(topology.fixed_conductances)
            else self.conductances
        )
        self._systems: OrderedDict[bytes, _System] = OrderedDict()
        floating = topology.floating_nodes(self.conductances > 0) if allow_open else topology.floating
        if floating.size:
            names = ", ".join(topology.names[n] for n in floating[:5])
            raise SingularCircuitError(
                f"singular circuit: no conducting path ties {len(floating)} node(s) to a source: {names}"
            )

    def with_conductances(self, conductances: ArrayLike) -> Self:
        """Return the same circuit with other conductances (E,) in siemens."""
        return type(self)(self.topology, conductances, allow_open=self.allow_open)

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
        _check_inputs(x)
        current = None
        if injected is not None:
            current = np.nan_to_num(_outputs_batch(injected, top, "injected", len(x)), nan=0.0)
        if clamped is None:
            return self._solve_pattern(x, None, current)
        volts = _outputs_batch(clamped, top, "clamped", len(x))
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
            V[:, system.free] = system.solve(rhs)
        return V

    def _system(self, held: NDArray[np.bool_]) -> _System:
        key = held.tobytes()
        system = self._systems.get(key)
        if system is None:
            try:
                system = _System(_plan(self.topology, key), self._all_conductances)
            except _Weak as weak:
                raise SingularCircuitError(
                    f"singular circuit: {self.topology.names[weak.node]} is tied to the sources by so little "
                    "beside its other conductances that double precision cannot tell its voltage; narrow their "
                    "range, or make nodes that a near-ideal wire joins one node"
                ) from None
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
        edges = self.topology.all_edges
        flow = (V[:, edges[:, 0]] - V[:, edges[:, 1]]) * self._all_conductances
        return np.asarray(self.topology.all_incidence.T @ flow.T).T

    def source_currents(self, V: FloatArray) -> FloatArray:
        """Return the current (S, n_in) in amperes that each input source delivers into the network."""
        return self.node_currents(V)[:, self.topology.inputs]

    def output_currents(self, V: FloatArray) -> FloatArray:
        """Return the current (S, n_out) in amperes that the outside pushes into each output."""
        return self.node_currents(V)[:, self.topology.outputs]

    def power(self, V: FloatArray) -> FloatArray:
        """Return the power (S,) in watts dissipated in all edges, the fixed ones included."""
        edges = self.topology.all_edges
        drops = V[:, edges[:, 0]] - V[:, edges[:, 1]]
        return np.asarray((drops**2) @ self._all_conductances)

    def output_impedance(self) -> FloatArray:
        """Return Z (n_out, n_out) in ohm: volts at output i per ampere into output j, inputs held."""
        top = self.topology
        system = self._system(np.zeros(top.n_outputs, dtype=bool))
        at = system.position[top.outputs]
        unit = np.zeros((top.n_outputs, system.free.size))
        unit[np.arange(top.n_outputs), at] = 1.0
        Z = system.solve(unit)[:, at]
        return 0.5 * (Z + Z.T)

    def output_admittance(self) -> FloatArray:
        """Return Y (n_out, n_out) in siemens, the Kron-reduced conductance of the outputs, inputs held."""
        top = self.topology
        V = np.zeros((top.n_outputs, top.n_inputs))
        Y = self.output_currents(self.solve(V, clamped=np.eye(top.n_outputs)))
        return 0.5 * (Y + Y.T)

    def adjoint(self, error: ArrayLike) -> FloatArray:
        """Return the adjoint voltages lam (S, N): inputs at 0 V, errors (S, n_out) as currents into outputs."""
        e = _errors(error, self.topology, None)
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
        back = self.drops(self.adjoint(e))
        return np.asarray(-np.einsum("se,se->e", back, self.drops(self.solve(x))) / len(x))

    def cocontent(self, drops: FloatArray) -> FloatArray:
        """Return d(co-content)/dg (S, E) of each edge at the given drops: v^2 / 2 for an ohmic edge."""
        return 0.5 * drops**2


class _Plan:
    """Where conductances go in the equations of one set of held nodes; depends on the graph alone."""

    def __init__(self, topology: Topology, held: NDArray[np.bool_]) -> None:
        n = topology.n_nodes
        pinned = np.zeros(n, dtype=bool)
        pinned[topology.driven] = True
        pinned[topology.outputs[held]] = True
        self.free: IntArray = np.flatnonzero(~pinned)
        self.pinned: IntArray = np.flatnonzero(pinned)
        self.position = np.full(n, -1, dtype=np.int64)
        self.position[self.free] = np.arange(self.free.size)
        at_pin = np.full(n, -1, dtype=np.int64)
        at_pin[self.pinned] = np.arange(self.pinned.size)
        a, b = topology.all_edges.T
        pa, pb = self.position[a], self.position[b]
        a_free, b_free = pa >= 0, pb >= 0
        both, only_a, only_b = a_free & b_free, a_free & ~b_free, ~a_free & b_free
        k = np.arange(len(a))
        self.dense = self.free.size <= DENSE_NODES
        # free-free part: +g on the diagonal at each free end, -g off the diagonal
        self.rows = np.concatenate([pa[a_free], pb[b_free], pa[both], pb[both]])
        self.columns = np.concatenate([pa[a_free], pb[b_free], pb[both], pa[both]])
        self.source = np.concatenate([k[a_free], k[b_free], k[both], k[both]])
        self.sign = np.concatenate([np.ones(a_free.sum() + b_free.sum()), -np.ones(2 * both.sum())])
        # free-pinned part, moved to the right-hand side: +g
        self.coupling_rows = np.concatenate([at_pin[b[only_a]], at_pin[a[only_b]]])
        self.coupling_columns = np.concatenate([pa[only_a], pb[only_b]])
        self.coupling_source = np.concatenate([k[only_a], k[only_b]])
        self.inner = np.stack([pa[both], pb[both]], axis=1)
        self.inner_source = k[both]
        self.flat = self.rows * self.free.size + self.columns
        self.coupling_flat = self.coupling_rows * self.free.size + self.coupling_columns


class _System:
    """The factored equations of one set of held nodes.

    With every held node at 1 V every free node must be at 1 V: how far a solution is from that tells how far
    rounding, which acts like a false leak to ground, has got. Weakly tied nodes are refined or refused by it.
    """

    def __init__(self, plan: _Plan, g: FloatArray) -> None:
        self.free, self.position, self._pinned = plan.free, plan.position, plan.pinned
        n, m = plan.free.size, plan.pinned.size
        self._coupling: FloatArray | csc_array
        self._dense = plan.dense
        self._refinements = 0
        if n == 0:
            return
        values, coupling = plan.sign * g[plan.source], g[plan.coupling_source]
        if plan.dense:
            matrix = np.bincount(plan.flat, weights=values, minlength=n * n).reshape(n, n)
            self._coupling = np.bincount(plan.coupling_flat, weights=coupling, minlength=m * n).reshape(m, n)
            self._cholesky, info = dpotrf(matrix, lower=1, overwrite_a=0)
            if info != 0:
                raise _Weak(plan.free[info - 1])
        else:
            sparse = csc_array((values, (plan.rows, plan.columns)), shape=(n, n))
            self._coupling = csc_array((coupling, (plan.coupling_rows, plan.coupling_columns)), shape=(m, n))
            try:
                # symmetric mode: no pivoting is needed for a positive definite matrix
                self._lu = splu(
                    sparse, permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.0, options={"SymmetricMode": True}
                )
            except RuntimeError:
                raise _Weak(plan.free[np.argmax(sparse.diagonal())]) from None
        leak = np.ones(m) @ self._coupling
        error = np.abs(self._factor_solve(leak) - 1.0)
        if not error.max() < _REFINED_ABOVE:
            self._refinements = _REFINEMENTS
            self._leak = leak[:, None]
            self._inner_incidence = incidence(plan.inner, n)
            self._inner_g = g[plan.inner_source][:, None]
            error = np.abs(self.solve(leak[None, :])[0] - 1.0)
            if not error.max() < _REFUSED_ABOVE:
                raise _Weak(plan.free[np.argmax(error)])

    def from_held(self, V: FloatArray) -> FloatArray:
        """Return the currents (S, n_free) that the held nodes push into the free ones."""
        return np.asarray(V[:, self._pinned] @ self._coupling)

    def solve(self, currents: FloatArray) -> FloatArray:
        """Return the voltages (S, n_free) of the free nodes for currents (S, n_free) into them."""
        if not len(currents):
            return currents
        V = self._factor_solve(currents.T)
        for _ in range(self._refinements):
            # from the drops, which keep the digits that the sums on the matrix's diagonal have lost
            B = self._inner_incidence
            V = V + self._factor_solve(currents.T - self._leak * V - B.T @ (self._inner_g * (B @ V)))
        return np.asarray(V.T)

    def _factor_solve(self, currents: FloatArray) -> FloatArray:
        if self._dense:
            return np.asarray(dpotrs(self._cholesky, currents, lower=1)[0])
        return np.asarray(self._lu.solve(np.ascontiguousarray(currents)))


class _Weak(Exception):
    """A node whose voltage double precision cannot tell."""

    def __init__(self, node: int) -> None:
        self.node = node


def batch(values: ArrayLike, columns: int, what: str) -> FloatArray:
    """Return values as a float array (S, columns); one sample may come without its sample axis.

    Raises
    ------
    CircuitError
        If they have another shape or are no numbers; ``what`` names them.
    """
    try:
        array = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise CircuitError(f"{what} must be numbers, shape (samples, {columns})") from error
    if array.ndim == 1:
        array = array[None, :]
    if array.ndim != 2 or array.shape[1] != columns:
        raise CircuitError(f"{what} must have shape (samples, {columns}), got {np.shape(values)}")
    return array


def gradient_batch(topology: Topology, inputs: ArrayLike, error: ArrayLike) -> tuple[FloatArray, FloatArray]:
    """Return inputs (S, n_in) in volts and errors (S, n_out) that a gradient can be taken of.

    Raises
    ------
    CircuitError
        If a shape does not fit, a value is not finite, or there is no sample.
    """
    x = batch(inputs, topology.n_inputs, "inputs")
    _check_inputs(x)
    if not len(x):
        raise CircuitError("no samples: the mean gradient over an empty batch does not exist")
    return x, _errors(error, topology, len(x))


def _errors(values: ArrayLike, topology: Topology, samples: int | None) -> FloatArray:
    error = _outputs_batch(values, topology, "error", samples)
    if np.isnan(error).any():
        sample, k = np.argwhere(np.isnan(error))[0]
        raise CircuitError(
            f"error of sample {sample} at output {topology.names[topology.outputs[k]]} is NaN; leave samples "
            "without a valid reading out of the batch"
        )
    return error


def _check_inputs(x: FloatArray) -> None:
    if not np.isfinite(x).all():
        raise CircuitError("inputs contain NaN or infinity; every input voltage must be a number")


def _outputs_batch(values: ArrayLike, topology: Topology, what: str, samples: int | None) -> FloatArray:
    array = batch(values, topology.n_outputs, what)
    if np.isinf(array).any():
        raise CircuitError(f"{what} contain infinity")
    if samples is not None and len(array) != samples:
        if len(array) != 1:
            raise CircuitError(f"{what} has {len(array)} samples, inputs have {samples}")
        array = np.broadcast_to(array, (samples, array.shape[1]))
    return array


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


@lru_cache(maxsize=4 * _KEPT_FACTORS)
def _plan(topology: Topology, held: bytes) -> _Plan:
    # index plans depend on the graph alone, so every Kirchhoff on it shares them
    return _Plan(topology, np.frombuffer(held, dtype=bool))
