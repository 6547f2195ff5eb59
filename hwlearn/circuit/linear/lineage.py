"""Tracks which conductances change between successive circuits; picks a full or a reduced factorisation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np

from hwlearn.arrays import BoolArray, FloatArray
from hwlearn.circuit.linear.cholmod import is_installed
from hwlearn.circuit.linear.factor import FactoredSystem
from hwlearn.circuit.linear.plan import IllConditioned, Plan
from hwlearn.circuit.linear.reduction import InaccurateReduction, ReducedSystem, Reduction
from hwlearn.errors import CircuitError

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
    cholmod : bool
        Whether large circuits are factored by CHOLMOD; see `FactoredSystem`. The rounding depends on it.
    """

    base: FloatArray
    changed: BoolArray | None = None
    steps: int = 0
    cholmod: bool = False
    _reductions: dict[bytes, Reduction | None] = field(default_factory=dict)

    @classmethod
    def beginning(cls, g: FloatArray) -> Lineage:
        """Return the lineage of a circuit (K,) without earlier ones; it uses CHOLMOD if that is installed."""
        return cls(g, cholmod=is_installed())

    def history(self) -> dict[str, np.ndarray]:
        """Return the lineage as arrays by name; those of earlier circuits only if there are any."""
        used = {"cholmod": np.array(True)} if self.cholmod else {}
        if self.changed is None:
            return used
        return {"base": self.base, "changed": self.changed, "steps": np.array(self.steps), **used}

    @classmethod
    def from_history(cls, history: Mapping[str, np.ndarray], g: FloatArray) -> Lineage:
        """Return the lineage of a circuit with conductances (K,) from what `history` returned.

        Raises
        ------
        ValueError
            If it is of another circuit.
        CircuitError
            If the circuit was factored by CHOLMOD, which is not installed.
        """
        cholmod = "cholmod" in history
        if cholmod and not is_installed():
            raise CircuitError(
                "this circuit was solved by CHOLMOD, which is not installed here, and another library would round "
                "differently; install the extra `fast`: pip install 'hwlearn[fast]'"
            )
        if "base" not in history:
            return cls(g, cholmod=cholmod)
        base, changed = history["base"].astype(np.float64), history["changed"].astype(bool)
        if not base.shape == changed.shape == g.shape:
            raise ValueError(f"the history is of {len(base)} edges, the circuit has {len(g)}")
        return cls(base, changed, int(history["steps"]), cholmod)

    def child(self, g: FloatArray) -> Lineage:
        """Return the lineage of the next circuit, with conductances (K,)."""
        differs = g != self.base
        if self.changed is not None and not (differs & ~self.changed).any():
            return replace(self, steps=self.steps + 1)  # with the same reductions
        union = differs if self.changed is None else differs | self.changed
        if np.count_nonzero(union) <= min(MOST_CHANGED, _MOST_SHARE * len(g)):
            return Lineage(self.base, union, cholmod=self.cholmod)
        return Lineage(g, cholmod=self.cholmod)

    def factor(self, plan: Plan, key: bytes, g: FloatArray) -> FactoredSystem | ReducedSystem:
        """Factor the equations of a plan with conductances (K,); ``key`` identifies the plan.

        Raises
        ------
        IllConditioned
            As `FactoredSystem`.
        """
        if plan.dense or self.changed is None:
            return FactoredSystem(plan, g, cholmod=self.cholmod)
        # a reduction costs as much as several full factorisations: wait until the same edges keep changing
        if self.steps * _EDGES_A_STEP < np.count_nonzero(self.changed):
            return FactoredSystem(plan, g, cholmod=self.cholmod)
        reduction = self._reduction(plan, key)
        if reduction is not None:
            try:
                return ReducedSystem(reduction, g)
            except InaccurateReduction:
                pass
        return FactoredSystem(plan, g, cholmod=self.cholmod)

    def _reduction(self, plan: Plan, key: bytes) -> Reduction | None:
        """Return the reduction for a plan; None if it is not accurate enough in double precision."""
        # circuits of one series may be solved in several threads: only whole entries are added and removed
        kept = self._reductions
        try:
            reduction = kept.pop(key)
        except KeyError:
            try:
                reduction = None
                if self.changed is not None:
                    reduction = Reduction(plan, self.base, self.changed, cholmod=self.cholmod)
            except IllConditioned:
                reduction = None
        kept[key] = reduction  # the last used entry is the last one
        for old in list(kept)[:-_KEPT_REDUCTIONS]:
            kept.pop(old, None)
        return reduction
