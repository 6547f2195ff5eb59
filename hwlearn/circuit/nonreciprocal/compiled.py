"""`Compiled`: operating points and gradients of transistors and resistors, by functions that numba compiles.

They are used with the extra ``fast``. What they do not find, Newton's method in `newton` looks for.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, TypeVar

import numpy as np

from hwlearn.arrays import BoolArray, FloatArray, IntArray
from hwlearn.circuit.elements.adapted import Adapted
from hwlearn.circuit.elements.kinds import OHMIC
from hwlearn.circuit.elements.transistors import Transistors
from hwlearn.circuit.nonreciprocal.equations import LawEdges, LawEquations
from hwlearn.circuit.nonreciprocal.newton import LARGEST_ERROR, ROUNDING, Drive, probe_signs
from hwlearn.circuit.nonreciprocal.pattern import LawPattern
from hwlearn.compilation import compiled_module, cores

_KERNELS: Final = "hwlearn.circuit.nonreciprocal.kernels"
_FEWEST_TRANSISTORS: Final = 32  # below, loading compiled code takes longer than what it saves
_MOST_MULTIPLICATIONS: Final = 200_000_000
_MOST_KEPT: Final = 1 << 23
_FEWEST_SAMPLES: Final = 4  # below, they are computed one by one
_STEPS: Final = 40
_THREADED: Final = 1 << 15
"""Transistors times samples from which on starting threads saves time."""
_PART: Final = 8  # blocks that a thread computes at a time
_T = TypeVar("_T")
_LINKS: Final = {"ground": 0, "drain": 1, "source": 2, "floating": 3}


def suits(groups: Sequence[LawEdges], equations: LawEquations) -> bool:
    """Return whether compiled functions can solve a circuit, and save time."""
    transistors = sum(len(group.edges) for group in groups if isinstance(group.law, Transistors))
    return (
        all(isinstance(group.law, Transistors) or group.law == Adapted(OHMIC) for group in groups)
        and transistors >= _FEWEST_TRANSISTORS
        and len(equations.free) > 0
        and compiled_module(_KERNELS) is not None
        and equations.pattern.multiplications <= _MOST_MULTIPLICATIONS
    )


class Compiled:
    """Compiled functions for a circuit with one set of held nodes.

    Parameters
    ----------
    equations : LawEquations
    groups : sequence of LawEdges
        All `suits`.
    values : sequence of ndarray, shape (K,)
    """

    def __init__(self, equations: LawEquations, groups: Sequence[LawEdges], values: Sequence[FloatArray]) -> None:
        kernels = compiled_module(_KERNELS)
        assert kernels is not None
        self._kernels, self._equations = kernels, equations
        fixed = _fixed(tuple(groups), equations)
        self._transistors, self._resistors = fixed.transistors, fixed.resistors
        gates = [v for group, v in zip(groups, values, strict=True) if isinstance(group.law, Transistors)]
        siemens = [v for group, v in zip(groups, values, strict=True) if not isinstance(group.law, Transistors)]
        self._circuit: Any = (
            (*fixed.edges, np.concatenate(gates)),
            (*fixed.ohmic, np.concatenate([np.empty(0), *siemens])),
            fixed.matrix,
            equations.free,
            probe_signs(len(equations.free)),
            fixed.near,
        )

    def find(
        self, V: FloatArray, start: FloatArray | None, sources: Drive
    ) -> tuple[FloatArray, FloatArray, FloatArray | None]:
        """Return node voltages (S, N), their estimated errors (S,), and the unknowns inside if they are kept.

        The search begins at V (S, N) and ``start``, unknowns inside. The error of a sample without a trusted
        solution is NaN.
        """
        eq, S, L = self._equations, len(V), self._lanes(len(V))
        blocks = _blocks(V, L)
        count, K = len(blocks), len(self._transistors)
        keeps = count * K * 3 * L <= _MOST_KEPT
        inner = np.empty((count if keeps else 1, K, 3, L)) if start is None else start.copy()
        n = len(eq.free)
        drive = np.zeros((1 if sources.is_none else S, n))
        loads = np.zeros_like(drive)
        at, some = eq.at_outputs, eq.open_outputs
        if sources.injected is not None:
            drive[:, at] += sources.injected[:, some]
        if sources.volts is not None and sources.siemens is not None:
            loads[:, at] = sources.siemens[:, some]
            drive[:, at] += loads[:, at] * sources.volts[:, some]
        found = np.empty((count, 2, L))
        driven = _blocks(drive, L), _blocks(loads, L)

        def search(part: slice) -> None:
            inside = inner[part] if keeps else np.empty_like(inner)
            at = [one[part] if len(one) == count else one for one in driven]
            self._kernels.search(
                (0,) * L, blocks[part], inside, start is not None, self._circuit, *at, _STEPS, found[part]
            )

        self._in_parts(search, count, L)
        flat = found.transpose(0, 2, 1).reshape(-1, 2)[:S]
        volts = np.ascontiguousarray(blocks.transpose(0, 2, 1)).reshape(-1, V.shape[1])[:S]
        with np.errstate(invalid="ignore"):
            error = flat[:, 0] + 3 * ROUNDING * flat[:, 1]
            error[~(error <= LARGEST_ERROR * np.abs(volts).max(axis=1, initial=0.0))] = np.nan
        return volts, error, inner if keeps else None

    def gradient(self, V: FloatArray, kept: FloatArray | None, e: FloatArray) -> FloatArray | None:
        """Return the sums (E + F,) over samples of lam_a dI_a/dvalue + lam_b dI_b/dvalue.

        ``kept`` are the unknowns inside at V (S, N), if known. None without a trusted result.
        """
        eq, L = self._equations, self._lanes(len(V))
        blocks = _blocks(V, L)
        into = np.zeros((len(blocks) * L, len(eq.free)))
        into[: len(V), eq.at_outputs] = e[:, eq.open_outputs]
        into = np.ascontiguousarray(into.reshape(len(blocks), L, -1).transpose(0, 2, 1))
        K, R = len(self._transistors), len(self._resistors)

        def gradient(part: slice) -> FloatArray | None:
            inside = np.empty((1, K, 3, L)) if kept is None else kept[part].copy()
            found = np.zeros(K), np.zeros(R)
            is_good = self._kernels.gradient(
                (0,) * L, blocks[part], inside, kept is not None, self._circuit, into[part], *found
            )
            return np.concatenate(found) if is_good else None

        parts = self._in_parts(gradient, len(blocks), L)
        if any(one is None for one in parts):
            return None
        total = np.sum([one for one in parts if one is not None], axis=0)
        sums = np.empty(K + R)
        sums[self._transistors], sums[self._resistors] = total[:K], total[K:]
        return sums

    def currents(self, V: FloatArray, kept: FloatArray | None) -> FloatArray | None:
        """Return the currents (S, N) that leave every node into the edges; None without a trusted result.

        ``kept`` are the unknowns inside at V (S, N), if known.
        """
        L = self._lanes(len(V))
        blocks = _blocks(V, L)
        leaving = np.zeros_like(blocks)

        def currents(part: slice) -> bool:
            inside = np.empty((1, len(self._transistors), 3, L)) if kept is None else kept[part].copy()
            return bool(
                self._kernels.currents(
                    (0,) * L, blocks[part], inside, kept is not None, self._circuit, leaving[part]
                )
            )

        if not all(self._in_parts(currents, len(blocks), L)):
            return None
        return np.ascontiguousarray(leaving.transpose(0, 2, 1)).reshape(-1, V.shape[1])[: len(V)]

    def _in_parts(self, work: Callable[[slice], _T], blocks: int, lanes: int) -> list[_T]:
        """Return what the work gives for parts of a batch, on all cores if that saves time.

        The parts depend on the circuit and the batch alone, so that sums of their results do too.
        """
        if blocks * lanes * len(self._transistors) < _THREADED:
            return [work(slice(0, blocks))]
        parts = [slice(first, min(first + _PART, blocks)) for first in range(0, blocks, _PART)]
        threads = min(cores(), len(parts))
        if threads == 1:
            return [work(part) for part in parts]
        with ThreadPoolExecutor(threads) as pool:
            return list(pool.map(work, parts))

    def _lanes(self, samples: int) -> int:
        """Return how many samples are computed side by side: 1 or `LANES`."""
        return 1 if samples < _FEWEST_SAMPLES else int(self._kernels.LANES)


def _blocks(rows: FloatArray, lanes: int) -> FloatArray:
    """Return rows (S, n) as blocks (blocks, n, lanes), the last row repeated."""
    S, n = rows.shape
    count = -(-S // lanes)
    padded = rows[np.minimum(np.arange(count * lanes), S - 1)]
    return np.ascontiguousarray(padded.reshape(count, lanes, n).transpose(0, 2, 1))


@dataclass(frozen=True, eq=False, slots=True)
class _Fixed:
    """What does not depend on the values: numbers of the edges, and what the compiled functions read."""

    transistors: IntArray
    resistors: IntArray
    edges: tuple[Any, ...]
    ohmic: tuple[Any, ...]
    matrix: tuple[IntArray, IntArray, IntArray]
    near: tuple[IntArray, ...]


@lru_cache(maxsize=32)
def _fixed(groups: tuple[LawEdges, ...], equations: LawEquations) -> _Fixed:
    pattern = equations.pattern
    matrix = _matrix(pattern)
    of_law = [isinstance(group.law, Transistors) for group in groups]
    some = [group for group, one in zip(groups, of_law, strict=True) if one]
    others = [group for group, one in zip(groups, of_law, strict=True) if not one]
    numbers, links = zip(*(_numbers(group) for group in some), strict=True)
    edges, ohmic = _places(pattern, matrix, some), _places(pattern, matrix, others)
    n = len(pattern.free)
    return _Fixed(
        np.concatenate([group.edges for group in some]),
        np.concatenate([np.empty(0, dtype=np.int64), *(group.edges for group in others)]),
        (*edges, np.concatenate(numbers), np.concatenate(links)),
        ohmic,
        matrix,
        (*_touching(edges[1], n), *_touching(ohmic[1], n)),
    )


def _touching(ends: IntArray, n: int) -> tuple[IntArray, IntArray]:
    """Return for n free nodes where the list of edges (K, 2) of each starts, and the lists."""
    nodes = ends.ravel()
    order = np.argsort(nodes, kind="stable")
    return np.searchsorted(nodes[order], np.arange(n + 1)), order // 2


def _numbers(group: LawEdges) -> tuple[FloatArray, IntArray]:
    """Return the numbers (K, 12) of transistors, and their connections and blocking law (K, 3)."""
    law = group.law
    assert isinstance(law, Transistors)
    channel, K = law.channel, len(group.edges)
    columns = (
        channel.beta,
        channel.vto,
        channel.gamma,
        channel.phi,
        np.sqrt(channel.phi),
        channel.lambda_,
        law.highest_begun,
        law.is_,
        law.gmin,
        law.nVt,
        *law.resistances,
    )
    numbers = np.stack([np.broadcast_to(column, K) for column in columns], axis=1)
    links = np.array([_LINKS[law.body], _LINKS[law.gate], law.jumps], dtype=np.int64)
    return np.ascontiguousarray(numbers), np.tile(links, (K, 1))


def _matrix(pattern: LawPattern) -> tuple[IntArray, IntArray, IntArray]:
    """Return the rows of L and U: where each starts, the columns of its entries, where the diagonal is."""
    n = len(pattern.free)
    upper = [np.full(len(above), k) for k, above in enumerate(pattern.above)]
    low = np.concatenate([*upper, np.empty(0, dtype=np.int64)])
    high = np.concatenate([*pattern.above, np.empty(0, dtype=np.int64)])
    rows, columns = np.concatenate([low, high, np.arange(n)]), np.concatenate([high, low, np.arange(n)])
    order = np.lexsort((columns, rows))
    rows, columns = rows[order], columns[order]
    return np.searchsorted(rows, np.arange(n + 1)), columns, np.flatnonzero(rows == columns)


def _places(
    pattern: LawPattern, matrix: tuple[IntArray, IntArray, IntArray], groups: Sequence[LawEdges]
) -> tuple[IntArray, IntArray, IntArray]:
    """Return nodes (2, K), free ends (K, 2) and places in the matrix (K, 4); what is held has the last place."""
    n = len(pattern.free)
    nodes = np.concatenate([np.empty((2, 0), dtype=np.int64), *(group.nodes for group in groups)], axis=1)
    a, b = pattern.position[nodes]
    starts, columns, _ = matrix
    keys = np.repeat(np.arange(n), np.diff(starts)) * n + columns
    pairs = np.stack([a, a, b, b]), np.stack([a, b, a, b])
    inside: BoolArray = (pairs[0] >= 0) & (pairs[1] >= 0)
    places = np.where(inside, np.searchsorted(keys, pairs[0] * n + pairs[1]), len(columns))
    ends = np.stack([a, b], axis=1)
    return nodes, np.where(ends < 0, n, ends), np.ascontiguousarray(places.T)
