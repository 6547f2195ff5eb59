"""`JoinedEdges`: the edges of a network that several instruments set, each its own."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack

import numpy as np

from hwlearn.arrays import FloatArray, IntArray
from hwlearn.network.network import Programmed
from hwlearn_drivers.edges.edges import Edges


class JoinedEdges(Edges):
    """Edges in several parts, such as resistors on a card of potentiometers and gates on a card of DACs.

    Parameters
    ----------
    parts : sequence of (ndarray of int, Edges)
        Numbers of the edges of each part, and what sets them in that order. Every edge is in one part.

    Notes
    -----
    Parts are programmed one after the other. If one fails, those before it have changed already; the network then
    has to be programmed again, as after every error while it was programmed.
    """

    def __init__(self, parts: Sequence[tuple[IntArray, Edges]]) -> None:
        self._parts = tuple(parts)
        self.fixed = all(part.fixed for _, part in self._parts)

    def program(self, conductances: FloatArray) -> Programmed:
        """Set the edges of each part to their targets; see `Edges.program`."""
        reached, failed = np.array(conductances, dtype=np.float64), np.zeros(len(conductances), dtype=np.bool_)
        for edges, part in self._parts:
            done = part.program(conductances[edges])
            reached[edges], failed[edges] = done.reached, done.failed
        return Programmed(conductances, reached, failed)

    def check(self) -> None:
        """Check every part; see `Edges.check`."""
        for _, part in self._parts:
            part.check()

    def reconnect(self) -> None:
        """Open the links of every part again; see `Edges.reconnect`."""
        for _, part in self._parts:
            part.reconnect()

    def close(self) -> None:
        """Close the links of every part, also if one fails."""
        with ExitStack() as stack:
            for _, part in reversed(self._parts):
                stack.callback(part.close)
