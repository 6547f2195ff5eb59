"""Contests: a task solved by a peer and by us, and functions that convert both results to the same arrays."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
from scipy.sparse import csc_array
from scipy.sparse.linalg import splu

import hwlearn as hl
from hwlearn.circuit.linear.solver import OhmicSolver
from hwlearn.circuit.spice import spice_text
from ratios.peers import Ngspice, PyrkmGrid, crossbar_by_badcrossbar, read_badcrossbar
from ratios.problems import WIRE_OHM, WIRED_OHM, Crossbars, Training, wired_crossbar
from ratios.timing import Answer, Clock, Times, difference, in_turns


@dataclass(frozen=True)
class Contest:
    """Both sides of a task, and functions that convert their results to comparable arrays.

    ``theirs`` and ``ours`` take the number of a problem. Successive calls of a side get different problems, so a
    cached answer cannot be used.
    """

    problems: int
    theirs: Callable[[int], object]
    ours: Callable[[int], object]
    read_theirs: Callable[[object], Answer]
    read_ours: Callable[[object], Answer]
    their_own: Clock | None = None

    def disagreement(self) -> float:
        """Return the largest relative difference of the answers to all problems; this also warms up both sides."""
        problems = range(self.problems)
        apart = [difference(self.read_ours(self.ours(k)), self.read_theirs(self.theirs(k))) for k in problems]
        return float(np.max(apart))

    def times(self, rounds: int, clocks: tuple[Clock, Clock]) -> Times:
        """Let both sides solve the problems in alternating turns."""
        count = self.problems
        return in_turns(
            lambda k: self.theirs(k % count), lambda k: self.ours(k % count), rounds, self.their_own, clocks
        )


# --- crossbars with wires ------------------------------------------------------------------------------


def _solved(problem: Crossbars, k: int) -> Answer:
    got = hl.solve_crossbar(problem.conductances[k], problem.volts, WIRE_OHM)
    return got.column_currents, got.row_nodes, got.column_nodes


def against_badcrossbar(side: int, samples: int, count: int) -> Contest:
    """Return the contest for column currents and all node voltages, with new conductances each time."""
    problem = Crossbars.of(side, side, samples, count)
    solve = [crossbar_by_badcrossbar(g, problem.volts, WIRE_OHM) for g in problem.conductances]
    return Contest(count, lambda k: solve[k](), partial(_solved, problem), read_badcrossbar, tuple)


def against_ngspice(side: int) -> Contest:
    """Return the contest for all node voltages of one operating point; ngspice reports its own analysis time."""
    problem = Crossbars.of(side, side, 1, 3)
    topology = wired_crossbar(side, side)
    netlists = [spice_text(topology, g.ravel(), problem.volts[0]) for g in problem.conductances]
    nodes = [f"n{k}" for k in range(2 * side * side)]
    ngspice = Ngspice()

    def by_name(printed: dict[str, float]) -> Answer:
        return (np.array([[printed[name] for name in nodes]]),)

    def flat(answer: Answer) -> Answer:
        return (np.concatenate([answer[1].ravel(), answer[2].ravel()])[None],)

    ours = partial(_solved, problem)
    return Contest(len(problem), lambda k: ngspice(netlists[k]), ours, by_name, flat, lambda: ngspice.analysis_s)


def _with_general_solver(problem: Training, k: int) -> hl.Kirchhoff:
    circuit = hl.Kirchhoff(problem.topology, problem.conductances[k])
    circuit.solver = OhmicSolver(problem.topology, circuit.all_values)
    return circuit


def wired_solve(side: int, samples: int) -> Contest:
    """Return the contest of `Kirchhoff` against its general solver: new conductances, then a solution."""
    problem = Training.on_wires(side, WIRED_OHM, samples)
    sides = {
        "theirs": _with_general_solver(problem, 0),
        "ours": hl.Kirchhoff(problem.topology, problem.conductances[0]),
    }

    def work(who: str, k: int) -> Answer:
        sides[who] = sides[who].with_conductances(problem.conductances[k])
        return (sides[who].solve(problem.inputs),)

    return Contest(len(problem), partial(work, "theirs"), partial(work, "ours"), tuple, tuple)


def wired_gradient(side: int, samples: int) -> Contest:
    """Return the contest of exact gradients of circuits that have been solved for the same inputs before."""
    problem = Training.on_wires(side, WIRED_OHM, samples)
    sides = {
        "theirs": [_with_general_solver(problem, k) for k in range(len(problem))],
        "ours": [hl.Kirchhoff(problem.topology, g) for g in problem.conductances],
    }
    for circuits in sides.values():
        for circuit in circuits:
            circuit.solve(problem.inputs)

    def work(who: str, k: int) -> Answer:
        return (sides[who][k].gradient(problem.inputs, problem.targets)[None],)

    return Contest(len(problem), partial(work, "theirs"), partial(work, "ours"), tuple, tuple)


# --- general graphs ------------------------------------------------------------------------------------


def _trained(problem: Training, k: int) -> Answer:
    """Return voltages and exact gradient, as one training step needs them."""
    circuit = hl.Kirchhoff(problem.topology, problem.conductances[k])
    V = circuit.solve(problem.inputs)
    return V, circuit.gradient(problem.inputs, V[:, problem.topology.outputs] - problem.targets)[None]


def _textbook(problem: Training, k: int) -> Answer:
    """Return the same from a plain SciPy implementation: the Laplacian, one factor, two solves."""
    t, g = problem.topology, problem.conductances[k]
    laplacian = csc_array(t.incidence.T @ (t.incidence * g[:, None]))
    free = np.setdiff1d(np.arange(t.n_nodes), t.inputs)
    factor = splu(
        csc_array(laplacian[free][:, free]),
        permc_spec="MMD_AT_PLUS_A",
        diag_pivot_thresh=0.0,
        options={"SymmetricMode": True},
    )
    V, adjoint = np.zeros((2, len(problem.inputs), t.n_nodes))
    V[:, t.inputs] = problem.inputs
    V[:, free] = factor.solve(-(laplacian[free][:, t.inputs] @ problem.inputs.T)).T
    pushed = np.zeros_like(V)
    pushed[:, t.outputs] = V[:, t.outputs] - problem.targets
    adjoint[:, free] = factor.solve(np.ascontiguousarray(pushed[:, free].T)).T
    a, b = t.edges.T
    gradient = -((V[:, a] - V[:, b]) * (adjoint[:, a] - adjoint[:, b])).mean(axis=0)
    return V, gradient[None]


def against_pyrkm(side: int, samples: int) -> Contest:
    """Return the contest of our forward solve and exact gradient against pyrkm's forward solves only."""
    problem = Training.on_grid(side, samples)
    grid = PyrkmGrid(problem.topology)

    def theirs(k: int) -> Answer:
        return (grid(problem.conductances[k], problem.inputs),)

    def forward(answer: Answer) -> Answer:
        return answer[:1]

    return Contest(len(problem), theirs, partial(_trained, problem), tuple, forward)


def against_textbook(side: int, samples: int) -> Contest:
    """Return the contest for the forward solve and exact gradient of a batch on both sides."""
    problem = Training.on_grid(side, samples)
    return Contest(len(problem), partial(_textbook, problem), partial(_trained, problem), tuple, tuple)


def against_scratch(side: int, share: float, samples: int) -> Contest:
    """Return the contest of re-solving after changes of the same few edges against a new circuit each time."""
    problem = Training.of_a_subset(side, share, samples)
    circuit = hl.Kirchhoff(problem.topology, problem.conductances[0])

    def theirs(k: int) -> Answer:
        return (hl.Kirchhoff(problem.topology, problem.conductances[k]).solve(problem.inputs),)

    def ours(k: int) -> Answer:
        nonlocal circuit
        circuit = circuit.with_conductances(problem.conductances[k])
        return (circuit.solve(problem.inputs),)

    return Contest(len(problem), theirs, ours, tuple, tuple)
