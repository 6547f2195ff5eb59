"""Largest conductance that a source at a terminal can see: a bound of its current by the limits of the devices.

The solver is imported where it is used: ``hwlearn off`` loads this module and must not wait for scipy.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

import numpy as np

from hwlearn.arrays import FloatArray, IntArray
from hwlearn.circuit.graph_checks import read_only
from hwlearn.circuit.topology import Topology
from hwlearn.errors import SingularCircuitError

_KEPT: Final = 32
_AT_ONCE: Final = 64


@lru_cache(maxsize=_KEPT)
def terminal_conductances(topology: Topology, largest: float) -> FloatArray:
    """Return the conductance (n_in + n_out,) in siemens from each input and output to all other terminals.

    It bounds the current of a source, whatever the devices are programmed to: no more than this times the largest
    voltage between terminals.

    Parameters
    ----------
    topology : Topology
    largest : float
        Siemens that no programmable edge exceeds.

    Notes
    -----
    No voltage inside a network of resistors lies outside those of its terminals, so the sum over the edges at a
    terminal is a bound. Where fixed resistors such as wires are connected to terminals it would be far too large:
    the network behind a wire conducts less than the wire. There the current is computed with all edges at their
    largest conductance, this terminal at 1 V and all others at 0 V. By Rayleigh's monotonicity law smaller
    conductances draw less.
    """
    terminals = np.concatenate([topology.inputs, topology.outputs])
    every = np.concatenate([np.full(topology.n_edges, largest), topology.fixed_conductances])
    at_node = np.bincount(topology.edges.ravel(), minlength=topology.n_nodes) * largest
    at_node += np.bincount(
        topology.fixed_edges.ravel(), np.repeat(topology.fixed_conductances, 2), topology.n_nodes
    )
    held = terminals if topology.ground is None else np.append(terminals, topology.ground)
    inner = np.setdiff1d(np.arange(topology.n_nodes), held)
    if not np.isin(topology.fixed_edges, terminals).any() or not _fixed_are_resistors(topology) or not inner.size:
        return read_only(at_node[terminals])
    try:
        return read_only(np.minimum(at_node[terminals], _short_circuit(topology, every, terminals, inner)))
    except SingularCircuitError:
        return read_only(at_node[terminals])


def _fixed_are_resistors(topology: Topology) -> bool:
    return topology.elements is None or bool(topology.elements.ohmic[topology.n_edges :].all())


def _short_circuit(topology: Topology, siemens: FloatArray, terminals: IntArray, inner: IntArray) -> FloatArray:
    """Return the amperes (T,) into each terminal at 1 V, with all other terminals at 0 V."""
    from hwlearn.circuit.linear.solver import OhmicSolver

    held = Topology(
        topology.n_nodes,
        topology.edges,
        terminals,
        inner[:1],
        topology.ground,
        fixed_edges=topology.fixed_edges,
        fixed_conductances=topology.fixed_conductances,
    )
    solver = OhmicSolver(held, siemens)
    found = np.empty(len(terminals))
    for first in range(0, len(terminals), _AT_ONCE):
        some = np.arange(first, min(first + _AT_ONCE, len(terminals)))
        volts = np.zeros((len(some), len(terminals)))
        volts[np.arange(len(some)), some] = 1.0
        currents = solver.currents(solver.solve(volts, None, None), "inputs")
        found[some] = currents[np.arange(len(some)), some]
    return found
