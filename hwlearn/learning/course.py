"""`Course`: what one call of `Trainer.fit` has measured, scored and lost so far."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

import numpy as np

from hwlearn.arrays import BoolArray, FloatArray, IntArray
from hwlearn.circuit.kirchhoff import Kirchhoff
from hwlearn.learning.energy import EnergyLedger
from hwlearn.learning.health import HealthWatch
from hwlearn.learning.records import Epoch, NetworkState, Progress
from hwlearn.learning.rules.rule import Gradient, GradientRequest
from hwlearn.learning.sample_order import Batch
from hwlearn.learning.scoring import Score
from hwlearn.network.network import Network
from hwlearn.network.simulation import part, prefixed


class Course:
    """Counts of a training and the readings of its present epoch.

    Parameters
    ----------
    network : Network
        Its samples are counted from here on.
    known : Progress
        The training so far.
    energy : EnergyLedger
        Counts the phases of the present epoch.
    health : HealthWatch, optional
        Follows the gradients.

    Attributes
    ----------
    epochs : list of Epoch
    best : (float, int, ndarray) or None
        Merit, number and values (E,) of the best epoch, the earliest of equals.
    steps : int
        Completed updates.
    failed : ndarray of bool, shape (E,)
        Edges that failed in any programming so far.
    """

    def __init__(
        self, network: Network, known: Progress, energy: EnergyLedger, health: HealthWatch | None = None
    ) -> None:
        self._network, before = network, known.network
        self.epochs: list[Epoch] = list(known.epochs or ())
        self.best = _best(self.epochs, known.best)
        self.steps: int = known.steps
        self.failed: BoolArray = np.zeros(network.topology.n_edges, dtype=bool)
        if before is not None:
            self.failed |= before.failed
        self._began = network.measurements - (0 if before is None else before.measurements)
        self._epoch_began = network.measurements - (0 if before is None else before.epoch_measurements)
        self._clock = time.perf_counter()
        self._readings: list[tuple[IntArray, FloatArray, int]] = list(known.readings)
        self.energy, self._health = energy, health
        if before is not None:
            energy.restore(part("energy", before.watched))
            if health is not None:
                health.restore(part("health", before.watched))

    @property
    def measurements(self) -> int:
        """Samples measured since the training began."""
        return self._network.measurements - self._began

    @property
    def rows(self) -> IntArray:
        """Rows measured in the present epoch."""
        return np.concatenate([rows for rows, _, _ in self._readings])

    @property
    def outputs(self) -> FloatArray:
        """Free outputs (S, n_out) in volts of these rows."""
        return np.concatenate([outputs for _, outputs, _ in self._readings])

    def examine(self, request: GradientRequest, gradient: Gradient, batch: Batch, is_first: bool) -> None:
        """Examine the health of a gradient before its update; ``is_first``: its epoch begins with it."""
        if self._health is not None:
            self._health.add(request, gradient, batch.rows, batch.epoch, is_first)

    def add_step(self, rows: IntArray, gradient: Gradient, failed: BoolArray) -> None:
        """Count an update."""
        self._readings.append((rows, gradient.outputs, gradient.skipped))
        self.failed |= failed
        self.energy.add_update()
        self.steps += 1

    def begin_epoch(self) -> None:
        """Start the clock of an epoch."""
        self._clock = time.perf_counter()

    def add_epoch(self, number: int, train: Score, validation: Score | None, values: FloatArray) -> Epoch:
        """Complete the present epoch, which ended with these target values (E,)."""
        seconds, counted = time.perf_counter() - self._clock, self._network.measurements - self._epoch_began
        skipped = sum(skipped for _, _, skipped in self._readings)
        health = {} if self._health is None else self._health.record()
        epoch = Epoch(number, train, validation, counted, skipped, seconds, health, self.energy.record())
        self.epochs.append(epoch)
        if self.best is None or epoch.merit > self.best[0]:
            self.best = (epoch.merit, number, values)
        self._readings, self._epoch_began = [], self._network.measurements
        return epoch

    def is_out_of(self, patience: int | None) -> bool:
        """Return whether the best epoch is this many epochs ago."""
        return self.best is not None and patience is not None and self.epochs[-1].number - self.best[1] >= patience

    def progress(self, optimizer_state: Mapping[str, FloatArray], model: Kirchhoff) -> Progress:
        """Return the state of the training now, between two updates."""
        simulation = self._network.simulation
        now = NetworkState(
            model.values,
            self.failed.copy(),
            self.measurements,
            self._network.measurements - self._epoch_began,
            model.history,
            None if simulation is None else simulation.state(),
            prefixed("energy", self.energy.state())
            | ({} if self._health is None else prefixed("health", self._health.state())),
        )
        best = None if self.best is None else self.best[2]
        return Progress(self.steps, optimizer_state, tuple(self.epochs), tuple(self._readings), best, now)


def _best(epochs: Sequence[Epoch], values: FloatArray | None) -> tuple[float, int, FloatArray] | None:
    """Return merit, number and values (E,) of the best epoch, the earliest of equals."""
    if not epochs or values is None:
        return None
    best = max(epochs, key=lambda epoch: epoch.merit)
    return best.merit, best.number, values
