"""The run store: one folder for each run, with its bench file and a database of every step."""

from __future__ import annotations

import json
import os
import platform
import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hwlearn.arrays import FloatArray
from hwlearn.errors import RunError
from hwlearn.lab.runs.database import (
    DATABASE,
    FORMAT,
    connect,
    create_database,
    has_network_state,
    put_fact,
    unpacked,
    write_failure,
)
from hwlearn.lab.runs.network_state import stored_network
from hwlearn.learning.records import Epoch, NetworkState, Progress
from hwlearn.learning.scoring import Score
from hwlearn.storage.lock import FolderLock

if TYPE_CHECKING:
    from hwlearn.lab.bench.bench import Bench

BENCH_FILE = "bench.toml"


def runs_folder(chosen: str | Path | None = None) -> Path:
    """Return the folder of all runs: the chosen one, else ``$HWLEARN_RUNS``, else ``./runs``."""
    return Path(chosen or os.environ.get("HWLEARN_RUNS") or "runs")


@dataclass(frozen=True)
class Run:
    """A run on disk.

    Attributes
    ----------
    folder : Path
        Contains ``bench.toml``, the bench file with all defaults filled in, and ``run.sqlite``, the database.
    """

    folder: Path

    # --- create and find -------------------------------------------------------------------------

    @classmethod
    def create(cls, bench: Bench, runs: Path) -> Run:
        """Create the folder and the database of a new run.

        Raises
        ------
        RunError
            If the folder cannot be written.
        """
        stamp = datetime.now().strftime("%Y%m%d-%H%M%S")
        name = f"{stamp}-{bench.file.name}-s{bench.file.train.seed}"
        try:
            runs.mkdir(parents=True, exist_ok=True)
            folder = _new_folder(runs, name)
            (folder / BENCH_FILE).write_text(bench.text(), encoding="utf-8")
            create_database(folder, _identity(bench))
        except (OSError, sqlite3.Error) as error:
            raise RunError(f"cannot create a run folder in {runs}: {error}") from error
        return cls(folder)

    @classmethod
    def open(cls, path: str | Path, runs: Path | None = None) -> Run:
        """Open a run by its folder, or by its name (or the first part of it) in the folder of all runs.

        Raises
        ------
        RunError
            If there is no such run, several runs match, or it was written by another version of the store.
        """
        folder = Path(path)
        if not (folder / DATABASE).is_file():
            where = runs_folder(runs)
            fit = [run.folder for run in cls.all(where) if str(path) and run.name.startswith(str(path))]
            if len(fit) != 1:
                several = ", ".join(p.name for p in fit)
                what = (
                    f"matches several runs: {several}" if fit else f"is not a run folder, and not a run in {where}"
                )
                raise RunError(f"{str(path)!r} {what}; `hwlearn runs` lists them")
            folder = fit[0]
        run = cls(folder)
        if run.meta("format") != FORMAT:
            raise RunError(f"run {folder} was written in format {run.meta('format')}, this version reads {FORMAT}")
        return run

    @classmethod
    def all(cls, runs: Path) -> list[Run]:
        """Return the runs in a folder, oldest first."""
        return [cls(path.parent) for path in sorted(runs.glob(f"*/{DATABASE}"))] if runs.is_dir() else []

    # --- reading ------------------------------------------------------------------------------------

    @property
    def name(self) -> str:
        """Name of the folder."""
        return self.folder.name

    def bench(self) -> Bench:
        """Return a bench from the bench file in the run folder."""
        # slow to import, and not needed to list runs
        from hwlearn.lab.bench.bench import Bench
        from hwlearn.lab.bench_file.file import load_bench_file

        return Bench(replace(load_bench_file(self.folder / BENCH_FILE), name=self.meta("bench")))

    @property
    def alive(self) -> bool:
        """Whether a process is writing the run."""
        try:
            FolderLock(self.folder, "run").release()
        except RunError:
            return True
        return False

    @property
    def status(self) -> str:
        """Status: created, running, finished, no improvement, interrupted, terminated, failed or aborted.

        It is aborted if the process ended without writing a status.
        """
        status = str(self.meta("status"))
        return "aborted" if status == "running" and not self.alive else status

    def meta(self, key: str) -> Any:
        """Return a fact about the run by name; None if it does not exist."""
        rows = self._rows("SELECT value FROM meta WHERE key = ?", key)
        return json.loads(rows[0][0]) if rows else None

    def set_meta(self, **facts: object) -> None:
        """Write and commit facts about the run."""
        try:
            with closing(connect(self.folder)) as db, db:
                for key, value in facts.items():
                    put_fact(db, key, value)
        except sqlite3.Error as error:
            raise write_failure(self.folder, error) from error

    def epochs(self) -> list[Epoch]:
        """Return the completed epochs."""
        return [_epoch(json.loads(row[0])) for row in self._rows("SELECT record FROM epochs ORDER BY number")]

    def true_scores(self) -> list[dict[str, Score]]:
        """Return the true scores of each completed epoch by row set; empty on hardware."""
        records = [json.loads(row[0]) for row in self._rows("SELECT record FROM epochs ORDER BY number")]
        return [{name: Score(**score) for name, score in record.get("true", {}).items()} for record in records]

    def steps(self) -> int:
        """Return the number of committed updates."""
        return int(self._rows("SELECT COUNT(*) FROM updates")[0][0])

    def batch_costs(self) -> FloatArray:
        """Return the measured mean cost of every committed batch."""
        return np.array([row[0] for row in self._rows("SELECT cost FROM batches ORDER BY step")])

    def readings(self, step: int) -> dict[str, FloatArray]:
        """Return all readings of the batch of a step by name; ``samples`` are its row numbers."""
        rows = self._rows("SELECT arrays FROM batches WHERE step = ?", step)
        if not rows:
            raise RunError(f"run {self.name} has no batch of step {step}")
        return unpacked(rows[0][0])

    def conductances(self, step: int | None = None) -> FloatArray:
        """Return the unquantised target conductances (E,) in siemens of a step, or of the end of the run."""
        if step is None:
            final = self.meta("final")
            if final is not None:
                return np.asarray(final, dtype=np.float64)
            rows = self._rows("SELECT arrays FROM updates ORDER BY step DESC LIMIT 1")
            if not rows:
                initial = self.meta("initial")
                if initial is None:
                    raise RunError(f"run {self.name} ended before anything was programmed")
                return np.asarray(initial["asked"], dtype=np.float64)
        else:
            rows = self._rows("SELECT arrays FROM updates WHERE step = ?", step)
            if not rows:
                raise RunError(f"run {self.name} has no update of step {step}")
        return unpacked(rows[0][0])["asked"]

    def progress(self) -> Progress | None:
        """Return the state after the last update, from which `Bench.train` can continue; None if there is none.

        Before the first update it is the state after the initial programming.
        """
        rows = self._rows("SELECT step, state FROM optimizer")
        if not rows:
            network = self._network(0, 0)
            return None if network is None else Progress(0, {}, [], network=network)
        epochs, steps = self.epochs(), int(rows[0][0]) + 1
        unscored = self._rows(
            "SELECT arrays, skipped FROM batches WHERE epoch = ? AND step < ? ORDER BY step", len(epochs), steps
        )
        batches = [(unpacked(arrays), int(skipped)) for arrays, skipped in unscored]
        return Progress(
            steps,
            unpacked(rows[0][1]),
            epochs,
            [(read["samples"].astype(np.int64), read["outputs"], skipped) for read, skipped in batches],
            self._best(epochs),
            self._network(steps, len(epochs)),
        )

    def _network(self, steps: int, epochs: int) -> NetworkState | None:
        """Return the state of the network after so many updates and epochs; None if it is not known."""
        try:
            with closing(connect(self.folder)) as db:
                known = has_network_state(db)
        except sqlite3.Error as error:
            raise RunError(f"run {self.folder} cannot be read: {error}") from error
        rows = self._rows("SELECT steps, epochs, arrays FROM network") if known else []
        # an earlier version that resumes a run leaves this state behind
        if not rows or rows[0][:2] != (steps, epochs):
            return None
        return stored_network(unpacked(rows[0][2]))

    def _best(self, epochs: Sequence[Epoch]) -> FloatArray | None:
        if not epochs:
            return None
        best = max(epochs, key=lambda epoch: epoch.merit)
        last = self._rows("SELECT MAX(step) FROM batches WHERE epoch = ?", best.number)[0][0]
        return self.conductances(int(last))

    def _rows(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        try:
            with closing(connect(self.folder)) as db:
                return db.execute(query, values).fetchall()
        except sqlite3.Error as error:
            raise RunError(f"run {self.folder} cannot be read: {error}") from error


def _identity(bench: Bench) -> dict[str, object]:
    """Return the facts that identify a new run."""
    return {
        "format": FORMAT,
        "bench": bench.file.name,
        "backend": bench.file.backend.kind,
        "seed": bench.file.train.seed,
        "epochs_asked": bench.file.train.epochs,
        "topology": bench.topology.fingerprint,
        "data": list(bench.data.understood),
        "target_scale": None if bench.data.scale is None else bench.data.scale.facts(),
        "versions": {name: version(name) for name in ("hwlearn", "numpy", "scipy")}
        | {"python": platform.python_version(), "platform": platform.platform()},
        "created": datetime.now().astimezone().isoformat(timespec="seconds"),
        "status": "created",
    }


def _new_folder(runs: Path, name: str) -> Path:
    """Create a folder of this name, or of this name with a number, and return it."""
    number = 1
    while True:
        folder = runs / (name if number == 1 else f"{name}-{number}")
        try:
            folder.mkdir()
        except FileExistsError:
            number += 1
        else:
            return folder


def _epoch(record: Mapping[str, Any]) -> Epoch:
    known = {name: value for name, value in record.items() if name != "true"}
    for name in ("train", "validation"):
        known[name] = None if known[name] is None else Score(**known[name])
    return Epoch(**known)
