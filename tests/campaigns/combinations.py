"""Parametrise a test over several factors: by default a few combinations, all others as slow tests."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

Factor = Mapping[str, Any] | Sequence[Any]
"""Values of one parameter, with their names in the test's id or without."""


def pairwise(strength: int = 2, **factors: Factor) -> pytest.MarkDecorator:
    """Return a mark that parametrises a test over the product of factors.

    Parameters
    ----------
    strength : {1, 2}
        Every pair of values of two factors is in a combination that is not slow; with 1 every single value.
    **factors : mapping or sequence
        The values of each parameter.
    """
    named = [_named(factor) for factor in factors.values()]
    chosen = covering([len(values) for values in named], strength)
    params = []
    for places in itertools.product(*(range(len(values)) for values in named)):
        cells = [values[k] for values, k in zip(named, places, strict=True)]
        marks = () if places in chosen else (pytest.mark.slow,)
        params.append(
            pytest.param(*(value for _, value in cells), id="-".join(name for name, _ in cells), marks=marks)
        )
    return pytest.mark.parametrize(tuple(factors), params)


def covering(sizes: Sequence[int], strength: int) -> set[tuple[int, ...]]:
    """Return few combinations, one place per factor, that contain every tuple of ``strength`` places."""
    columns = list(itertools.combinations(range(len(sizes)), min(strength, len(sizes))))

    def covered(row: tuple[int, ...]) -> set[tuple[tuple[int, int], ...]]:
        return {tuple((column, row[column]) for column in group) for group in columns}

    rows = {row: covered(row) for row in itertools.product(*map(range, sizes))}
    missing = set().union(*rows.values())
    chosen: set[tuple[int, ...]] = set()
    while missing:
        best = max(rows, key=lambda row: len(rows[row] & missing))
        chosen.add(best)
        missing -= rows[best]
    return chosen


def _named(factor: Factor) -> list[tuple[str, Any]]:
    """Return the values with their names."""
    if isinstance(factor, Mapping):
        return list(factor.items())
    return [(str(value), value) for value in factor]
