"""Checks of inputs and targets against the limits of the bench, and against what the network can give."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np

from hwlearn.arrays import FloatArray, IntArray
from hwlearn.circuit.topology import Topology
from hwlearn.errors import DataError, LimitError
from hwlearn.lab.data.pairs import pair_name
from hwlearn.learning.output_pairs import OutputPairs
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
        return _place(targets[sample, k], topology.names[topology.outputs[k]], sample, lines)

    over = np.argwhere(~(np.abs(targets) <= limits.voltage * (1 + ROUNDING)))
    if len(over):
        raise DataError(
            f"{place(*over[0])} exceeds limits.voltage = {format_quantity(limits.voltage, 'V')}; use "
            "data.target_scaling, or give the unit in the title of the column"
        )
    for rows in _parts(inputs):
        wanted = targets[rows]
        low, high = _reach(topology, inputs[rows])
        margin = _margin(low, high)
        outside = np.argwhere((wanted < (low - margin)[:, None]) | (wanted > (high + margin)[:, None]))
        if len(outside):
            sample, k = outside[0].tolist()
            raise DataError(
                f"{place(sample + rows.start, k)} cannot be reached: a passive network gives no voltage outside "
                f"the range of {_sources(topology)}, here {format_quantity(low[sample], 'V')} to "
                f"{format_quantity(high[sample], 'V')}; use data.target_scaling, a bias or larger inputs"
            )


def check_differences(
    topology: Topology,
    inputs: FloatArray,
    targets: FloatArray | IntArray,
    pairs: OutputPairs,
    lines: IntArray | None = None,
) -> None:
    """Refuse target differences (S, P) beyond what the network can give.

    All outputs of a passive network lie between its lowest and its highest driven terminal, so that no two of them
    differ by more than the range of the driven terminals. Targets of pairs that share outputs need a common range,
    and around a loop of pairs they must sum to zero.

    Parameters
    ----------
    topology : Topology
        Its inputs and ground are the driven terminals.
    inputs : ndarray, shape (S, n_in)
        Volts.
    targets : ndarray, shape (S, P)
        Volts of the differences. Another number of columns is not checked here.
    pairs : OutputPairs
    lines : ndarray of int, shape (S,), optional
        Line of each row in its file.

    Raises
    ------
    DataError
        Names the line or the sample, and what the network can give.
    """
    if targets.ndim != 2 or targets.shape[1] != len(pairs):
        return

    def place(sample: int, k: int) -> str:
        return _place(targets[sample, k], pair_name(pairs, k, topology), sample, lines)

    for rows in _parts(inputs):
        wanted = np.asarray(targets[rows], dtype=np.float64)
        low, high = _reach(topology, inputs[rows])
        margin, span = _margin(low, high), high - low
        volts = pairs.voltages(wanted)
        other = np.argwhere(np.abs(pairs.differences(volts) - wanted) > margin[:, None])
        if len(other):
            sample, k = other[0].tolist()
            raise DataError(
                f"{place(sample + rows.start, k)} contradicts the other targets: around a loop of pairs, the "
                "differences sum to zero; remove one pair of the loop"
            )
        over = np.argwhere(volts > (span + margin)[:, None])
        if len(over):
            sample, output = over[0].tolist()
            paired = np.flatnonzero((pairs.plus == output) | (pairs.minus == output))
            k = int(paired[np.abs(wanted[sample, paired]).argmax()])
            needed = volts[sample, output]
            chained = needed > abs(wanted[sample, k])
            why = (
                f" with the pairs that share its outputs, {format_quantity(needed, 'V')} in all,"
                if chained
                else ""
            )
            raise DataError(
                f"{place(sample + rows.start, k)}{why} cannot be reached: outputs of a passive network differ by "
                f"at most the range of {_sources(topology)}, here {format_quantity(span[sample], 'V')}; use "
                "data.target_scaling, a bias or larger inputs, or give the unit in the title of the column"
            )


def _place(target: float, name: str, sample: int, lines: IntArray | None) -> str:
    """Return the place of a target in an error."""
    where = f"sample {sample}" if lines is None else f"line {lines[sample]}"
    return f"target {format_quantity(float(target), 'V')} of {name} ({where})"


def _reach(topology: Topology, inputs: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the lowest and the highest driven voltage (S,) of input volts (S, n_in)."""
    low, high = inputs.min(axis=1), inputs.max(axis=1)
    if topology.ground is not None:
        low, high = np.minimum(low, 0.0), np.maximum(high, 0.0)
    return low, high


def _margin(low: FloatArray, high: FloatArray) -> FloatArray:
    """Return the rounding (S,) that is allowed at the ends of a range."""
    return np.asarray(ROUNDING * np.maximum(np.abs(low), np.abs(high)))


def _sources(topology: Topology) -> str:
    return "its inputs" if topology.ground is None else "its inputs and ground"


def _parts(inputs: FloatArray) -> Iterator[slice]:
    """Yield slices of rows."""
    size = max(1, _ROWS // max(1, inputs.shape[1]))
    yield from (slice(start, start + size) for start in range(0, max(1, len(inputs)), size))
