"""The training loop: measure, find the gradient, step, program; stoppable between any two measurements."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from hwlearn.arrays import BoolArray, FloatArray, IntArray
from hwlearn.circuit.batches import batch
from hwlearn.circuit.kirchhoff import Kirchhoff
from hwlearn.errors import DataError, SetupError
from hwlearn.learning.costs import Cost
from hwlearn.learning.interrupt import Interrupted, stop_on_interrupt
from hwlearn.learning.optimizers import Optimizer
from hwlearn.learning.records import Callback, Epoch, History, Progress, Score, Step
from hwlearn.learning.rules.rule import Gradient, Rule
from hwlearn.learning.subsets import ListedEdges, Subset
from hwlearn.network.network import Network, Programmed

__all__ = ["Callback", "Epoch", "History", "Progress", "Score", "Step", "Trainer"]


class Trainer:
    """Trains a network by a rule: only measurements and the model's knowledge go into an update.

    Parameters
    ----------
    network : Network
    rule : Rule
    cost : Cost
    optimizer : Optimizer
    subset : Subset or list of edge numbers, optional
        Edges that may change; all unless given.
    model : Kirchhoff, optional
        What is known of the network; its conductances are where training starts. The middle of the range
        on every edge unless given.
    seed : int
        Order of the samples, and what is random in ``vary``.
    vary : callable, optional
        ``(inputs, rng) -> inputs`` (S, n_in) in volts: how the samples of a batch are shown in one step.
    """

    def __init__(
        self,
        network: Network,
        rule: Rule,
        cost: Cost,
        optimizer: Optimizer,
        subset: Subset | Iterable[int] | None = None,
        model: Kirchhoff | None = None,
        *,
        seed: int = 0,
        vary: Callable[[FloatArray, np.random.Generator], FloatArray] | None = None,
    ) -> None:
        self.network, self.rule, self.cost, self.optimizer = network, rule, cost, optimizer
        self.subset = subset if subset is None or isinstance(subset, Subset) else ListedEdges(subset)
        self.seed, self.vary = seed, vary
        if model is None:
            low, high = network.limits.conductance
            model = Kirchhoff(network.topology, np.full(network.topology.n_edges, 0.5 * (low + high)))
        self.model = model
        """What is known of the network now: conductances as last reached."""

    def fit(
        self,
        inputs: ArrayLike,
        targets: ArrayLike,
        epochs: int,
        *,
        batch_size: int | None = None,
        validation: tuple[ArrayLike, ArrayLike] | None = None,
        callbacks: Sequence[Callback] = (),
        patience: int | None = None,
        keep: Literal["best", "last"] = "last",
        anneal: float = 1.0,
        start: Progress | tuple[int, Mapping[str, FloatArray]] | None = None,
    ) -> History:
        """Train, and leave the network with the last (or best) conductances.

        Ctrl-C ends the training after the current measurement, keeps everything, and returns normally; a
        second Ctrl-C raises KeyboardInterrupt at once.

        Parameters
        ----------
        inputs : array_like, shape (S, n_in)
            Volts.
        targets : array_like
            As the cost takes them: volts (S, n_out), or class numbers (S,).
        epochs : int
            Passes over the training set.
        batch_size : int, optional
            Samples an update; all unless given.
        validation : (array_like, array_like), optional
            Held-out inputs and targets, measured after each epoch.
        callbacks : sequence of Callback
        patience : int, optional
            End when this many epochs in a row brought no better score.
        keep : "best" or "last"
            Which epoch's conductances to end with; the best is judged on validation, or on training readings.
        anneal : float
            The optimizer's pace falls along a half cosine from 1 to this fraction over all epochs.
        start : Progress or (int, mapping), optional
            Resume: number of steps already done, the optimizer's state after them, and what else is known.

        Returns
        -------
        History

        Raises
        ------
        DataError
            If inputs or targets do not fit network or cost.
        LimitError, ComplianceError, NetworkError
            From the network; everything committed so far stays.
        """
        x, y = self._data(inputs, targets)
        held_out = None if validation is None else self._data(*validation)
        size = len(x) if batch_size is None else int(batch_size)
        if size < 1 or epochs < 0 or not 0 <= anneal <= 1 or (patience is not None and patience < 1):
            raise SetupError(
                f"epochs={epochs}, batch_size={size}, patience={patience}, anneal={anneal}: counts must be "
                "positive and anneal lie in [0, 1]"
            )
        self.network.limits.check_terminals(self.network.topology, x)
        per_epoch = math.ceil(len(x) / size)
        known = Progress(0, {}) if start is None else Progress(*start)
        trainable = self._begin(x, known, callbacks)
        history = History(list(known.epochs or ()))
        best = _best(history.epochs, known.best)
        first = known.steps // per_epoch if known.epochs is None else len(known.epochs)
        if _out_of_patience(history.epochs, best, patience):
            history.stopped, first = "no improvement", epochs
        with stop_on_interrupt(self.network):
            try:
                for number in range(first, epochs):
                    tally = _Tally(self.network.measurements, known.readings if number == first else ())
                    for k, rows in enumerate(self._batches(len(x), size, number)):
                        step = number * per_epoch + k
                        if step < known.steps:
                            continue
                        pace = anneal + (1 - anneal) * 0.5 * (1 + math.cos(math.pi * step / (epochs * per_epoch)))
                        gradient = self._step(x, y, rows, number, step, trainable, pace, callbacks)
                        tally.add(rows, gradient.outputs, gradient.skipped)
                    score = self._score(tally.outputs, y[tally.rows])
                    checked = None if held_out is None else self.evaluate(*held_out)
                    epoch = tally.epoch(number, score, checked, self.network.measurements)
                    history.epochs.append(epoch)
                    for callback in callbacks:
                        callback.on_epoch(epoch)
                    if best is None or epoch.merit > best[0]:
                        best = (epoch.merit, number, self.optimizer.shadow)
                    elif _out_of_patience(history.epochs, best, patience):
                        history.stopped = "no improvement"
                        break
            except Interrupted:
                history.stopped = "interrupted"
        if best is not None:
            history.best_epoch = best[1]
            if keep == "best":
                self._program(best[2])
                history.conductances = best[2]
        if keep == "last" or best is None:
            history.conductances = self.optimizer.shadow
        for callback in callbacks:
            callback.on_end(history)
        return history

    def evaluate(self, inputs: ArrayLike, targets: ArrayLike) -> Score:
        """Measure the free phase and score it."""
        x, y = self._data(inputs, targets)
        return self._score(self.network.measure(x).voltages, y)

    def score_of(self, outputs: FloatArray, targets: ArrayLike) -> Score:
        """Score output volts (S, n_out), for instance a twin's true ones, without measuring."""
        y = self.cost.checked_targets(targets, len(outputs), self.network.topology.n_outputs)
        return self._score(outputs, y)

    # --- steps --------------------------------------------------------------------------------------

    def _begin(self, x: FloatArray, known: Progress, callbacks: Sequence[Callback]) -> BoolArray:
        """Program the starting point and return the trainable edges."""
        # the choice of edges belongs to the starting model, so that a resumed training makes the same one
        n = self.network.topology.n_edges
        trainable = np.ones(n, dtype=bool) if self.subset is None else self.subset.mask(self.model, x)
        self.optimizer.start(self.model.conductances, self.network.limits.conductance)
        if known.optimizer_state:
            self.optimizer.restore(known.optimizer_state)
        self.rule.resume(known.steps)
        programmed = self._program(self.optimizer.shadow)
        for callback in callbacks:
            callback.on_start(self, programmed)
        return trainable & ~programmed.failed

    def _step(
        self,
        x: FloatArray,
        y: FloatArray | IntArray,
        rows: IntArray,
        epoch: int,
        number: int,
        trainable: BoolArray,
        pace: float,
        callbacks: Sequence[Callback],
    ) -> Gradient:
        shown = x[rows]
        if (
            self.vary is not None
        ):  # the noise follows from seed and step alone, so a resumed training meets the same
            shown = self.vary(shown, np.random.default_rng([self.seed, number, 2]))
        gradient = self.rule.gradient(self.network, self.model, shown, y[rows], self.cost, trainable)
        for callback in callbacks:
            callback.on_gradient(epoch, number, rows, gradient)
        asked = self.optimizer.step(gradient.values, trainable, pace)
        programmed = self._program(asked)
        trainable &= ~programmed.failed  # an edge that stopped moving is taken out
        step = Step(epoch, number, rows, gradient, asked, programmed, self.optimizer.state())
        for callback in callbacks:
            callback.on_step(step)
        return gradient

    def _program(self, conductances: FloatArray) -> Programmed:
        programmed = self.network.program(conductances)
        self.model = self.model.with_conductances(programmed.reached)
        return programmed

    def _batches(self, samples: int, size: int, epoch: int) -> Iterator[IntArray]:
        if size >= samples:
            yield np.arange(samples)
            return
        # the order follows from seed and epoch alone, so a resumed training meets the same batches
        order = np.random.default_rng([self.seed, epoch]).permutation(samples)
        for first in range(0, samples, size):
            yield order[first : first + size]

    def _data(self, inputs: ArrayLike, targets: ArrayLike) -> tuple[FloatArray, FloatArray | IntArray]:
        top = self.network.topology
        x = batch(inputs, top.n_inputs, "inputs")
        if not len(x):
            raise DataError("the data set is empty")
        return x, self.cost.checked_targets(targets, len(x), top.n_outputs)

    def _score(self, outputs: FloatArray, targets: FloatArray | IntArray) -> Score:
        cost = float(self.cost.values(outputs, targets).mean())
        if self.cost.classifies:
            return Score(cost, accuracy=float((outputs.argmax(axis=1) == targets).mean()))
        return Score(cost, rms_error_V=float(np.sqrt(((outputs - targets) ** 2).mean())))


