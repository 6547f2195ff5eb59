"""Tracks which conductances change between successive circuits; picks a full or a reduced factorisation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from hwlearn.arrays import BoolArray, FloatArray
from hwlearn.circuit.linear.factor import FactoredSystem, IllConditioned
from hwlearn.circuit.linear.plan import Plan
from hwlearn.circuit.linear.reduction import InaccurateReduction, ReducedSystem, Reduction

MOST_CHANGED: Final = 600
"""Largest number of changing edges for a reduced factorisation; its work grows with their cube."""

_MOST_SHARE: Final = 0.04  # largest share of changing edges; on grids, a full factorisation is as fast above it
_EDGES_A_STEP: Final = 100  # changing edges of a reduction that cost as much as one full factorisation
_KEPT_REDUCTIONS: Final = 4


@dataclass(frozen=True, eq=False)
class Lineage:
    """First conductances of a series of circuits, and the edges that have changed since.

    Parameters
    ----------
    base : ndarray, shape (K,)
        Siemens, all edges.
    changed : ndarray of bool, shape (K,), optional
        Edges that differ from the base in any circuit of the series; none unless given.
    steps : int
        Number of successive circuits that changed only these edges.
    """

    base: FloatArray
    changed: BoolArray | None = None
    steps: int = 0
    _reductions: dict[bytes, Reduction | None] = field(default_factory=dict)

    def history(self) -> dict[str, np.ndarray]:
        """Return the lineage as arrays by name; empty for one that starts with the present circuit."""
        if self.changed is None:
            return {}
        return {"base": self.base, "changed": self.changed, "steps": np.array(self.steps)}

    @classmethod
    def from_history(cls, history: Mapping[str, np.ndarray], g: FloatArray) -> Lineage:
        """Return the lineage of a circuit with conductances (K,) from what `history` returned.

        Raises
        ------
        ValueError
            If it is of another circuit.
        """
        if not history:
            return cls(g)
        base, changed = history["base"].astype(np.float64), history["changed"].astype(bool)
        if not base.shape == changed.shape == g.shape:
            raise ValueError(f"the history is of {len(base)} edges, the circuit has {len(g)}")
        return cls(base, changed, int(history["steps"]))

    def child(self, g: FloatArray) -> Lineage:
        """Return the lineage of the next circuit, with conductances (K,)."""
        differs = g != self.base
        if self.changed is not None and not (differs & ~self.changed).any():
            return Lineage(self.base, self.changed, self.steps + 1, self._reductions)
        union = differs if self.changed is None else differs | self.changed
        if np.count_nonzero(union) <= min(MOST_CHANGED, _MOST_SHARE * len(g)):
            return Lineage(self.base, union)
        return Lineage(g)

    def factor(self, plan: Plan, key: bytes, g: FloatArray) -> FactoredSystem | ReducedSystem:
        """Factor the equations of a plan with conductances (K,); ``key`` identifies the plan.

        Raises
        ------
        IllConditioned
            As `FactoredSystem`.
        """
        if plan.dense or self.changed is None:
            return FactoredSystem(plan, g)
        # a reduction costs as much as several full factorisations: wait until the same edges keep changing
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
        """Return the reduction for a plan; None if it is not accurate enough in double precision."""
        # circuits of one series may be solved in several threads: only whole entries are added and removed
        kept = self._reductions
        try:
            reduction = kept.pop(key)
        except KeyError:
            try:
                reduction = None if self.changed is None else Reduction(plan, self.base, self.changed)
            except IllConditioned:
                reduction = None
        kept[key] = reduction  # the last used entry is the last one
        for old in list(kept)[:-_KEPT_REDUCTIONS]:
            kept.pop(old, None)
        return reduction
