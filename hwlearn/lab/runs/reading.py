"""Open the database of a run for reading, on any medium, and name what is damaged in it.

A run that is being written is read while it is written. A run whose process was killed left a WAL, in which its
last steps are; SQLite reads both if it can write beside them, otherwise both are copied to a temporary folder. A
database on a medium that is read-only, or whose locks do not work, is opened as immutable.
"""

from __future__ import annotations

import json
import operator
import re
import shutil
import sqlite3
import struct
import zlib
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import numpy as np

from hwlearn.errors import RunError
from hwlearn.lab.runs.database import DATABASE

_TRIES: Final = 5
_BUSY_S: Final = 10
_DAMAGED: Final = (
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    OverflowError,
    MemoryError,
    EOFError,
    OSError,
    struct.error,
    zlib.error,
)
"""What decoding of damaged bytes raises."""

_MOST_QUOTED: Final = 200
"""Characters of the text of an error."""


@contextmanager
def open_snapshot(folder: Path, file: str = DATABASE, what: str = "run") -> Iterator[sqlite3.Connection]:
    """Open the database of a run, or of ``what`` else has one in a folder, for reading, as it is at one moment.

    Raises
    ------
    RunError
        If it cannot be read, or is being written by another computer and cannot be copied consistently.
    """
    with ExitStack() as stack:
        with reported_damage(folder, what):
            db = _opened(folder / file, what, stack)
        yield db


@contextmanager
def reported_damage(folder: Path, what: str = "run") -> Iterator[None]:
    """Report a database that cannot be read, or whose contents are damaged, as a `RunError` that names the run."""
    try:
        yield
    except RunError:
        raise
    except sqlite3.Error as error:
        raise RunError(f"{what} {folder} cannot be read: {_one_line(error)}") from error
    except _DAMAGED as error:
        raise RunError(
            f"{what} {folder} is damaged: {_one_line(error)}; if it was copied while it was being written, copy "
            "it again, else restore it from a backup"
        ) from error


def run_folders(runs: Path) -> list[Path]:
    """Return the absolute folders of the runs in a folder, the one that was created first first.

    A run to which symbolic links lead is listed once. A run that cannot be read counts as created when its
    database was last changed.
    """
    return sorted(_distinct(_listed(runs)), key=_age)


def named_folder(runs: Path, name: str) -> Path:
    """Return the folder of the run of this name, or of the only one whose name begins like this.

    Raises
    ------
    RunError
        If there is none, or there are several.
    """
    found = [folder for folder in _listed(runs) if name and folder.name.startswith(name)]
    fit = [folder for folder in found if folder.name == name] or sorted(_distinct(found), key=_age)
    if len(fit) == 1:
        return fit[0]
    several = ", ".join(folder.name for folder in fit)
    what = f"matches several runs: {several}" if fit else f"is not a run folder, and not a run in {runs}"
    raise RunError(f"{name!r} {what}; `hwlearn runs` lists them")


def _listed(runs: Path) -> list[Path]:
    """Return all folders and symbolic links in a folder that have the database of a run, links last."""
    found = [path.parent for path in runs.absolute().glob(f"*/{DATABASE}")] if runs.is_dir() else []
    return sorted(found, key=lambda folder: (folder.is_symlink(), folder.name))


def _distinct(folders: Iterable[Path]) -> list[Path]:
    """Return the first of all paths that lead to the same folder."""
    found: dict[Path, Path] = {}
    for folder in folders:
        found.setdefault(folder.resolve(), folder)
    return list(found.values())


def _age(folder: Path) -> tuple[float, list[tuple[int, str]]]:
    """Return when a run was created, and its name with its numbers as numbers, to sort runs."""
    words = [(int(word), "") if word.isdecimal() else (0, word) for word in re.split(r"(\d+)", folder.name)]
    state = None
    try:
        state = (folder / DATABASE).stat()
        return _created(folder, state.st_ino), words
    except (RunError, OSError):
        return (0.0 if state is None else state.st_mtime), words


