"""`plan_batch`: groups and orders the samples of a batch so that few relays of a matrix move.

A source row can be connected to all inputs that have the same voltage. A sample fits a *configuration* (which
row each input is connected to) if all inputs on one row have one voltage, which is 0 V on the ground line. Samples
that fit a common configuration form a group: within it only source levels change. Pure: no instrument is involved.

The least number of moves is found exactly only by search over all configurations, which `tests` do for small
batches. Here samples are merged greedily, and the groups are ordered by nearest neighbour and improved by
reversals (2-opt; Croes 1958, doi 10.1287/opre.6.6.791). Between two configurations the assignment of voltages to
rows that keeps most inputs where they are is exact (linear assignment).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment

from hwlearn.arrays import BoolArray, FloatArray, IntArray

OPEN = -1
"""Row number of an input that is connected to nothing."""

_MOST_IMPROVED = 300
"""Number of groups up to which the order is improved; the time grows with its square."""

_MOST_STARTS = 12
"""Number of groups that are tried as the first one."""


@dataclass(frozen=True, slots=True)
class SourceRows:
    """Rows that can be connected to inputs.

    Attributes
    ----------
    sources : int
        Number K of rows with a voltage source; they have the numbers 0 to K - 1.
    ground : bool
        Whether row K is a ground line.
    """

    sources: int
    ground: bool

    def levels(self, inputs: FloatArray) -> IntArray:
        """Return how many source rows each sample (S, n_in) needs: its different voltages.

        0 V needs none if there is a ground line.
        """
        ordered = np.sort(inputs + 0.0, axis=1)
        if not ordered.shape[1]:
            return np.zeros(len(inputs), dtype=np.int64)
        different = 1 + (np.diff(ordered, axis=1) != 0).sum(axis=1)
        return np.asarray(different - (self.ground & (inputs == 0).any(axis=1)))


@dataclass(frozen=True, eq=False, slots=True)
class SampleGroup:
    """Samples that are measured in one configuration.

    Attributes
    ----------
    rows : ndarray of int, shape (n_in,)
        Row of each input.
    samples : ndarray of int, shape (s,)
        Numbers of the samples in the batch.
    levels : ndarray, shape (s, K)
        Volts of each source row; 0 for a row without inputs.
    """

    rows: IntArray
    samples: IntArray
    levels: FloatArray


@dataclass(frozen=True, eq=False, slots=True)
class _Partition:
    """Blocks of inputs that have the same voltage in every sample of a group.

    Attributes
    ----------
    blocks : ndarray of int, shape (n_in,)
        Block of each input. Block 0 has 0 V in every sample; it may be empty.
    samples : list of int
    """

    blocks: IntArray
    samples: list[int]

    @property
    def count(self) -> int:
        """Number of blocks, block 0 included."""
        return 1 + int(self.blocks.max(initial=0))


def plan_batch(inputs: FloatArray, rows: SourceRows, start: IntArray | None = None) -> list[SampleGroup]:
    """Return the groups of a batch in the order in which they are measured.

    Parameters
    ----------
    inputs : ndarray, shape (S, n_in)
        Volts. `SourceRows.levels` of every sample must not exceed the number of source rows.
    rows : SourceRows
    start : ndarray of int, shape (n_in,), optional
        Row that each input is connected to at the beginning, or `OPEN`. Default: all are open.

    Returns
    -------
    list of SampleGroup
        Every sample is in one of them.
    """
    if not len(inputs):
        return []
    now = np.full(inputs.shape[1], OPEN) if start is None else np.asarray(start)
    found = _merged(inputs, rows)
    orders = [_nearest(found, rows, now)]
    if 2 < len(found) <= _MOST_IMPROVED:
        costs = _Costs.of(found, rows, now)
        starts = min(_MOST_STARTS, 1 + _MOST_IMPROVED // len(found))
        firsts = costs.start.argsort(kind="stable")[:starts].tolist()
        orders += [[found[k] for k in costs.improved(costs.nearest(first))] for first in firsts]
    chains = [_chain(order, rows, now) for order in orders]
    chosen = min(range(len(chains)), key=lambda k: moves_of(chains[k], now))
    return [_group(inputs, one, at, rows) for one, at in zip(orders[chosen], chains[chosen], strict=True)]


def moves_of(chain: Sequence[IntArray], start: IntArray) -> int:
    """Return how many relays at inputs move through configurations: one for each that opens or closes."""
    moves, now = 0, start
    for then in chain:
        moved = now != then
        moves += int((moved & (now != OPEN)).sum() + (moved & (then != OPEN)).sum())
        now = then
    return moves


# --- groups -----------------------------------------------------------------------------------------


def _merged(inputs: FloatArray, rows: SourceRows) -> list[_Partition]:
    """Return partitions of the inputs, each for as many samples as the source rows allow."""
    by_pattern: dict[bytes, _Partition] = {}
    for s, x in enumerate(inputs):
        blocks = np.where(x == 0, 0, 1 + np.searchsorted(np.unique(x[x != 0]), x))
        by_pattern.setdefault(blocks.tobytes(), _Partition(blocks, [])).samples.append(s)
    patterns = sorted(by_pattern.values(), key=lambda one: -one.count)
    merged: list[_Partition] = []
    for one in patterns:
        best: tuple[int, int, IntArray] | None = None
        for k, other in enumerate(merged if rows.sources > 1 or not rows.ground else ()):
            blocks = _refined(other.blocks, one.blocks)
            added = int(blocks.max(initial=0)) - (other.count - 1)
            if _needed(blocks, rows) <= rows.sources and (best is None or added < best[0]):
                best = added, k, blocks
        if best is None:
            merged.append(one)
        else:
            merged[best[1]] = _Partition(best[2], merged[best[1]].samples + one.samples)
    return merged


def _needed(blocks: IntArray, rows: SourceRows) -> int:
    """Return how many source rows a partition needs."""
    return int(blocks.max(initial=0)) + (0 if rows.ground else int((blocks == 0).any()))


def _refined(one: IntArray, other: IntArray) -> IntArray:
    """Return the coarsest partition that refines both; its block 0 is 0 V in both."""
    pairs = one * (int(other.max(initial=0)) + 1) + other
    different = np.unique(np.concatenate([[0], pairs]))
    return np.asarray(np.searchsorted(different, pairs))


def _group(inputs: FloatArray, one: _Partition, at: IntArray, rows: SourceRows) -> SampleGroup:
    samples = np.array(sorted(one.samples), dtype=np.int64)
    levels = np.zeros((len(samples), rows.sources))
    for row in range(rows.sources):
        here = np.flatnonzero(at == row)
        if here.size:
            levels[:, row] = inputs[samples, here[0]]
    return SampleGroup(at, samples, levels)


# --- rows of one configuration ----------------------------------------------------------------------


def _next(now: IntArray, blocks: IntArray, rows: SourceRows) -> IntArray:
    """Return the configuration of a partition that keeps most inputs on their present row.

    Each source row gets one block, and each block that needs a source at least one row. A row that is left over
    gets the block of most of its present inputs.
    """
    kept = _kept(now, blocks[None], rows)[0]
    count = kept.shape[1]
    first = 1 if rows.ground or not (blocks == 0).any() else 0
    needed = list(range(first, count))
    spare = rows.sources - len(needed)
    gain = np.concatenate(
        [kept[: rows.sources, needed], np.repeat(kept[: rows.sources].max(axis=1)[:, None], spare, axis=1)], axis=1
    )
    at, column = linear_sum_assignment(gain, maximize=True)
    block_of = np.empty(rows.sources, dtype=np.int64)
    for row, k in zip(at.tolist(), column.tolist(), strict=True):
        block_of[row] = needed[k] if k < len(needed) else int(kept[row].argmax())
    # where an input goes that cannot stay
    home = np.full(count, OPEN)
    for row in range(rows.sources - 1, -1, -1):
        home[block_of[row]] = row
    stays = (now >= 0) & (now < rows.sources) & (block_of[np.clip(now, 0, rows.sources - 1)] == blocks)
    if rows.ground:
        home[0] = rows.sources
        stays |= (now == rows.sources) & (blocks == 0)
    return np.asarray(np.where(stays, now, home[blocks]))


def _kept(now: IntArray, blocks: IntArray, rows: SourceRows) -> IntArray:
    """Return how many inputs of each row (R,) are in each block, for partitions (G, n_in): (G, R, blocks)."""
    at = now[None, :] == np.arange(rows.sources + 1)[:, None]
    is_in = blocks[:, :, None] == np.arange(int(blocks.max(initial=0)) + 1)
    return np.asarray(np.einsum("rn,gnb->grb", at.astype(np.int64), is_in.astype(np.int64)))


def _chain(order: Sequence[_Partition], rows: SourceRows, start: IntArray) -> list[IntArray]:
    """Return the configuration of each group in this order."""
    chain, now = [], start
    for one in order:
        now = _next(now, one.blocks, rows)
        chain.append(now)
    return chain


# --- order of the groups ----------------------------------------------------------------------------


def _stays(now: IntArray, blocks: IntArray, rows: SourceRows) -> IntArray:
    """Return the most inputs that can stay, for partitions (G, n_in): every row keeps its largest block."""
    kept = _kept(now, blocks, rows)
    most = kept[:, : rows.sources].max(axis=2).sum(axis=1)
    return np.asarray(most + (kept[:, rows.sources, 0] if rows.ground else 0))


def _nearest(found: Sequence[_Partition], rows: SourceRows, start: IntArray) -> list[_Partition]:
    """Return partitions, each followed by the one at which most inputs can stay."""
    left, order, now = list(range(len(found))), [], start
    blocks = np.stack([one.blocks for one in found])
    while left:
        chosen = left[int(_stays(now, blocks[left], rows).argmax())]
        left.remove(chosen)
        order.append(found[chosen])
        now = _next(now, found[chosen].blocks, rows)
    return order


@dataclass(frozen=True, eq=False, slots=True)
class _Costs:
    """How many inputs must move between groups, as far as that does not depend on the way there.

    Attributes
    ----------
    start : ndarray of int, shape (G,)
        From the present rows to each group.
    between : ndarray of int, shape (G, G)
    """

    start: IntArray
    between: IntArray

    @classmethod
    def of(cls, found: Sequence[_Partition], rows: SourceRows, now: IntArray) -> _Costs:
        blocks = np.stack([one.blocks for one in found])
        between = np.stack([_distances(one, blocks, rows) for one in blocks])
        return cls(len(now) - _stays(now, blocks, rows), np.minimum(between, between.T))

    def nearest(self, first: int) -> IntArray:
        """Return an order (G,) that begins with a group; each is followed by the nearest that is left."""
        left = np.ones(len(self.start), dtype=np.bool_)
        path = [first]
        left[first] = False
        while left.any():
            path.append(int(np.where(left, self.between[path[-1]], np.iinfo(np.int64).max).argmin()))
            left[path[-1]] = False
        return np.array(path)

    def improved(self, path: IntArray) -> IntArray:
        """Return an order after reversing parts of it as long as that saves moves."""
        n = len(path)
        for _ in range(20):
            changed = False
            for i in range(n - 1):
                ends = np.arange(i + 1, n)
                beyond = path[np.minimum(ends + 1, n - 1)]
                into = self.start if i == 0 else self.between[path[i - 1]]
                before = into[path[i]] + np.where(ends + 1 < n, self.between[path[ends], beyond], 0)
                after = into[path[ends]] + np.where(ends + 1 < n, self.between[path[i], beyond], 0)
                best = int((before - after).argmax())
                if before[best] > after[best]:
                    path[i : ends[best] + 1] = path[i : ends[best] + 1][::-1].copy()
                    changed = True
            if not changed:
                break
        return path


def _distances(one: IntArray, blocks: IntArray, rows: SourceRows) -> IntArray:
    """Return how many inputs must move from one partition, its blocks on rows of their own, to each other."""
    at: IntArray = np.where(one == 0, rows.sources if rows.ground else 0, one - 1 if rows.ground else one)
    is_source: BoolArray = at < rows.sources
    return np.asarray(len(one) - _stays(np.where(is_source | rows.ground, at, OPEN), blocks, rows))
