"""`Bench`: the topology, limits, network, data and training that a bench file describes.

One file because a bench is one object, whose parts share its network.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import fields
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from numpy.typing import ArrayLike
from pydantic import BaseModel

from hwlearn.arrays import FloatArray, IntArray
from hwlearn.calibrated.network import CalibratedNetwork
from hwlearn.calibrated.record import CalibrationRecord
from hwlearn.circuit.kirchhoff import Kirchhoff
from hwlearn.circuit.topology import Topology
from hwlearn.errors import NetworkError, RunError, SetupError, closest
from hwlearn.html_text import object_box
from hwlearn.lab.bench.backends import check_guardian, check_terminals, find_backend, opened_network
from hwlearn.lab.bench.companion import Companion, TrainingWishes
from hwlearn.lab.bench.evaluation import Evaluation
from hwlearn.lab.bench.guardian.opening import open_guarded
from hwlearn.lab.bench.recipes import (
    make_cost,
    make_health,
    make_model,
    make_optimizer,
    make_rule,
    make_subset,
    make_targets,
)
from hwlearn.lab.bench.shown import bench_facts
from hwlearn.lab.bench_file.file import BenchFile, load_bench_file
from hwlearn.lab.calibration.job import RECORD_NAME, CalibrationJob, CalibrationOptions
from hwlearn.lab.data.loading import Data, load_data
from hwlearn.learning.interrupt import request_stop
from hwlearn.learning.records import Callback, History, Progress, Schedule
from hwlearn.learning.scoring import Score, score_outputs
from hwlearn.learning.subsets import ListedEdges
from hwlearn.learning.training import Trainer
from hwlearn.network.backend import Seeded, Simulated
from hwlearn.network.limits import Limits
from hwlearn.network.network import Network

log = logging.getLogger("hwlearn")


class Bench:
    """A network, its limits, data and training, as a bench file describes them; a context manager.

    The constructor contacts no hardware. It checks everything that needs none: the file, the graph, the backend's
    settings, the data, and that every input voltage lies within the limits.

    The network is opened on first use, by `open`, or at the start of a ``with`` block, and its outputs are safe
    after every exit from the block. A closed bench does not reopen by itself: measuring, training, evaluating and
    calibrating raise `NetworkError` until `open` is called or a new ``with`` block begins.

    Parameters
    ----------
    file : BenchFile
    companion : Companion, optional
        Records its trainings and shows their progress. Without one, `train` does neither.

    Attributes
    ----------
    run_folder : Path or None
        Folder of the run of the last training that was recorded; see `open_run`.
    """

    def __init__(self, file: BenchFile, companion: Companion[Bench] | None = None) -> None:
        self.file: BenchFile = file
        self._companion = companion
        self.run_folder: Path | None = None
        self.topology: Topology = file.topology()
        self.limits: Limits = file.limits.build()
        self._backend, self._settings = find_backend(file.tables["backend"], file.where)
        check_guardian(self._backend, file)
        check_terminals(self._backend, self._settings, self.topology, self.limits, file)
        self.data: Data = load_data(file.data, file.folder, self.topology, self.limits)
        self._cost = make_cost(file.train, self.data.classifies, self.data.pairs)
        self._targets = make_targets(file, self.data, self._cost, self.topology.n_outputs)
        make_rule(file.train)  # for its checks
        self._subset = make_subset(file.train)
        self._model = make_model(file, self.topology, self.limits)
        if isinstance(self._subset, ListedEdges):
            self._subset.mask(self._model, self.data.inputs)
        self._record: CalibrationRecord | None = None
        self._raw: Network | None = None
        self._network: Network | None = None
        self._closed = False

    def with_(self, overrides: Mapping[str, Any] | Iterable[str] = (), **keys: Any) -> Bench:
        """Return a new bench with some keys changed, e.g. ``bench.with_({"train.epochs": 10})``.

        In keyword arguments, two underscores replace the dot: ``bench.with_(train__epochs=10)``.
        """
        named = {key.replace("__", ".", 1): value for key, value in keys.items()}
        return Bench(self.file.with_(overrides).with_(named), self._companion)

    def __repr__(self) -> str:
        return f"<Bench {self.file.name}: backend {self.file.backend.kind}, {self._state()}>"

    def _repr_html_(self) -> str:
        facts = [("state", self._state()), *bench_facts(self.file, self.data), *self.limits.facts()]
        facts.append(("network", repr(self.topology)[1:-1]))
        if self.run_folder is not None:
            facts.append(("last run", str(self.run_folder)))
        return object_box(f"Bench {self.file.name}", facts)

    def _state(self) -> str:
        """Return whether the network is open; nothing is contacted."""
        if self._raw is not None and not self._raw.closed:
            return "open"
        return "closed" if self._closed or self._raw is not None else "not opened yet"

    def text(self) -> str:
        """Return the bench file as TOML with every default filled in; each run folder contains this text."""
        return self.file.text(self._settings)

    # --- the network --------------------------------------------------------------------------------

    @property
    def network(self) -> Network:
        """The network, corrected by the record that ``[calibration]`` names, if any; opened on first use.

        Raises
        ------
        SetupError
            If the settings do not fit the limits, the hardware cannot make the nudge of ``[train]``, or the
            record was made on other instruments.
        NetworkError
            If the bench is closed, or the hardware cannot be reached.
        """
        self._check_not_closed()
        return self._open_network()

    @property
    def raw_network(self) -> Network:
        """The network without calibration, as its backend opened it; opened on first use. Raises as `network`."""
        self._check_not_closed()
        return self._open_raw_network()

    def open(self) -> Self:
        """Open the network, also again after `close`; an open network stays as it is.

        Opening programs nothing: volatile devices have lost the values of an earlier training. Train
        again, or pass the values to `evaluate`. Returns this bench.

        Raises
        ------
        SetupError, NetworkError
            As `network`.
        """
        if self._raw is not None and self._raw.closed:  # closed without this bench
            self._network = self._raw = None
        self._open_network()
        self._closed = False
        return self

    @property
    def closed(self) -> bool:
        """Whether the bench was closed and not opened again."""
        return self._closed

    @property
    def settings(self) -> BaseModel:
        """The checked settings of ``[backend]``."""
        return self._settings

    @property
    def simulated(self) -> bool:
        """Whether the backend declares that it is calculated and reaches no instrument; False for hardware."""
        return isinstance(self._backend, Simulated) and self._backend.simulated is True

    def close(self) -> None:
        """Close the network if it is open; closing twice is harmless."""
        self._closed = True
        network, self._network, self._raw = self._network or self._raw, None, None
        if network is not None:
            network.close()
            if self._companion is not None:
                self._companion.closed(self)

    def _check_not_closed(self) -> None:
        if self._closed:
            raise NetworkError(
                f"{self.file.where} is closed; to open its network again, call open() or begin a new `with` block"
            )

    def _open_network(self) -> Network:
        """Return the network, corrected by its calibration record; open it unless it is open."""
        if self._network is None:
            record = self.calibration  # refused before the hardware is opened
            network = self._open_raw_network()
            self._network = network if record is None else self._calibrated(network, record)
        return self._network

    def _open_raw_network(self) -> Network:
        """Return the network without calibration; open it unless it is open.

        It is closed again if it cannot make the nudge of ``[train]``.
        """
        if self._raw is None:
            opened = partial(opened_network, self._backend, self._settings, self.topology, self.limits, self.file)
            guarded = self.file.safety.guardian
            network = open_guarded(self.file, self._backend, self._settings, opened) if guarded else opened()
            train = self.file.train
            if train.rule == "gep" and train.nudge not in network.nudges:
                network.close()
                able, kind = ", ".join(sorted(network.nudges)) or "none", self.file.backend.kind
                raise SetupError(
                    f"{self.file.where}: train.nudge = {train.nudge!r}, but backend {kind!r} can make: {able}"
                )
            self._raw = network
        return self._raw

    def _calibrated(self, network: Network, record: CalibrationRecord) -> Network:
        """Return the network corrected by the record; close it if the record is of other instruments."""
        try:
            corrected = CalibratedNetwork(network, record)
        except SetupError as error:
            network.close()
            self._raw = None
            raise SetupError(f"{self.file.where}: {error}") from None
        most = self.file.calibration.most_age_days
        if record.is_older_than(most):
            days = record.age().days
            log.warning("the calibration is %d days old, more than %g: run hwlearn calibrate", days, most)
        return corrected

    # --- calibration --------------------------------------------------------------------------------

    @property
    def calibration(self) -> CalibrationRecord | None:
        """The calibration record: the one that ``[calibration]`` names, or of the last `calibrate`; None without.

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

    def calibration_job(
        self, options: CalibrationOptions | None = None, path: str | Path | None = None
    ) -> CalibrationJob:
        """Return the job of calibrating this bench, for `lab.calibration.calibrate`.

        Default path: the file that ``[calibration]`` names, else ``calibration.toml`` beside the bench file.
        """
        train = self.file.train
        return CalibrationJob(
            topology=self.topology,
            open_network=lambda: self.raw_network,
            path=self.file.folder / (self.file.calibration.file or RECORD_NAME) if path is None else Path(path),
            backend=self.file.backend.kind,
            settings=self._settings.model_dump(mode="json", exclude={"wire_log"}),
            nudge_siemens=train.kappa if train.nudge == "resistor" else None,
            options=CalibrationOptions() if options is None else options,
        )

    def calibrate(self, *steps: str, **options: Any) -> CalibrationRecord:
        """Calibrate the bench and use the new record from now on; see `lab.calibration`.

        Parameters
        ----------
        *steps : str
            Of ``noise``, ``lines``, ``pulses``, ``converters``, ``edges``, ``verify``. Default: all but
            ``pulses``, which runs only if it is named.
        **options
            ``configurations``, ``patterns``, ``seed``, ``devices``, ``retention_s``; see `CalibrationOptions`.

        Returns
        -------
        CalibrationRecord
            Also in ``calibration.toml`` beside the bench file, or in the file that ``[calibration]`` names.

        Raises
        ------
        SetupError
            If a step or an option does not exist, or the existing record was made on other hardware.
        HwlearnError
            From the network; all measurements are kept, and the same call continues.
        KeyboardInterrupt
            After Ctrl-C or `stop`, between two measurements; as above.
        """
        from hwlearn.lab.calibration.calibrate import calibrate

        known = [field.name for field in fields(CalibrationOptions)]
        for name in set(options) - set(known):
            hint = closest(name, known)
            raise SetupError(f"calibrate: unknown option {name!r}{hint}; the options are: {', '.join(known)}")
        job = self.calibration_job(CalibrationOptions(**options))
        list(calibrate(job, steps))
        self._record = CalibrationRecord.load(job.path)
        self._network = None  # wrapped anew with this record at the next access
        return self._record

    def seed_keys(self, seed: int) -> list[str]:
        """Return overrides for `with_` that set the seed of a simulated backend; empty for hardware."""
        seeded = isinstance(self._backend, Seeded) and self._backend.seed_key
        return [f"backend.{seeded}={seed}"] if seeded else []

    def __enter__(self) -> Self:
        return self.open()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # --- training -----------------------------------------------------------------------------------

    def trainer(self) -> Trainer:
        """Return a new trainer as ``[train]`` describes it; it starts from the initial values."""
        train = self.file.train
        return Trainer(
            self.network,
            make_rule(train),
            self._cost,
            make_optimizer(train),
            self._subset,
            self._starting_model(),
            seed=train.seed,
            vary=self.data.jitter,
            health=make_health(train),
        )

    def _starting_model(self) -> Kirchhoff:
        """Return the model of the training: with the wires that the calibration found, if it knows the wires."""
        record = self.calibration
        if record is None or self.file.train.model != "declared":
            return self._model
        return make_model(self.file, record.circuit(self.topology), self.limits)

    def train(
        self,
        callbacks: Sequence[Callback] = (),
        start: Progress | None = None,
        *,
        record: bool | str | Path | None = None,
        note: str | None = None,
        progress: bool | None = None,
    ) -> History:
        """Train on the training rows as ``[train]`` describes it; see `Trainer.fit`.

        Each call starts from the initial values of ``[train]``, or from ``start``. Afterwards the network
        has those of the returned history. Ctrl-C and `stop` end it after the current measurement.

        Parameters
        ----------
        callbacks : sequence of Callback
            Receivers of each batch, update and epoch.
        start : Progress, optional
            State from which to continue.
        record : bool, str or Path, optional
            A bench of `open_bench` records each training as a run in the folder of all runs (``$HWLEARN_RUNS``,
            else ``./runs``), unless a callback records it or ``start`` is given. False records nothing; a path is
            another folder of runs. `run_folder` is then the new run.
        note : str, optional
            Text to store with the run.
        progress : bool, optional
            Whether to show the progress; unless given, it is shown in terminals and notebooks.

        Raises
        ------
        SetupError
            If the training cannot be recorded as requested.
        RunError
            If the run cannot be stored, for example on a full disk; outputs are switched off.
        """
        train, data = self.file.train, self.data
        held_out = (data.inputs[data.validation], self._targets[data.validation])
        trainer = self.trainer()  # opens the network: a bench that cannot be opened leaves no empty run
        with self._accompanied(TrainingWishes(record, note, progress, callbacks, start)) as first:
            return trainer.fit(
                data.inputs[data.train],
                self._targets[data.train],
                Schedule(train.epochs, train.batch, train.anneal, train.patience, train.keep),
                validation=held_out if len(data.validation) else None,
                callbacks=[*first, *callbacks],
                start=start,
            )

    @contextmanager
    def _accompanied(self, wishes: TrainingWishes) -> Iterator[Sequence[Callback]]:
        """Give the callbacks of the companion; switch the outputs off if it fails."""
        if self._companion is None:
            if wishes.record or wishes.progress:
                raise SetupError(
                    f"{self.file.where}: only benches of hwlearn.open_bench record and show trainings"
                )
            yield ()
            return
        try:
            with self._companion.training(self, wishes) as callbacks:
                yield callbacks
        except RunError:
            self._open_network().switch_off()
            raise

    def stop(self) -> bool:
        """Make a running `train` or `calibrate` stop after its current measurement, as Ctrl-C does.

        For other threads. `train` returns the results so far; `calibrate` raises `KeyboardInterrupt` and continues
        when it is called again. Returns whether something was running.
        """
        return self._raw is not None and request_stop(self._raw)

    def evaluate(self, values: History | ArrayLike | None = None) -> Evaluation:
        """Measure the test rows (the training rows if there are no test rows) and score them.

        Parameters
        ----------
        values : History or array_like, shape (E,), optional
            What to program first: the values of a training, or siemens (volts for gates). Unless given, nothing is
            programmed and the network is measured with the values that it has: after `train` the trained ones,
            after `calibrate` those of its last measurement, after `open` what its devices hold.

        Raises
        ------
        LimitError, ComplianceError, NetworkError
            From the network, or because the bench is closed.
        """
        network = self.network
        if values is not None:
            network.program(values.values if isinstance(values, History) else values)
        rows = self.data.test if len(self.data.test) else self.data.train
        inputs = self.data.inputs[rows]
        measured = self._scored(network.measure(inputs).voltages, rows)
        true = network.true_outputs(inputs)
        return Evaluation(
            measured, None if true is None else self._scored(true, rows), len(rows), bool(len(self.data.test))
        )

    def true_scores(self) -> dict[str, Score]:
        """Return the true scores of the present values: ``train``, ``validation`` and ``test``.

        Only a simulator knows them; on hardware the result is empty. Sets without rows are left out.
        """
        named = {"train": self.data.train, "validation": self.data.validation, "test": self.data.test}
        scores = {}
        for name, rows in named.items():
            true = self.network.true_outputs(self.data.inputs[rows]) if len(rows) else None
            if true is not None:
                scores[name] = self._scored(true, rows)
        return scores

    def _scored(self, outputs: FloatArray, rows: IntArray) -> Score:
        """Return the score of output volts (S, n_out) of some rows; data with classes always has an accuracy."""
        classes = self.data.targets[rows] if self.data.classifies else None
        return score_outputs(self._cost, outputs, self._targets[rows], classes)


def open_bench(name_or_path: str | Path, overrides: Iterable[str] | Mapping[str, Any] = ()) -> Bench:
    """Return a bench as `hwlearn.open_bench` does, without recording its trainings; for the command line."""
    return Bench(load_bench_file(name_or_path, overrides))
