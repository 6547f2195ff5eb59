"""The limits of a bench: checked before anything is applied, refused and never clipped."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from hwlearn.arrays import FloatArray, IntArray
from hwlearn.circuit.topology import Topology
from hwlearn.errors import LimitError
from hwlearn.units import ROUNDING, format_quantity


@dataclass(frozen=True, slots=True)
class Limits:
    """What nobody may exceed on this bench.

    Parameters
    ----------
    voltage : float
        Most volts, either sign, on any node.
    drop : float
        Most volts across any element: checked as largest minus smallest over all driven terminals, which
        bounds every drop inside the network.
    nudge : float
        Most volts by which a nudge may move an output.
    current : float
        Most amperes, either sign, of any source.
    conductance : (float, float)
        Least and most siemens that an edge may be programmed to.

    Raises
    ------
    LimitError
        If a limit is not positive and finite, or the conductance range is empty.
    """

    voltage: float
    drop: float
    nudge: float
    current: float
    conductance: tuple[float, float]

    def __post_init__(self) -> None:
        low, high = self.conductance
        object.__setattr__(self, "conductance", (float(low), float(high)))
        for name in ("voltage", "drop", "nudge", "current"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value > 0):
                raise LimitError(f"limits.{name} is {value}; it must be positive and finite")
        if not (math.isfinite(high) and 0 < low < high):
            raise LimitError(f"limits.conductance is [{low}, {high}]; it must be two positive values, rising")

    # --- what is refused ----------------------------------------------------------------------------

    def check_terminals(self, topology: Topology, inputs: FloatArray, outputs: FloatArray | None = None) -> None:
        """Refuse input volts (S, n_in), with volts (S, n_out) forced on outputs (NaN: floating), out of limits.

        Raises
        ------
        LimitError
            If an input is no number, a voltage exceeds ``voltage``, or a spread exceeds ``drop``.
        """
        if not np.isfinite(inputs).all():
            sample, k = np.argwhere(~np.isfinite(inputs))[0]
            raise LimitError(
                f"input {topology.names[topology.inputs[k]]} of sample {sample} is {inputs[sample, k]}; "
                "every input voltage must be a number"
            )
        self._check(inputs, self.voltage, "V", "limits.voltage", topology, topology.inputs, "input voltage")
        terminals = [inputs]
        if topology.ground is not None:
            terminals.append(np.zeros((len(inputs), 1)))
        if outputs is not None:
            self._check(outputs, self.voltage, "V", "limits.voltage", topology, topology.outputs, "output drive")
            terminals.append(outputs)
        driven = np.concatenate(terminals, axis=1)
        if len(driven):
            spread = np.fmax.reduce(driven, axis=1) - np.fmin.reduce(driven, axis=1)
            over = np.flatnonzero(spread > self.drop * (1 + ROUNDING))
            if over.size:
                raise LimitError(
                    f"sample {over[0]} spreads its driven terminals over {format_quantity(spread[over[0]], 'V')}, "
                    f"more than limits.drop = {format_quantity(self.drop, 'V')}; reduce the input voltages"
                )

    def check_currents(self, topology: Topology, nodes: IntArray, currents: FloatArray) -> None:
        """Refuse source currents (S, n) in amperes into the given nodes beyond ``current``; NaN is none."""
        self._check(currents, self.current, "A", "limits.current", topology, nodes, "source current")

    def check_nudge(self, topology: Topology, moved: FloatArray) -> None:
        """Refuse output displacements (S, n_out) in volts beyond ``nudge``; NaN is none."""
        self._check(moved, self.nudge, "V", "limits.nudge", topology, topology.outputs, "nudge")

    def check_conductances(self, topology: Topology, conductances: FloatArray) -> None:
        """Refuse target conductances (E,) in siemens outside ``conductance``, naming the first edge."""
        low, high = self.conductance
        inside = (conductances >= low * (1 - ROUNDING)) & (conductances <= high * (1 + ROUNDING))
        if not inside.all():
            k = int(np.flatnonzero(~inside)[0])
            raise LimitError(
                f"target {format_quantity(float(conductances[k]), 'S')} at {topology.edge_name(k)} is outside "
                f"limits.conductance = {format_quantity(low, 'S')} to {format_quantity(high, 'S')}"
            )

    def _check(
        self,
        values: FloatArray,
        limit: float,
        unit: str,
        limit_name: str,
        topology: Topology,
        nodes: IntArray,
        what: str,
    ) -> None:
        over = np.abs(values) > limit * (1 + ROUNDING)
        if over.any():
            sample, k = np.argwhere(over)[0]
            raise LimitError(
                f"{what} {format_quantity(float(values[sample, k]), unit)} at {topology.names[nodes[k]]} "
                f"(sample {sample}) exceeds {limit_name} = {format_quantity(limit, unit)}; nothing was applied"
            )
