"""The contests: a piece of work, done by a peer and by us, and how both results are read as the same arrays."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
from scipy.sparse import csc_array
from scipy.sparse.linalg import splu

import hwlearn as hl
from hwlearn.circuit.spice import spice_text
from ratios.peers import Ngspice, PyrkmGrid, crossbar_by_badcrossbar, read_badcrossbar
from ratios.problems import WIRE_OHM, Crossbars, Training, wired_crossbar
from ratios.timing import Answer, Clock, Times, difference, in_turns


@dataclass(frozen=True)
class Contest:
    """Both sides of a piece of work, and how their results are read as comparable arrays.

    ``theirs`` and ``ours`` take the number of a problem: each side is asked another one than in its call before,
    so that no kept answer can serve.
    """

    problems: int
    theirs: Callable[[int], object]
    ours: Callable[[int], object]
    read_theirs: Callable[[object], Answer]
    read_ours: Callable[[object], Answer]
    their_own: Clock | None = None

    def disagreement(self) -> float:
        """Return the largest relative difference of all problems' answers; it warms both sides up, too."""
        problems = range(self.problems)
        apart = [difference(self.read_ours(self.ours(k)), self.read_theirs(self.theirs(k))) for k in problems]
        return float(np.max(apart))

    def times(self, rounds: int, clocks: tuple[Clock, Clock]) -> Times:
        """Let both solve one problem after the other, in turns."""
        count = self.problems
        return in_turns(
            lambda k: self.theirs(k % count), lambda k: self.ours(k % count), rounds, self.their_own, clocks
        )


# --- crossbars with wires ------------------------------------------------------------------------------


def _solved(problem: Crossbars, k: int) -> Answer:
    got = hl.solve_crossbar(problem.conductances[k], problem.volts, WIRE_OHM)
    return got.column_currents, got.row_nodes, got.column_nodes


def against_badcrossbar(side: int, samples: int, count: int) -> Contest:
    """Column currents and all node voltages; new conductances each time."""
    problem = Crossbars.of(side, side, samples, count)
    ask = [crossbar_by_badcrossbar(g, problem.volts, WIRE_OHM) for g in problem.conductances]
    return Contest(count, lambda k: ask[k](), partial(_solved, problem), read_badcrossbar, tuple)


def against_ngspice(side: int) -> Contest:
    """All node voltages of one operating point; ngspice's own word for the time of its analysis."""
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


# --- general graphs ------------------------------------------------------------------------------------


def _trained(problem: Training, k: int) -> Answer:
    """One training step's physics: voltages, error, exact gradient."""
    circuit = hl.Kirchhoff(problem.topology, problem.conductances[k])
    V = circuit.solve(problem.inputs)
    return V, circuit.gradient(problem.inputs, V[:, problem.topology.outputs] - problem.targets)[None]


def _textbook(problem: Training, k: int) -> Answer:
    """The same with SciPy as anyone would write it: the Laplacian, one factor, two solves."""
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
    """Forward and exact gradient of a batch against pyrkm's forward solves alone."""
    problem = Training.on_grid(side, samples)
    grid = PyrkmGrid(problem.topology)

    def theirs(k: int) -> Answer:
        return (grid(problem.conductances[k], problem.inputs),)

    def forward(answer: Answer) -> Answer:
        return answer[:1]

    return Contest(len(problem), theirs, partial(_trained, problem), tuple, forward)


def against_textbook(side: int, samples: int) -> Contest:
    """Forward and exact gradient of a batch on both sides."""
    problem = Training.on_grid(side, samples)
    return Contest(len(problem), partial(_textbook, problem), partial(_trained, problem), tuple, tuple)


def against_scratch(side: int, share: float, samples: int) -> Contest:
    """Re-solves after each change of the same few edges, against a new circuit each time."""
    problem = Training.of_a_subset(side, share, samples)
    circuit = hl.Kirchhoff(problem.topology, problem.conductances[0])

    def theirs(k: int) -> Answer:
        return (hl.Kirchhoff(problem.topology, problem.conductances[k]).solve(problem.inputs),)

    def ours(k: int) -> Answer:
        nonlocal circuit
        circuit = circuit.with_conductances(problem.conductances[k])
        return (circuit.solve(problem.inputs),)

    return Contest(len(problem), theirs, ours, tuple, tuple)
