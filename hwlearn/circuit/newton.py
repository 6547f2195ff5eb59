"""Newton's method for circuits of nonlinear elements: a batch of operating points at once, with their errors.

Each step solves the circuit linearised at one drop for each edge. Where a tangent of an exponential would
overshoot, that is the drop whose current the tangent promised (`Element.linearised_at`). Samples that this does
not settle are taken on by damped steps: along Newton's direction the co-content, which is convex, falls until its
slope is nearly zero; a step ends where it still falls.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from hwlearn.circuit.elements import ElementTable
from hwlearn.circuit.linearised import Factor, Layout, Linearised, Undetermined
from hwlearn.circuit.topology import FloatArray, IntArray, Topology, incidence

PROMISED: Final = 1e-9
"""Largest estimated error of a voltage, relative to the largest voltage of its sample; more is refused."""

_SETTLED: Final = 1e-11  # of the largest voltage: a step this small ends the search
_ROUNDING: Final = 4 * float(np.finfo(np.float64).eps)
_LIMITED_STEPS: Final = 60
_DAMPED_STEPS: Final = 150
_HALVINGS: Final = 60
_SLOPE_LEFT: Final = 0.9
_OVERSHOT: Final = 0.01
_REACH: Final = 10.0  # a damped step goes no farther than so many times the voltages there are
_TRUSTED: Final = 1e-3  # relative error of the linear solutions up to which their error bounds count
_DENSE_NODES: Final = 1500


@dataclass(frozen=True, eq=False, slots=True)
class OperatingPoint:
    """Steady states of a batch.

    Attributes
    ----------
    V : ndarray, shape (S, N)
        Volts at every node.
    error_V : ndarray, shape (S,)
        Estimated largest error of any voltage in volts: the last correction, and what rounding can do.
    """

    V: FloatArray
    error_V: FloatArray


class Unsettled(Exception):
    """A sample whose operating point was not found well enough."""

    def __init__(self, sample: int, reason: str) -> None:
        self.sample, self.reason = sample, reason


class Circuit:
    """The currents of a circuit whose elements and thetas are known, for any node voltages.

    Parameters
    ----------
    topology : Topology
        With elements.
    thetas : ndarray, shape (E + F,)
        Siemens.
    """

    def __init__(self, topology: Topology, thetas: FloatArray, table: ElementTable) -> None:
        self.topology, self.thetas, self.table = topology, thetas, table
        edges = topology.all_edges
        ohmic = table.ohmic
        self.bent = np.flatnonzero(~ohmic)
        self._a, self._b = edges[self.bent].T
        straight = np.flatnonzero(ohmic)
        self.ohmic_siemens = self._g = thetas[straight]
        self._straight = incidence(edges[straight], topology.n_nodes)
        self._bent_incidence = incidence(edges[self.bent], topology.n_nodes)
        self._groups = [
            (kind, np.searchsorted(self.bent, numbers), thetas[numbers]) for kind, numbers in table.groups
        ]
        laplacian = self._straight.T @ (self._straight * self._g[:, None])
        self._laplacian = laplacian.toarray() if topology.n_nodes <= _DENSE_NODES else laplacian.tocsr()

    def drops(self, V: FloatArray) -> FloatArray:
        """Return the drops (S, K) across the bent edges."""
        return V[:, self._a] - V[:, self._b]

    def bent_currents(self, v: FloatArray) -> FloatArray:
        """Return the currents (S, K) at drops (S, K)."""
        return self._each("current", v)

    def slopes(self, v: FloatArray) -> FloatArray:
        """Return the slopes (S, K) at drops (S, K)."""
        return self._each("slope", v)

    def linearised_at(self, v: FloatArray, before: FloatArray) -> FloatArray:
        """Return where to linearise next, (S, K)."""
        out = np.empty_like(v)
        for kind, at, _ in self._groups:
            out[:, at] = kind.linearised_at(v[:, at], before[:, at])
        return out

    def in_range(self, v: FloatArray) -> NDArray[np.bool_]:
        """Return which samples (S,) have every bent edge in the range of its law."""
        inside = np.ones(len(v), dtype=np.bool_)
        for kind, at, _ in self._groups:
            inside &= kind.in_range(v[:, at]).all(axis=1)
        return inside

    def node_currents(self, V: FloatArray, bent: FloatArray) -> FloatArray:
        """Return the current (S, N) that leaves each node, for currents (S, K) in the bent edges."""
        straight = self._straight.T @ (self._g[:, None] * (self._straight @ V.T))
        return np.asarray((straight + self._bent_incidence.T @ bent.T).T)

    def rounding(self, V: FloatArray, bent: FloatArray) -> FloatArray:
        """Return a bound (S, N) of what rounding makes of `node_currents`; ``bent`` (S, K): sizes of its parts."""
        straight = abs(self._straight).T @ (self._g[:, None] * np.abs(self._straight @ V.T))
        return np.asarray(_ROUNDING * (straight + abs(self._bent_incidence).T @ bent.T).T)

    def rows(self, nodes: IntArray) -> Rows:
        """Return the quicker sums at some nodes; they lose digits where large conductances meet small drops."""
        incident = self._bent_incidence[:, nodes].T.tocsr()
        laplacian = self._laplacian[nodes]
        return Rows(laplacian, abs(laplacian), incident, abs(incident))

    def _each(self, what: str, v: FloatArray) -> FloatArray:
        out = np.empty_like(v)
        for kind, at, theta in self._groups:
            out[:, at] = getattr(kind, what)(v[:, at], theta)
        return out


@dataclass(frozen=True, eq=False, slots=True)
class Rows:
    """Currents out of some nodes, summed over conductances before they meet the voltages."""

    laplacian: FloatArray | csr_array
    sizes: FloatArray | csr_array
    bent: csr_array
    bent_sizes: csr_array

    def currents(self, V: FloatArray, bent: FloatArray) -> FloatArray:
        """Return the current (S, n) that leaves each of the nodes."""
        return np.asarray((self.laplacian @ V.T + self.bent @ bent.T).T)

    def rounding(self, V: FloatArray, bent: FloatArray) -> FloatArray:
        """Return a bound of what rounding makes of `currents`, (S, n)."""
        return np.asarray(_ROUNDING * (self.sizes @ np.abs(V).T + self.bent_sizes @ bent.T).T)


class Search:
    """Finds operating points of a circuit with one set of held nodes."""

    def __init__(self, circuit: Circuit, layout: Layout) -> None:
        self.circuit, self.layout = circuit, layout
        self.linear = Linearised(layout, circuit.ohmic_siemens)
        self.summed = circuit.rows(layout.free)

    def find(
        self, V: FloatArray, injected: FloatArray | None = None, loads: tuple[FloatArray, FloatArray] | None = None
    ) -> OperatingPoint:
        """Return the operating points.

        Parameters
        ----------
        V : ndarray, shape (S, N)
            Volts at the held nodes, and where the search begins at the others.
        injected : ndarray, shape (S, n_out), optional
            Amperes into the outputs.
        loads : (ndarray, ndarray), optional
            Volts and siemens (S, n_out) of sources behind conductances at the outputs.

        Raises
        ------
        Unsettled
            If a sample's voltages are not found as well as `PROMISED`.
        """
        V = V.copy()
        error = np.zeros(len(V))
        if self.layout.free.size:
            size = self.linear.chunk
            for first in range(0, len(V), size):
                rows = slice(first, first + size)
                try:
                    part = _Part(
                        self,
                        V[rows],
                        None if injected is None else injected[rows],
                        None if loads is None else (loads[0][rows], loads[1][rows]),
                    )
                    # what overflows is infinite, and that is looked for
                    with np.errstate(over="ignore", invalid="ignore"):
                        V[rows], error[rows] = part.settled()
                except Unsettled as unsettled:
                    raise Unsettled(first + unsettled.sample, unsettled.reason) from None
        return OperatingPoint(V, error)


class _Part:
    """A chunk of a batch on its way to its operating points."""

    def __init__(
        self,
        search: Search,
        V: FloatArray,
        injected: FloatArray | None,
        loads: tuple[FloatArray, FloatArray] | None,
    ) -> None:
        self.search, self.circuit = search, search.circuit
        self.V = V
        self.free = search.layout.free
        at = search.layout.output_position
        self._outputs = at[at >= 0]
        open_outputs = at >= 0
        self.injected = None if injected is None else injected[:, open_outputs]
        self.loads = loads
        self._load = None if loads is None else (loads[0][:, open_outputs], loads[1][:, open_outputs])
        self.error, self.bound = np.zeros(len(V)), np.zeros(len(V))
        self.from_drops = np.zeros(len(V), dtype=bool)
        held = np.abs(V[:, search.layout.pinned]).max(axis=1, initial=0.0)
        self.size = (
            held if self._load is None else np.maximum(held, np.abs(self._load[0]).max(axis=1, initial=0.0))
        )

    def settled(self) -> tuple[FloatArray, FloatArray]:
        rows = np.arange(len(self.V))
        before = np.zeros((len(rows), len(self.circuit.bent)))
        moving = self.search.layout.bent.moving
        for _ in range(_LIMITED_STEPS):
            if not rows.size:
                break
            wanted = self.circuit.drops(self.V[rows])
            v = np.where(moving, self.circuit.linearised_at(wanted, before), wanted)
            done = self._step(rows, v, wanted)
            rows, before = rows[~done], v[~done]
        self.V[np.ix_(rows, self.free)] = 0.0
        for _ in range(_DAMPED_STEPS):
            if not rows.size:
                break
            rows = rows[~self._damped_step(rows)]
        if rows.size:
            raise Unsettled(int(rows[0]), self._why(rows[0]))
        inside = self.circuit.in_range(self.circuit.drops(self.V))
        if not inside.all():
            raise Unsettled(int(np.flatnonzero(~inside)[0]), "an exponential element is driven beyond exp(300)")
        return self.V, self.error

    def _why(self, sample: np.int64) -> str:
        if self.bound[sample] > PROMISED * self.size[sample]:
            return "a node is tied to the sources so weakly that double precision cannot tell its voltage"
        return f"the search did not settle in {_LIMITED_STEPS + _DAMPED_STEPS} steps"

    # --- steps --------------------------------------------------------------------------------------

    def _residual(
        self, rows: NDArray[np.int64], V: FloatArray, bent: FloatArray, from_drops: NDArray[np.bool_]
    ) -> FloatArray:
        """Return the current (S, n_free) that is missing at each free node."""
        if not from_drops.any():
            out = -self.search.summed.currents(V, bent)
        else:
            out = -self.circuit.node_currents(V, bent)[:, self.free]
        if self.injected is not None:
            out[:, self._outputs] += self.injected[rows]
        if self._load is not None:
            volts, siemens = self._load[0][rows], self._load[1][rows]
            out[:, self._outputs] += siemens * (volts - V[:, self.free][:, self._outputs])
        return out

    def _newton(
        self, rows: NDArray[np.int64], v: FloatArray, wanted: FloatArray
    ) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Return Newton's step (S, n_free), the residual, and the error (S,) that rounding leaves in the step."""
        V, exact = self.V[rows], self.from_drops[rows]
        slopes = self.circuit.slopes(v)
        bent = self.circuit.bent_currents(v) + slopes * (wanted - v)
        r = self._residual(rows, V, bent, exact)
        parts = np.abs(bent) + slopes * np.abs(v)
        if not exact.any():
            rounding = self.search.summed.rounding(V, parts)
        else:
            rounding = self.circuit.rounding(V, parts)[:, self.free]
        if self.injected is not None:
            rounding[:, self._outputs] += _ROUNDING * np.abs(self.injected[rows])
        if self._load is not None:
            volts, siemens = self._load[0][rows], self._load[1][rows]
            rounding[:, self._outputs] += (
                _ROUNDING * siemens * (np.abs(volts) + np.abs(V[:, self.free][:, self._outputs]))
            )
        factor = self._factor(rows, slopes)
        try:
            step, bound, one = factor.solve(np.stack([r, rounding, factor.leak]))
        except Undetermined as undetermined:
            raise self._lost(rows[undetermined.sample]) from None
        off = np.abs(one - 1.0).max(axis=1)
        # a solution that is off by so much says nothing; the sample goes on only if later steps are better
        bound = np.where((off <= _TRUSTED)[:, None], np.abs(bound), np.inf)
        return step, r, bound.max(axis=1)

    def _factor(self, rows: NDArray[np.int64], slopes: FloatArray) -> Factor:
        loads = None
        if self.loads is not None:
            loads = self.loads[1][rows]
        try:
            return self.search.linear.factor(slopes, loads)
        except Undetermined as undetermined:
            raise self._lost(rows[undetermined.sample]) from None

    def _lost(self, sample: np.int64) -> Unsettled:
        return Unsettled(int(sample), "nothing but blocking elements ties a node to the sources")

    def _step(self, rows: NDArray[np.int64], v: FloatArray, wanted: FloatArray) -> NDArray[np.bool_]:
        """Take one step linearised at ``v``; return which samples have arrived."""
        step, _, bound = self._newton(rows, v, wanted)
        self.V[np.ix_(rows, self.free)] += step
        return self._arrived(rows, step, bound, (v == wanted).all(axis=1))

    def _arrived(
        self, rows: NDArray[np.int64], step: FloatArray, bound: FloatArray, true_step: NDArray[np.bool_]
    ) -> NDArray[np.bool_]:
        moved = np.abs(step).max(axis=1)
        size = np.maximum(self.size[rows], np.abs(self.V[np.ix_(rows, self.free)]).max(axis=1))
        if not np.isfinite(moved).all():
            raise Unsettled(int(rows[np.flatnonzero(~np.isfinite(moved))[0]]), "a voltage is not finite")
        error = moved + 2 * bound
        self.bound[rows] = 2 * bound
        # what the summed equations cannot tell, their drops may
        self.from_drops[rows] |= bound > 0.1 * _SETTLED * size
        small = true_step & (moved <= np.maximum(_SETTLED * size, 2 * bound)) & (error <= PROMISED * size)
        self.error[rows[small]] = error[small]
        return np.asarray(small)

    def _damped_step(self, rows: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Take one step along Newton's direction, no longer than the co-content falls."""
        start = self.V[rows]
        v = self.circuit.drops(start)
        step, r, bound = self._newton(rows, v, v)
        first = np.einsum("sn,sn->s", r, step)  # minus the slope of the co-content where the step begins
        reach, far = _REACH * np.maximum(self.size[rows], np.abs(start).max(axis=1)), np.abs(step).max(axis=1)
        longest = np.where((reach > 0) & (far > reach), reach / np.where(far > 0, far, 1.0), 1.0)
        low, high, length = np.zeros(len(rows)), longest, longest
        open_ = np.ones(len(rows), dtype=bool)
        for _ in range(_HALVINGS):
            V = start.copy()
            V[:, self.free] += length[:, None] * step
            bent = self.circuit.bent_currents(self.circuit.drops(V))
            left = np.einsum("sn,sn->s", self._residual(rows, V, bent, self.from_drops[rows]), step)
            falls = left > 0
            open_ &= ~(
                (falls & (length == longest)) | ((left <= _SLOPE_LEFT * first) & (left >= -_OVERSHOT * first))
            )
            if not open_.any():
                break
            low, high = np.where(open_ & falls, length, low), np.where(open_ & ~falls, length, high)
            length = np.where(open_, 0.5 * (low + high), length)
        length = np.where(open_, low, length)
        self.V[np.ix_(rows, self.free)] += length[:, None] * step
        # Newton's direction begins where the elements are: its length is the error, taken or not
        return self._arrived(rows, step, bound, np.ones(len(rows), dtype=bool))