@lru_cache(10_000)
def _created(folder: Path, inode: int) -> float:
    """Return when a run was created, in seconds; it is read once for each file, of this number."""
    with open_snapshot(folder) as db, reported_damage(folder):
        (text,) = db.execute("SELECT value FROM meta WHERE key = 'created'").fetchone()
        return datetime.fromisoformat(json.loads(text)).timestamp()


def step_number(step: object) -> int:
    """Return the number of a step, of Python or of NumPy, as SQLite compares it.

    Raises
    ------
    RunError
        If it is no whole number; True, 2.0 and "2" are none.

    Examples
    --------
    >>> step_number(np.int64(3))
    3
    """
    if not isinstance(step, bool | np.bool_):
        try:
            return operator.index(step)  # type: ignore[arg-type]
        except TypeError:
            pass
    raise RunError(f"the step must be a whole number, got {step!r}; run.steps() is the number of steps")


def plain_scalars(values: Iterable[object]) -> list[object]:
    """Return values with those of NumPy as Python's own: SQLite takes NumPy's integers for bytes."""
    return [value.item() if isinstance(value, np.generic) else value for value in values]


def _one_line(error: Exception) -> str:
    """Return the text of an error without what cannot be printed: SQLite and parsers quote what they read."""
    text = "".join(character if character.isprintable() else " " for character in str(error))
    short = " ".join(text.split())
    return (short if len(short) <= _MOST_QUOTED else f"{short[:_MOST_QUOTED]} ...") or type(error).__name__


def _opened(path: Path, what: str, stack: ExitStack) -> sqlite3.Connection:
    if not path.is_file():
        raise RunError(f"{path.parent} is not a {what} folder: it has no {path.name}")
    try:
        return _connected(path, "mode=ro", stack)
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode & 0xFF not in (
            sqlite3.SQLITE_CANTOPEN,
            sqlite3.SQLITE_READONLY,
            sqlite3.SQLITE_IOERR,
            sqlite3.SQLITE_PROTOCOL,
        ):
            raise
    if not any(size for _, size in _states(path)[1:]):  # no WAL: the file is all there is
        return _connected(path, "immutable=1", stack)
    return _copied(path, what, stack)


def _connected(path: Path, options: str, stack: ExitStack) -> sqlite3.Connection:
    """Return a connection that has begun to read, so that it sees the database of this moment."""
    with ExitStack() as failed:
        db = sqlite3.connect(f"{path.absolute().as_uri()}?{options}", _BUSY_S, isolation_level=None, uri=True)
        failed.callback(db.close)
        db.execute("BEGIN")
        db.execute("SELECT 1 FROM sqlite_master").fetchone()
        stack.push(failed.pop_all())
    return db


def _copied(path: Path, what: str, stack: ExitStack) -> sqlite3.Connection:
    """Return a connection to a copy of the database and its WAL that were not changed meanwhile."""
    place = Path(stack.enter_context(TemporaryDirectory(prefix="hwlearn-run-")))
    for _ in range(_TRIES):
        before = _states(path)
        for name in (path.name, f"{path.name}-wal"):
            shutil.copyfile(path.with_name(name), place / name)
        if _states(path) == before:
            return _connected(place / path.name, "mode=rw", stack)
    raise RunError(
        f"{what} {path.parent} is being written and cannot be read from here; read it on the computer that writes "
        "it, or wait until it ends"
    )


def _states(path: Path) -> list[tuple[int, int]]:
    """Return time of change and size of the database and of its WAL; zeros if there is none."""
    found = []
    for file in (path, path.with_name(f"{path.name}-wal")):
        try:
            state = file.stat()
        except FileNotFoundError:
            found.append((0, 0))
        else:
            found.append((state.st_mtime_ns, state.st_size))
    return found
