"""Graphs of named groups of nodes: ``network.kind = "groups"`` connects whole groups, or windows of an image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from typing import Annotated

from pydantic import Field

from hwlearn.errors import SetupError, closest
from hwlearn.quantities import Count, Section

Pair = Annotated[list[Count], Field(min_length=2, max_length=2)]


class GroupConnection(Section):
    """An item of ``network.connections``: edges from the nodes of one group to those of another.

    Every node of ``from``, or only those listed in ``nodes``, is connected to every node of ``to``. With ``image``
    (rows and columns of ``from``, whose nodes are counted along the rows) and ``window`` (rows and columns), each
    node of ``to`` is connected to the nodes in one window instead. Windows lie ``stride`` nodes apart and are
    counted along the rows; a group ``to`` with several times as many nodes as there are windows repeats them.
    """

    from_: Annotated[str, Field(alias="from")]
    to: str
    nodes: Annotated[list[Annotated[int, Field(ge=0)]], Field(min_length=1)] | None = None
    image: Pair | None = None
    window: Pair | None = None
    stride: Count = 1

    @property
    def title(self) -> str:
        """What the connection is called in errors."""
        return f"network.connections from {self.from_!r} to {self.to!r}"

    def most_edges(self, n_from: int, n_to: int) -> int:
        """Return the largest number of edges between groups of these sizes."""
        wide = n_from if self.window is None else self.window[0] * self.window[1]
        return min(n_from, wide) * n_to

    def seen(self, n_from: int, n_to: int) -> list[list[int]]:
        """Return for each of ``n_to`` nodes the numbers inside ``from`` that it is connected to.

        Raises
        ------
        SetupError
            If a node does not exist or is listed twice, or the windows do not fit the image or the groups.
        """
        chosen = range(n_from) if self.nodes is None else self.nodes
        for k in chosen:
            if k >= n_from:
                raise SetupError(f"{self.title} lists node {k}, but {self.from_!r} has nodes 0 to {n_from - 1}")
        if len(set(chosen)) != len(chosen):
            raise SetupError(f"{self.title} lists a node twice")
        if (self.image is None) != (self.window is None):
            raise SetupError(f"{self.title}: give image and window, or neither")
        if self.image is None or self.window is None:
            if self.stride != 1:
                raise SetupError(f"{self.title}: stride is for windows; give image and window too")
            return [list(chosen)] * n_to
        windows = self._windows(self.image, self.window, n_from)
        if n_to % len(windows):
            raise SetupError(
                f"{self.title}: there are {len(windows)} windows, but {self.to!r} has {n_to} nodes; "
                "give it as many, or a multiple"
            )
        kept = set(chosen)
        found = [[k for k in window if k in kept] for window in windows]
        return found * (n_to // len(windows))

    def _windows(self, image: Sequence[int], window: Sequence[int], n_from: int) -> list[list[int]]:
        (rows, columns), (high, wide) = image, window
        if rows * columns != n_from:
            raise SetupError(f"{self.title}: image = {list(image)}, but {self.from_!r} has {n_from} nodes")
        if high > rows or wide > columns:
            raise SetupError(f"{self.title}: window = {list(window)} is larger than image = {list(image)}")
        return [
            [(top + r) * columns + left + c for r in range(high) for c in range(wide)]
            for top in range(0, rows - high + 1, self.stride)
            for left in range(0, columns - wide + 1, self.stride)
        ]


@dataclass(frozen=True)
class GroupedNodes:
    """Nodes in named groups, numbered group after group.

    Attributes
    ----------
    sizes : mapping of str to int
        Number of nodes of each group, in order.
    """

    sizes: Mapping[str, int]

    @cached_property
    def _starts(self) -> dict[str, int]:
        return dict(zip(self.sizes, accumulate([0, *self.sizes.values()]), strict=False))

    def nodes(self, group: str, key: str) -> range:
        """Return the numbers of the nodes of a group that a key names.

        Raises
        ------
        SetupError
            If there is no such group.
        """
        if group not in self.sizes:
            known = list(self.sizes)
            raise SetupError(
                f"{key} names no group {group!r}{closest(group, known)}; the groups are: {', '.join(known)}"
            )
        return range(self._starts[group], self._starts[group] + self.sizes[group])

    @property
    def names(self) -> list[str]:
        """Name of each node: its group and its number inside."""
        return [f"{group}{k}" for group, size in self.sizes.items() for k in range(size)]

    def edges(self, connections: Sequence[GroupConnection]) -> list[tuple[int, int]]:
        """Return the edges (drain or first node, source or second node) of connections, in their order.

        Raises
        ------
        SetupError
            As `nodes` and `GroupConnection.seen`.
        """
        found = []
        for one in connections:
            first, second = self.nodes(one.from_, one.title), self.nodes(one.to, one.title)
            seen = one.seen(len(first), len(second))
            found += [(first[k], b) for b, of_b in zip(second, seen, strict=True) for k in of_b]
        return found
