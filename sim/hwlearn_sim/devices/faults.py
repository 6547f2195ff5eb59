"""Faults that happen while a simulated network is trained: edges that open, or stick, after some updates."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from hwlearn.arrays import FloatArray
from hwlearn.circuit.elements.numbers import real_number
from hwlearn.errors import SetupError
from hwlearn.units import is_count


@dataclass(frozen=True)
class EdgeFault:
    """Edges that fail together.

    Parameters
    ----------
    at_step : int
        Number of updates that the edges do not miss, and one more: a training programs once at its start and once
        for each update, and the edges fail just before the programming with this number, counted from 0.
    edges : sequence of int
        Numbers of the edges.
    kind : "open" or "stuck"
        ``"open"``: no current any more. ``"stuck"``: the edge keeps its value and cannot be programmed.
    siemens : float, optional
        Conductance of stuck edges, whose values are conductances. Default: what each one has when it fails.

    Raises
    ------
    SetupError
        If the step or an edge is no whole number from 0, there are no edges, the kind is unknown, a conductance
        is no positive number, or an open edge has one.
    """

    at_step: int
    edges: Sequence[int]
    kind: Literal["open", "stuck"] = "open"
    siemens: float | None = None

    def __post_init__(self) -> None:
        if not is_count(self.at_step, 0):
            raise SetupError(f"at_step of a fault is {self.at_step!r}; it must be a whole number, 0 or more")
        object.__setattr__(self, "at_step", int(self.at_step))
        object.__setattr__(self, "edges", _edge_numbers(self.edges))
        if not (isinstance(self.kind, str) and self.kind in ("open", "stuck")):
            raise SetupError(f"kind of a fault is {self.kind!r}; it must be 'open' or 'stuck'")
        if self.siemens is None:
            return
        number = real_number(self.siemens)
        if self.kind == "open" or not (math.isfinite(number) and number > 0):
            raise SetupError(
                f"a fault of kind {self.kind!r} has siemens = {self.siemens!r}; it must be a positive number, and "
                "an open edge has none"
            )
        object.__setattr__(self, "siemens", number)

    def require_no_conductance(self, *, may_cut: bool) -> None:
        """Refuse a fault that gives a conductance to edges with other values, such as gate voltages.

        Parameters
        ----------
        may_cut : bool
            Whether such edges can be cut.

        Raises
        ------
        SetupError
        """
        if self.siemens is not None:
            raise SetupError(
                f"a fault gives edges {list(self.edges)} the conductance {self.siemens:g} S, but their values are "
                "no conductances; use kind = 'stuck' without a conductance"
            )
        if self.kind == "open" and not may_cut:
            raise SetupError(
                f"a fault cuts edges {list(self.edges)}, whose values are no conductances; virtual instruments "
                "cut only edges with a conductance: use kind = 'stuck', or the backend sim"
            )

    def values(self, present: FloatArray) -> FloatArray:
        """Return the values of the failed edges, given those of all edges (E,) now."""
        if self.kind == "open":
            return np.zeros(len(self.edges))
        if self.siemens is not None:
            return np.full(len(self.edges), self.siemens)
        return np.asarray(present[np.asarray(self.edges)])


def _edge_numbers(edges: object) -> tuple[int, ...]:
    """Return the edges as a tuple; refuse anything but a list of whole numbers from 0."""
    listed = list(edges) if isinstance(edges, Iterable) and not isinstance(edges, str | bytes | Mapping) else []
    if not listed or not all(is_count(edge, 0) for edge in listed):
        raise SetupError(f"edges of a fault are {edges!r:.80}; list at least one whole number from 0, such as [3]")
    return tuple(int(edge) for edge in listed)
