"""`Arc2Wiring`: the channel of an ArC TWO that each row and column is connected to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Self

from hwlearn.circuit.topology import Topology
from hwlearn.errors import SetupError
from hwlearn_drivers.arc2.library import N_CHANNELS

ROWS: Final = (*range(16), *range(32, 48))
COLUMNS: Final = (*range(16, 32), *range(48, 64))
"""Channels of the rows and columns of a 32 x 32 array, as in the vendor's library."""

_CLUSTER: Final = 8


@dataclass(frozen=True, slots=True)
class Arc2Wiring:
    """Channels of a crossbar's lines.

    Parameters
    ----------
    nodes : tuple of int
        Channel of each node: the rows, then the columns.
    edges : tuple of (int, int)
        Channels of the row and the column of each edge.
    """

    nodes: tuple[int, ...]
    edges: tuple[tuple[int, int], ...]

    @classmethod
    def of(
        cls, topology: Topology, rows: Sequence[int] | None = None, columns: Sequence[int] | None = None
    ) -> Self:
        """Return the wiring of a crossbar.

        Parameters
        ----------
        topology : Topology
            Bipartite graph: every edge connects a row to a column, and the rows are the first nodes.
        rows, columns : sequence of int, optional
            Channels in the network's order; by default the vendor's rows and columns, beginning with the first.

        Raises
        ------
        SetupError
            If the graph is not a crossbar, the number of channels is wrong, a channel is used twice, or a row and
            a column share one of the instrument's clusters of 8 channels, which pulse with one polarity only.
        """
        n_rows = int(topology.edges.min(axis=1).max()) + 1 if rows is None else len(rows)
        if not (topology.edges.min(axis=1) < n_rows).all() or not (topology.edges.max(axis=1) >= n_rows).all():
            raise SetupError(
                "the backend 'arc2' needs a crossbar: every edge must connect a row to a column, and rows must be "
                f"the first nodes; with {n_rows} rows this network is not a crossbar"
            )
        n_columns = topology.n_nodes - n_rows
        chosen_rows = _lines("rows", rows, n_rows, ROWS)
        chosen_columns = _lines("columns", columns, n_columns, COLUMNS)
        nodes = (*chosen_rows, *chosen_columns)
        twice = {channel for channel in nodes if nodes.count(channel) > 1}
        if twice:
            raise SetupError(
                f"channel {min(twice)} of the ArC TWO is connected to two lines; use one channel per line"
            )
        shared = {c // _CLUSTER for c in chosen_rows} & {c // _CLUSTER for c in chosen_columns}
        if shared:
            first = min(shared) * _CLUSTER
            raise SetupError(
                f"a row and a column share the channels {first} to {first + _CLUSTER - 1} of the ArC TWO, which "
                "pulse with one polarity only; connect rows and columns to different groups of 8"
            )
        ends = topology.edges.tolist()
        return cls(nodes, tuple((nodes[min(pair)], nodes[max(pair)]) for pair in ends))


def _lines(name: str, chosen: Sequence[int] | None, needed: int, usual: tuple[int, ...]) -> tuple[int, ...]:
    channels = usual[:needed] if chosen is None else tuple(chosen)
    if len(channels) != needed:
        have = len(usual) if chosen is None else len(channels)
        raise SetupError(f"this network has {needed} {name}, but backend.{name} gives channels for {have}")
    for channel in channels:
        if not 0 <= channel < N_CHANNELS:
            raise SetupError(f"backend.{name} names channel {channel}; an ArC TWO has 0 to {N_CHANNELS - 1}")
    return channels
