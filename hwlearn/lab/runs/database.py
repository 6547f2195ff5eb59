"""SQLite database of a run folder: schema, connection for writing, and rows of arrays.

SQLite runs in WAL mode while a run is recorded: a committed row survives a killed process, and with
``synchronous=FULL`` also a power failure. Readers never wait. A run that has ended has no WAL: it is one file,
which can be read on any medium. ``docs/runs.md`` describes every table.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Mapping
from contextlib import closing, suppress
from pathlib import Path
from typing import Final

import numpy as np

from hwlearn.errors import RunError
from hwlearn.lab.runs.packing import Encoding, Packed, pack
from hwlearn.lab.runs.variables import unit_of_values, variable

FORMAT: Final = 2
"""Version of the schema."""

DATABASE: Final = "run.sqlite"

SYNCHRONOUS = {"full": "FULL", "normal": "NORMAL"}
"""When a commit waits for the disk, as ``[run] synchronous`` and SQLite call it: always; or never, only the
checkpoints that move some megabytes from the WAL to the database do. A power cut then costs the last commits, and
never damages the database (https://www.sqlite.org/pragma.html#pragma_synchronous)."""

_APPLICATION: Final = 0x68776C72
"""Application id in the file's header: "hwlr"."""

_COPY_IT: Final = "; to continue it, copy it to a folder that can be written"
_ADVICE = {  # by primary result code, which is the low byte of the extended one
    sqlite3.SQLITE_FULL: "; free some space on its disk",
    sqlite3.SQLITE_IOERR: "; look at its disk: it may be full, over its quota or read-only",
    sqlite3.SQLITE_READONLY: "; its disk is read-only now, look at it and mount it again",
    sqlite3.SQLITE_CANTOPEN: f"; its folder may be read-only{_COPY_IT}",
}

_ARRAYS: Final = (
    "layout INTEGER NOT NULL, encoding INTEGER NOT NULL, checksum INTEGER NOT NULL, data BLOB NOT NULL"
)
_ONLY: Final = "only_row INTEGER PRIMARY KEY CHECK (only_row = 0)"
_TABLES: Final = (
    "meta (key TEXT PRIMARY KEY, value TEXT NOT NULL)",
    "variables (name TEXT PRIMARY KEY, unit TEXT NOT NULL, dimensions TEXT NOT NULL, description TEXT NOT NULL)",
    "layouts (id INTEGER PRIMARY KEY, arrays TEXT NOT NULL UNIQUE)",
    f"constants (name TEXT PRIMARY KEY, {_ARRAYS})",
    f"""batches (step INTEGER PRIMARY KEY, epoch INTEGER NOT NULL, time REAL NOT NULL, cost REAL NOT NULL,
                 skipped INTEGER NOT NULL, {_ARRAYS})""",
    f"updates (step INTEGER PRIMARY KEY, epoch INTEGER NOT NULL, time REAL NOT NULL, {_ARRAYS})",
    f"optimizer ({_ONLY}, step INTEGER NOT NULL, {_ARRAYS})",
    f"network ({_ONLY}, steps INTEGER NOT NULL, epochs INTEGER NOT NULL, {_ARRAYS})",
    "epochs (number INTEGER PRIMARY KEY, record TEXT NOT NULL, checksum INTEGER NOT NULL)",
    """sessions (number INTEGER PRIMARY KEY, started TEXT NOT NULL, ended TEXT, seconds REAL NOT NULL,
                  facts TEXT NOT NULL)""",
)


def create_database(
    folder: Path, facts: Mapping[str, object], constants: Mapping[str, Mapping[str, np.ndarray]]
) -> None:
    """Create the database of a new run with some facts in its table ``meta`` and groups of arrays.

    If the process is killed, the folder has the complete database or none: it gets its name when it is complete.
    """
    unfinished = folder / f"{DATABASE}.new"
    with closing(sqlite3.connect(unfinished)) as db:
        db.execute(f"PRAGMA synchronous={SYNCHRONOUS['full']}")
        db.execute(f"PRAGMA application_id={_APPLICATION}")
        db.execute(f"PRAGMA user_version={FORMAT}")
        with db:
            db.execute("BEGIN")
            for table in _TABLES:
                db.execute(f"CREATE TABLE {table}")
            for key, value in facts.items():
                put_fact(db, key, value)
            for name, arrays in constants.items():
                put_arrays(db, "constants", (name,), pack(arrays, Encoding.ZLIB))
    unfinished.replace(folder / DATABASE)


def connect(folder: Path, synchronous: str = "full") -> sqlite3.Connection:
    """Return a connection for writing, in WAL mode; close it with `close_writer`.

    Parameters
    ----------
    folder : Path
    synchronous : str
        Key of `SYNCHRONOUS`. Default: each commit waits until the data is on the disk.

    Raises
    ------
    RunError
        If the file is read-only.
    sqlite3.Error
        If it cannot be opened.
    """
    path = folder / DATABASE
    if path.is_file() and not os.access(path, os.W_OK):  # SQLite would notice it at the first commit only
        raise RunError(f"run {folder} cannot be written: {DATABASE} is read-only{_COPY_IT}")
    # mode=rw: a database that is missing is an error, not created
    db = sqlite3.connect(f"{path.absolute().as_uri()}?mode=rw", timeout=10, uri=True)
    try:
        db.execute("PRAGMA journal_mode=WAL")
        db.execute(f"PRAGMA synchronous={SYNCHRONOUS[synchronous]}")
    except BaseException:
        db.close()
        raise
    return db


def close_writer(db: sqlite3.Connection, wait_ms: int = 0) -> None:
    """Close a connection, and leave one file without a WAL unless another connection uses it.

    Parameters
    ----------
    db : sqlite3.Connection
    wait_ms : int
        How long to wait for others, who may be reading.
    """
    with suppress(sqlite3.Error):  # the WAL is read, and removed by the next writer
        db.execute(f"PRAGMA busy_timeout={wait_ms}")
        db.execute("PRAGMA journal_mode=DELETE")
    db.close()


def put_fact(db: sqlite3.Connection, key: str, value: object, *, only_if_missing: bool = False) -> None:
    """Write a fact about the run as JSON, without a commit."""
    verb = "IGNORE" if only_if_missing else "REPLACE"
    db.execute(f"INSERT OR {verb} INTO meta VALUES (?, ?)", (key, json.dumps(value)))


def put_arrays(db: sqlite3.Connection, table: str, values: tuple[object, ...], packed: Packed) -> None:
    """Write a row of a table, the values of its first columns and the arrays, without a commit."""
    row = (*values, _layout_id(db, packed), int(packed.encoding), packed.checksum(*values), packed.data)
    db.execute(f"INSERT OR REPLACE INTO {table} VALUES ({', '.join('?' * len(row))})", row)


def _layout_id(db: sqlite3.Connection, packed: Packed) -> int:
    """Return the number of a layout; a new one is written, and so are the variables that it names."""
    query = "SELECT id FROM layouts WHERE arrays = ?"
    found = db.execute(query, (packed.layout,)).fetchone()
    if found is None:
        db.execute("INSERT INTO layouts (arrays) VALUES (?)", (packed.layout,))
        stored = db.execute("SELECT value FROM meta WHERE key = 'values'").fetchone()
        unit = unit_of_values(None if stored is None else json.loads(stored[0]))
        for name, *_ in json.loads(packed.layout):
            known = variable(name, unit)
            row = (name, known.unit, json.dumps(known.dimensions), known.description)
            db.execute("INSERT OR IGNORE INTO variables VALUES (?, ?, ?, ?)", row)
        found = db.execute(query, (packed.layout,)).fetchone()
    return int(found[0])


def write_failure(folder: Path, error: sqlite3.Error) -> RunError:
    """Return the error of a run that cannot be written, with what a person can do about it."""
    advice = _ADVICE.get(getattr(error, "sqlite_errorcode", 0) & 0xFF, "")
    return RunError(f"run {folder} cannot be written: {error}{advice}")
