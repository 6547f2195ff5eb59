"""`plan_batch` against an exact search over all configurations of small batches."""

import heapq
import itertools

import numpy as np
import pytest

from hwlearn_drivers.bench.matrix.plan import OPEN, SourceRows, moves_of, plan_batch


def fits(rows, x, setting):
    """Whether a sample can be measured in a configuration."""
    voltages = {}
    for volts, row in zip(x, setting, strict=True):
        if row == rows.sources and volts != 0:
            return False
        if voltages.setdefault(row, volts) != volts:
            return False
    return True


def least_moves(inputs, rows, start):
    """Return the least number of moves by Dijkstra's algorithm over (configuration, samples done)."""
    numbers = range(rows.sources + rows.ground)
    settings = list(itertools.product(numbers, repeat=inputs.shape[1]))
    done_at = {one: sum(1 << s for s, x in enumerate(inputs) if fits(rows, x, one)) for one in settings}
    every = (1 << len(inputs)) - 1
    queue, seen = [(0, tuple(start), 0)], set()
    while queue:
        cost, now, done = heapq.heappop(queue)
        if done == every:
            return cost
        if (now, done) in seen:
            continue
        seen.add((now, done))
        for then in settings:
            if done_at[then] & ~done:
                step = sum((a != OPEN) + 1 for a, b in zip(now, then, strict=True) if a != b)
                heapq.heappush(queue, (cost + step, then, done | done_at[then]))
    raise AssertionError


def batch(rng, sources, ground, n, samples):
    """Return samples of at most as many levels as there are sources."""
    levels = np.concatenate([[0.0], rng.normal(size=3)])
    found = []
    while len(found) < samples:
        x = rng.choice(levels, n)
        if SourceRows(sources, ground).levels(x[None])[0] <= sources:
            found.append(x)
    return np.array(found)


CASES = [(1, True), (2, True), (2, False), (3, False)]


@pytest.mark.parametrize(("sources", "ground"), CASES)
def test_every_sample_gets_its_voltages(sources, ground):
    rng, rows = np.random.default_rng(sources), SourceRows(sources, ground)
    for _ in range(15):
        x = batch(rng, sources, ground, int(rng.integers(1, 7)), int(rng.integers(1, 12)))
        groups = plan_batch(x, rows)
        assert sorted(np.concatenate([one.samples for one in groups]).tolist()) == list(range(len(x)))
        for one in groups:
            volts = np.concatenate([one.levels, np.zeros((len(one.samples), 1))], axis=1)
            assert set(one.rows.tolist()) <= set(range(sources + ground))
            np.testing.assert_array_equal(volts[:, one.rows], x[one.samples])


@pytest.mark.parametrize(("sources", "ground"), CASES)
def test_moves_are_close_to_the_least_number(sources, ground):
    rng, rows = np.random.default_rng(7 + sources), SourceRows(sources, ground)
    found = least = 0
    for _ in range(8):
        x = batch(rng, sources, ground, 4, 4)
        start = rng.integers(-1, sources + ground, 4)
        chain = [one.rows for one in plan_batch(x, rows, start)]
        best = least_moves(x, rows, start)
        assert moves_of(chain, start) >= best
        found, least = found + moves_of(chain, start), least + best
    assert found <= 1.25 * least


def test_a_repeated_batch_moves_nothing():
    """The second time, the rows are where they were left if one configuration serves the batch."""
    rows, x = SourceRows(2, True), np.array([[0.1, 0.0, 0.2], [0.3, 0.0, 0.1], [0.2, 0.0, 0.2]])
    (first,) = plan_batch(x, rows)
    (again,) = plan_batch(x, rows, first.rows)
    np.testing.assert_array_equal(again.rows, first.rows)


def test_a_level_that_falls_together_with_another_moves_nothing():
    """An input at the same voltage as another may stay on a row of its own."""
    rows = SourceRows(2, True)
    at = plan_batch(np.array([[0.1, 0.2, 0.0]]), rows)[0].rows
    np.testing.assert_array_equal(plan_batch(np.array([[0.2, 0.2, 0.0]]), rows, at)[0].rows, at)


def test_levels_count_zero_only_without_ground():
    x = np.array([[0.0, 0.1, 0.1, -0.2], [0.0, 0.0, -0.0, 0.0], [0.1, 0.1, 0.1, 0.1]])
    assert SourceRows(2, True).levels(x).tolist() == [2, 0, 1]
    assert SourceRows(2, False).levels(x).tolist() == [3, 1, 1]


def test_order_of_many_patterns_saves_moves():
    """Ordered patterns of 12 binary inputs move fewer relays than the order of the batch."""
    rng, rows = np.random.default_rng(1), SourceRows(1, True)
    x = 0.4 * rng.integers(0, 2, (40, 12))
    start = np.full(12, OPEN)
    plain = moves_of([np.where(one != 0, 0, 1) for one in x], start)
    assert moves_of([one.rows for one in plan_batch(x, rows)], start) < 0.65 * plain
