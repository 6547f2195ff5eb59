"""The circuits of the study: resistors, crossbars with wires, nonlinear edges and transistors, with tasks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hwlearn.arrays import FloatArray
from hwlearn.circuit.elements import Mosfet, Sinh
from hwlearn.circuit.kirchhoff import Kirchhoff
from hwlearn.circuit.topology import Topology
from hwlearn.errors import SetupError
from hwlearn.network.limits import Limits

LEAST_S, MOST_S = 1e-6, 1e-4
"""Range of conductances."""

GATES_V = (0.4, 8.0)
"""Range of gate voltages."""

KINDS = ("ohmic", "wired", "diode", "transistor")


@dataclass(frozen=True)
class StudyTask:
    """A network, and inputs and targets that the same network reaches with other values.

    Attributes
    ----------
    topology : Topology
    limits : Limits
    inputs : ndarray, shape (S, n_in)
        Volts.
    targets : ndarray, shape (S, n_out)
        Volts.
    teacher : ndarray, shape (E,)
        Values that reach the targets.
    """

    topology: Topology
    limits: Limits
    inputs: FloatArray
    targets: FloatArray
    teacher: FloatArray

    @property
    def constraints(self) -> int:
        """Number of output voltages that are trained."""
        return int(self.targets.size)


def reference_task(
    seed: int,
    kind: str = "ohmic",
    *,
    nodes: int = 24,
    edges: int = 55,
    samples: int = 8,
    outputs: int = 3,
    wire_ohm: float = 2.0,
    lines: int = 12,
) -> StudyTask:
    """Return a task whose targets can be reached.

    Parameters
    ----------
    seed : int
        Of graph, inputs and teacher.
    kind : {"ohmic", "wired", "diode", "transistor"}
        A random graph of resistors; a crossbar of resistors on lines with resistance; a random graph of edges with
        ``I = g V0 sinh(v / V0)``; a square grid of n-channel transistors whose gate voltages are the values.
    nodes, edges : int
        Of a random graph.
    samples, outputs : int
    wire_ohm : float
        Resistance of one segment of a line of a crossbar.
    lines : int
        Rows and columns of a crossbar; rows of a grid are half of them.

    Raises
    ------
    SetupError
        If there is no such kind.
    """
    rng = np.random.default_rng(seed)
    topology = _topology(seed, kind, nodes, edges, outputs, wire_ohm, lines)
    if kind == "transistor":
        inputs = rng.uniform(0.0, 0.5, (samples, topology.n_inputs))
        teacher = rng.uniform(2.0, 6.0, topology.n_edges)
    else:
        # an octave is left at both ends, so that devices with errors can reach the targets too
        teacher = np.exp(rng.uniform(np.log(2 * LEAST_S), np.log(MOST_S / 2), topology.n_edges))
        inputs = rng.uniform(-0.5, 0.5, (samples, topology.n_inputs))
    targets = Kirchhoff(topology, teacher).solve(inputs)[:, topology.outputs]
    return StudyTask(topology, limits_of(kind), inputs, targets, teacher)


def limits_of(kind: str) -> Limits:
    """Return the limits of a kind of network."""
    if kind == "transistor":
        return Limits(voltage=1.0, drop=2.0, nudge=0.2, current=0.1, values={"gate voltage": GATES_V})
    current = 1e-3 if kind == "ohmic" else 1e-2
    return Limits(voltage=0.5, drop=1.0, nudge=0.2, current=current, conductance=(LEAST_S, MOST_S))


def _topology(seed: int, kind: str, nodes: int, edges: int, outputs: int, wire_ohm: float, lines: int) -> Topology:
    if kind in ("ohmic", "diode"):
        graph = Topology.random(nodes, edges, inputs=5, outputs=outputs, seed=100 + seed)
        return graph if kind == "ohmic" else graph.with_elements(Sinh(0.2))
    if kind == "wired":
        return Topology.crossbar(lines, lines, range(5), range(outputs), wire_resistance=wire_ohm)
    if kind == "transistor":
        rows = max(lines // 2, 4)
        last = rows * rows - 1
        corners = [0, rows - 1, last - rows + 1]
        middle = [(rows // 2) * rows + column for column in range(1, 1 + outputs)]
        return Topology.grid(rows, rows, inputs=corners, outputs=middle, ground=last).with_elements(ALD1106)
    raise SetupError(f"there is no circuit {kind!r} in the study; known are: {', '.join(KINDS)}")


ALD1106 = Mosfet(
    vto=0.75,
    kp=6.2496e-5,
    gamma=1.09,
    phi=0.94995,
    lambda_=0.19998,
    l=7.8e-6,
    w=138e-6,
    rsh=73.213,
    nrd=0.3,
    nrs=1.0,
)
"""The transistor of the shipped benches; its body is at ground."""
