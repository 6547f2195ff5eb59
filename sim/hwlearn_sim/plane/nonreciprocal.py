"""A circuit with elements of three terminals, such as transistors, on the analog plane.

The circuit is solved by `Kirchhoff` for one assumption of which sources hold their voltage and which their
current. Sources whose assumption is wrong move to the neighbouring step of their load line, until all are right.
The currents are not the derivative of a co-content, so that unlike in `nonlinear` no descent proves that this
ends; if it does not, the circuit is refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from hwlearn.arrays import FloatArray, IntArray
from hwlearn.circuit.elements import OHMIC
from hwlearn.circuit.kirchhoff import Kirchhoff
from hwlearn.circuit.topology import Topology
from hwlearn.errors import ConvergenceError
from hwlearn_sim.plane.compliance import LoadLines, Solution
from hwlearn_sim.plane.placement import Placement
from hwlearn_sim.plane.sources import LoadLine

_MOST_CHANGES: Final = 200
_ROUNDING: Final = 1e-9
_LEAK_S: Final = 1e-15
"""Between each terminal and 0 V: every real circuit has some leakage."""


class NonreciprocalCircuit:
    """A circuit with elements of three terminals, seen from its terminals.

    Parameters
    ----------
    topology : Topology
        The graph and its elements.
    values : ndarray, shape (E,)
        Siemens, or volts for gates.
    placement : Placement
        The terminals.
    """

    def __init__(self, topology: Topology, values: FloatArray, placement: Placement) -> None:
        self._n, self._terminals = topology.n_nodes, np.array(placement.terminals, dtype=np.int64)
        self._model: Kirchhoff | None = None
        if self._terminals.size:
            self._model = Kirchhoff(_driven_at(topology, self._terminals), values, allow_open=True)

    def solve(self, load_lines: Sequence[LoadLine]) -> Solution:
        """Return the solution with the load lines of the terminals; ``inner`` has the volts of all nodes.

        Raises
        ------
        ConvergenceError
            If the voltages, or which sources are at their limits, cannot be found.
        SingularCircuitError
            If a part of the circuit has no path to a terminal or to ground.
        """
        lines = LoadLines(load_lines)
        states = np.array([line.likely for line in load_lines], dtype=np.int64)
        seen: set[bytes] = set()
        for _ in range(_MOST_CHANGES):
            V, amperes = self._point(lines, states)
            wrong = _wrong(lines, states, V[self._terminals], amperes)
            if not wrong.any():
                return Solution(V[self._terminals], amperes, states, V)
            if states.tobytes() in seen:  # changes at several terminals would repeat: change one
                first = int(np.flatnonzero(wrong)[len(seen) % np.count_nonzero(wrong)])
                wrong = np.where(np.arange(len(wrong)) == first, wrong, 0)
            seen.add(states.tobytes())
            states = states + wrong
        raise ConvergenceError(
            f"the sources that are at their limits were not found in {_MOST_CHANGES} steps; reduce the voltages, "
            "or raise the limits of the sources"
        )

    def voltages(self, solution: Solution) -> FloatArray:
        """Return the voltages (N,) of all nodes."""
        return np.zeros(self._n) if solution.inner is None else solution.inner[: self._n]

    def _point(self, lines: LoadLines, states: IntArray) -> tuple[FloatArray, FloatArray]:
        """Return the volts of all nodes and the amperes into the terminals in these states."""
        held = states % 2 == 1
        injected = np.where(held, 0.0, lines.allowed(states)[0])
        if self._model is None or not (held.any() or injected.any()):  # nothing drives the circuit
            return np.zeros(self._n), injected
        clamped = np.where(held, lines.neighbours(states)[1], np.nan)
        V = self._model.solve(np.zeros((1, 1)), clamped[None], injected[None])
        into = self._model.node_currents(V)[0, self._terminals]
        return V[0], np.where(held, into, injected)


def _wrong(lines: LoadLines, states: IntArray, volts: FloatArray, amperes: FloatArray) -> IntArray:
    """Return the change (n,) of each state, -1, 0 or 1, that its voltage or its current asks for."""
    low, high = lines.neighbours(states)
    largest, smallest = lines.allowed(states)
    held = states % 2 == 1
    size = _ROUNDING * np.abs(volts)
    down = np.where(held, amperes > largest + _ROUNDING * np.abs(amperes), volts < low - size)
    up = np.where(held, amperes < smallest - _ROUNDING * np.abs(amperes), volts > high + size)
    return up.astype(np.int64) - down.astype(np.int64)


def _driven_at(topology: Topology, terminals: IntArray) -> Topology:
    """Return the graph with the terminals as outputs, and one more node as input, to which they leak."""
    leaks = np.stack([terminals, np.full(len(terminals), topology.n_nodes)], axis=1)
    return Topology(
        topology.n_nodes + 1,
        topology.edges,
        [topology.n_nodes],
        terminals,
        topology.ground,
        names=[*topology.names, "0 V of the plane"],
        fixed_edges=np.concatenate([topology.fixed_edges, leaks]),
        fixed_conductances=np.concatenate([topology.fixed_conductances, np.full(len(terminals), _LEAK_S)]),
        elements=topology.edge_elements,
        fixed_elements=[*topology.fixed_edge_elements, *[OHMIC] * len(terminals)],
    )
