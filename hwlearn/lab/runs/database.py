"""SQLite database of a run folder: schema, connection, and arrays as blobs.

SQLite runs in WAL mode with ``synchronous=FULL``: a committed row survives a killed process and a power failure.
"""

from __future__ import annotations

import io
import json
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

import numpy as np

from hwlearn.arrays import FloatArray
from hwlearn.errors import RunError

FORMAT = 1
"""Version of the schema."""

DATABASE = "run.sqlite"

_ADVICE = {  # by primary result code, which is the low byte of the extended one
    sqlite3.SQLITE_FULL: "; free some space on its disk",
    sqlite3.SQLITE_IOERR: "; look at its disk: it may be full, over its quota or read-only",
    sqlite3.SQLITE_READONLY: "; its disk is read-only now, look at it and mount it again",
}

_TABLES = (
    "meta (key TEXT PRIMARY KEY, value TEXT NOT NULL)",
    """batches (step INTEGER PRIMARY KEY, epoch INTEGER NOT NULL, time REAL NOT NULL,
                cost REAL NOT NULL, skipped INTEGER NOT NULL, arrays BLOB NOT NULL)""",
    "updates (step INTEGER PRIMARY KEY, time REAL NOT NULL, arrays BLOB NOT NULL)",
    """optimizer (only_row INTEGER PRIMARY KEY CHECK (only_row = 0), step INTEGER NOT NULL,
                  state BLOB NOT NULL)""",
    "epochs (number INTEGER PRIMARY KEY, record TEXT NOT NULL)",
)

_NETWORK = """network (only_row INTEGER PRIMARY KEY CHECK (only_row = 0), steps INTEGER NOT NULL,
                         epochs INTEGER NOT NULL, arrays BLOB NOT NULL)"""
"""State of the network after the last update or epoch. Runs of earlier versions do not have this table."""


def create_database(folder: Path, facts: Mapping[str, object]) -> None:
    """Create the database of a new run with some facts in its table ``meta``.

    If the process is killed, the folder has the complete database or none: it gets its name when it is complete.
    """
    unfinished = folder / f"{DATABASE}.new"
    with closing(sqlite3.connect(unfinished)) as db:
        db.execute("PRAGMA journal_mode=WAL")
        db.execute("PRAGMA synchronous=FULL")
        with db:
            db.execute("BEGIN")
            for table in (*_TABLES, _NETWORK):
                db.execute(f"CREATE TABLE {table}")
            for key, value in facts.items():
                put_fact(db, key, value)
    unfinished.replace(folder / DATABASE)  # closing moved everything from the WAL into the file


def connect(folder: Path) -> sqlite3.Connection:
    """Return a connection to the database of a run folder; each commit waits until the data is on the disk."""
    db = sqlite3.connect(folder / DATABASE, timeout=10)
    db.execute("PRAGMA synchronous=FULL")
    return db


def add_missing_tables(db: sqlite3.Connection) -> None:
    """Create the tables that a run of an earlier version does not have, without a commit."""
    db.execute(f"CREATE TABLE IF NOT EXISTS {_NETWORK}")


def has_network_state(db: sqlite3.Connection) -> bool:
    """Return whether the database can have a state of the network."""
    return bool(db.execute("SELECT 1 FROM sqlite_master WHERE name = 'network'").fetchall())


def put_fact(db: sqlite3.Connection, key: str, value: object, *, only_if_missing: bool = False) -> None:
    """Write a fact about the run as JSON, without a commit."""
    verb = "IGNORE" if only_if_missing else "REPLACE"
    db.execute(f"INSERT OR {verb} INTO meta VALUES (?, ?)", (key, json.dumps(value)))


def write_failure(folder: Path, error: sqlite3.Error) -> RunError:
    """Return the error of a run that cannot be written, with what a person can do about it."""
    advice = _ADVICE.get(getattr(error, "sqlite_errorcode", 0) & 0xFF, "")
    return RunError(f"run {folder} cannot be written: {error}{advice}")


def packed(arrays: Mapping[str, np.ndarray]) -> bytes:
    """Return named arrays as one blob in NPZ format."""
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **arrays)
    return buffer.getvalue()


def unpacked(blob: bytes) -> dict[str, FloatArray]:
    """Return the named arrays of a blob."""
    with np.load(io.BytesIO(blob), allow_pickle=False) as stored:
        return {name: stored[name] for name in stored.files}
