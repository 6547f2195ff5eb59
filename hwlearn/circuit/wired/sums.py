"""Drops over the devices of a wired crossbar, and sums over samples or edges of their products.

Node voltages V (S, n_nodes) may be in any order of memory.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np

from hwlearn.arrays import FloatArray
from hwlearn.circuit.wired.layout import Layout

_NUMBERS_AT_ONCE: Final = 1 << 15


def device_drops(layout: Layout, V: FloatArray) -> FloatArray:
    """Return the drops (S, E) from row to column over the devices."""
    return np.asarray(layout.row_side(V) - layout.column_side(V))


def product_sums(layout: Layout, drops: FloatArray, V: FloatArray) -> FloatArray:
    """Return the sums over samples (E,) of drops (S, E) times the drops at V (S, n_nodes) or (1, n_nodes)."""
    rows, columns = layout.row_side(V), layout.column_side(V)
    if V.strides[1] == V.itemsize:
        return _sums_by_sample(drops, rows, columns)
    out = np.empty(drops.shape[1])
    for some in _parts(drops):
        other = rows[:, some] - columns[:, some]
        out[some] = np.einsum("se,se->e", drops[:, some], np.broadcast_to(other, drops[:, some].shape))
    return out


def _sums_by_sample(drops: FloatArray, rows: FloatArray, columns: FloatArray) -> FloatArray:
    """Return `product_sums` of nodes whose edges follow each other in memory."""
    total, other = np.zeros(drops.shape[1]), np.empty(drops.shape[1])
    for s, drop in enumerate(drops):
        k = min(s, len(rows) - 1)
        np.subtract(rows[k], columns[k], out=other)
        other *= drop
        total += other
    return total


def squares(layout: Layout, V: FloatArray, weights: FloatArray) -> FloatArray:
    """Return the sums over samples (E,) of squared drops, with weights (S,)."""
    rows, columns = layout.row_side(V), layout.column_side(V)
    out = np.empty(rows.shape[1])
    for some in _parts(rows):
        drops = rows[:, some] - columns[:, some]
        drops *= drops
        out[some] = weights @ drops
    return out


def column_currents(layout: Layout, V: FloatArray, g: FloatArray) -> FloatArray:
    """Return the currents (S, N) from devices with siemens (E,) into the columns."""
    N = layout.wires.columns
    rows, columns = layout.row_side(V), layout.column_side(V)
    into = np.zeros((len(V), N))
    for k in range(0, len(g), N):
        # the devices, not the wires: a small drop over a good conductor has lost its digits
        into += g[k : k + N] * (rows[:, k : k + N] - columns[:, k : k + N])
    return into


def total_power(layout: Layout, V: FloatArray, g: FloatArray) -> FloatArray:
    """Return the power (S,) of wires, and of devices with siemens (E,)."""
    wires = layout.wires
    M, N = wires.rows, wires.columns
    rows, columns = layout.row_side(V), layout.column_side(V)
    power = np.zeros(len(V))
    for some in _parts(rows):
        power += (rows[:, some] - columns[:, some]) ** 2 @ g[some]
    for n in range(N):
        before = V[:, :M] if n == 0 else rows[:, n - 1 :: N]
        power += ((before[:, :M] - rows[:, n::N]) ** 2).sum(axis=1) / wires.row_ohms
    for m in range(M):
        after = V[:, M : M + N] if m == M - 1 else columns[:, (m + 1) * N : (m + 2) * N]
        power += ((columns[:, m * N : (m + 1) * N] - after) ** 2).sum(axis=1) / wires.column_ohms
    return power


def _parts(values: FloatArray) -> Iterator[slice]:
    """Yield parts of the edges of values (S, E), few enough for the processor's cache."""
    step = max(1, _NUMBERS_AT_ONCE // max(1, len(values)))
    for k in range(0, values.shape[1], step):
        yield slice(k, k + step)
