"""Faults that happen while a simulated network is trained: edges that open, or stick, after some updates."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from hwlearn.arrays import FloatArray
from hwlearn.errors import SetupError


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
        ``"open"``: no conductance any more. ``"stuck"``: the edge keeps its value and cannot be programmed.
    siemens : float, optional
        Conductance of stuck edges. Default: what each one has when it fails.

    Raises
    ------
    SetupError
        If the step or an edge is negative, there are no edges, the kind is unknown, or an open edge has a
        conductance.
    """

    at_step: int
    edges: Sequence[int]
    kind: Literal["open", "stuck"] = "open"
    siemens: float | None = None

    def __post_init__(self) -> None:
        if self.at_step < 0:
            raise SetupError(f"at_step of a fault is {self.at_step}; it must be 0 or more")
        if not len(self.edges) or min(self.edges) < 0:
            raise SetupError(f"edges of a fault are {list(self.edges)}; list at least one number from 0")
        if self.kind not in ("open", "stuck"):
            raise SetupError(f"kind of a fault is {self.kind!r}; it must be 'open' or 'stuck'")
        if self.siemens is not None and (
            self.kind == "open" or not (math.isfinite(self.siemens) and self.siemens > 0)
        ):
            raise SetupError(
                f"a fault of kind {self.kind!r} has the conductance {self.siemens:g} S; it must be positive, and "
                "an open edge has none"
            )

    def require_no_conductance(self) -> None:
        """Refuse a fault of edges with other values, such as gate voltages, unless they keep them."""
        if self.kind == "open" or self.siemens is not None:
            raise SetupError(
                f"a fault of kind {self.kind!r} gives edges {list(self.edges)} a conductance, but they have none; "
                "use kind = 'stuck' without a conductance"
            )

    def values(self, present: FloatArray) -> FloatArray:
        """Return the values of the failed edges, given those of all edges (E,) now."""
        if self.kind == "open":
            return np.zeros(len(self.edges))
        if self.siemens is not None:
            return np.full(len(self.edges), self.siemens)
        return np.asarray(present[np.asarray(self.edges)])
