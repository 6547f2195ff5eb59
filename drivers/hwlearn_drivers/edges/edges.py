"""What sets the conductances of a network whose terminals hang on SMUs: a programmer, or nobody."""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np
from numpy.typing import ArrayLike

from hwlearn.arrays import FloatArray
from hwlearn.circuit.topology import Topology
from hwlearn.errors import SetupError
from hwlearn.network.limits import Limits
from hwlearn.network.network import Programmed

_SAME = 1e-6  # relative; a fixed edge that was asked for what it is has not failed


class Edges(ABC):
    """The programmable part of a network."""

    @abstractmethod
    def program(self, conductances: FloatArray) -> Programmed:
        """Set the edges to targets (E,) in siemens that lie within the limits."""

    @abstractmethod
    def reconnect(self) -> None:
        """Reach the hardware again if its link is closed; the edges keep what they have."""

    @abstractmethod
    def close(self) -> None:
        """Let go of the hardware; the edges keep what they have."""


class FixedEdges(Edges):
    """Resistors that nobody can change.

    Parameters
    ----------
    topology : Topology
    limits : Limits
    conductances : array_like, scalar or shape (E,)
        Siemens.

    Raises
    ------
    SetupError
        If the number of edges does not fit.
    LimitError
        If a conductance lies outside the limits, within which the nudges were reckoned safe.
    """

    def __init__(self, topology: Topology, limits: Limits, conductances: ArrayLike) -> None:
        values = np.asarray(conductances, dtype=np.float64)
        if values.shape not in ((), (topology.n_edges,)):
            raise SetupError(f"{topology.n_edges} edges need one conductance or as many, got {values.size}")
        self.conductances: FloatArray = np.broadcast_to(values, (topology.n_edges,)).copy()
        limits.check_conductances(topology, self.conductances)

    def program(self, conductances: FloatArray) -> Programmed:
        """Change nothing; every edge that was asked for something else has failed."""
        failed = ~np.isclose(conductances, self.conductances, rtol=_SAME, atol=0.0)
        return Programmed(conductances, self.conductances.copy(), failed)

    def reconnect(self) -> None:
        """Nothing is open."""

    def close(self) -> None:
        """Nothing is open."""
