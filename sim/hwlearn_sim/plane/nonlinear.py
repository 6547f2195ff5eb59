"""A circuit with nonlinear elements on the analog plane.

The steady state is the minimum of a convex function: the co-content of all elements plus that of all sources. The
co-content of a source with a limit has kinks. Newton's method is used for the elements alone: they are linearised,
and the linear circuit is solved exactly together with the load lines of all sources (`compliance.solve`), which
also finds the active limits. If the tangent of an exponential overshoots, the element is linearised where it
carries the current that the tangent predicts (`Element.linearised_at`). If that does not converge, the steps are
damped: along a step the function falls until its slope is zero.

Every search starts at 0 V, so that a solution does not depend on the solutions before it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from hwlearn.arrays import BoolArray, FloatArray, IntArray
from hwlearn.circuit.topology import Topology
from hwlearn.errors import ConvergenceError, SingularCircuitError
from hwlearn_sim.plane.compliance import LoadLines, Solution, solve
from hwlearn_sim.plane.elements import Elements
from hwlearn_sim.plane.node_equations import Equations, Singular
from hwlearn_sim.plane.placement import Placement
from hwlearn_sim.plane.sources import LoadLine
from hwlearn_sim.plane.terminals import Linearisation, Terminals

LARGEST_ERROR: Final = 1e-9
"""Largest accepted error of a voltage, relative to the largest voltage."""

_SETTLED: Final = 1e-11  # of the largest voltage: the search ends with a step this small
_NEAR: Final = 1e-5  # of the largest voltage: with steps this small the error is estimated
_LIMITED_STEPS: Final = 60
_DAMPED_STEPS: Final = 150
_HALVINGS: Final = 60
_SLOPE_LEFT: Final = 0.9
_OVERSHOT: Final = 0.01
_REACH: Final = 10.0  # limit of a damped step, relative to the largest voltage
_INEXACT_STEPS: Final = 3  # after so many steps as small as their rounding errors, more do not help
_TRUSTED: Final = 1e-3  # largest relative error of linear solutions whose error bounds are used
_BLOCKED: Final = "only blocking elements connect a node to the sources"


class NonlinearCircuit:
    """A circuit with nonlinear elements, seen from its terminals.

    Parameters
    ----------
    topology : Topology
        The graph and its elements.
    conductances : ndarray, shape (E,)
        Siemens, the thetas of the elements; zero is an open edge.
    placement : Placement
        The terminals.
    """

    def __init__(self, topology: Topology, conductances: FloatArray, placement: Placement) -> None:
        self._n, self._placement = topology.n_nodes, placement
        self._elements = Elements(topology, conductances, placement.kept)
        self._floating = self._elements.floating_parts(len(placement.terminals))

    def solve(self, load_lines: Sequence[LoadLine]) -> Solution:
        """Return the solution with the load lines of the terminals.

        Raises
        ------
        ConvergenceError
            If a voltage cannot be found to 1e-9 of the largest one.
        """
        likely = np.array([line.likely for line in load_lines], dtype=np.int64)
        search = _Search(self._elements, self._placement, self._floating, LoadLines(load_lines), likely)
        with np.errstate(over="ignore", invalid="ignore"):  # overflow gives infinity, which is checked
            return search.find()

    def voltages(self, solution: Solution) -> FloatArray:
        """Return the voltages (N,) of all nodes; nodes without a path to a terminal are at 0 V."""
        V = np.zeros(self._n)
        V[self._placement.terminals] = solution.volts
        V[self._elements.inner] = solution.inner
        return V


@dataclass(frozen=True, eq=False, slots=True)
class _Tangent:
    """A circuit linearised at node voltages ``V`` (n,), and its solution with the node voltages ``to`` (n,).

    ``slopes`` (K,) are those of the nonlinear edges, ``sizes`` (K,) the sums of the absolute terms of their
    currents, and ``equations`` the node equations.
    """

    V: FloatArray
    to: FloatArray
    solution: Solution
    slopes: FloatArray
    sizes: FloatArray
    equations: Equations


class _Search:
    def __init__(
        self,
        elements: Elements,
        placement: Placement,
        floating: list[IntArray],
        lines: LoadLines,
        states: IntArray,
    ) -> None:
        self._elements, self._placement, self._floating, self._lines = elements, placement, floating, lines
        self._m, self._states = len(lines), states
        finite = np.abs(lines.kinks[np.isfinite(lines.kinks)])
        self._reach = _REACH * float(finite.max(initial=0.0))
        self._small_before = False
        self._steps = self._inexact = 0

    def find(self) -> Solution:
        likely = self._states
        found = self._limited_steps()
        if found is None:
            self._states, self._small_before = likely, False
            found = self._damped_steps()
        V = found.to
        if not self._elements.in_range(self._elements.drops(V)):
            raise self._lost("an exponential element is driven beyond exp(300)")
        at = found.solution
        return Solution(at.volts, at.amperes, at.states, V[self._placement.kept.size :])

    def _limited_steps(self) -> _Tangent | None:
        """Take Newton steps from 0 V, limited by `Element.linearised_at`; return None if they do not converge."""
        V, before = np.zeros(self._elements.n_nodes), np.zeros(self._elements.n_nonlinear)
        for _ in range(_LIMITED_STEPS):
            wanted = self._elements.drops(V)
            v = self._elements.linearised_at(wanted, before)
            try:
                tangent = self._tangent(V, v, wanted)
                if self._converged(tangent, bool((v == wanted).all())):
                    return tangent
            except (Singular, SingularCircuitError):
                return None
            V, before = tangent.to, v
        return None

    def _damped_steps(self) -> _Tangent:
        """Take damped Newton steps from 0 V."""
        V = np.zeros(self._elements.n_nodes)
        for _ in range(_DAMPED_STEPS):
            v = self._elements.drops(V)
            try:
                tangent = self._tangent(V, v, v)
                # Newton's full step is the error estimate, also if the damped step is shorter
                if self._converged(tangent, True):
                    return tangent
            except (Singular, SingularCircuitError):
                raise self._lost(_BLOCKED) from None
            V = V + self._length(tangent) * (tangent.to - V)
        raise self._lost(f"Newton's method did not converge in {_LIMITED_STEPS + _DAMPED_STEPS} steps")

    def _lost(self, reason: str) -> ConvergenceError:
        return ConvergenceError(
            f"no operating point of the circuit to {LARGEST_ERROR:g} of its largest voltage: {reason}; reduce the "
            "voltages, narrow the range of conductances, or shunt blocking elements with resistors"
        )

    # --- steps --------------------------------------------------------------------------------------

    def _tangent(self, V: FloatArray, v: FloatArray, wanted: FloatArray) -> _Tangent:
        """Linearise at drops ``v`` (K,), for node voltages ``V`` with drops ``wanted`` (K,), and solve.

        Raises
        ------
        Singular, SingularCircuitError
            If the linear circuit cannot be solved.
        """
        m, kept = self._m, self._placement.kept.size
        slopes = self._elements.slopes(v)
        currents = self._elements.nonlinear_currents(v)
        out = self._elements.node_currents(V, currents + slopes * (wanted - v))
        sizes = np.abs(currents) + slopes * (np.abs(wanted) + np.abs(v))
        equations = self._elements.equations(slopes)
        between, follow, own = equations.reduce(kept, -out[kept:])
        amperes = out[:kept] + follow.T @ out[kept:]
        if not (np.isfinite(between).all() and np.isfinite(amperes).all()):
            raise Singular
        at = Linearisation(V[:m], amperes[:m])
        terminals = Terminals(*self._placement.split(between), at, self._floating)
        solution = solve(terminals, self._lines, self._states)
        self._states = solution.states
        to = np.zeros_like(V)
        to[:m] = solution.volts
        to[kept:] = V[kept:] + own + follow @ (to - V)[:kept]
        if not np.isfinite(to).all():
            raise Singular
        return _Tangent(V, to, solution, slopes, sizes, equations)

    def _converged(self, tangent: _Tangent, true_step: bool) -> bool:
        moved = float(np.abs(tangent.to - tangent.V).max(initial=0.0))
        size = float(max(np.abs(tangent.to).max(initial=0.0), np.abs(tangent.V).max(initial=0.0)))
        self._steps += 1
        if not true_step or (moved > _NEAR * size and self._steps < _LIMITED_STEPS // 2):
            return False
        bound = 2 * self._error_bound(tangent)
        error = moved + bound
        settled = moved <= max(_SETTLED * size, bound)
        small = settled and error <= LARGEST_ERROR * size
        self._inexact = self._inexact + 1 if settled and not small else 0
        if self._inexact == _INEXACT_STEPS:
            raise self._lost("a node is connected to the sources too weakly to be solved in double precision")
        # a step across a kink used the slope before the kink: the slope behind it must agree
        now = self._elements.slopes(self._elements.drops(tangent.to))
        same = bool((np.maximum(now, tangent.slopes) <= 2 * np.minimum(now, tangent.slopes)).all())
        done = small and (same or self._small_before)
        self._small_before = small
        return done

    def _error_bound(self, tangent: _Tangent) -> float:
        """Return a bound on the rounding error of the voltages; infinite for ill-conditioned equations."""
        n, states = self._elements.n_nodes, tangent.solution.states
        free = np.ones(n, dtype=np.bool_)
        free[: self._m] = states % 2 == 0
        free[self._m : self._placement.kept.size] = False  # ground
        for members in self._floating:
            free[members[0]] &= bool((~free[members]).any())  # its common voltage is not an unknown
        where = np.flatnonzero(free)
        if not where.size:
            return 0.0
        rounding = self._elements.rounding(tangent.V, tangent.sizes)
        leak, bound = tangent.equations.leak_and_bound(where, rounding)
        # with all held nodes at 1 V every node is at 1 V; a solution far from that is useless
        return math.inf if not np.abs(leak - 1.0).max() <= _TRUSTED else float(np.abs(bound).max())

    def _length(self, tangent: _Tangent) -> float:
        """Return the part of a step along which the convex function falls, until its slope is nearly zero."""
        step = tangent.to - tangent.V
        far = float(np.abs(step).max())
        longest = self._reach / far if 0 < self._reach < far else 1.0
        first = self._fall(tangent.V, step, 0.0)
        low, high, length = 0.0, longest, longest
        for _ in range(_HALVINGS):
            left = self._fall(tangent.V, step, length)
            if (left > 0 and length == longest) or -_OVERSHOT * first <= left <= _SLOPE_LEFT * first:
                return length
            low, high = (length, high) if left > 0 else (low, length)
            length = 0.5 * (low + high)
        return low

    def _fall(self, V: FloatArray, step: FloatArray, length: float) -> float:
        """Return minus the slope of the convex function after a part of a step."""
        at = V + length * step
        out = self._elements.node_currents(at, self._elements.nonlinear_currents(self._elements.drops(at)))
        m = self._m
        moving: BoolArray = step[:m] != 0
        given = self._lines.currents_beside(at[:m], step[:m] > 0)
        return float(np.dot(given[moving], step[:m][moving]) - np.dot(out, step))
