"""`PointTable`: the durable table of a sweep, one row for each point, in an SQLite database of its folder.

A committed row survives a killed process and a power failure. A point has one row, and a row that is finished is
never written again, so that a point that ran twice counts once.
"""

from __future__ import annotations

import json
import logging
import sqlite3
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Literal, Self, get_args

from hwlearn.errors import RunError
from hwlearn.lab.runs import database
from hwlearn.lab.runs.database import close_writer
from hwlearn.lab.runs.provenance import now, session_facts
from hwlearn.lab.runs.reading import open_snapshot, reported_damage
from hwlearn.lab.sweeps.differences import differences
from hwlearn.storage.lock import FolderLock, is_locked

log = logging.getLogger("hwlearn")

FORMAT: Final = 1
DATABASE: Final = "sweep.sqlite"

PointStatus = Literal["pending", "finished", "failed"]

_COMPUTING: Final = ("hwlearn", "numpy", "scipy", "numba")
"""Packages on whose versions the last digits of a result depend."""

_APPLICATION: Final = 0x68776C73
"""Application id in the file's header: "hwls"."""

_TABLES: Final = (
    "meta (key TEXT PRIMARY KEY, value TEXT NOT NULL)",
    """points (number INTEGER PRIMARY KEY, point TEXT NOT NULL UNIQUE, status TEXT NOT NULL DEFAULT 'pending',
               error TEXT, attempts INTEGER NOT NULL DEFAULT 0, seconds REAL, result TEXT)""",
    """sessions (number INTEGER PRIMARY KEY, started TEXT NOT NULL, seconds REAL NOT NULL, facts TEXT NOT NULL)""",
)


@dataclass(frozen=True)
class Outcome:
    """What became of one point.

    Attributes
    ----------
    number : int
        Of the point.
    result : str or None
        What the function returned, as JSON; None if the point failed.
    error : str or None
        Why it failed, in one line.
    seconds : float
        Duration of the last attempt.
    attempts : int
        How often it was begun.
    """

    number: int
    result: str | None
    error: str | None
    seconds: float
    attempts: int = 1


@dataclass(frozen=True)
class PointRow:
    """One row of the table.

    Attributes
    ----------
    number : int
    point : mapping of str to value
        What the function was called with.
    status : str
        ``"pending"``, ``"finished"`` or ``"failed"``.
    error : str or None
        Why it failed, in one line.
    attempts : int
    seconds : float or None
    result : mapping of str to value
        What the function returned; empty unless the point is finished.
    """

    number: int
    point: Mapping[str, Any]
    status: PointStatus
    error: str | None
    attempts: int
    seconds: float | None
    result: Mapping[str, Any]


