"""The reference board's connections to an analog plane: DACs, switched nudge resistors and ADCs."""

from __future__ import annotations

from typing import Final

import numpy as np

from hwlearn.arrays import FloatArray, IntArray
from hwlearn.circuit.elements import OHMIC
from hwlearn.circuit.kirchhoff import Kirchhoff
from hwlearn.circuit.topology import Topology
from hwlearn.errors import SetupError
from hwlearn_sim.board.library import ADCS, DACS, EDGES
from hwlearn_sim.plane.plane import AnalogPlane
from hwlearn_sim.plane.sources import Open, Source, VoltageSource

INPUTS: Final = 8
OUTPUTS: Final = 4
DAC_LIMIT_A: Final = 40e-3
"""Short-circuit current of an AD5676R output; typical value of its data sheet."""
_RAIL_V: Final = 2.5


def with_nudges(topology: Topology, kappa: FloatArray) -> Topology:
    """Return the bench's graph with one more node per output: the DAC end of its nudge resistor.

    Parameters
    ----------
    topology : Topology
        At most 8 inputs, 4 outputs and 32 edges.
    kappa : ndarray, shape (n_out,)
        Conductance in siemens of each nudge resistor with its switch closed.

    Raises
    ------
    SetupError
        If the graph is larger than the board.
    """
    for count, most, what in (
        (topology.n_inputs, INPUTS, "inputs"),
        (topology.n_outputs, OUTPUTS, "outputs"),
        (topology.n_edges, EDGES, "edges"),
    ):
        if count > most:
            raise SetupError(f"the network has {count} {what}, the reference board {most}; use a smaller network")
    n, k = topology.n_nodes, topology.n_outputs
    nudges = n + np.arange(k)
    return Topology(
        n + k,
        topology.edges,
        topology.inputs,
        topology.outputs,
        topology.ground,
        names=[*topology.names, *(f"nudge of {topology.names[output]}" for output in topology.outputs)],
        fixed_edges=np.concatenate([topology.fixed_edges, np.stack([nudges, topology.outputs], axis=1)]),
        fixed_conductances=np.concatenate([topology.fixed_conductances, kappa]),
        elements=topology.edge_elements,
        fixed_elements=[*topology.fixed_edge_elements, *[OHMIC] * k],
    )


class BoardCircuit:
    """Channels of a board on a plane, and a fast path that avoids solving the plane.

    A closed nudge switch is a voltage source in series with the nudge resistor, an open switch is an open circuit.
    While no other instrument drives the plane, the output voltages of a circuit of resistors are linear in the DAC
    voltages. Then one transfer matrix per state of the switches replaces the solution of the plane. A circuit with
    nonlinear elements is solved for every conversion.

    Parameters
    ----------
    plane : AnalogPlane
        Plane with the topology of `with_nudges`. ADC j and DAC 8 + j belong to output j, DAC k to input k.
    label : str
        Prefix of the channels' names.
    """

    def __init__(self, plane: AnalogPlane, label: str) -> None:
        top = plane.topology
        self.plane = plane
        self._nudge_nodes = top.n_nodes - top.n_outputs + np.arange(top.n_outputs)
        self._inputs = [plane.attach(int(node), f"{label} DAC {k}") for k, node in enumerate(top.inputs)]
        self._nudges = [
            plane.attach(int(node), f"{label} DAC {INPUTS + j}") for j, node in enumerate(self._nudge_nodes)
        ]
        self._mine = frozenset([*self._inputs, *self._nudges])
        self._graphs: dict[int, Topology] = {}
        self._seen: tuple[FloatArray, tuple[tuple[int, Source], ...]] = (plane.conductances, ())

    def surroundings_changed(self) -> bool:
        """Return whether transfer matrices may have changed since the last call."""
        found = self.plane.conductances, self.plane.other_sources(self._mine)
        same = found[0] is self._seen[0] and found[1] == self._seen[1]
        self._seen = found
        return not same

    def drive(self, switches: int, dac_volts: FloatArray) -> None:
        """Apply DAC voltages (16,) and the state of the nudge switches to the plane."""
        for k, channel in enumerate(self._inputs):
            self.plane.drive(channel, VoltageSource(float(dac_volts[k]), DAC_LIMIT_A))
        for j, channel in enumerate(self._nudges):
            closed = switches >> j & 1
            source: Source = VoltageSource(float(dac_volts[INPUTS + j]), DAC_LIMIT_A) if closed else Open()
            self.plane.drive(channel, source)

    def output_volts(self) -> FloatArray:
        """Return the voltages (8,) at the ADCs; unused ADCs are connected to virtual ground."""
        volts = np.zeros(ADCS)
        top = self.plane.topology
        volts[: top.n_outputs] = self.plane.node_voltages()[top.outputs]
        return volts

    def transfer(self, switches: int) -> FloatArray | None:
        """Return the matrix (8, 16) from DAC to ADC voltages, or None while the plane is not linear."""
        top = self.plane.topology
        if top.elements is not None or self.plane.other_sources(self._mine) or not self._within_limits():
            return None
        closed = [j for j in range(top.n_outputs) if switches >> j & 1]
        driving = [*range(top.n_inputs), *(INPUTS + j for j in closed)]
        if switches not in self._graphs:
            self._graphs[switches] = _driven(top, self._nudge_nodes[closed])
        V = Kirchhoff(self._graphs[switches], self.plane.conductances).solve(np.eye(len(driving)))
        matrix = np.zeros((ADCS, DACS))
        matrix[: top.n_outputs, driving] = V[:, top.outputs].T
        return matrix

    def _within_limits(self) -> bool:
        """Return whether no DAC can reach its current limit and every edge conducts."""
        top, g = self.plane.topology, self.plane.conductances
        siemens = np.concatenate([g, top.fixed_conductances])
        at_node = np.bincount(top.all_edges.ravel(), np.repeat(siemens, 2), top.n_nodes)
        return bool((g > 0).all() and at_node[top.inputs].max() * 2 * _RAIL_V < DAC_LIMIT_A)


def _driven(topology: Topology, nodes: IntArray) -> Topology:
    """Return the graph with additional inputs."""
    return Topology(
        topology.n_nodes,
        topology.edges,
        [*topology.inputs, *nodes],
        topology.outputs,
        topology.ground,
        names=topology.names,
        fixed_edges=topology.fixed_edges,
        fixed_conductances=topology.fixed_conductances,
    )
