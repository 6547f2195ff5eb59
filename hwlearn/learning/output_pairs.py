"""Pairs of outputs: a class score or a value may be the difference of two output voltages."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np

from hwlearn.arrays import FloatArray, IntArray
from hwlearn.errors import DataError
from hwlearn.units import is_count


@dataclass(frozen=True)
class OutputPairs:
    """Differences of outputs, ``V(plus) - V(minus)``, in the order of classes or targets.

    An output may be in several pairs, such as a common reference. Outputs in no pair are read, but not scored.

    Parameters
    ----------
    pairs : sequence of (int, int)
        Numbers from 0 of the outputs ``(plus, minus)`` of each pair, in the column order of output arrays.

    Raises
    ------
    DataError
        If there is no pair, a pair is not two whole numbers from 0, is an output with itself, or is given twice.

    Examples
    --------
    >>> OutputPairs([(0, 1), (2, 3)]).differences(np.array([[0.3, 0.1, 0.0, 0.5]])).round(3).tolist()
    [[0.2, -0.5]]
    """

    pairs: Sequence[tuple[int, int]]

    def __post_init__(self) -> None:
        object.__setattr__(self, "pairs", _checked(self.pairs))

    @classmethod
    def consecutive(cls, n_outputs: int) -> Self:
        """Return the pairs of outputs 0 and 1, 2 and 3, and so on.

        Raises
        ------
        DataError
            If the number of outputs is odd.
        """
        if n_outputs % 2:
            raise DataError(
                f"{n_outputs} outputs cannot all be in consecutive pairs: their number is odd; list the pairs"
            )
        return cls([(k, k + 1) for k in range(0, n_outputs, 2)])

    def __len__(self) -> int:
        return len(self.pairs)

    @cached_property
    def plus(self) -> IntArray:
        """Output (P,) that counts positive in each pair."""
        return np.array([plus for plus, _ in self.pairs], dtype=np.int64)

    @cached_property
    def minus(self) -> IntArray:
        """Output (P,) that is subtracted in each pair."""
        return np.array([minus for _, minus in self.pairs], dtype=np.int64)

    @cached_property
    def _largest(self) -> int:
        """Largest output number."""
        return max(max(pair) for pair in self.pairs)

    def check(self, n_outputs: int) -> None:
        """Refuse pairs of outputs that do not exist.

        Raises
        ------
        DataError
            Names the pair.
        """
        if n_outputs > self._largest:
            return
        k = next(k for k, pair in enumerate(self.pairs) if max(pair) >= n_outputs)
        raise DataError(
            f"pair {k} of outputs is {list(self.pairs[k])}, but the network has {n_outputs} "
            f"output{'s' if n_outputs > 1 else ''}, numbered from 0"
        )

    def differences(self, outputs: FloatArray) -> FloatArray:
        """Return ``V(plus) - V(minus)`` (S, P) in volts for output volts (S, n_out).

        Raises
        ------
        DataError
            If there are fewer outputs than the pairs name.
        """
        self.check(outputs.shape[1])
        return np.asarray(outputs[:, self.plus] - outputs[:, self.minus])

    def at_outputs(self, derivatives: FloatArray, n_outputs: int) -> FloatArray:
        """Return derivatives with respect to the outputs (S, n_out) from those to the differences (S, P).

        This is the transpose of `differences`: each derivative counts at its plus output and, with the other sign,
        at its minus output.
        """
        self.check(n_outputs)
        found = np.zeros((n_outputs, len(derivatives)))
        np.add.at(found, self.plus, derivatives.T)
        np.subtract.at(found, self.minus, derivatives.T)
        return np.ascontiguousarray(found.T)

    def unpaired(self, n_outputs: int) -> list[int]:
        """Return the outputs that are in no pair."""
        return sorted(set(range(n_outputs)) - {output for pair in self.pairs for output in pair})

    def voltages(self, differences: FloatArray) -> FloatArray:
        """Return the lowest output volts (S, n), none negative, that have these differences (S, P).

        Outputs that pairs connect differ as wanted, and the lowest of them is at 0 V; so their largest voltage is
        the range that they need. Where differences around a loop of pairs contradict each other, no outputs have
        them, and the differences of the result are others.
        """
        volts = np.zeros((len(differences), self._largest + 1))
        for group in self._groups:
            for pair, known, new in group:
                sign = 1.0 if new == self.plus[pair] else -1.0
                volts[:, new] = volts[:, known] + sign * differences[:, pair]
            members = [group[0][1], *(new for _, _, new in group)]
            volts[:, members] -= volts[:, members].min(axis=1, keepdims=True)
        return volts

    @cached_property
    def _groups(self) -> list[list[tuple[int, int, int]]]:
        """For each connected group, steps (pair, known output, new output) from one output to all others."""
        pairs_at: dict[int, list[tuple[int, int]]] = {}
        for k, (plus, minus) in enumerate(self.pairs):
            pairs_at.setdefault(plus, []).append((k, minus))
            pairs_at.setdefault(minus, []).append((k, plus))
        reached: set[int] = set()
        groups = []
        for start in pairs_at:
            if start in reached:
                continue
            reached.add(start)
            steps, front = [], [start]
            while front:
                known = front.pop()
                for pair, new in pairs_at[known]:
                    if new not in reached:
                        reached.add(new)
                        steps.append((pair, known, new))
                        front.append(new)
            groups.append(steps)
        return groups


def _checked(given: object) -> tuple[tuple[int, int], ...]:
    """Return pairs of distinct output numbers, each pair once."""
    if not isinstance(given, Iterable) or isinstance(given, str | bytes | Mapping | Set):
        raise DataError(f"pairs of outputs must be a list such as [(0, 1), (2, 3)], got {given!r:.80}")
    pairs: list[tuple[int, int]] = []
    first: dict[frozenset[int], int] = {}
    for k, item in enumerate(given):
        plus, minus = _checked_pair(k, item)
        if plus == minus:
            raise DataError(f"pair {k} of outputs is output {plus} with itself, whose difference is always 0 V")
        same = first.setdefault(frozenset((plus, minus)), k)
        if same != k:
            how = "again" if pairs[same] == (plus, minus) else "with the other sign"
            raise DataError(f"pair {k} of outputs is [{plus}, {minus}], which is pair {same} {how}")
        pairs.append((plus, minus))
    if not pairs:
        raise DataError("there is no pair of outputs, so nothing to score; give at least one pair")
    return tuple(pairs)


def _checked_pair(k: int, item: object) -> tuple[int, int]:
    """Return a pair of output numbers."""
    pair = list(item) if isinstance(item, Sequence | np.ndarray) and not isinstance(item, str | bytes) else []
    if len(pair) != 2 or not all(is_count(number, 0) for number in pair):
        raise DataError(
            f"pair {k} of outputs is {item!r:.80}; give the numbers from 0 of two outputs, such as [0, 1]"
        )
    return int(pair[0]), int(pair[1])
