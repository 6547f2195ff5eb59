"""Kirchhoff's laws in loop form: cycle space, projector and exact gradient, without node voltages.

Branches are the edges, then the fixed edges, then one ideal source from each input to the ground node (to a
virtual one if there is none). The loop form is an independent check of the node form. It is dense and its cost
grows with the number of loops, so use `Kirchhoff` for speed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import ArrayLike
from scipy.linalg import cho_factor, cho_solve
from scipy.sparse import coo_array, csr_array
from scipy.sparse.csgraph import breadth_first_order, connected_components

from hwlearn.arrays import FloatArray, IntArray
from hwlearn.circuit.batches import gradient_batch
from hwlearn.circuit.kirchhoff import Kirchhoff
from hwlearn.circuit.topology import Topology


def cycle_basis(topology: Topology) -> csr_array:
    """Return a basis of the cycle space: the fundamental cycles of a breadth-first spanning forest.

    Parameters
    ----------
    topology : Topology
        The graph; parallel edges and several connected components are allowed.

    Returns
    -------
    csr_array, shape (C, E')
        One cycle a row, with +1 for a branch along its direction and -1 against it. C = E' - N' + number of
        components, where N' includes the virtual ground node if there is one.

    Examples
    --------
    >>> square = Topology(4, [(0, 1), (1, 2), (2, 3), (3, 0)], inputs=[0], outputs=[1])
    >>> cycle_basis(square).toarray()[:, :4].tolist()
    [[1.0, 1.0, 1.0, 1.0]]
    """
    return _Forest.of(topology).cycles()


def projector(topology: Topology, conductances: ArrayLike) -> FloatArray:
    """Return the projector onto the cycle space, ``Omega = A^T (A R A^T)^-1 A R``.

    Parameters
    ----------
    topology : Topology
        The graph.
    conductances : array_like, shape (E,)
        Siemens, in edge order; positive and finite.

    Returns
    -------
    ndarray, shape (E', E')
        Does not change branch currents that obey Kirchhoff's current law. ``Omega @ Omega`` is Omega, and its
        trace is the number of cycles. The columns of the sources are zero (R = 0).

    Raises
    ------
    CircuitError
        If a conductance is negative, zero, NaN or infinite; the edge is named.
    SingularCircuitError
        If part of the circuit floats.

    Notes
    -----
    Source: Lin, Desai, Barrows, Caravelli, arXiv:2602.03546 (2026).
    """
    loops = _Loops(topology, conductances)
    return loops.closed(np.eye(len(loops.ohms))) * loops.ohms


def gradient(topology: Topology, conductances: ArrayLike, inputs: ArrayLike, error: ArrayLike) -> FloatArray:
    """Return dC/dg (E,), exact, mean over the batch; equal to `Kirchhoff.gradient`.

    Parameters
    ----------
    topology : Topology
        The graph.
    conductances : array_like, shape (E,)
        Siemens, in edge order; positive and finite.
    inputs : array_like, shape (S, n_in)
        Volts.
    error : array_like, shape (S, n_out)
        dC/dV_out of each sample.

    Raises
    ------
    CircuitError
        If a conductance is negative, zero, NaN or infinite, or the inputs or errors do not fit.
    SingularCircuitError
        If part of the circuit floats.

    Notes
    -----
    With ``X = A^T (A R A^T)^-1 A``, branch currents ``i = X s`` and P the tree paths from the outputs to
    ground: ``dC/dR_k = (e^T P (1 - R X))_k i_k`` and ``dC/dg_k = -R_k^2 dC/dR_k``.
    Source: Lin, Desai, Barrows, Caravelli, arXiv:2602.03546 (2026).
    """
    loops = _Loops(topology, conductances)
    x, e = gradient_batch(topology, inputs, error)
    E = topology.n_edges
    sources = np.zeros((len(x), len(loops.ohms)))
    sources[:, len(topology.all_edges) :] = -x
    current = loops.closed(sources)
    path = e @ loops.forest.paths(topology.outputs, np.full(topology.n_outputs, loops.forest.root))
    adjoint = path - loops.closed(path * loops.ohms)
    return np.asarray(-(loops.ohms[:E] ** 2) * np.einsum("se,se->e", adjoint[:, :E], current[:, :E]) / len(x))


class _Loops:
    """The factored loop equations ``A R A^T`` of a circuit."""

    def __init__(self, topology: Topology, conductances: ArrayLike) -> None:
        topology.require_ohmic("the loop form")
        model = Kirchhoff(topology, conductances)  # only to check them
        siemens = np.concatenate([model.conductances, topology.fixed_conductances])
        self.ohms: FloatArray = np.concatenate([1 / siemens, np.zeros(topology.n_inputs)])
        self.forest = _Forest.of(topology)
        self._cycles = self.forest.cycles()
        # positive definite: the sources, the only branches with R = 0, form a star and close no cycle
        self._factor = (
            cho_factor((self._cycles * self.ohms @ self._cycles.T).toarray()) if self._cycles.shape[0] else None
        )

    def closed(self, volts: FloatArray) -> FloatArray:
        """Return the branch currents ``X s`` (S, E') due to source volts (S, E') in the branches."""
        if self._factor is None:
            return np.zeros_like(volts)
        return np.asarray(self._cycles.T @ cho_solve(self._factor, self._cycles @ volts.T)).T


@dataclass(frozen=True, eq=False, slots=True)
class _Forest:
    """A spanning forest of the branches: each node's depth, parent and branch to the parent."""

    branches: IntArray
    root: int
    depth: IntArray
    parent: IntArray
    branch: IntArray
    up: FloatArray

    @classmethod
    def of(cls, topology: Topology) -> Self:
        virtual = topology.ground is None
        root = topology.n_nodes if virtual else int(topology.ground or 0)
        n = topology.n_nodes + virtual
        sources = np.stack([topology.inputs, np.full(topology.n_inputs, root)], axis=1)
        branches = np.concatenate([topology.all_edges, sources])
        a, b = branches.T
        labels = connected_components(coo_array((np.ones(len(a)), (a, b)), shape=(n, n)), directed=False)[1]
        # a node connected to all component roots makes the forest a tree, found by one search
        first = np.unique(labels, return_index=True)[1]
        above = np.full(len(first), n)
        a, b = np.concatenate([a, above]), np.concatenate([b, first])
        graph = coo_array((np.ones(len(a)), (a, b)), shape=(n + 1, n + 1)).tocsr()
        order, parent = breadth_first_order(graph, n, directed=False)
        depth = np.zeros(n + 1, dtype=np.int64)
        for node in order[1:]:
            depth[node] = depth[parent[node]] + 1
        child = np.where(parent[branches[:, 0]] == branches[:, 1], branches[:, 0], branches[:, 1])
        on_tree = parent[child] == branches.sum(axis=1) - child
        # the first of parallel branches is on the tree
        nodes, chosen = np.unique(child[on_tree], return_index=True)
        branch = np.full(n, -1, dtype=np.int64)
        branch[nodes] = np.flatnonzero(on_tree)[chosen]
        up = np.where(branches[branch, 0] == np.arange(n), 1.0, -1.0)
        return cls(branches, root, depth[:n], parent[:n].astype(np.int64), branch, up)

    def paths(self, start: IntArray, stop: IntArray) -> csr_array:
        """Return the signed tree paths (n, E') from each start node to its stop node."""
        which = np.arange(len(start))
        a, b = stop.copy(), start.copy()
        rows, columns, signs = [], [], []
        while (a != b).any():
            apart = a != b
            which, a, b = which[apart], a[apart], b[apart]
            from_start = self.depth[b] >= self.depth[a]
            node = np.where(from_start, b, a)
            rows.append(which)
            columns.append(self.branch[node])
            signs.append(np.where(from_start, self.up[node], -self.up[node]))
            a, b = np.where(from_start, a, self.parent[a]), np.where(from_start, self.parent[b], b)
        none = np.zeros(0, dtype=np.int64)
        at = (np.concatenate([none, *rows]), np.concatenate([none, *columns]))
        return csr_array(
            (np.concatenate([none.astype(float), *signs]), at), shape=(len(start), len(self.branches))
        )

    def cycles(self) -> csr_array:
        """Return the fundamental cycles (C, E'): each branch that is not on the tree, closed through the tree."""
        chords = np.setdiff1d(np.arange(len(self.branches)), self.branch)
        shape = (len(chords), len(self.branches))
        along = csr_array((np.ones(len(chords)), (np.arange(len(chords)), chords)), shape=shape)
        a, b = self.branches[chords].T
        return csr_array(along + self.paths(b, a))
