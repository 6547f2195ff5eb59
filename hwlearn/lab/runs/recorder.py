"""Record a training in its run folder, step by step."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from types import TracebackType
from typing import Self

from hwlearn.arrays import IntArray
from hwlearn.lab.bench.bench import Bench
from hwlearn.lab.runs.database import add_missing_tables, connect, packed, put_fact, write_failure
from hwlearn.lab.runs.network_state import network_arrays
from hwlearn.lab.runs.store import Run
from hwlearn.learning.records import Callback, Epoch, History, Progress, Step
from hwlearn.learning.rules import Gradient
from hwlearn.network.network import Programmed
from hwlearn.storage.lock import FolderLock


class RunRecorder(Callback):
    """Callback that commits every step of a training before the next step begins; pass it to `Bench.train`.

    Parameters
    ----------
    run : Run
        The run to write; see `Run.create`.
    bench : Bench, optional
        The bench that is trained. With it, the true scores that a simulator knows are recorded for each epoch.

    Raises
    ------
    RunError
        If another process is writing the run, or, from each callback, if the disk is full.
    """

    def __init__(self, run: Run, bench: Bench | None = None) -> None:
        self.run, self._bench = run, bench
        self._lock = FolderLock(run.folder, "run")
        self._db = connect(run.folder)
        self._progress: Progress | None = None
        with self._commit() as db:
            add_missing_tables(db)

    def close(self) -> None:
        """Close the database and release the lock of the run."""
        self._db.close()
        self._lock.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def on_progress(self, progress: Progress) -> None:
        """Keep the state of the network, which is committed together with the next event."""
        self._progress = progress

    def on_start(self, programmed: Programmed) -> None:
        """Commit the initial conductances, the state of the network and the status ``running``."""
        with self._commit() as db:
            self._put_network(db)
            put_fact(db, "status", "running")
            put_fact(db, "started", time.time(), only_if_missing=True)
            for ended in ("ended", "final", "result"):  # of an earlier, interrupted part
                put_fact(db, ended, None)
            start = {"asked": programmed.requested, "reached": programmed.reached, "failed": programmed.failed}
            put_fact(db, "initial", {name: array.tolist() for name, array in start.items()}, only_if_missing=True)

    def on_gradient(self, epoch: int, number: int, samples: IntArray, gradient: Gradient) -> None:
        """Commit the readings of a batch."""
        arrays = {"samples": samples, "outputs": gradient.outputs, "costs": gradient.costs, **gradient.readings}
        row = (number, epoch, time.time(), float(gradient.costs.mean()), gradient.skipped, packed(arrays))
        with self._commit() as db:
            # after a resume, a batch whose update was lost is measured again
            db.execute("INSERT OR REPLACE INTO batches VALUES (?, ?, ?, ?, ?, ?)", row)

    def on_step(self, step: Step) -> None:
        """Commit an update and the states of optimizer and network after it."""
        done = step.programmed
        arrays = {
            "gradient": step.gradient.values,
            "asked": step.requested,
            "reached": done.reached,
            "failed": done.failed,
        }
        with self._commit() as db:
            db.execute("INSERT INTO updates VALUES (?, ?, ?)", (step.number, time.time(), packed(arrays)))
            state = (0, step.number, packed(step.optimizer_state))
            db.execute("INSERT OR REPLACE INTO optimizer VALUES (?, ?, ?)", state)
            self._put_network(db)

    def on_epoch(self, epoch: Epoch) -> None:
        """Commit the scores of an epoch and the state of the network after it."""
        record = asdict(epoch)
        if self._bench is not None:
            record["true"] = {name: asdict(score) for name, score in self._bench.true_scores().items()}
        with self._commit() as db:
            db.execute("INSERT OR REPLACE INTO epochs VALUES (?, ?)", (epoch.number, json.dumps(record)))
            self._put_network(db)

    def on_end(self, history: History) -> None:
        """Commit the final conductances and why the training ended."""
        with self._commit() as db:
            put_fact(db, "status", history.stopped)
            put_fact(db, "ended", time.time())
            put_fact(db, "final", history.conductances.tolist())

    def _put_network(self, db: sqlite3.Connection) -> None:
        """Write the state of the network that belongs to this event, without a commit."""
        progress = self._progress
        if progress is not None and progress.network is not None:
            row = (0, progress.steps, len(progress.epochs or ()), packed(network_arrays(progress.network)))
            db.execute("INSERT OR REPLACE INTO network VALUES (?, ?, ?, ?)", row)

    @contextmanager
    def _commit(self) -> Iterator[sqlite3.Connection]:
        try:
            with self._db as db:
                yield db
        except sqlite3.Error as error:
            raise write_failure(self.run.folder, error) from error
