"""Plans that are kept because other circuits on the same graph need them: a limited number of a limited size."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from hwlearn.circuit.linear.plan import Plan
from hwlearn.circuit.topology import Topology

_MOST_PLANS: Final = 32
_MOST_EDGES: Final = 4_000_000
"""Edges of all kept plans together; a plan and its factor that waits for reuse take 300 bytes an edge."""


class KeptPlans:
    """The plans used last, by graph and set of held outputs. Circuits in several threads may use it.

    Parameters
    ----------
    make : callable
        Returns the plan of a graph and its held outputs (bytes of a bool array).
    """

    def __init__(self, make: Callable[[Topology, bytes], Plan]) -> None:
        self._make = make
        self._plans: OrderedDict[tuple[Topology, bytes], Plan] = OrderedDict()
        self._lock = threading.Lock()

    def __call__(self, topology: Topology, held: bytes) -> Plan:
        """Return the plan of a graph and its held outputs (bytes of a bool array)."""
        key = topology, held
        with self._lock:
            plan = self._plans.get(key)
            if plan is not None:
                self._plans.move_to_end(key)
                return plan
        plan = self._make(topology, held)
        with self._lock:
            plan = self._plans.setdefault(key, plan)  # another thread may have made it
            self._plans.move_to_end(key)
            edges = sum(len(kept.edges) for kept in self._plans.values())
            while len(self._plans) > 1 and (len(self._plans) > _MOST_PLANS or edges > _MOST_EDGES):
                edges -= len(self._plans.popitem(last=False)[1].edges)
        return plan

    def cache_clear(self) -> None:
        """Forget all plans."""
        with self._lock:
            self._plans.clear()
