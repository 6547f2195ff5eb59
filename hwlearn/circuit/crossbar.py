"""Crossbar arrays whose lines have resistance: node voltages and column currents.

Every device joins its row node to its column node. A row is fed at its left end, through one segment of wire
before the first device; a column is grounded at its bottom end, through one segment after the last device.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike
from scipy.sparse import csc_array
from scipy.sparse.linalg import splu

from hwlearn.circuit.batches import batch
from hwlearn.circuit.topology import FloatArray, IntArray
from hwlearn.errors import CircuitError, SingularCircuitError

_REFUSED_ABOVE: Final = 1e-9
_TOO_STRONG: Final = (
    "singular crossbar: its devices conduct so much better than its wires that double precision cannot tell the "
    "voltages; check the units (siemens, ohm) of conductances and wire_resistance"
)


@dataclass(frozen=True, eq=False, slots=True)
class CrossbarSolution:
    """What flows in a crossbar.

    Attributes
    ----------
    column_currents : ndarray, shape (S, N)
        Amperes out of the bottom of each column, into ground.
    row_nodes, column_nodes : ndarray, shape (S, M, N)
        Volts on either side of each device.
    """

    column_currents: FloatArray
    row_nodes: FloatArray
    column_nodes: FloatArray


def solve_crossbar(
    conductances: ArrayLike, row_voltages: ArrayLike, wire_resistance: float | Sequence[float]
) -> CrossbarSolution:
    """Solve a crossbar with resistive lines for a batch of row voltages.

    Parameters
    ----------
    conductances : array_like, shape (M, N)
        Siemens of the device at row m, column n; zero is an open device.
    row_voltages : array_like, shape (S, M)
        Volts of the source at the left end of each row.
    wire_resistance : float or (float, float)
        Ohm of one segment of wire, of rows and of columns if there are two; zero is an ideal line.

    Returns
    -------
    CrossbarSolution

    Raises
    ------
    CircuitError
        If a conductance, voltage or resistance is negative (voltages apart), NaN or infinite; it is named.
    SingularCircuitError
        If devices conduct so much better than wires that double precision cannot tell the voltages.

    Examples
    --------
    >>> solve_crossbar([[1e-3, 2e-3], [3e-3, 4e-3]], [[0.1, 0.2]], 0.0).column_currents
    array([[0.0007, 0.001 ]])
    >>> solve_crossbar([[0.5]], [[1.0]], (1.0, 1.0)).column_currents
    array([[0.25]])

    Notes
    -----
    The conventions are those of badcrossbar (Joksas & Mehonic, SoftwareX 12, 100617, 2020).
    """
    g = _checked_devices(conductances)
    v = _checked_volts(row_voltages, g.shape[0])
    row_siemens, column_siemens = (_segment(ohms, line) for ohms, line in _lines(wire_resistance))
    M, N = g.shape
    # numbers of the nodes: first those to solve for, then a source each row, then ground
    free = (row_siemens is not None) * M * N
    rows = np.arange(M * N).reshape(M, N)
    columns = free + rows
    free += (column_siemens is not None) * M * N
    sources = free + np.arange(M)
    ground = free + M
    if row_siemens is None:
        rows = np.repeat(sources[:, None], N, axis=1)
    if column_siemens is None:
        columns = np.full((M, N), ground)
    a, b, siemens = [rows], [columns], [g]
    if row_siemens is not None:
        a.append(np.concatenate([sources[:, None], rows[:, :-1]], axis=1))
        b.append(rows)
        siemens.append(np.full((M, N), row_siemens))
    if column_siemens is not None:
        a.append(columns)
        b.append(np.concatenate([columns[1:], np.full((1, N), ground)]))
        siemens.append(np.full((M, N), column_siemens))
    held = np.concatenate([v, np.zeros((len(v), 1))], axis=1)
    ends = np.stack([np.stack(a).ravel(), np.stack(b).ravel()], axis=1)
    V = np.concatenate([_free_volts(ends, np.stack(siemens).ravel(), held, free), held], axis=1)
    row_nodes, column_nodes = V[:, rows], V[:, columns]
    # summed over the devices: the drop over a last segment of little resistance has few digits
    currents = np.einsum("mn,smn->sn", g, row_nodes - column_nodes)
    return CrossbarSolution(currents, row_nodes, column_nodes)


def _free_volts(ends: IntArray, siemens: FloatArray, held: FloatArray, free: int) -> FloatArray:
    """Return the volts (S, free) of nodes 0 to free - 1; the nodes from there on are held at (S, n_held)."""
    a, b = ends.T
    if not free:
        return np.zeros((len(held), 0))
    n = free + held.shape[1]
    laplacian = csc_array(
        (
            np.concatenate([siemens, siemens, -siemens, -siemens]),
            (np.concatenate([a, b, a, b]), np.concatenate([a, b, b, a])),
        ),
        shape=(n, n),
    )
    coupling = -laplacian[:free, free:]
    try:
        # every line is tied to its source or to ground, so this is positive definite and needs no pivoting
        factor = splu(
            laplacian[:free, :free],
            permc_spec="MMD_AT_PLUS_A",
            diag_pivot_thresh=0.0,
            options={"SymmetricMode": True},
        )
    except RuntimeError as error:
        raise SingularCircuitError(_TOO_STRONG) from error
    # with 1 V on every held node every free one must be at 1 V; rounding acts like a false leak
    wrong = np.abs(factor.solve(coupling @ np.ones(held.shape[1])) - 1.0)
    if not wrong.max() < _REFUSED_ABOVE:
        raise SingularCircuitError(_TOO_STRONG)
    return np.asarray(factor.solve(np.ascontiguousarray(coupling @ held.T)).T)


def _checked_devices(conductances: ArrayLike) -> FloatArray:
    try:
        g = np.asarray(conductances, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise CircuitError("crossbar conductances must be numbers, shape (rows, columns)") from error
    if g.ndim != 2 or not g.size:
        raise CircuitError(f"crossbar conductances must have shape (rows, columns), got {g.shape}")
    wrong = ~(np.isfinite(g) & (g >= 0))
    if wrong.any():
        m, n = np.argwhere(wrong)[0]
        raise CircuitError(
            f"conductance {g[m, n]:g} S of the device at row {m}, column {n}; it must be finite and >= 0"
        )
    return g


def _checked_volts(row_voltages: ArrayLike, rows: int) -> FloatArray:
    v = batch(row_voltages, rows, "row_voltages")
    if not np.isfinite(v).all():
        sample, m = np.argwhere(~np.isfinite(v))[0]
        raise CircuitError(f"row_voltages has {v[sample, m]} V at row {m} of sample {sample}; it must be finite")
    return v


def _lines(wire_resistance: float | Sequence[float]) -> list[tuple[float, str]]:
    try:
        ohms = np.asarray(wire_resistance, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise CircuitError(
            f"wire_resistance must be ohm or (row, column) in ohm, got {wire_resistance!r}"
        ) from error
    if ohms.shape not in ((), (2,)):
        raise CircuitError(f"wire_resistance must be ohm or (row, column) in ohm, got {wire_resistance!r}")
    row, column = np.broadcast_to(ohms, (2,)).tolist()
    return [(row, "row"), (column, "column")]


def _segment(ohms: float, line: str) -> float | None:
    """Return the conductance of one segment of wire; None for an ideal line."""
    if not (math.isfinite(ohms) and ohms >= 0):
        raise CircuitError(f"wire_resistance of a {line} segment is {ohms:g} ohm; it must be finite and >= 0")
    if ohms == 0:
        return None
    if not math.isfinite(1 / ohms):
        raise CircuitError(f"wire_resistance of a {line} segment is {ohms:g} ohm; use 0 for an ideal line")
    return 1 / ohms
