"""Which channels are connected to which nodes of the analog plane."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hwlearn.arrays import FloatArray, IntArray


class Placement:
    """Nodes with channels, and the channels at each of them.

    Parameters
    ----------
    nodes : sequence of int
        Node of each channel.
    ground : int or None
        The ground node; its channels are shorted.

    Attributes
    ----------
    terminals : list of int
        Nodes with channels, without the ground node, rising.
    place : dict
        Position of each terminal in ``terminals``.
    channels_at : dict
        Numbers of the channels at each node.
    kept : ndarray of int
        The terminals, then the ground node if there is one: the nodes at which current can enter the circuit.
    """

    def __init__(self, nodes: Sequence[int], ground: int | None) -> None:
        self.channels_at: dict[int, list[int]] = {}
        for channel, node in enumerate(nodes):
            self.channels_at.setdefault(node, []).append(channel)
        self.terminals = sorted(set(nodes) - {ground})
        self.place = {node: k for k, node in enumerate(self.terminals)}
        self.grounded = ground is not None
        self.kept: IntArray = np.array([*self.terminals, *([] if ground is None else [ground])], dtype=np.int64)

    def split(self, between: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return conductances between terminals, and to ground, of a matrix over the kept nodes.

        Negative values, which are rounding errors, become zero, and the matrix is made symmetric.
        """
        np.fill_diagonal(between, 0.0)
        between = np.maximum(0.5 * (between + between.T), 0.0)
        m = len(self.terminals)
        return between[:m, :m], between[:m, m] if self.grounded else np.zeros(m)
