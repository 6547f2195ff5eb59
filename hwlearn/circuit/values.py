"""Checks of the values of edges: conductances, thetas, gate voltages."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from hwlearn.arrays import BoolArray, FloatArray
from hwlearn.circuit.elements import ThreeTerminal
from hwlearn.circuit.elements.three_terminal import CONDUCTANCE
from hwlearn.circuit.topology import Topology
from hwlearn.errors import CircuitError, SingularCircuitError


def connected_values(topology: Topology, conductances: ArrayLike, allow_open: bool) -> FloatArray:
    """Return checked conductances (E,); refuse a circuit in which a node has no path to a source."""
    checked = _checked_conductances(topology, conductances, allow_open)
    floating = topology.floating_nodes(_conducts(topology, checked)) if allow_open else topology.floating
    if floating.size:
        names = ", ".join(topology.names[n] for n in floating[:5])
        raise SingularCircuitError(
            f"singular circuit: no conducting path connects {len(floating)} node(s) to a source: {names}"
        )
    return checked


def _conducts(topology: Topology, values: FloatArray) -> BoolArray:
    """Return which edges (E,) are not open; a transistor conducts a little at every gate voltage."""
    conducts = np.asarray(values > 0)
    if topology.elements is not None and topology.elements.has_three_terminals:
        conducts |= [isinstance(element, ThreeTerminal) for element in topology.edge_elements]
    return conducts


def _checked_conductances(topology: Topology, conductances: ArrayLike, allow_open: bool) -> FloatArray:
    try:
        g = np.array(conductances, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise CircuitError(f"conductances must be numbers, shape ({topology.n_edges},)") from error
    if g.shape != (topology.n_edges,):
        raise CircuitError(f"conductances must have shape ({topology.n_edges},), one for each edge, got {g.shape}")
    table = topology.elements
    refused = ~CONDUCTANCE.accepts(g) if table is None else table.refused(g)
    if allow_open:
        refused &= ~((g == 0) & ~_conducts(topology, np.zeros_like(g)))
    if refused.any():
        k = int(np.flatnonzero(refused)[0])
        asked = CONDUCTANCE if table is None else table.parameter(k)
        if np.isnan(g[k]) or np.isinf(g[k]):
            kind = "NaN " if np.isnan(g[k]) else "infinite "
        else:
            kind = "" if asked is not CONDUCTANCE else "zero " if g[k] == 0 else "negative "
        more = f" (and {refused.sum() - 1} more)" if refused.sum() > 1 else ""
        name = "conductances" if asked is CONDUCTANCE else "it"
        raise CircuitError(
            f"{kind}{asked.name} {g[k]:g} {asked.unit} at {topology.edge_name(k)}{more}; {name} must be "
            f"{asked.allowed}"
        )
    g.flags.writeable = False
    return g
