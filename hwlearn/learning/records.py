"""What a training leaves behind: scores, steps, epochs, its history, and who is told of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np

from hwlearn.arrays import FloatArray, IntArray
from hwlearn.learning.rules.rule import Gradient
from hwlearn.network.network import Programmed

if TYPE_CHECKING:
    from hwlearn.learning.training import Trainer


@dataclass(frozen=True)
class Score:
    """How well outputs meet targets.

    Attributes
    ----------
    cost : float
        Mean cost.
    accuracy : float or None
        Fraction of samples whose largest output is the right one (costs that classify).
    rms_error_V : float or None
        Root mean square of output minus target, in volts (costs with target volts); includes read noise.
    """

    cost: float
    accuracy: float | None = None
    rms_error_V: float | None = None

    @property
    def merit(self) -> float:
        """A number that is larger the better, for choosing the best epoch: accuracy first, then cost."""
        return -self.cost if self.accuracy is None else self.accuracy - 1e-9 * self.cost


@dataclass(frozen=True, eq=False)
class Step:
    """One batch and the update that followed it.

    Attributes
    ----------
    epoch, number : int
        Epoch, and number of the step over the whole training; both from 0.
    samples : ndarray of int
        Rows of the training set that were measured.
    gradient : Gradient
    requested : ndarray, shape (E,)
        New unquantised target conductances in siemens.
    programmed : Programmed
    optimizer_state : mapping of str to ndarray
        What the optimizer needs to go on from here.
    """

    epoch: int
    number: int
    samples: IntArray
    gradient: Gradient
    requested: FloatArray
    programmed: Programmed
    optimizer_state: Mapping[str, FloatArray]


@dataclass(frozen=True)
class Epoch:
    """What one epoch came to; ``train`` is scored on the readings made before each update."""

    number: int
    train: Score
    validation: Score | None
    measurements: int
    skipped: int
    seconds: float

    @property
    def merit(self) -> float:
        """By what the best epoch is chosen: the validation score, or the training score where there is none."""
        return (self.validation or self.train).merit


class Progress(NamedTuple):
    """Where a training stands between two updates; `Trainer.fit` goes on from it.

    Attributes
    ----------
    steps : int
        Updates done.
    optimizer_state : mapping of str to ndarray
        The optimizer's state after them.
    epochs : sequence of Epoch, optional
        Those scored so far; unless given, every epoch whose updates are done counts as scored.
    readings : sequence of (ndarray, ndarray, int)
        Of each step done in the first epoch not scored yet: rows, output volts, samples skipped.
    best : ndarray, shape (E,), optional
        Conductances in siemens after the best of ``epochs``.
    """

    steps: int
    optimizer_state: Mapping[str, FloatArray]
    epochs: Sequence[Epoch] | None = None
    readings: Sequence[tuple[IntArray, FloatArray, int]] = ()
    best: FloatArray | None = None


@dataclass(eq=False)
class History:
    """The course of a training.

    Attributes
    ----------
    epochs : list of Epoch
    conductances : ndarray, shape (E,)
        What the network was left with, unquantised, in siemens.
    best_epoch : int or None
        The epoch with the best validation (or training) score.
    stopped : str
        Why it ended: ``"finished"``, ``"interrupted"`` or ``"no improvement"``.
    """

    epochs: list[Epoch] = field(default_factory=list)
    conductances: FloatArray = field(default_factory=lambda: np.zeros(0))
    best_epoch: int | None = None
    stopped: Literal["finished", "interrupted", "no improvement"] = "finished"


class Callback:
    """Told of everything a training does; override what you need. Exceptions end the training."""

    def on_start(self, trainer: Trainer, programmed: Programmed) -> None:
        """Called when the initial conductances (the optimizer's shadow) are programmed."""

    def on_gradient(self, epoch: int, number: int, samples: IntArray, gradient: Gradient) -> None:
        """Called when a batch has been measured, before the update."""

    def on_step(self, step: Step) -> None:
        """Called when the update has been programmed."""

    def on_epoch(self, epoch: Epoch) -> None:
        """Called at the end of each epoch."""

    def on_end(self, history: History) -> None:
        """Called at the end, interrupted or not."""
