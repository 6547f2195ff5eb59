"""`Edges`: sets the conductances of a network on SMUs; `FixedEdges`: resistors that cannot be changed."""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np
from numpy.typing import ArrayLike

from hwlearn.arrays import FloatArray, IntArray
from hwlearn.circuit.elements.three_terminal import Parameter
from hwlearn.circuit.topology import Topology
from hwlearn.errors import SetupError
from hwlearn.network.limits import Limits
from hwlearn.network.network import Programmed

_SAME = 1e-6  # relative tolerance: a fixed edge does not fail if its own conductance is requested


class Edges(ABC):
    """The edges of a network, as programmed and read back."""

    fixed: bool = False
    """Whether they cannot be programmed."""

    @abstractmethod
    def program(self, conductances: FloatArray) -> Programmed:
        """Set the edges to targets (E,), siemens or volts, which are within the limits."""

    @abstractmethod
    def check(self) -> None:
        """Check that the edges are as this program left them; called after the readings of each batch.

        Raises
        ------
        OutputStateError
            If somebody else has changed an edge.
        """

    @abstractmethod
    def reconnect(self) -> None:
        """Open the link again if it is closed; set the edges again if somebody else has changed them."""

    @abstractmethod
    def close(self) -> None:
        """Close the link; the conductances do not change."""


def parameters_of(topology: Topology, edges: IntArray | None) -> list[Parameter]:
    """Return the trainable quantities of some edges; None stands for all edges."""
    return [one for one, own in topology.parameters if edges is None or np.isin(edges, own).any()]


class FixedEdges(Edges):
    """Resistors that cannot be changed.

    Parameters
    ----------
    topology : Topology
    limits : Limits
    conductances : array_like, scalar or shape (E,)
        Siemens.

    Raises
    ------
    SetupError
        If the number of conductances does not match the number of edges.
    LimitError
        If a conductance is outside the limits, for which the nudge limits were calculated.
    """

    fixed = True

    def __init__(self, topology: Topology, limits: Limits, conductances: ArrayLike) -> None:
        topology.require_two_terminals("a network of fixed edges")
        values = np.asarray(conductances, dtype=np.float64)
        if values.shape not in ((), (topology.n_edges,)):
            raise SetupError(f"{topology.n_edges} edges need one conductance or as many, got {values.size}")
        self.conductances: FloatArray = np.broadcast_to(values, (topology.n_edges,)).copy()
        limits.check_conductances(topology, self.conductances)

    def program(self, conductances: FloatArray) -> Programmed:
        """Change nothing; every edge with a different target is reported as failed."""
        failed = ~np.isclose(conductances, self.conductances, rtol=_SAME, atol=0.0)
        return Programmed(conductances, self.conductances.copy(), failed)

    def check(self) -> None:
        """Do nothing: nobody can change them."""

    def reconnect(self) -> None:
        """Do nothing: there is no link."""

    def close(self) -> None:
        """Do nothing: there is no link."""
