"""`InstrumentReport` and `OutputReport`: what is known of an instrument without setting anything."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, Self

from hwlearn.errors import SetupError
from hwlearn.units import format_quantity

ReportedBy = Literal["instrument", "owner", "simulation", "none"]
"""``instrument``: read from it. ``owner``: as the process that uses it has set it; the instrument was not read.
``simulation``: there is no instrument. ``nobody``: it could not be read, and the note says why."""

_UNITS = {"voltage": ("V", "A"), "current": ("A", "V"), "": ("", "")}


@dataclass(frozen=True, slots=True)
class OutputReport:
    """State of one output.

    Attributes
    ----------
    name : str
        As in the manual of the instrument, such as ``"channel 1"``.
    on : bool or None
        None: not known.
    source : {"voltage", "current", ""}
        What it sources; empty if not known.
    level, limit : float or None
        Setpoint in volts or amperes, and limit of the other quantity.
    node : str
        Node of the network that it is connected to; empty for none.
    """

    name: str
    on: bool | None = None
    source: Literal["voltage", "current", ""] = ""
    level: float | None = None
    limit: float | None = None
    node: str = ""

    def text(self) -> str:
        """Return the state in one line."""
        where = f" (node {self.node})" if self.node else ""
        state = {True: "ON", False: "off", None: "not known"}[self.on]
        unit, other = _UNITS[self.source]
        parts = [f"{self.source} source"] if self.source else []
        if self.level is not None:
            parts.append(f"set to {format_quantity(self.level, unit)}" if unit else f"set to {self.level:g}")
        if self.limit is not None:
            parts.append(f"limit {format_quantity(self.limit, other)}" if other else f"limit {self.limit:g}")
        return f"{self.name}{where}: {state}{', ' if parts else ''}{', '.join(parts)}"


@dataclass(frozen=True, slots=True)
class InstrumentReport:
    """State of one instrument.

    Attributes
    ----------
    instrument : str
        Its address.
    reported_by : str
        See `ReportedBy`.
    identity : str
        Maker, model and serial number; empty if not known.
    outputs : tuple of OutputReport
        Every output of the instrument, also those that the bench does not use.
    facts : mapping of str to str
        What else is known: interlock, edges, relays, limits.
    note : str
        Who owns it, or why it could not be read.
    """

    instrument: str
    reported_by: ReportedBy
    identity: str = ""
    outputs: tuple[OutputReport, ...] = ()
    facts: Mapping[str, str] = field(default_factory=dict)
    note: str = ""

    @property
    def any_on(self) -> bool | None:
        """Whether an output is on; None if that is not known of every output and none is known to be on."""
        states = [output.on for output in self.outputs]
        if any(states):
            return True
        return None if not states or None in states else False

    def fields(self) -> dict[str, Any]:
        """Return all values as plain lists, dicts, texts and numbers, for JSON."""
        return {**asdict(self), "outputs": [asdict(output) for output in self.outputs], "facts": dict(self.facts)}

    @classmethod
    def from_fields(cls, found: Mapping[str, Any]) -> Self:
        """Return a report from what `fields` returned in another process.

        Raises
        ------
        SetupError
            If a value has another type.
        """
        try:
            outputs = tuple(_output(one) for one in found["outputs"])
            facts = {str(name): str(text) for name, text in found["facts"].items()}
            texts = [found[name] for name in ("instrument", "identity", "note")]
            if not all(isinstance(text, str) for text in texts):
                raise TypeError
        except (TypeError, ValueError, LookupError, AttributeError):
            raise SetupError("the report of the other process is not valid; is it another version?") from None
        return cls(texts[0], "owner", texts[1], outputs, facts, texts[2])


def _output(found: Mapping[str, Any]) -> OutputReport:
    name, on, source, node = (found[key] for key in ("name", "on", "source", "node"))
    level, limit = (found[key] for key in ("level", "limit"))
    if not (isinstance(name, str) and isinstance(node, str) and source in _UNITS and on in (True, False, None)):
        raise TypeError
    return OutputReport(name, on, source, _number(level), _number(limit), node)


def _number(value: object) -> float | None:
    """Return a number; None for none and for one that is not finite."""
    if value is None:
        return None
    if not isinstance(value, int | float):
        raise TypeError
    return float(value) if math.isfinite(value) else None
