"""`Limits`: hard limits of a bench. Requests outside them are refused, never clipped."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from hwlearn.arrays import FloatArray, IntArray, square_sum
from hwlearn.circuit.elements.three_terminal import CONDUCTANCE, UNITS, Parameter
from hwlearn.circuit.elements.value_ranges import ValueRanges
from hwlearn.circuit.topology import Topology
from hwlearn.device_access.limits import limit_range, limit_value
from hwlearn.errors import LimitError, UnitError
from hwlearn.units import ROUNDING, format_quantity, parse_quantity

_UNITS: Final = {"voltage": "V", "drop": "V", "nudge": "V", "current": "A"}

_Range = tuple[float, float]


@dataclass(frozen=True, slots=True, init=False)
class Limits:
    """Hard limits of a bench. Every request is checked against them before any output changes.

    Each limit is a number in SI base units or text with a unit, such as ``"500 mV"``.

    Parameters
    ----------
    voltage : float or str
        Maximum absolute node voltage, in volts.
    drop : float or str
        Maximum voltage across any element, in volts. It is checked as the largest minus the smallest voltage of
        all driven terminals, which bounds every drop inside the network.
    nudge : float or str
        Maximum voltage in volts by which a nudge may move an output.
    current : float or str
        Maximum absolute current of any source, in amperes.
    conductance : (float or str, float or str), optional
        Minimum and maximum conductance to which an edge may be programmed, in siemens. A network without
        conductances, such as one of transistors, needs none.
    values : mapping of str to (float or str, float or str), optional
        Minimum and maximum of other values that are programmed, by the name of the parameter that the element of
        the edge declares, such as ``{"gate voltage": ("400 mV", "8 V")}``; kept as a tuple of pairs.

    Raises
    ------
    LimitError
        If a limit is not positive and finite, a range is empty, or there is neither ``conductance`` nor
        ``values``.

    Examples
    --------
    >>> Limits("500 mV", "1 V", "100 mV", "1 mA", ("1 uS", "100 uS")).voltage
    0.5
    >>> dict(Limits(1.0, 2.0, 0.1, 1e-2, values={"gate voltage": ("400 mV", "8 V")}).values)
    {'gate voltage': (0.4, 8.0)}
    """

    voltage: float
    drop: float
    nudge: float
    current: float
    values: tuple[tuple[str, _Range], ...]

    def __init__(
        self,
        voltage: float | str,
        drop: float | str,
        nudge: float | str,
        current: float | str,
        conductance: Sequence[float | str] | None = None,
        *,
        values: Mapping[str, Sequence[float | str]] | Iterable[tuple[str, _Range]] = (),
    ) -> None:
        for name, value in (("voltage", voltage), ("drop", drop), ("nudge", nudge), ("current", current)):
            object.__setattr__(self, name, limit_value(f"limits.{name}", value, _UNITS[name]))
        try:
            given = dict(values)
        except (TypeError, ValueError):
            raise LimitError(
                f"values of limits must be a mapping of names to ranges, got {values!r:.80}"
            ) from None
        ranges = {name: _value_range(name, ends) for name, ends in given.items()}
        if conductance is not None:
            ranges[CONDUCTANCE.name] = limit_range("limits.conductance", conductance, "S")
        if not ranges:
            raise LimitError(
                "limits.conductance is missing; give (low, high) in siemens, or for transistors in the bench file "
                "limits.gate_voltage, in Python values={'gate voltage': (low, high)}"
            )
        object.__setattr__(self, "values", tuple(sorted(ranges.items())))

    def facts(self) -> list[tuple[str, str]]:
        """Return the name and the value of each limit as text, for a person."""
        found = [(f"limit of {name}", format_quantity(getattr(self, name), unit)) for name, unit in _UNITS.items()]
        for name, ends in self.values:
            unit = UNITS.get(name)
            texts = [f"{end:g}" if unit is None else format_quantity(end, unit) for end in ends]
            found.append((f"range of {name}", " to ".join(texts)))
        return found

    # --- ranges of what is programmed -----------------------------------------------------------------

    @property
    def conductance(self) -> _Range:
        """Minimum and maximum conductance in siemens.

        Raises
        ------
        LimitError
            If these limits have none.
        """
        return self._range_of(CONDUCTANCE, "this backend or operation; of transistors, 'sim' is the backend")

    def range_of(self, parameter: Parameter) -> _Range:
        """Return the minimum and maximum of a parameter in its unit.

        Raises
        ------
        LimitError
            If these limits have none, or it is wider than the elements accept.
        """
        low, high = self._range_of(parameter, f"edges with a {parameter.name}")
        ends = np.array([low, high])
        if not parameter.accepts(ends).all():
            raise LimitError(
                f"limits of the {parameter.name} are {_text(low, high, parameter.unit)}, but the elements accept "
                f"{parameter.allowed}; narrow the limits"
            )
        return low, high

    def _range_of(self, parameter: Parameter, what: str) -> _Range:
        for name, ends in self.values:
            if name == parameter.name:
                return ends
        key = parameter.name.replace(" ", "_")
        raise LimitError(
            f"the limits have no range of the {parameter.name} for {what}; give limits.{key} in the bench file, "
            f"or in Python {_argument(parameter)}"
        )

    def ranges(self, topology: Topology) -> ValueRanges:
        """Return the range of the value of each edge.

        Raises
        ------
        LimitError
            As `range_of`.
        """
        parts = [(parameter, edges, self.range_of(parameter)) for parameter, edges in topology.parameters]
        if len(parts) == 1:
            parameter, _, (low, high) = parts[0]
            return ValueRanges(low, high, parameter.scale == "log", topology.n_edges)
        lows, highs = np.empty(topology.n_edges), np.empty(topology.n_edges)
        is_log = np.zeros(topology.n_edges, dtype=np.bool_)
        for parameter, edges, (low, high) in parts:
            lows[edges], highs[edges], is_log[edges] = low, high, parameter.scale == "log"
        return ValueRanges(lows, highs, is_log, topology.n_edges)

    # --- checks -------------------------------------------------------------------------------------

    def check_terminals(self, topology: Topology, inputs: FloatArray, outputs: FloatArray | None = None) -> None:
        """Refuse input volts (S, n_in) and clamped output volts (S, n_out) outside the limits.

        NaN marks a floating output.

        Raises
        ------
        LimitError
            If an input is not finite, a voltage exceeds ``voltage``, or a spread exceeds ``drop``.
        """
        # the first condition is the faster one
        if not square_sum(inputs.ravel("K")) < math.inf and not np.isfinite(inputs).all():
            sample, k = np.argwhere(~np.isfinite(inputs))[0]
            raise LimitError(
                f"input {topology.names[topology.inputs[k]]} of sample {sample} is {inputs[sample, k]}; "
                "every input voltage must be finite"
            )
        self._check("voltage", "input voltage", inputs, topology, topology.inputs)
        terminals = [inputs]
        if topology.ground is not None or topology.has_three_terminals:  # bodies and gates are against ground
            terminals.append(np.zeros((len(inputs), 1)))
        if outputs is not None:
            self._check("voltage", "output drive", outputs, topology, topology.outputs)
            terminals.append(outputs)
        driven = np.concatenate(terminals, axis=1)
        if len(driven):
            spread = np.fmax.reduce(driven, axis=1) - np.fmin.reduce(driven, axis=1)
            over = np.flatnonzero(spread > self.drop * (1 + ROUNDING))
            if over.size:
                raise LimitError(
                    f"sample {over[0]} has {format_quantity(spread[over[0]], 'V')} between its driven terminals, "
                    f"more than limits.drop = {format_quantity(self.drop, 'V')}; reduce the input voltages"
                )

    def check_currents(self, topology: Topology, nodes: IntArray, currents: FloatArray) -> None:
        """Refuse source currents (S, n) in amperes into these nodes above ``current``; NaN means no source."""
        self._check("current", "source current", currents, topology, nodes)

    def check_nudge(self, topology: Topology, moved: FloatArray) -> None:
        """Refuse output displacements (S, n_out) in volts above ``nudge``; NaN means no nudge."""
        self._check("nudge", "nudge", moved, topology, topology.outputs)

    def check_values(self, topology: Topology, values: FloatArray) -> None:
        """Refuse target values (E,) outside the ranges of their parameters; the error names the first edge."""
        for parameter, edges in topology.parameters:
            low, high = self.range_of(parameter)
            some = values if len(edges) == len(values) else values[edges]
            inside = (some >= low - ROUNDING * abs(low)) & (some <= high + ROUNDING * abs(high))
            if not inside.all():
                k = int(edges[np.flatnonzero(~inside)[0]])
                known = parameter.name == CONDUCTANCE.name
                name = "limits.conductance =" if known else f"the limits of the {parameter.name},"
                raise LimitError(
                    f"target {format_quantity(float(values[k]), parameter.unit)} at {topology.edge_name(k)} is "
                    f"outside {name} {_text(low, high, parameter.unit)}"
                )

    def check_conductances(self, topology: Topology, conductances: FloatArray) -> None:
        """Refuse target conductances (E,) in siemens outside ``conductance``; `check_values` by an older name."""
        self.check_values(topology, conductances)

    def _check(self, name: str, what: str, values: FloatArray, topology: Topology, nodes: IntArray) -> None:
        """Refuse values (S, n) at the nodes whose magnitude exceeds the limit ``name``."""
        limit, unit = getattr(self, name), _UNITS[name]
        over = np.abs(values) > limit * (1 + ROUNDING)
        if over.any():
            sample, k = np.argwhere(over)[0]
            raise LimitError(
                f"{what} {format_quantity(float(values[sample, k]), unit)} at {topology.names[nodes[k]]} "
                f"(sample {sample}) exceeds limits.{name} = {format_quantity(limit, unit)}; nothing was applied"
            )


def _value_range(name: str, ends: Any) -> _Range:
    """Return the range of a parameter from numbers, or from text if its unit is known."""
    if name == CONDUCTANCE.name:
        return limit_range("limits.conductance", ends, "S")
    if isinstance(ends, str | bytes) or not hasattr(ends, "__len__") or len(ends) != 2:
        raise LimitError(f"the limits of the {name} are {ends!r}; they must be two values, the smaller first")
    unit = UNITS.get(name)
    read = []
    for end in ends:
        if isinstance(end, str) and unit is None:
            raise LimitError(f"the limits of the {name} contain {end!r}; give numbers in the unit of the element")
        try:
            read.append(parse_quantity(end, unit or "V"))
        except UnitError as error:
            raise LimitError(f"the limits of the {name} contain {end!r}: {error}") from None
    low, high = read
    if not low < high:
        raise LimitError(f"the limits of the {name} are {low:g} to {high:g}; give two values, the smaller first")
    return low, high


def _argument(parameter: Parameter) -> str:
    if parameter.name == CONDUCTANCE.name:
        return "Limits(conductance=(low, high))"
    return f"Limits(values={{{parameter.name!r}: (low, high)}})"


def _text(low: float, high: float, unit: str) -> str:
    return f"{format_quantity(low, unit)} to {format_quantity(high, unit)}"
