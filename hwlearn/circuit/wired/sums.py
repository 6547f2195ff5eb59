"""Drops over the devices of a wired crossbar, and sums over samples or edges of their products."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np

from hwlearn.arrays import FloatArray
from hwlearn.circuit.wired.layout import Layout

_NUMBERS_AT_ONCE: Final = 1 << 15


def device_drops(layout: Layout, nodes: FloatArray) -> FloatArray:
    """Return the drops (E, S) from row to column over the devices, for node voltages (n_nodes, S)."""
    rows, columns = _sides(layout, nodes)
    return np.asarray(rows - columns)


def product_sums(layout: Layout, drops: FloatArray, nodes: FloatArray) -> FloatArray:
    """Return the sums over samples (E,) of drops (E, S) times the drops at node voltages (n_nodes, S).

    One sample of ``nodes`` is used for all samples.
    """
    rows, columns = _sides(layout, nodes)
    out = np.empty(len(drops))
    for some in _parts(drops):
        other = rows[some] - columns[some]
        out[some] = np.einsum("es,es->e", drops[some], np.broadcast_to(other, drops[some].shape))
    return out


def squares(layout: Layout, nodes: FloatArray, weights: FloatArray | None) -> FloatArray:
    """Return the sums over samples (E,) of squared drops, with weights (S,), at node voltages (n_nodes, S)."""
    rows, columns = _sides(layout, nodes)
    out = np.empty(len(rows))
    for some in _parts(rows):
        drops = rows[some] - columns[some]
        drops *= drops
        out[some] = drops.sum(axis=1) if weights is None else drops @ weights
    return out


def column_currents(layout: Layout, nodes: FloatArray, g: FloatArray) -> FloatArray:
    """Return the currents (N, S) from devices with siemens (E,) into the columns at node voltages (n_nodes, S)."""
    rows, columns = layout.row_nodes(nodes), layout.column_nodes(nodes)
    into = np.zeros(rows.shape[1:])
    for m, siemens in enumerate(g.reshape(layout.wires.rows, layout.wires.columns)):
        # the devices, not the wires: a small drop over a good conductor has lost its digits
        into += siemens[:, None] * (rows[m] - columns[m])
    return into


def total_power(layout: Layout, nodes: FloatArray, g: FloatArray) -> FloatArray:
    """Return the power (S,) of wires, and devices of siemens (E,), at node voltages (n_nodes, S)."""
    wires = layout.wires
    M, N = wires.rows, wires.columns
    rows, columns = _sides(layout, nodes)
    power = np.zeros(nodes.shape[1])
    for some in _parts(rows):
        power += g[some] @ (rows[some] - columns[some]) ** 2
    grid = layout.row_nodes(nodes)
    for n in range(N):
        before = nodes[:M] if n == 0 else grid[:, n - 1]
        power += ((before - grid[:, n]) ** 2).sum(axis=0) / wires.row_ohms
    grid = layout.column_nodes(nodes)
    for m in range(M):
        after = nodes[M : M + N] if m == M - 1 else grid[m + 1]
        power += ((grid[m] - after) ** 2).sum(axis=0) / wires.column_ohms
    return power


def _sides(layout: Layout, nodes: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the nodes (E, S) on the row side and on the column side of the devices."""
    E, S = layout.wires.rows * layout.wires.columns, nodes.shape[1]
    return layout.row_nodes(nodes).reshape(E, S), layout.column_nodes(nodes).reshape(E, S)


def _parts(values: FloatArray) -> Iterator[slice]:
    """Yield parts of the first axis of values (E, S), few enough for the processor's cache."""
    step = max(1, _NUMBERS_AT_ONCE // max(1, values.shape[1]))
    for k in range(0, len(values), step):
        yield slice(k, k + step)
