"""`Differential`: a cost of differences of outputs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from numpy.typing import ArrayLike

from hwlearn.arrays import FloatArray, IntArray
from hwlearn.errors import DataError
from hwlearn.learning.costs import Cost
from hwlearn.learning.instances import check_instance
from hwlearn.learning.output_pairs import OutputPairs


@dataclass(frozen=True, init=False)
class Differential(Cost):
    """Cost of the differences ``V(plus) - V(minus)`` of pairs of outputs.

    Targets are class numbers, one class for each pair, or volts of the differences (S, P). The error is the
    derivative with respect to each output, so that rules and nudges work as with any other cost: both outputs of a
    pair are nudged, in opposite directions, and the difference moves by the sum of both.

    Parameters
    ----------
    cost : Cost
        Cost of the differences.
    pairs : OutputPairs, or sequence of (int, int)
        Output numbers ``(plus, minus)`` of each pair.

    Raises
    ------
    DataError
        As `OutputPairs`.
    SetupError
        If ``cost`` is not a `Cost` object.

    Examples
    --------
    >>> import numpy as np
    >>> from hwlearn.learning.costs import MSE
    >>> cost = Differential(MSE(), [(0, 1)])
    >>> cost.error(np.array([[0.25, 0.5]]), np.array([[0.5]])).tolist()
    [[-0.75, 0.75]]
    """

    cost: Cost
    pairs: OutputPairs

    def __init__(self, cost: Cost, pairs: OutputPairs | Sequence[tuple[int, int]]) -> None:
        check_instance(cost, Cost, "cost")
        object.__setattr__(self, "cost", cost)
        object.__setattr__(self, "pairs", pairs if isinstance(pairs, OutputPairs) else OutputPairs(pairs))
        object.__setattr__(self, "classifies", cost.classifies)
        object.__setattr__(self, "power_weight", cost.power_weight)

    def values(self, outputs: FloatArray, targets: FloatArray | IntArray) -> FloatArray:
        """Return the cost (S,) of the differences of output volts (S, n_out)."""
        return self.cost.values(self.pairs.differences(outputs), targets)

    def error(self, outputs: FloatArray, targets: FloatArray | IntArray) -> FloatArray:
        """Return dC/dV_out (S, n_out); zero at outputs that are in no pair."""
        error = self.cost.error(self.pairs.differences(outputs), targets)
        return self.pairs.at_outputs(error, outputs.shape[1])

    def least_error(self, resolution: float) -> float:
        """Return the least error of the cost; the difference of two readings is sqrt(2) times as uncertain."""
        return self.cost.least_error(math.sqrt(2) * resolution)

    def scored(self, outputs: FloatArray) -> FloatArray:
        """Return the differences (S, P) in volts, or what the cost of the differences scores."""
        return self.cost.scored(self.pairs.differences(outputs))

    def n_scored(self, n_outputs: int) -> int:
        """Return the number of pairs."""
        return self.cost.n_scored(len(self.pairs))

    def checked_targets(self, targets: ArrayLike, samples: int, n_outputs: int) -> FloatArray | IntArray:
        """Return targets in the form that the cost of the differences takes.

        Raises
        ------
        DataError
            If their shape or values are wrong, or a pair names an output that does not exist.
        """
        self.pairs.check(n_outputs)
        try:
            return self.cost.checked_targets(targets, samples, len(self.pairs))
        except DataError as error:
            pairs = f"{len(self.pairs)} pair{'s' if len(self.pairs) > 1 else ''} of outputs"
            raise DataError(f"{error}; the targets are those of {pairs}") from None