class _Tally:
    """What was read in one epoch."""

    def __init__(self, measurements: int, before: Iterable[tuple[IntArray, FloatArray, int]]) -> None:
        self._began, self._before = time.perf_counter(), measurements
        self._rows: list[IntArray] = []
        self._outputs: list[FloatArray] = []
        self._skipped = 0
        for read in before:
            self.add(*read)

    def add(self, rows: IntArray, outputs: FloatArray, skipped: int) -> None:
        self._rows.append(rows)
        self._outputs.append(outputs)
        self._skipped += skipped

    @property
    def rows(self) -> IntArray:
        return np.concatenate(self._rows)

    @property
    def outputs(self) -> FloatArray:
        return np.concatenate(self._outputs)

    def epoch(self, number: int, train: Score, validation: Score | None, measurements: int) -> Epoch:
        seconds = time.perf_counter() - self._began
        return Epoch(number, train, validation, measurements - self._before, self._skipped, seconds)


def _best(epochs: Sequence[Epoch], conductances: FloatArray | None) -> tuple[float, int, FloatArray] | None:
    """Return merit, number and conductances (E,) of the best of the epochs, the earliest of equals."""
    if not epochs or conductances is None:
        return None
    best = max(epochs, key=lambda epoch: epoch.merit)
    return best.merit, best.number, conductances


def _out_of_patience(
    epochs: Sequence[Epoch], best: tuple[float, int, FloatArray] | None, patience: int | None
) -> bool:
    return best is not None and patience is not None and epochs[-1].number - best[1] >= patience
