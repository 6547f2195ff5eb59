"""Records of a training: its schedule, steps, epochs and history, and the callbacks that receive them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from hwlearn.arrays import BoolArray, FloatArray, IntArray
from hwlearn.circuit.elements.three_terminal import CONDUCTANCE, Parameter, require_conductances
from hwlearn.errors import SetupError
from hwlearn.html_text import object_box
from hwlearn.units import format_quantity, is_count, is_number

if TYPE_CHECKING:  # slow to import, and not needed to read a run
    from hwlearn.learning.rules.rule import Gradient
    from hwlearn.learning.scoring import Score
    from hwlearn.network.readings import Programmed


@dataclass(frozen=True)
class Schedule:
    """Number of epochs, batch size, annealing and stopping rule of a training.

    Attributes
    ----------
    epochs : int
        Passes over the training set.
    batch_size : int, optional
        Samples per update; all unless given.
    anneal : float
        The optimizer's rate falls along a half cosine to this fraction of itself over all epochs.
    patience : int, optional
        Stop after this many epochs in a row without a better score.
    keep : "best" or "last"
        The epoch whose values the network has at the end. The best is judged by the validation score, or by
        the training readings without validation data.

    Raises
    ------
    SetupError
        If a value is out of range.
    """

    epochs: int
    batch_size: int | None = None
    anneal: float = 1.0
    patience: int | None = None
    keep: Literal["best", "last"] = "last"

    def __post_init__(self) -> None:
        _check_count("epochs", self.epochs, 0)
        if self.batch_size is not None:
            _check_count("batch_size", self.batch_size, 1)
        if self.patience is not None:
            _check_count("patience", self.patience, 1)
        if not (is_number(self.anneal) and 0 <= self.anneal <= 1):
            raise SetupError(f"anneal is {self.anneal!r}; it must lie in [0, 1]")
        if self.keep not in ("best", "last"):
            raise SetupError(f"keep must be 'best' or 'last', got {self.keep!r}")


@dataclass(frozen=True, eq=False)
class Step:
    """One batch and the update that followed it.

    Attributes
    ----------
    epoch, number : int
        Epoch, and number of the step in the whole training; both from 0.
    samples : ndarray of int
        Rows of the training set that were measured.
    gradient : Gradient
    requested : ndarray, shape (E,)
        New unquantised target values: siemens, or volts for gates.
    programmed : Programmed
    optimizer_state : mapping of str to ndarray
        State from which the optimizer can continue.
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
    """Scores and counts of one epoch.

    Attributes
    ----------
    number : int
        From 0.
    train : Score
        Of the readings before each update.
    validation : Score or None
        Of the validation data after the epoch.
    measurements : int
        Samples measured.
    skipped : int
        Samples that contributed nothing to a gradient.
    seconds : float
        Duration.
    health : mapping
        Figures of the gradient's health, their limits and alarms; see `hwlearn.learning.health`. Empty if it is
        not watched.
    energy : mapping
        Joules and seconds of the epoch's phases and programming; see `hwlearn.learning.energy`.
    """

    number: int
    train: Score
    validation: Score | None
    measurements: int
    skipped: int
    seconds: float
    health: Mapping[str, Any] = field(default_factory=dict)
    energy: Mapping[str, Any] = field(default_factory=dict)

    @property
    def merit(self) -> float:
        """`Score.merit` of the validation score, or of the training score without validation data."""
        return (self.validation or self.train).merit


@dataclass(frozen=True, eq=False)
class NetworkState:
    """Network of a training between two updates.

    Attributes
    ----------
    reached : ndarray, shape (E,)
        Values of the model, as the network reported them.
    failed : ndarray of bool, shape (E,)
        Edges that failed in any programming so far; they are not trained.
    measurements, epoch_measurements : int
        Samples measured since the training began, and since its present epoch began.
    history : mapping of str to ndarray
        `Kirchhoff.history` of the model.
    simulation : mapping of str to ndarray, or None
        State of a simulated network; None on hardware.
    watched : mapping of str to ndarray
        What health and energy of the present epoch need from its steps so far.
    """

    reached: FloatArray
    failed: BoolArray
    measurements: int
    epoch_measurements: int
    history: Mapping[str, np.ndarray] = field(default_factory=dict)
    simulation: Mapping[str, np.ndarray] | None = None
    watched: Mapping[str, np.ndarray] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Progress:
    """State of a training between two updates, from which `Trainer.fit` continues; see `Callback.on_progress`.

    Attributes
    ----------
    steps : int
        Completed updates.
    optimizer_state : mapping of str to ndarray
        State of the optimizer after them.
    epochs : sequence of Epoch, optional
        Epochs scored so far; unless given, every epoch whose updates are complete counts as scored.
    readings : sequence of (ndarray, ndarray, int)
        Rows, output volts and number of skipped samples of each completed step of the first epoch without a score.
    best : ndarray, shape (E,), optional
        Values after the best of ``epochs``.
    network : NetworkState, optional
        Network after them. Without it, edges that failed and measurements are counted from here, and a simulation
        that is opened anew repeats the noise of its beginning.
    """

    steps: int
    optimizer_state: Mapping[str, FloatArray]
    epochs: Sequence[Epoch] | None = None
    readings: Sequence[tuple[IntArray, FloatArray, int]] = ()
    best: FloatArray | None = None
    network: NetworkState | None = None


