"""Which edges have been changing from one circuit to the next, and which way of solving that pays for."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import numpy as np

from hwlearn.arrays import BoolArray, FloatArray
from hwlearn.circuit.linear.factor import FactoredSystem, WeaklyTied
from hwlearn.circuit.linear.plan import Plan
from hwlearn.circuit.linear.reduction import InaccurateReduction, ReducedSystem, Reduction

MOST_CHANGED: Final = 600
"""Up to this many edges that keep changing everything else is eliminated once; the work grows as their cube."""

_MOST_SHARE: Final = 0.04  # of the edges; measured on grids: above it a fresh factor is as fast
_EDGES_A_STEP: Final = 100  # one fresh factor is worth this many of a reduction's edges
_KEPT_REDUCTIONS: Final = 4


@dataclass(frozen=True, eq=False)
class Lineage:
    """Conductances that a family of circuits started from, and the edges that have left them since.

    Parameters
    ----------
    base : ndarray, shape (K,)
        Siemens, all edges.
    changed : ndarray of bool, shape (K,), optional
        Edges that differ from the base in any circuit of the family; none unless given.
    steps : int
        How many circuits in a row changed these edges and no other.
    """

    base: FloatArray
    changed: BoolArray | None = None
    steps: int = 0
    _reductions: dict[bytes, Reduction | None] = field(default_factory=dict)

    def child(self, g: FloatArray) -> Lineage:
        """Return the lineage of a circuit made from one of this lineage."""
        differs = g != self.base
        if self.changed is not None and not (differs & ~self.changed).any():
            return Lineage(self.base, self.changed, self.steps + 1, self._reductions)
        union = differs if self.changed is None else differs | self.changed
        if np.count_nonzero(union) <= min(MOST_CHANGED, _MOST_SHARE * len(g)):
            return Lineage(self.base, union)
        return Lineage(g)

    def factor(self, plan: Plan, key: bytes, g: FloatArray) -> FactoredSystem | ReducedSystem:
        """Factor the equations of a plan, known by its key, with conductances (K,).

        Raises
        ------
        WeaklyTied
            As `FactoredSystem`.
        """
        if plan.dense or self.changed is None:
            return FactoredSystem(plan, g)
        # the reduction costs as much as a few fresh factors: first see whether the edges stay the same
        if self.steps * _EDGES_A_STEP < np.count_nonzero(self.changed):
            return FactoredSystem(plan, g)
        reduction = self._reduction(plan, key)
        if reduction is not None:
            try:
                return ReducedSystem(reduction, g)
            except InaccurateReduction:
                pass
        return FactoredSystem(plan, g)

    def _reduction(self, plan: Plan, key: bytes) -> Reduction | None:
        """Return the reduction for a plan; None if there is none that double precision can tell."""
        # circuits of one family may be solved in several threads: whole entries are put in and taken out
        kept = self._reductions
        try:
            reduction = kept.pop(key)
        except KeyError:
            try:
                reduction = None if self.changed is None else Reduction(plan, self.base, self.changed)
            except WeaklyTied:
                reduction = None
        kept[key] = reduction  # the last one used comes last
        for old in list(kept)[:-_KEPT_REDUCTIONS]:
            kept.pop(old, None)
        return reduction
