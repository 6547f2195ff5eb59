"""`RunFollower`: everything that a page shows of a run, read again and again in bounded time."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np

from hwlearn.arrays import BoolArray, FloatArray
from hwlearn.errors import HwlearnError, RunError
from hwlearn.lab.runs.contents import RunContents, RunPart
from hwlearn.lab.runs.database import DATABASE
from hwlearn.lab.runs.reading import open_snapshot, reported_damage
from hwlearn.lab.runs.views.failures import failed_edges
from hwlearn.lab.watching.choice import ChosenRun
from hwlearn.lab.watching.condition import Condition, read_condition, seconds_left
from hwlearn.lab.watching.definition import RunDefinition, read_definition
from hwlearn.lab.watching.readings import PredictedOutputs, RecentReadings, SampleReading, prediction
from hwlearn.lab.watching.sample import SampleOnNetwork, sample_on_network
from hwlearn.lab.watching.thinning import ThinnedRows
from hwlearn.learning.scoring import Score
from hwlearn.storage.lock import is_locked

_SHARE: Final = 10
"""A read that took t seconds is not repeated before this many times t."""
_RECENT_EPOCHS: Final = 5
"""Epochs whose mean duration gives the time left."""


@dataclass(frozen=True, eq=False)
class EpochView:
    """Scores and counts of one epoch.

    Attributes
    ----------
    number : int
        From 0.
    measured, true : mapping of str to Score
        By row set: ``train``, ``validation``; the true scores, also of ``test``, are known of simulations only.
    skipped, measurements : int
        Samples that contributed nothing to a gradient, and all that were measured.
    seconds : float
    health : mapping
        Health of the gradient as the run has recorded it: figures by name, their ``limits`` by name, and the
        names of those beyond them in ``alarms``; empty if it is not recorded.
    """

    number: int
    measured: Mapping[str, Score]
    true: Mapping[str, Score]
    skipped: int
    measurements: int
    seconds: float
    health: Mapping[str, Any]


@dataclass(frozen=True, eq=False)
class RunView:
    """What is shown of a run at one moment.

    Attributes
    ----------
    name : str
    definition : RunDefinition
    condition : Condition
    epochs : tuple of EpochView
        Evenly thinned, with the last one.
    costs : ndarray, shape (B, 3)
        Step, mean cost and number of skipped samples of batches, evenly thinned, with the last one.
    stride : int
        Of the batches.
    steps, epochs_done, epochs_requested : int
        Measured batches, completed epochs, and epochs of the whole training.
    batches : int or None
        Of an epoch; None if it is not known.
    measurements : int or None
        Samples measured in the training; None if the run does not say.
    seconds : float
        Of the training so far.
    left_s : float or None
        Expected time to the end of a running training; None if it is not known.
    values : ndarray, shape (E,), or None
        Requested values of the edges, in the unit of each; None if nothing was programmed.
    values_of : str
    failed : ndarray of bool, shape (E,), or None
        Edges that failed so far; None if nothing was programmed.
    readings : mapping of int to SampleReading
        Last readings by row of the training set.
    readings_kept : bool
        Whether the run keeps them.
    prediction : PredictedOutputs or None
        None without readings or without the data of the run.
    facts : mapping
    sessions : tuple of RunPart
        Parts between two resumes.
    """

    name: str
    definition: RunDefinition
    condition: Condition
    epochs: tuple[EpochView, ...]
    costs: FloatArray
    stride: int
    steps: int
    epochs_done: int
    epochs_requested: int
    batches: int | None
    measurements: int | None
    seconds: float
    left_s: float | None
    values: FloatArray | None
    values_of: str
    failed: BoolArray | None
    readings: Mapping[int, SampleReading]
    readings_kept: bool
    prediction: PredictedOutputs | None
    facts: Mapping[str, Any]
    sessions: tuple[RunPart, ...]

    @property
    def classifies(self) -> bool:
        """Whether the scores are accuracies."""
        if self.epochs:
            return next(iter(self.epochs[-1].measured.values())).accuracy is not None
        training = self.definition.training
        return training is not None and training.data.classifies

    def at_epoch(self, step: float) -> float:
        """Return how many epochs are complete after a step."""
        return (step + 1) / (self.batches or 1)


@dataclass(eq=False)
class _Memory:
    """What was read of one run before."""

    folder: Path
    definition: RunDefinition
    costs: ThinnedRows = field(default_factory=lambda: ThinnedRows("batches"))
    epochs: ThinnedRows = field(default_factory=lambda: ThinnedRows("epochs"))
    views: dict[int, tuple[str, EpochView]] = field(default_factory=dict)
    readings: RecentReadings = field(default_factory=RecentReadings)
    batches: int | None = None


class RunFollower:
    """Reads a run that may be written by another process; for several threads.

    A read costs the same for a run of ten and of a million batches: curves are thinned by their keys, and only new
    batches are unpacked, at most 200.

    Parameters
    ----------
    chosen : ChosenRun

    Attributes
    ----------
    view : RunView or None
        The last one; None if the run does not exist yet.
    error : str
        Why the run cannot be read; empty if it can.
    version : int
        Grows when `view` or `error` changes.
    """

    def __init__(self, chosen: ChosenRun) -> None:
        self._chosen = chosen
        self._lock = threading.RLock()
        self._memory: _Memory | None = None
        self._state: object = None
        self._not_before = 0.0
        self._sample: tuple[Path, SampleOnNetwork, float] | None = None
        self.view: RunView | None = None
        self.error = ""
        self.version = 0

    @property
    def text(self) -> str:
        """What is followed, for a person."""
        return self._chosen.text

    def poll(self) -> int:
        """Read the run again if it may have changed; return `version`. Errors go to `error`."""
        with self._lock:
            began = time.monotonic()
            if began < self._not_before:
                return self.version
            try:
                view, error = self._read(), ""
            except (HwlearnError, OSError) as failure:
                view, error, self._state = self.view, " ".join(str(failure).split()), None
            if view is not self.view or error != self.error:
                self.view, self.error = view, error
                self.version += 1
            now = time.monotonic()
            self._not_before = now + _SHARE * (now - began)
            return self.version

    def sample(self, row: int) -> SampleOnNetwork | None:
        """Return a sample of the training set with its node voltages; None if it was not measured lately.

        If its voltages take long to compute, those of an earlier reading are returned for a while.

        Raises
        ------
        RunError
            If the run is damaged.
        """
        with self._lock:
            view, memory = self.view, self._memory
        reading = None if view is None else view.readings.get(row)
        if reading is None or memory is None:
            return None
        if self._sample is not None:
            folder, sample, not_before = self._sample
            is_same = sample.reading is reading or time.monotonic() < not_before
            if folder == memory.folder and sample.reading.row == row and is_same:
                return sample
        began = time.monotonic()
        with open_snapshot(memory.folder) as db, reported_damage(memory.folder):
            sample = sample_on_network(RunContents(memory.folder, db), db, memory.definition, reading)
        now = time.monotonic()
        self._sample = (memory.folder, sample, now + _SHARE * (now - began))
        return sample

    def _read(self) -> RunView | None:
        run = self._chosen.current()
        if run is None:
            self._memory, self._state = None, None
            return None
        alive = is_locked(run.folder, "run")
        # the times of files that another process writes need not be up to date
        state = None if alive else (run.folder, _file_states(run.folder / DATABASE))
        if state is not None and state == self._state and self.view is not None:
            return self.view
        with open_snapshot(run.folder) as db, reported_damage(run.folder):
            contents = RunContents(run.folder, db)
            memory = self._memory
            if memory is None or memory.folder != run.folder:
                memory = self._memory = _Memory(run.folder, read_definition(contents))
            before = self.view
            memory.costs.read(db)
            memory.epochs.read(db)
            memory.readings.read(contents, db)
            if memory.batches is None:
                memory.batches = _batches(contents, memory)
            view = _view(contents, memory)
        self._state = state
        return before if before is not None and _is_same(before, view) else view


def _file_states(path: Path) -> tuple[tuple[int, int], ...]:
    found = []
    for file in (path, path.with_name(f"{path.name}-wal"), path.with_name("run.lock")):
        try:
            state = file.stat()
        except OSError:
            found.append((0, 0))
        else:
            found.append((state.st_mtime_ns, state.st_size))
    return tuple(found)


def _is_same(before: RunView, now: RunView) -> bool:
    """Return whether nothing was stored between two views."""
    return (
        before.name == now.name
        and before.steps == now.steps
        and before.epochs_done == now.epochs_done
        and before.condition == now.condition
        and before.values_of == now.values_of
        and dict(before.facts) == dict(now.facts)
        and np.array_equal(before.costs[-1:], now.costs[-1:])
    )


def _batches(contents: RunContents, memory: _Memory) -> int | None:
    """Return the number of batches of an epoch: as the run was set, else as it was measured."""
    if memory.definition.training is not None:
        return memory.definition.training.batches
    epochs, steps = contents.count_epochs(), contents.steps()
    return max(1, round(steps / epochs)) if epochs else None


def _view(contents: RunContents, memory: _Memory) -> RunView:
    condition, facts = read_condition(contents), contents.facts
    epochs = _epochs(contents, memory)
    rows = memory.costs.rows
    costs = np.array([(step, row[2], row[3]) for step, row in rows.items()], dtype=np.float64).reshape(-1, 3)
    steps, done = memory.costs.last + 1, memory.epochs.last + 1
    requested = int(facts.get("epochs_requested") or done)
    recent = [epoch.seconds for epoch in epochs[-_RECENT_EPOCHS:]]
    within = steps / memory.batches if memory.batches else float(done)
    progress = min(max(within, float(done)), done + 1.0)
    left = seconds_left(progress, requested, recent) if condition.phase == "running" else None
    values, values_of, measurements = _network(contents)
    readings = memory.readings.by_row()
    training = memory.definition.training
    predicted = prediction(list(readings.values()), training) if readings and training is not None else None
    return RunView(
        name=contents.folder.resolve().name,
        definition=memory.definition,
        condition=condition,
        epochs=epochs,
        costs=costs,
        stride=memory.costs.stride,
        steps=steps,
        epochs_done=done,
        epochs_requested=requested,
        batches=memory.batches,
        measurements=measurements,
        seconds=contents.seconds(),
        left_s=left,
        values=values,
        values_of=values_of,
        failed=failed_edges(contents),
        readings=readings,
        readings_kept=memory.readings.kept,
        prediction=predicted,
        facts=facts,
        sessions=tuple(contents.sessions()),
    )


def _epochs(contents: RunContents, memory: _Memory) -> tuple[EpochView, ...]:
    """Return the epochs; each record is decoded once."""
    known, memory.views = memory.views, {}
    for number, (record,) in sorted(memory.epochs.rows.items()):
        before = known.get(number)
        memory.views[number] = before if before and before[0] == record else (record, _epoch(json.loads(record)))
    return tuple(view for _, view in memory.views.values())


def _epoch(record: dict[str, Any]) -> EpochView:
    measured = {name: Score(**record[name]) for name in ("train", "validation") if record.get(name)}
    true = {name: Score(**score) for name, score in record.get("true", {}).items()}
    counts = (int(record["skipped"]), int(record["measurements"]), float(record["seconds"]))
    return EpochView(int(record["number"]), measured, true, *counts, record.get("health") or {})


def _network(contents: RunContents) -> tuple[FloatArray | None, str, int | None]:
    """Return the last requested values, which these are, and samples measured so far."""
    measurements: int | None = None
    try:
        for _, arrays in contents.rows("network"):
            measurements = int(arrays["measurements"][0])
    except RunError:
        if contents.meta("format") != 1:  # format 1 has no such table
            raise
    final = contents.constants("final")
    if final:
        return np.asarray(final["requested"]), "at the end", measurements
    for (step, *_), arrays in contents.rows("updates", "ORDER BY step DESC LIMIT 1"):
        return np.asarray(arrays["requested"]), f"after step {step}", measurements
    initial = contents.constants("initial")
    if initial:
        return np.asarray(initial["requested"]), "initial", measurements
    return None, "", measurements