@dataclass(eq=False)
class History:
    """Course of a training.

    Attributes
    ----------
    epochs : list of Epoch
    values : ndarray, shape (E,)
        Final target values of the network, unquantised: siemens, or volts for gates.
    best_epoch : int or None
        Epoch with the best validation (or training) score.
    stopped : str
        Why the training ended: ``"finished"``, ``"interrupted"``, ``"no improvement"`` or ``"unhealthy"``.
    measurements : int
        Samples measured, also before a resume. A batch that is measured again after a resume counts once.
    parameters : tuple of (Parameter, ndarray of int or None)
        What the values are, and the edges that have them; None: all of them.
    energy : mapping
        Joules and seconds of the whole training, in the form of `Epoch.energy`, with ``training_J`` and
        ``training_s``.
    """

    epochs: list[Epoch] = field(default_factory=list)
    values: FloatArray = field(default_factory=lambda: np.zeros(0))
    best_epoch: int | None = None
    stopped: Literal["finished", "interrupted", "no improvement", "unhealthy"] = "finished"
    measurements: int = 0
    parameters: tuple[tuple[Parameter, IntArray | None], ...] = ((CONDUCTANCE, None),)
    energy: Mapping[str, Any] = field(default_factory=dict)

    def __repr__(self) -> str:
        return f"<History: {'; '.join(text for _, text in self._shown()[:3])}>"

    def _repr_html_(self) -> str:
        return object_box("History of a training", self._shown())

    def _shown(self) -> list[tuple[str, str]]:
        """Return what a person wants to know first."""
        facts = [("ended", f"{self.stopped} after {len(self.epochs)} epochs")]
        if self.epochs:
            last = self.epochs[-1]
            kind = "training" if last.validation is None else "validation"
            facts.append(("last epoch", f"{last.validation or last.train} on {kind} samples"))
        facts.append(("measurements", f"{self.measurements:,} measurements"))
        best = next((epoch for epoch in self.epochs if epoch.number == self.best_epoch), None)
        if best is not None:
            facts.append(("best epoch", f"{best.number + 1}: {best.validation or best.train}"))
        for parameter, values in self.by_parameter() if self.values.size else ():
            if values.size:
                ends = (format_quantity(float(end), parameter.unit) for end in (values.min(), values.max()))
                facts.append((f"{parameter.name}s", f"{len(values):,}: {' to '.join(ends)}"))
        return facts

    @property
    def conductances(self) -> FloatArray:
        """The `values` of a network whose values are conductances, in siemens.

        Raises
        ------
        CircuitError
            If some are not.
        """
        require_conductances(parameter for parameter, _ in self.parameters)
        return self.values

    def by_parameter(self) -> list[tuple[Parameter, FloatArray]]:
        """Return each parameter with the values of its edges."""
        return [(one, self.values if edges is None else self.values[edges]) for one, edges in self.parameters]


class Callback:
    """Receiver of the events of a training; override the methods you need. An exception ends the training.

    Attributes
    ----------
    records : bool
        Whether it stores the training as a run, so that no other one is recorded.
    """

    records: bool = False

    def on_progress(self, progress: Progress) -> None:
        """Receive the state from which a training continues as if it had not stopped.

        Called immediately before `on_start`, `on_step` and `on_epoch`. A callback that stores both together loses
        nothing and repeats nothing.
        """

    def on_start(self, programmed: Programmed) -> None:
        """Receive the report of programming the initial values."""

    def on_gradient(self, epoch: int, number: int, samples: IntArray, gradient: Gradient) -> None:
        """Receive the gradient of a measured batch, before the update."""

    def on_step(self, step: Step) -> None:
        """Receive an update after it is programmed."""

    def on_epoch(self, epoch: Epoch) -> None:
        """Receive the scores of a completed epoch."""

    def on_end(self, history: History) -> None:
        """Receive the history at the end, also of an interrupted training."""


def _check_count(name: str, value: object, least: int) -> None:
    if not is_count(value, least):
        raise SetupError(f"{name} is {value!r}; it must be a whole number of at least {least}")
