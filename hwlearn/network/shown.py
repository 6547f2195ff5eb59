"""What a network looks like in a terminal and in a notebook; no instrument is contacted for it."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress

from hwlearn.circuit.topology import Topology
from hwlearn.html_text import object_box
from hwlearn.network.limits import Limits
from hwlearn.network.nudges import DriveKind
from hwlearn.units import format_quantity


class ShownNetwork:
    """Base class of `Network`: its plain text and its HTML, from what the object knows without asking its backend.

    Both work for closed networks too, and for objects of which the constructor has failed.
    """

    topology: Topology
    limits: Limits
    nudges: frozenset[DriveKind]
    measurements: int
    _closed: bool

    def __repr__(self) -> str:
        try:
            state = "closed" if self._closed else "open"
            return f"<{self._shown_name()}: {_graph(self.topology)}, {state}, {self.measurements:,} measurements>"
        except AttributeError:  # its constructor has failed
            return f"<{type(self).__name__}, not initialised>"

    def _repr_html_(self) -> str:
        facts: list[tuple[str, str]] = []
        with suppress(AttributeError):
            facts += [
                ("network", _graph(self.topology)),
                ("state", "closed" if self._closed else "open"),
                ("measured samples", f"{self.measurements:,}"),
                ("nudges", ", ".join(sorted(self.nudges)) or "none"),
                *limit_facts(self.limits),
            ]
        return object_box(self._shown_name(), facts)

    def _shown_name(self) -> str:
        return type(self).__name__


def limit_facts(limits: Limits) -> Iterable[tuple[str, str]]:
    """Yield the name and the value of each limit."""
    for name, unit in (("voltage", "V"), ("drop", "V"), ("nudge", "V"), ("current", "A")):
        yield f"limit of {name}", format_quantity(getattr(limits, name), unit)
    for name, (low, high) in limits.values:
        of_value = {"conductance": "S", "gate voltage": "V"}.get(name)
        ends = (
            (f"{low:g}", f"{high:g}")
            if of_value is None
            else (format_quantity(end, of_value) for end in (low, high))
        )
        yield f"range of {name}", " to ".join(ends)


def _graph(topology: Topology) -> str:
    return (
        f"{topology.n_nodes:,} nodes, {topology.n_edges:,} edges, {topology.n_inputs:,} inputs, "
        f"{topology.n_outputs:,} outputs"
    )
