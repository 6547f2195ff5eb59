"""Checks of inputs and targets against the limits of the bench, and against what the network can give."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np

from hwlearn.arrays import FloatArray, IntArray
from hwlearn.circuit.topology import Topology
from hwlearn.errors import DataError, LimitError
from hwlearn.network.limits import Limits
from hwlearn.units import ROUNDING, format_quantity

_ROWS: Final = 1 << 21  # numbers that are checked at a time, so that a check needs little memory


def check_inputs(limits: Limits, topology: Topology, inputs: FloatArray) -> None:
    """Refuse input volts (S, n_in) outside the limits.

    Raises
    ------
    LimitError
        As `Limits.check_terminals`.
    """
    for rows in _parts(inputs):
        try:
            limits.check_terminals(topology, inputs[rows])
        except LimitError:
            limits.check_terminals(topology, inputs)  # which names the sample
            raise


def check_targets(
    limits: Limits,
    topology: Topology,
    inputs: FloatArray,
    targets: FloatArray | IntArray,
    lines: IntArray | None = None,
) -> None:
    """Refuse target volts (S, n_out) beyond the limits, or beyond what the network can give.

    A network of resistors and diodes gives no voltage above the highest or below the lowest of its driven
    terminals, because it has no source of energy inside (maximum principle of a passive network).

    Parameters
    ----------
    limits : Limits
    topology : Topology
        Its inputs and ground are the driven terminals.
    inputs : ndarray, shape (S, n_in)
        Volts.
    targets : ndarray, shape (S, n_out)
        Volts. Another number of columns is not checked here.
    lines : ndarray of int, shape (S,), optional
        Line of each row in its file.

    Raises
    ------
    DataError
        Names the line or the sample, and what the network can give.
    """
    if targets.ndim != 2 or targets.shape[1] != topology.n_outputs:
        return

    def place(sample: int, k: int) -> str:
        where = f"sample {sample}" if lines is None else f"line {lines[sample]}"
        target = format_quantity(float(targets[sample, k]), "V")
        return f"target {target} of {topology.names[topology.outputs[k]]} ({where})"

    over = np.argwhere(~(np.abs(targets) <= limits.voltage * (1 + ROUNDING)))
    if len(over):
        raise DataError(
            f"{place(*over[0])} exceeds limits.voltage = {format_quantity(limits.voltage, 'V')}; use "
            "data.target_scaling, or give the unit in the title of the column"
        )
    for rows in _parts(inputs):
        driven, wanted = inputs[rows], targets[rows]
        low, high = driven.min(axis=1), driven.max(axis=1)
        if topology.ground is not None:
            low, high = np.minimum(low, 0.0), np.maximum(high, 0.0)
        margin = ROUNDING * np.maximum(np.abs(low), np.abs(high))
        outside = np.argwhere((wanted < (low - margin)[:, None]) | (wanted > (high + margin)[:, None]))
        if len(outside):
            sample, k = outside[0].tolist()
            ground = " and ground" if topology.ground is not None else ""
            raise DataError(
                f"{place(sample + rows.start, k)} cannot be reached: a passive network gives no voltage outside "
                f"the range of its inputs{ground}, here {format_quantity(low[sample], 'V')} to "
                f"{format_quantity(high[sample], 'V')}; use data.target_scaling, a bias or larger inputs"
            )


def _parts(inputs: FloatArray) -> Iterator[slice]:
    """Yield slices of rows."""
    size = max(1, _ROWS // max(1, inputs.shape[1]))
    yield from (slice(start, start + size) for start in range(0, max(1, len(inputs)), size))
