"""`Bench`: a bench file turned into objects, checked as a whole before anything is applied."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from pydantic import BaseModel

from hwlearn.arrays import FloatArray, IntArray
from hwlearn.calibrated.network import CalibratedNetwork
from hwlearn.calibrated.record import CalibrationRecord
from hwlearn.circuit.kirchhoff import Kirchhoff
from hwlearn.errors import SetupError
from hwlearn.lab.bench.backends import find_backend
from hwlearn.lab.bench_file.file import BenchFile, load_bench_file
from hwlearn.lab.bench_file.sections import TrainSection
from hwlearn.lab.data.loading import load_data
from hwlearn.learning.costs import MSE, Cost, CrossEntropy, Hinge
from hwlearn.learning.optimizers import SGD, Adam, Momentum, Optimizer, Sign
from hwlearn.learning.records import Callback, History, Progress, Score
from hwlearn.learning.rules import GEP, SPSA, Analytic, Rule
from hwlearn.learning.subsets import ListedEdges, MostSensitive, RandomEdges, Subset
from hwlearn.learning.training import Trainer
from hwlearn.network.backend import Seeded
from hwlearn.network.network import Network
from hwlearn.network.nudges import ClampNudge, CurrentNudge, Nudge, ResistorNudge

log = logging.getLogger("hwlearn")


@dataclass(frozen=True)
class Evaluation:
    """How a trained network does, on held-out rows where there are any, else on the training rows.

    Attributes
    ----------
    measured : Score
        From readings, their noise included.
    true : Score or None
        From the outputs that are really there; known to a simulator alone.
    rows : int
        Samples scored.
    held_out : bool
        Whether they were held out of the training.
    """

    measured: Score
    true: Score | None
    rows: int
    held_out: bool


class Bench:
    """What a bench file describes; a context manager that leaves the network safe on every exit.

    Making one reads and checks everything that can be checked without touching hardware: the file, the
    graph, the backend's settings, the data, and that every input voltage lies within the limits.

    Parameters
    ----------
    file : BenchFile
    """

    def __init__(self, file: BenchFile) -> None:
        self.file = file
        self.topology = file.network.build(file.folder)
        self.limits = file.limits.build()
        self._backend, self._settings = find_backend(file.tables["backend"], file.where)
        self.data = load_data(file.data, file.folder, self.topology, self.limits)
        self._cost = make_cost(file.train, self.data.classifies)
        self._targets = self._targets_for(self._cost)
        self._cost.checked_targets(self._targets, len(self._targets), self.topology.n_outputs)
        self._rule = make_rule(file.train)
        self._subset = make_subset(file.train)
        self._model = Kirchhoff(self.topology, self._initial())
        if isinstance(self._subset, ListedEdges):
            self._subset.mask(self._model, self.data.inputs)
        self._record: CalibrationRecord | None = None
        self._raw: Network | None = None
        self._network: Network | None = None
        self._last: Trainer | None = None

    def with_(self, overrides: Mapping[str, Any] | Iterable[str] = (), **keys: Any) -> Bench:
        """Return another bench with some keys changed, e.g. ``bench.with_({"train.epochs": 10})``.

        Keyword arguments write the dot as two underscores: ``bench.with_(train__epochs=10)``.
        """
        named = {key.replace("__", ".", 1): value for key, value in keys.items()}
        return Bench(self.file.with_(overrides).with_(named))

    def text(self) -> str:
        """Return the bench file with every default filled in, as a run keeps it."""
        return self.file.text(self._settings)

    # --- the network --------------------------------------------------------------------------------

    @property
    def network(self) -> Network:
        """The network; opened when first asked for, and calibrated if ``[calibration]`` names a record.

        Raises
        ------
        SetupError
            If the settings do not fit the limits, the hardware cannot make the nudge of ``[train]``, or the
            record was made on other instruments.
        NetworkError
            If the hardware cannot be reached.
        """
        if self._network is None:
            record = self.calibration  # before anything is opened
            network = self.raw_network
            if record is not None:
                try:
                    network = CalibratedNetwork(network, record)
                except SetupError as error:
                    self.close()
                    raise SetupError(f"{self.file.where}: {error}") from None
                most = self.file.calibration.most_age_days
                if record.is_older_than(most):
                    days = record.age().days
                    log.warning("the calibration is %d days old, more than %g: run hwlearn calibrate", days, most)
            self._network = network
        return self._network

    @property
    def raw_network(self) -> Network:
        """The network as its backend opened it, its numbers nominal; opened when first asked for."""
        if self._raw is None:
            network = self._backend.open(self._settings, self.topology, self.limits)
            kind = self._rule.nudge.kind if isinstance(self._rule, GEP) else None
            if kind is not None and kind not in network.nudges:
                network.close()
                able = ", ".join(sorted(network.nudges)) or "none"
                backend = self.file.backend.kind
                raise SetupError(
                    f"{self.file.where}: train.nudge = {kind!r}, but backend {backend!r} can make: {able}"
                )
            self._raw = network
        return self._raw

    @property
    def settings(self) -> BaseModel:
        """The checked settings of ``[backend]``."""
        return self._settings

    def close(self) -> None:
        """Close the network if it was opened."""
        network, self._network, self._raw = self._network or self._raw, None, None
        if network is not None:
            network.close()

    # --- calibration --------------------------------------------------------------------------------

    @property
    def calibration(self) -> CalibrationRecord | None:
        """The record that ``[calibration]`` names; None if it names none.

        Raises
        ------
        SetupError
            If it is missing, damaged or of another topology.
        """
        named = self.file.calibration.file
        if self._record is None and named is not None:
            record = CalibrationRecord.load(self.file.folder / named)
            try:
                record.check_topology(self.topology)
            except SetupError as error:
                raise SetupError(f"{self.file.where}: {error}") from None
            self._record = record
        return self._record

    def calibrate(self, *steps: str, **options: Any) -> CalibrationRecord:
        """Calibrate the bench and go on with the new record; see `lab.calibration.session`.

        Parameters
        ----------
        *steps : str
            Of ``noise``, ``lines``, ``pulses``, ``converters``, ``edges``, ``verify``; all unless given, but for
            ``pulses`` where devices can be pulsed, which waits to be named.
        **options
            ``configurations``, ``patterns``, ``seed``, ``devices``, ``retention_s``; see `CalibrationOptions`.

        Returns
        -------
        CalibrationRecord
            Also in ``calibration.toml`` beside the bench file, or where ``[calibration]`` says.

        Raises
        ------
        SetupError
            If a step or an option does not exist, or a record of other hardware is in the way.
        HwlearnError
            Whatever the network finds wrong; what was measured is kept, and the same call goes on.
        """
        from hwlearn.lab.calibration.session import CalibrationOptions, calibrate_bench, record_path

        try:
            wanted = CalibrationOptions(**options)
        except TypeError as error:
            raise SetupError(f"calibrate: {error}") from None
        for _ in calibrate_bench(self, steps, wanted):
            pass
        self._record = CalibrationRecord.load(record_path(self))
        self._network = None  # wrapped anew when next asked for
        return self._record

    def seed_keys(self, seed: int) -> list[str]:
        """Return the settings by which a backend that draws random numbers takes a seed; none for hardware."""
        return [f"backend.{self._backend.seed_key}={seed}"] if isinstance(self._backend, Seeded) else []

    def __enter__(self) -> Self:
        _ = self.network
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # --- training -----------------------------------------------------------------------------------

    def trainer(self) -> Trainer:
        """Return a new trainer as ``[train]`` describes it."""
        train = self.file.train
        return Trainer(
            self.network,
            self._rule,
            self._cost,
            make_optimizer(train),
            self._subset,
            self._model,
            seed=train.seed,
            vary=self.data.jitter,
        )

    def train(self, callbacks: Sequence[Callback] = (), start: Progress | None = None) -> History:
        """Train on the training rows as ``[train]`` describes it; see `Trainer.fit`."""
        train, data = self.file.train, self.data
        self._last = self.trainer()
        held_out = (data.inputs[data.validation], self._targets[data.validation])
        return self._last.fit(
            data.inputs[data.train],
            self._targets[data.train],
            train.epochs,
            batch_size=train.batch,
            validation=held_out if len(data.validation) else None,
            callbacks=callbacks,
            patience=train.patience,
            keep=train.keep,
            anneal=train.anneal,
            start=start,
        )

    def evaluate(self) -> Evaluation:
        """Measure the test rows (the training rows where none are held out) and score them."""
        rows = self.data.test if len(self.data.test) else self.data.train
        inputs = self.data.inputs[rows]
        measured = self._scored(self.network.measure(inputs).voltages, rows)
        true = self.network.true_outputs(inputs)
        return Evaluation(
            measured, None if true is None else self._scored(true, rows), len(rows), bool(len(self.data.test))
        )

    def true_scores(self) -> dict[str, Score]:
        """Return the scores that a simulator knows to be true now: ``train``, and ``validation``, ``test``.

        Empty on hardware; a set of rows that is empty is left out.
        """
        named = {"train": self.data.train, "validation": self.data.validation, "test": self.data.test}
        scores = {}
        for name, rows in named.items():
            true = self.network.true_outputs(self.data.inputs[rows]) if len(rows) else None
            if true is not None:
                scores[name] = self._scored(true, rows)
        return scores

    def _scored(self, outputs: FloatArray, rows: IntArray) -> Score:
        """Score output volts (S, n_out) of some rows; classes have an accuracy whatever the cost."""
        score = (self._last or self.trainer()).score_of(outputs, self._targets[rows])
        if self.data.classifies and score.accuracy is None:
            right = outputs.argmax(axis=1) == self.data.targets[rows]
            return replace(score, accuracy=float(right.mean()))
        return score

    def _initial(self) -> FloatArray:
        low, high = self.limits.conductance
        if self.file.train.initial == "middle":
            return np.full(self.topology.n_edges, 0.5 * (low + high))
        rng = np.random.default_rng([self.file.train.seed, 1])
        return np.exp(rng.uniform(np.log(low), np.log(high), self.topology.n_edges))

    def _targets_for(self, cost: Cost) -> FloatArray | IntArray:
        """Return all targets as the cost takes them."""
        targets = self.data.targets
        if cost.classifies and not self.data.classifies:
            raise SetupError(
                f"{self.file.where}: train.cost = {self.file.train.cost!r} needs classes, but the data has target "
                "volts; use 'mse' or 'auto'"
            )
        if self.data.classifies and len(self.data.classes) > self.topology.n_outputs:
            raise SetupError(
                f"{self.file.where}: the data has {len(self.data.classes)} classes, the network only "
                f"{self.topology.n_outputs} outputs"
            )
        if self.data.classifies and not cost.classifies:
            onehot = np.eye(self.topology.n_outputs)[targets.astype(np.int64)]
            return np.asarray(self.file.train.target * onehot)
        return targets


def open_bench(name_or_path: str | Path, overrides: Iterable[str] | Mapping[str, Any] = ()) -> Bench:
    """Open a bench by its file, or by the name of one that ships.

    Parameters
    ----------
    name_or_path : str or Path
        ``"bench.toml"``, or ``"iris"``.
    overrides : iterable of str, or mapping
        ``["train.epochs=10"]`` or ``{"train.epochs": 10}``.

    Returns
    -------
    Bench
        A context manager: ``bench.network``, ``bench.trainer()``, ``bench.train()``, ``bench.evaluate()``.

    Raises
    ------
    SetupError, TopologyError, DataError, LimitError
        If anything in the file, the graph, the data or the settings is wrong; nothing was applied.
    """
    return Bench(load_bench_file(name_or_path, overrides))


def make_nudge(train: TrainSection) -> Nudge:
    """Return the nudge of ``[train]``."""
    if train.nudge == "clamp":
        return ClampNudge(train.strength, train.metric)
    if train.nudge == "current":
        return CurrentNudge(train.strength)
    return ResistorNudge(train.strength, train.kappa)


def make_rule(train: TrainSection) -> Rule:
    """Return the rule of ``[train]``."""
    if train.rule == "analytic":
        return Analytic()
    if train.rule == "spsa":
        return SPSA(train.perturbation, train.repeats, train.seed)
    return GEP(make_nudge(train), train.symmetric, train.readout, train.nudged, train.model_error)


def make_cost(train: TrainSection, classifies: bool) -> Cost:
    """Return the cost of ``[train]``; ``auto`` is cross-entropy for classes and mean-square for volts."""
    kind = train.cost if train.cost != "auto" else "cross-entropy" if classifies else "mse"
    if kind == "cross-entropy":
        return CrossEntropy(train.temperature)
    return Hinge(train.margin) if kind == "hinge" else MSE()


def make_optimizer(train: TrainSection) -> Optimizer:
    """Return the optimizer of ``[train]``."""
    if train.optimizer == "momentum":
        return Momentum(train.rate, train.momentum, scale=train.scale)
    if train.optimizer == "adam":
        return Adam(train.rate, scale=train.scale)
    return (SGD if train.optimizer == "sgd" else Sign)(train.rate, scale=train.scale)


def make_subset(train: TrainSection) -> Subset | None:
    """Return the subset of ``[train]``; None lets every edge learn."""
    if train.subset is None:
        return None
    if isinstance(train.subset, list):
        return ListedEdges(train.subset)
    if train.subset_kind == "random":
        return RandomEdges(train.subset, train.seed)
    return MostSensitive(train.subset)
