"""What accompanies a training of a bench: storing it as a run, and showing its progress."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from hwlearn.learning.records import Callback, Progress

BenchT = TypeVar("BenchT", contravariant=True)


@dataclass(frozen=True)
class TrainingWishes:
    """What the caller of `Bench.train` wants beside the training.

    Attributes
    ----------
    record : bool, str, Path or None
        Whether to record a run, or the folder of all runs; None records unless a callback does, or the training
        continues another one.
    note : str or None
        Text to store with the run.
    progress : bool or None
        Whether to show the progress; None shows it in terminals and notebooks.
    callbacks : sequence of Callback
        Those that the caller has given.
    start : Progress or None
        State from which the training continues.
    """

    record: bool | str | Path | None
    note: str | None
    progress: bool | None
    callbacks: Sequence[Callback]
    start: Progress | None


class Companion(ABC, Generic[BenchT]):
    """Accompanies the trainings of a bench."""

    @abstractmethod
    def training(self, bench: BenchT, wishes: TrainingWishes) -> AbstractContextManager[Sequence[Callback]]:
        """Return a context in which a training runs, and which gives the callbacks that it gets first.

        Raises
        ------
        SetupError
            If a wish cannot be met.
        RunError
            If the run cannot be stored.
        """

    @abstractmethod
    def closed(self, bench: BenchT) -> None:
        """Take note that the bench is closed, with its outputs off; it must not fail."""
