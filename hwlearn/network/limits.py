"""`Limits`: hard limits of a bench. Requests outside them are refused, never clipped."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from hwlearn.arrays import FloatArray, IntArray, square_sum
from hwlearn.circuit.topology import Topology
from hwlearn.device_access.limits import limit_range, limit_value
from hwlearn.errors import LimitError
from hwlearn.units import ROUNDING, format_quantity

_UNITS: Final = {"voltage": "V", "drop": "V", "nudge": "V", "current": "A"}


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
    conductance : (float or str, float or str)
        Minimum and maximum conductance to which an edge may be programmed, in siemens.

    Raises
    ------
    LimitError
        If a limit is not positive and finite, or the conductance range is empty.

    Examples
    --------
    >>> Limits("500 mV", "1 V", "100 mV", "1 mA", ("1 uS", "100 uS")).voltage
    0.5
    """

    voltage: float
    drop: float
    nudge: float
    current: float
    conductance: tuple[float, float]

    def __init__(
        self,
        voltage: float | str,
        drop: float | str,
        nudge: float | str,
        current: float | str,
        conductance: Sequence[float | str],
    ) -> None:
        for name, value in (("voltage", voltage), ("drop", drop), ("nudge", nudge), ("current", current)):
            object.__setattr__(self, name, limit_value(f"limits.{name}", value, _UNITS[name]))
        object.__setattr__(self, "conductance", limit_range("limits.conductance", conductance, "S"))

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
        if topology.ground is not None:
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

    def check_conductances(self, topology: Topology, conductances: FloatArray) -> None:
        """Refuse target conductances (E,) in siemens outside ``conductance``; the error names the first edge."""
        low, high = self.conductance
        inside = (conductances >= low * (1 - ROUNDING)) & (conductances <= high * (1 + ROUNDING))
        if not inside.all():
            k = int(np.flatnonzero(~inside)[0])
            raise LimitError(
                f"target {format_quantity(float(conductances[k]), 'S')} at {topology.edge_name(k)} is outside "
                f"limits.conductance = {format_quantity(low, 'S')} to {format_quantity(high, 'S')}"
            )

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
