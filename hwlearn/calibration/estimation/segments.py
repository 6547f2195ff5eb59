"""Wire segments of a crossbar whose resistances are unknowns of a calibration."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Self

import numpy as np

from hwlearn.arrays import BoolArray, FloatArray, IntArray
from hwlearn.circuit.topology import Topology

LINES: Final = ("row", "column")
"""Kinds of lines of a crossbar; all segments of one kind have one resistance."""


@dataclass(frozen=True, eq=False)
class Segments:
    """Wire segments of a crossbar, as declared.

    Attributes
    ----------
    lines : tuple of str
        Kinds of lines with resistance, of `LINES`.
    ohms : ndarray, shape (L,)
        Declared resistance of one segment of each.
    kind : ndarray of int, shape (F,)
        Kind of each segment, in the order of the topology's fixed edges.
    """

    lines: tuple[str, ...]
    ohms: FloatArray
    kind: IntArray

    @classmethod
    def of(cls, topology: Topology) -> Self | None:
        """Return the segments of a wired crossbar; None for other circuits."""
        wires = topology.wires
        if wires is None:
            return None
        declared = {"row": wires.row_ohms, "column": wires.column_ohms}
        lines = tuple(line for line in LINES if declared[line])
        kind = np.repeat(np.arange(len(lines)), wires.rows * wires.columns)
        return cls(lines, np.array([declared[line] for line in lines]), kind)

    def siemens(self, log_ohm: FloatArray, deviation: FloatArray) -> FloatArray:
        """Return the conductances (F,) of all segments.

        Parameters
        ----------
        log_ohm : ndarray, shape (L,)
            Logarithms of the lines' resistances of a segment, divided by the declared ones.
        deviation : ndarray, shape (F,)
            Logarithms of the segments' resistances, divided by that of their line.
        """
        return np.asarray(np.exp(-log_ohm[self.kind] - deviation) / self.ohms[self.kind])

    @property
    def of_line(self) -> BoolArray:
        """Which segments (F,) belong to which line (F, L)."""
        return np.asarray(self.kind[:, None] == np.arange(len(self.lines)))


@lru_cache(maxsize=16)
def with_free_wires(topology: Topology) -> Topology:
    """Return the circuit with its fixed edges as further edges, so that their conductances may change."""
    return Topology(
        topology.n_nodes,
        topology.all_edges,
        topology.inputs,
        topology.outputs,
        topology.ground,
        names=topology.names,
    )
