"""Record a training in its run folder, step by step."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from types import TracebackType
from typing import Self

from hwlearn.arrays import IntArray
from hwlearn.errors import RunError
from hwlearn.lab.bench.bench import Bench
from hwlearn.lab.runs.database import close_writer, connect, put_arrays, put_fact, write_failure
from hwlearn.lab.runs.inputs import settings_with_epochs
from hwlearn.lab.runs.network_state import network_arrays
from hwlearn.lab.runs.packing import Encoding, Packed, pack, packed_batch, packed_update, programmed_arrays
from hwlearn.lab.runs.provenance import backend_version, now, session_facts
from hwlearn.lab.runs.store import BENCH_FILE, Run, refuse_continuing
from hwlearn.learning.health.warning import alarm_text
from hwlearn.learning.records import Callback, Epoch, History, Progress, Step
from hwlearn.learning.rules import Gradient
from hwlearn.network.network import Programmed
from hwlearn.storage.atomic_file import write_atomically
from hwlearn.storage.lock import FolderLock


def check_note(note: str | None) -> None:
    """Raise `RunError` for a note with a NUL character: no program takes it, and no NetCDF file holds it."""
    if "\0" in str(note):
        raise RunError(f"the note {note!a} has a NUL character; write it without")


class RunRecorder(Callback):
    """Callback that commits every step of a training before the next step begins; pass it to `Bench.train`.

    What is kept of each step is chosen by the table ``[run]`` of the run's bench file. While a run is recorded, it
    can be read; see `Run.contents`.

    Parameters
    ----------
    run : Run
        The run to write; see `Run.create`.
    bench : Bench, optional
        The bench that is trained. With it, the true scores that a simulator knows are recorded for each epoch, and
        the instruments.
    note : str, optional
        Text of a person about this part of the run, without NUL characters.

    Raises
    ------
    RunError
        If the note has a NUL character, another process is writing the run, its folder is read-only, or it cannot
        be continued; or, from each callback, if the disk is full.
    """

    records = True

    def __init__(self, run: Run, bench: Bench | None = None, note: str | None = None) -> None:
        check_note(note)
        self.run: Run = run
        self._bench, self._note = bench, note
        self._lock = FolderLock(run.folder, "run")
        self._db: sqlite3.Connection | None = None
        try:
            with run.contents() as contents:
                if contents.meta("status") != "created":
                    refuse_continuing(run, contents)
                self.session: int = len(contents.sessions())
                self._keep = str(contents.meta("keep"))
                self._every_step = contents.meta("conductances") == "steps"
                synchronous = contents.meta("synchronous") or "full"  # earlier runs had no choice
            self._db = connect(run.folder, str(synchronous))
        except BaseException as error:
            self.close()
            if isinstance(error, sqlite3.Error):
                raise write_failure(run.folder, error) from error
            raise
        self._progress: Progress | None = None
        self._began = time.perf_counter()

    def close(self) -> None:
        """Close the database, so that it is one complete file, and release the lock of the run."""
        if self._db is not None:
            close_writer(self._db, wait_ms=2000)
            self._db = None
        self._lock.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def start_clock(self) -> None:
        """Count the duration of this part from here; unless called, from the creation of the recorder."""
        self._began = time.perf_counter()

    def extend(self, epochs: int, rewrite: bool) -> None:
        """Commit another number of epochs of the whole training, before the training goes on.

        Parameters
        ----------
        epochs : int
        rewrite : bool
            Whether to write it to ``bench.toml`` too, which then has the settings of the run again.
        """
        with self.run.contents() as contents:
            settings = settings_with_epochs(str(contents.meta("settings")), epochs)
        with self._commit() as db:
            put_fact(db, "settings", settings)
            put_fact(db, "epochs_requested", epochs)
        if rewrite:
            write_atomically(self.run.folder / BENCH_FILE, settings.encode())

    def on_progress(self, progress: Progress) -> None:
        """Keep the state of the network, which is committed together with the next event."""
        self._progress = progress

    def on_start(self, programmed: Programmed) -> None:
        """Commit the initial values, the state of the network, this session and the status ``running``."""
        with self._commit() as db:
            self._put_network(db)
            put_fact(db, "status", "running")
            put_fact(db, "started", now(), only_if_missing=True)
            on = None if self._bench is None else "on" if has_instruments(self._bench) else "none"
            put_fact(db, "outputs", on)
            for ended in ("ended", "result", "energy"):  # of an earlier, interrupted part
                put_fact(db, ended, None)
            db.execute("DELETE FROM constants WHERE name = 'final'")
            if not db.execute("SELECT 1 FROM constants WHERE name = 'initial'").fetchone():
                put_arrays(db, "constants", ("initial",), pack(programmed_arrays(programmed), Encoding.ZLIB))
            row = (self.session, now(), None, self._seconds(), json.dumps(self._session_facts()))
            db.execute("INSERT OR REPLACE INTO sessions VALUES (?, ?, ?, ?, ?)", row)

    def on_gradient(self, epoch: int, number: int, samples: IntArray, gradient: Gradient) -> None:
        """Commit the readings of a batch."""
        row = (int(number), int(epoch), time.time(), float(gradient.costs.mean()), int(gradient.skipped))
        with self._commit() as db:
            # after a resume, a batch whose update was lost is measured again
            put_arrays(db, "batches", row, packed_batch(samples, gradient, self._keep))

    def on_step(self, step: Step) -> None:
        """Commit an update and the states of optimizer and network after it."""
        row = (int(step.number), int(step.epoch), time.time())
        with self._commit() as db:
            put_arrays(db, "updates", row, packed_update(step, self._every_step))
            if not self._every_step:  # the last step of each epoch stays
                db.execute("DELETE FROM updates WHERE epoch = ? AND step < ?", (row[1], row[0]))
            put_arrays(db, "optimizer", (0, int(step.number)), pack(step.optimizer_state))
            self._put_network(db)
            self._put_seconds(db)

    def on_epoch(self, epoch: Epoch) -> None:
        """Commit the scores of an epoch and the state of the network after it."""
        record = asdict(epoch)
        if self._bench is not None:
            record["true"] = {name: asdict(score) for name, score in self._bench.true_scores().items()}
        text = json.dumps(record)
        checksum = Packed("[]", Encoding.PLAIN, b"").checksum(epoch.number, text)
        with self._commit() as db:
            db.execute("INSERT OR REPLACE INTO epochs VALUES (?, ?, ?)", (epoch.number, text, checksum))
            if epoch.health.get("alarms"):
                put_fact(db, "health_warning", alarm_text(epoch.number, epoch.health), only_if_missing=True)
            if self._keep == "summary":
                _drop_readings(db, epoch.number)
            self._put_network(db)
            self._put_seconds(db)

    def on_end(self, history: History) -> None:
        """Commit the final values and why the training ended."""
        with self._commit() as db:
            put_fact(db, "status", history.stopped)
            put_fact(db, "ended", now())
            put_fact(db, "energy", dict(history.energy) or None)
            put_arrays(db, "constants", ("final",), pack({"requested": history.values}, Encoding.ZLIB))
            self._put_seconds(db)
            db.execute("UPDATE sessions SET ended = ? WHERE number = ?", (now(), self.session))

    def _seconds(self) -> float:
        return time.perf_counter() - self._began

    def _put_seconds(self, db: sqlite3.Connection) -> None:
        """Write the duration of this session so far, which is right even if the process is killed next."""
        db.execute("UPDATE sessions SET seconds = ? WHERE number = ?", (self._seconds(), self.session))

    def _put_network(self, db: sqlite3.Connection) -> None:
        """Write the state of the network that belongs to this event, without a commit."""
        progress = self._progress
        if progress is not None and progress.network is not None:
            row = (0, int(progress.steps), len(progress.epochs or ()))
            put_arrays(db, "network", row, pack(network_arrays(progress.network)))

    def _session_facts(self) -> Mapping[str, object]:
        facts = session_facts() | {"note": self._note}
        bench = self._bench
        if bench is None:
            return facts
        record = bench.calibration
        facts["versions"] |= backend_version(bench.file.backend.kind)
        return facts | {
            "instruments": list(bench.network.instruments),
            "calibration_id": None if record is None else record.id,
            "calibration_made": {}
            if record is None
            else {step: at.isoformat() for step, at in record.made.items()},
        }

    @contextmanager
    def _commit(self) -> Iterator[sqlite3.Connection]:
        if self._db is None:
            raise RunError(f"the recorder of run {self.run.folder} is closed")
        try:
            with self._db as db:
                yield db
        except sqlite3.Error as error:
            raise write_failure(self.run.folder, error) from error


def has_instruments(bench: Bench) -> bool:
    """Return whether an open bench has instruments, whose outputs may be on."""
    return bool(bench.network.instruments) and not bench.file.is_dry_run


def _drop_readings(db: sqlite3.Connection, epoch: int) -> None:
    """Remove the readings of a scored epoch; cost and number of skipped samples of each batch stay."""
    empty = pack({})
    query = "SELECT step, epoch, time, cost, skipped FROM batches WHERE epoch = ?"
    for row in db.execute(query, (epoch,)).fetchall():
        put_arrays(db, "batches", row, empty)