class PointTable:
    """A table that this process writes; a context manager, which releases the folder.

    Parameters
    ----------
    folder : Path
        Of the table. It is created if it does not exist.
    definition : mapping of str to value
        What the points and their function are made of, as JSON has it. A table that exists is continued if it has
        the same definition.
    points : sequence of mapping
        What the function is called with, as JSON has it; all different.

    Raises
    ------
    RunError
        If the folder has a table of another definition, another process is writing it, or it cannot be written.
    """

    def __init__(self, folder: Path, definition: Mapping[str, Any], points: Sequence[Mapping[str, Any]]) -> None:
        self.folder = folder
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise RunError(f"sweep {folder} cannot be created: {error.strerror or error}") from error
        with ExitStack() as failed:
            self._lock = failed.enter_context(FolderLock(folder, "sweep"))
            with self._reported():
                if not (folder / DATABASE).is_file() or not _is_continued(folder, definition):
                    _create(folder, definition, points)
                self._db = _connect(folder)
                failed.callback(self._db.close)
                self._began = time.perf_counter()
                with reported_damage(folder, "sweep"):
                    _warn_of_versions(self._db, folder)
                with self._db as db:
                    (self._session,) = db.execute("SELECT coalesce(max(number), -1) + 1 FROM sessions").fetchone()
                    row = (self._session, now(), 0.0, json.dumps(session_facts()))
                    db.execute("INSERT INTO sessions VALUES (?, ?, ?, ?)", row)
            self._open = failed.pop_all()

    def close(self) -> None:
        """Leave the database as one file and release the folder; closing twice is harmless."""
        with self._open:
            close_writer(self._db, wait_ms=2000)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def to_run(self, *, failed: bool = False) -> list[PointRow]:
        """Return the points that are pending, with ``failed`` also those that failed."""
        return [row for row in self.rows() if row.status == "pending" or (failed and row.status == "failed")]

    def rows(self) -> list[PointRow]:
        """Return all rows in the order of their numbers."""
        with reported_damage(self.folder, "sweep"):
            return list(_rows(self._db))

    def counts(self) -> dict[PointStatus, int]:
        """Return the number of points of each status."""
        with reported_damage(self.folder, "sweep"):
            return _counts(self._db)

    def put(self, outcome: Outcome) -> None:
        """Commit what became of a point; a point that is finished stays as it is."""
        done = outcome.error is None
        values = ("finished" if done else "failed", outcome.error, outcome.attempts, outcome.seconds)
        with self._reported(), self._db as db:
            db.execute(
                "UPDATE points SET status = ?, error = ?, attempts = attempts + ?, seconds = ?, result = ? "
                "WHERE number = ? AND status != 'finished'",
                (*values, outcome.result if done else None, outcome.number),
            )
            spent = (time.perf_counter() - self._began, self._session)
            db.execute("UPDATE sessions SET seconds = ? WHERE number = ?", spent)

    @contextmanager
    def _reported(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise RunError(f"sweep {self.folder} cannot be written: {error}; look at its disk") from error
        except OSError as error:
            raise RunError(f"sweep {self.folder} cannot be written: {error.strerror or error}") from error


class StoredTable:
    """A table for reading, also while another process writes it and on read-only media.

    Parameters
    ----------
    folder : Path

    Raises
    ------
    RunError
        From each method, if the folder has no table or it is damaged.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def rows(self) -> list[PointRow]:
        """Return all rows in the order of their numbers."""
        with self._read() as db:
            return list(_rows(db))

    def counts(self) -> dict[PointStatus, int]:
        """Return the number of points of each status."""
        with self._read() as db:
            return _counts(db)

    def seconds(self) -> float:
        """Return how long the sweep has run, all parts together."""
        with self._read() as db:
            return float(db.execute("SELECT total(seconds) FROM sessions").fetchone()[0])

    def sessions(self) -> list[Mapping[str, Any]]:
        """Return the facts of each part: versions, host, command, git commit."""
        with self._read() as db:
            return [json.loads(text) for (text,) in db.execute("SELECT facts FROM sessions ORDER BY number")]

    def definition(self) -> Mapping[str, Any]:
        """Return what the points and their function are made of."""
        with self._read() as db:
            return _mapping(_meta(db, "definition"), "its definition")

    def is_being_written(self) -> bool:
        """Return whether a process of this computer is writing it."""
        return is_locked(self.folder, "sweep")

    @contextmanager
    def _read(self) -> Iterator[sqlite3.Connection]:
        with open_snapshot(self.folder, DATABASE, "sweep") as db, reported_damage(self.folder, "sweep"):
            written = _meta(db, "format")
            if written != str(FORMAT):
                raise RunError(
                    f"sweep {self.folder} was written in format {written}, this version reads {FORMAT}; read it "
                    "with the version of hwlearn that wrote it, or a later one"
                )
            yield db


def _create(folder: Path, definition: Mapping[str, Any], points: Sequence[Mapping[str, Any]]) -> None:
    """Create the database; if the process is killed, the folder has the complete one or none.

    A database that it replaces goes first, with all that SQLite has kept beside it: a WAL that is left would be
    read as part of the new one.
    """
    unfinished = folder / f"{DATABASE}.new"
    _remove(unfinished)
    with closing(sqlite3.connect(unfinished)) as db:
        db.execute(f"PRAGMA synchronous={database.SYNCHRONOUS['full']}")
        db.execute(f"PRAGMA application_id={_APPLICATION}")
        with db:
            db.execute("BEGIN")
            for table in _TABLES:
                db.execute(f"CREATE TABLE {table}")
            facts = {"format": json.dumps(FORMAT), "definition": _json(definition)}
            db.executemany("INSERT INTO meta VALUES (?, ?)", facts.items())
            rows = ((number, _json(point)) for number, point in enumerate(points))
            db.executemany("INSERT INTO points (number, point) VALUES (?, ?)", rows)
    _remove(folder / DATABASE)
    unfinished.replace(folder / DATABASE)


def _remove(path: Path) -> None:
    """Remove a database, and then its files: without the database they are worth nothing."""
    for ending in ("", "-journal", "-wal", "-shm"):
        path.with_name(path.name + ending).unlink(missing_ok=True)


def _connect(folder: Path) -> sqlite3.Connection:
    db = sqlite3.connect(f"{(folder / DATABASE).absolute().as_uri()}?mode=rw", timeout=10, uri=True)
    try:
        db.execute("PRAGMA journal_mode=WAL")
        db.execute(f"PRAGMA synchronous={database.SYNCHRONOUS['full']}")
    except BaseException:
        db.close()
        raise
    return db


def _is_continued(folder: Path, definition: Mapping[str, Any]) -> bool:
    """Return whether the table of a folder has this definition; False if it has another one and no point was run.

    Raises
    ------
    RunError
        If it has another definition and points that were run, naming what differs.
    """
    table = StoredTable(folder)
    stored, counts = table.definition(), table.counts()
    differ = differences(stored, json.loads(_json(definition)))
    if not differ:
        return True
    if not counts["finished"] and not counts["failed"]:
        return False
    raise RunError(
        f"the sweep in {folder} is another one: {differ}; give another folder, or repeat the settings with which "
        "it was begun"
    )


def _warn_of_versions(db: sqlite3.Connection, folder: Path) -> None:
    """Warn if points were computed with versions other than the present ones, and some are left."""
    counts = _counts(db)
    if not counts["finished"] or counts["finished"] == sum(counts.values()):
        return
    now_used = session_facts()["versions"]
    earlier: dict[str, list[str]] = {}
    for (text,) in db.execute("SELECT facts FROM sessions ORDER BY number"):
        versions = _mapping(text, "the facts of a session").get("versions", {})
        for name in _COMPUTING:
            used = versions.get(name, "not installed")
            if used != now_used.get(name, "not installed"):
                earlier.setdefault(name, []).append(used)
    if earlier:
        differ = [
            f"{name} was {', '.join(dict.fromkeys(used))}, is now {now_used.get(name, 'not installed')}"
            for name, used in earlier.items()
        ]
        log.warning(
            "sweep %s goes on with other versions, so its points may differ from those that are done: %s; for one "
            "version throughout, begin it again in another folder",
            folder,
            "; ".join(differ),
        )


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _meta(db: sqlite3.Connection, key: str) -> str:
    found = db.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
    return "null" if found is None else str(found[0])


def _counts(db: sqlite3.Connection) -> dict[PointStatus, int]:
    counts: dict[PointStatus, int] = {"pending": 0, "finished": 0, "failed": 0}
    counts.update(db.execute("SELECT status, count(*) FROM points GROUP BY status"))
    return counts


def _rows(db: sqlite3.Connection) -> Iterator[PointRow]:
    query = "SELECT number, point, status, error, attempts, seconds, result FROM points ORDER BY number"
    for number, point, status, error, attempts, seconds, result in db.execute(query):
        if status not in get_args(PointStatus):
            raise ValueError(f"the status of point {number} is {status!r}")
        yield PointRow(
            number,
            _mapping(point, f"point {number}"),
            status,
            error,
            attempts,
            seconds,
            {} if result is None else _mapping(result, f"the result of point {number}"),
        )


def _mapping(text: Any, what: str) -> Mapping[str, Any]:
    """Return values by name from JSON.

    Raises
    ------
    ValueError
        If the text is damaged.
    """
    try:
        found = json.loads(text)
    except (ValueError, TypeError, RecursionError) as error:
        raise ValueError(f"{what} cannot be read ({error})") from error
    if not isinstance(found, dict):
        raise ValueError(f"{what} has no values by name")
    return found
