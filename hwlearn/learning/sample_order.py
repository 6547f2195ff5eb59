"""Order of the samples of a training: batches of rows for each epoch."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from hwlearn.arrays import IntArray
from hwlearn.learning.records import Schedule


@dataclass(frozen=True, eq=False)
class Batch:
    """Rows of one update; ``pace`` is the factor on the optimizer's rate."""

    epoch: int
    number: int
    rows: IntArray
    pace: float


@dataclass(frozen=True)
class Batches:
    """Batches of a training set of some samples."""

    samples: int
    schedule: Schedule
    seed: int

    @property
    def size(self) -> int:
        """Samples in a batch; the last one of an epoch may have fewer."""
        return self.schedule.batch_size or self.samples

    @property
    def per_epoch(self) -> int:
        """Number of batches in an epoch."""
        return math.ceil(self.samples / self.size)

    def of_epoch(self, epoch: int) -> Iterator[Batch]:
        """Yield the batches of an epoch."""
        order = np.arange(self.samples)
        if self.size < self.samples:
            # the order depends on seed and epoch alone, so that a resumed training repeats it
            order = np.random.default_rng([self.seed, epoch]).permutation(self.samples)
        anneal = self.schedule.anneal
        for k in range(self.per_epoch):
            number = epoch * self.per_epoch + k
            turn = math.pi * number / (self.schedule.epochs * self.per_epoch)
            pace = anneal + (1 - anneal) * 0.5 * (1 + math.cos(turn))
            yield Batch(epoch, number, order[k * self.size : (k + 1) * self.size], pace)
