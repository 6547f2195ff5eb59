"""`RunContents`: everything that a run has stored, as it was at one moment.

One file because all of it is read in one transaction.
"""

from __future__ import annotations

import json
import platform
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final, Literal, SupportsIndex

import numpy as np

from hwlearn.arrays import FloatArray
from hwlearn.circuit.elements.three_terminal import require_conductances
from hwlearn.errors import RunError
from hwlearn.lab.runs.earlier import FORMAT_1, arrays_of_format_1
from hwlearn.lab.runs.network_state import stored_network
from hwlearn.lab.runs.packing import Encoding, Packed, Survey, layout_types
from hwlearn.lab.runs.reading import open_snapshot, plain_scalars, reported_damage, step_number
from hwlearn.lab.runs.variables import ValuesOfRun, Variable, stored_values, variable
from hwlearn.learning.records import Epoch, NetworkState, Progress
from hwlearn.learning.scoring import Score
from hwlearn.storage.lock import is_locked

_KEYS: Final[Mapping[str, tuple[str, ...]]] = {
    "constants": ("name",),
    "batches": ("step", "epoch", "time", "cost", "skipped"),
    "updates": ("step", "epoch", "time"),
    "optimizer": ("only_row", "step"),
    "network": ("only_row", "steps", "epochs"),
}
"""Columns before the arrays."""
_KEYS_1: Final = {**_KEYS, "updates": ("step", "time")}
"""The same in format 1."""


@dataclass(frozen=True, slots=True)
class RunPart:
    """One part of a run: from its start, or from a resume, to its end or interruption.

    Attributes
    ----------
    started, ended : str or None
        ISO 8601 with time zone; ``ended`` is None if the process was killed.
    seconds : float
        Duration of the training, up to the last stored event if the process was killed.
    facts : mapping
        Versions, platform, command line, instruments, calibration, git commit and note.
    """

    started: str
    ended: str | None
    seconds: float
    facts: Mapping[str, Any]


@contextmanager
def open_contents(folder: Path) -> Iterator[RunContents]:
    """Read a run in this block as it is at one moment; see `Run.contents`."""
    with open_snapshot(folder) as db:
        yield RunContents(folder, db)


class RunContents:
    """Contents of a run at one moment; see `Run.contents`. Format 1, of earlier versions, is read too.

    Each method raises `RunError` if what it reads is damaged.

    Parameters
    ----------
    folder : Path
        For error messages.
    db : sqlite3.Connection
        In a read transaction.
    """

    def __init__(self, folder: Path, db: sqlite3.Connection) -> None:
        self.folder: Path = folder
        self._db = db

    # --- facts --------------------------------------------------------------------------------------

    @cached_property
    def facts(self) -> Mapping[str, Any]:
        """All facts of the table ``meta`` by name."""
        return {key: self.meta(key) for key in self._texts}

    def meta(self, key: str) -> Any:
        """Return a fact about the run by name; None if it does not exist."""
        with self._reported():
            return json.loads(self._texts.get(key, "null"))

    @cached_property
    def _texts(self) -> Mapping[str, str]:
        """All facts as JSON, which is decoded when it is needed."""
        return dict(self._rows("SELECT key, value FROM meta"))

    def sessions(self) -> list[RunPart]:
        """Return the parts of the run in order; empty in format 1."""
        if self.meta("format") == FORMAT_1:
            return []
        with self._reported():
            rows = self._rows("SELECT started, ended, seconds, facts FROM sessions ORDER BY number")
            return [RunPart(began, end, float(s), json.loads(facts)) for began, end, s, facts in rows]

    def notes(self) -> list[str]:
        """Return the notes of a person about the parts of the run; see ``hwlearn train --note``."""
        return [str(part.facts["note"]) for part in self.sessions() if part.facts.get("note")]

    def seconds(self) -> float:
        """Return the duration of the training, summed over all its parts."""
        parts = self.sessions()
        return sum(part.seconds for part in parts) if parts else float(self.meta("seconds") or 0.0)

    def status(self) -> str:
        """Return the status of the run; see `Run.status`."""
        status = str(self.meta("status"))
        if status == "running" and not is_locked(self.folder, "run"):
            # locks of another computer need not be visible on a share
            host = next((part.facts.get("host") for part in reversed(self.sessions())), None)
            status = "aborted" if host in (None, platform.node()) else f"running on {host}, or aborted"
        return f"dry run, {status}" if self.meta("dry_run") else status

    # --- training -----------------------------------------------------------------------------------

    def epochs(self) -> list[Epoch]:
        """Return the completed epochs."""
        with self._reported():
            return [_epoch(record) for record in self._records()]

    def true_scores(self) -> list[dict[str, Score]]:
        """Return the true scores of each completed epoch by row set; empty on hardware."""
        with self._reported():
            return [
                {name: Score(**score) for name, score in record.get("true", {}).items()}
                for record in self._records()
            ]

    def count_epochs(self) -> int:
        """Return the number of completed epochs."""
        return int(self._rows("SELECT COUNT(*) FROM epochs")[0][0])

    def steps(self) -> int:
        """Return the number of committed updates."""
        with self._reported():
            rows = self._rows("SELECT step FROM optimizer")
            return int(rows[0][0]) + 1 if rows else 0

    def batch_costs(self) -> FloatArray:
        """Return the measured mean cost of every committed batch."""
        with self._reported():
            rows = self._rows("SELECT cost FROM batches ORDER BY step")
            return np.array([row[0] for row in rows], dtype=np.float64)

    def readings(self, step: SupportsIndex) -> dict[str, np.ndarray]:
        """Return the kept readings of the batch of a step by name; ``samples`` are its row numbers.

        Raises
        ------
        RunError
            If the step is no whole number, or the run has no such batch.
        """
        for arrays in self._of_step("batches", step_number(step)):
            return arrays
        raise RunError(f"run {self.folder.name} has no batch of step {step}; {self._steps_text('batches')}")

    def kept_steps(self) -> list[int]:
        """Return the steps whose values were kept; see ``[run] conductances``."""
        with self._reported():
            return [int(row[0]) for row in self._rows("SELECT step FROM updates ORDER BY step")]

    def kinds_of_values(self) -> tuple[ValuesOfRun, ...]:
        """Return each kind of value of the run: name, unit, scale and range, and the edges that have it."""
        with self._reported():
            return stored_values(self.facts)

    def conductances(self, step: SupportsIndex | None = None) -> FloatArray:
        """Return the `values` (E,) in siemens of a run whose values are conductances.

        Raises
        ------
        CircuitError
            If some are not.
        RunError
            As `values`.
        """
        if self.meta("values") is not None:
            require_conductances([one.parameter for one in self.kinds_of_values()], f"run {self.folder.name}")
        return self.values(step)

    def values(self, step: SupportsIndex | None = None) -> FloatArray:
        """Return the unquantised target values (E,) of a step, or of the end of the run, each in its unit.

        Raises
        ------
        RunError
            If the step is no whole number, or the run has not kept its values.
        """
        if step is None:
            for name, arrays in self._last_values():
                if name:
                    return np.asarray(arrays["requested"], dtype=np.float64)
            raise RunError(f"run {self.folder.name} ended before anything was programmed")
        number = step_number(step)
        for arrays in self._of_step("updates", number):
            return np.asarray(arrays["requested"], dtype=np.float64)
        kept = self.kept_steps()
        if not 0 <= number < self.steps():
            raise RunError(f"run {self.folder.name} has no update of step {number}; {self._steps_text('updates')}")
        near = min(kept, key=lambda other: abs(other - number))
        raise RunError(
            f"run {self.folder.name} kept the values of the last step of each epoch only; the step nearest to "
            f"{number} is {near}; [run] conductances = 'steps' keeps those of every step"
        )

    def progress(self) -> Progress | None:
        """Return the state after the last update, from which `Bench.train` can continue; None if there is none.

        Before the first update it is the state after the initial programming.
        """
        for (_, step, *_), state in self.rows("optimizer"):
            epochs, steps = self.epochs(), int(step) + 1
            unscored = list(self.rows("batches", "WHERE epoch = ? AND step < ? ORDER BY step", len(epochs), steps))
            with self._reported():
                readings = [
                    (read["samples"].astype(np.int64), read["outputs"], int(values[4]))
                    for values, read in unscored
                ]
            best = self._best(epochs)
            return Progress(steps, state, epochs, readings, best, self._network(steps, len(epochs)))
        network = self._network(0, 0)
        return None if network is None else Progress(0, {}, [], network=network)

    # --- constants ----------------------------------------------------------------------------------

    def constants(self, name: str) -> dict[str, np.ndarray] | None:
        """Return a group of arrays of the whole run: ``topology``, ``initial`` or ``final``; None if missing."""
        if self.meta("format") == FORMAT_1:
            return self._constants_of_format_1(name)
        return next((arrays for _, arrays in self.rows("constants", "WHERE name = ?", name)), None)

    # --- rows ---------------------------------------------------------------------------------------

    def rows(
        self, table: str, where: str = "", *values: object
    ) -> Iterator[tuple[tuple[Any, ...], dict[str, np.ndarray]]]:
        """Yield the first columns and the arrays of each row of a table.

        Parameters
        ----------
        table : str
            ``batches``, ``updates``, ``optimizer``, ``network`` or ``constants``.
        where : str
            Condition and order in SQL.
        *values : object
            Of the question marks in it.
        """
        if self.meta("format") == FORMAT_1:
            yield from self._rows_of_format_1(table, where, *values)
            return
        keys = ", ".join(_KEYS[table])
        columns = f"{keys}, (SELECT arrays FROM layouts WHERE id = layout), encoding, checksum, data"
        for row in self._iterate(f"SELECT {columns} FROM {table} {where}", *values):
            with self._reported():
                *first, layout, encoding, checksum, data = row
                packed = Packed(layout, Encoding(encoding), data)
                if packed.checksum(*first) != checksum:
                    raise ValueError(f"the checksum of a row of table {table} is wrong")
                arrays = packed.arrays()
            yield tuple(first), arrays

    def survey(self, table: Literal["batches", "updates"]) -> Survey:
        """Return the first columns and the layout of each row of a table, in order of the steps.

        The arrays are not read, except in format 1.
        """
        if self.meta("format") == FORMAT_1:
            rows: list[tuple[Any, ...]] = []
            types: list[Mapping[str, tuple[np.dtype, tuple[int, ...]]]] = []
            for keys, arrays in self._rows_of_format_1(table, "ORDER BY step"):
                rows.append((*keys, len(types)))
                types.append({name: (array.dtype, array.shape) for name, array in arrays.items()})
            return Survey(_KEYS_1[table], rows, dict(enumerate(types)))
        rows = self._rows(f"SELECT {', '.join(_KEYS[table])}, layout FROM {table} ORDER BY step")
        used = {row[-1] for row in rows}
        with self._reported():
            known = {number: layout_types(text) for number, text in self._rows("SELECT id, arrays FROM layouts")}
            return Survey(_KEYS[table], rows, {number: known[number] for number in used})

    def variable(self, name: str) -> Variable:
        """Return unit, dimensions and description of an array, as the run has stored them."""
        if self.meta("format") == FORMAT_1:
            return variable(name)
        for unit, dimensions, text in self._rows(
            "SELECT unit, dimensions, description FROM variables WHERE name = ?", name
        ):
            with self._reported():
                return Variable(unit, tuple(json.loads(dimensions)), text)
        return variable(name)

    def verify(self) -> None:
        """Read every row, and check that all of them belong to the same moment.

        Raises
        ------
        RunError
            If the file is damaged, or was copied while it was being written.
        """
        with self._reported():
            answer = self._rows("PRAGMA quick_check(1)")[0][0]
            if answer != "ok":
                raise ValueError(str(answer))
        if self.meta("format") == FORMAT_1:  # it has no checksums
            return
        found = {table: [keys for keys, _ in self.rows(table)] for table in _KEYS if self._has(table)}
        epochs, steps = self.epochs(), self.steps()
        batches, updates = ([keys[0] for keys in found[table]] for table in ("batches", "updates"))
        with self._reported():
            if batches != list(range(len(batches))) or len(batches) not in (steps, steps + 1):
                raise ValueError(f"it has {len(batches)} batches and {steps} updates")
            if steps and (not updates or updates[-1] != steps - 1):
                raise ValueError(f"its last update is not that of step {steps - 1}")
            if [epoch.number for epoch in epochs] != list(range(len(epochs))):
                raise ValueError("an epoch is missing")
            for _, *counted in found.get("network", []):
                if counted != [steps, len(epochs)]:
                    raise ValueError(f"the state of its network is of step {counted[0]}, and it has {steps} steps")

    def _of_step(self, table: str, step: int) -> Iterator[dict[str, np.ndarray]]:
        """Yield the arrays of a step of a table, if it has the step."""
        if 0 <= step < 1 << 63:  # SQLite has no larger integers
            yield from (arrays for _, arrays in self.rows(table, "WHERE step = ?", step))

    def _steps_text(self, table: str) -> str:
        """Say which steps a table has, for a message."""
        first, last = self._rows(f"SELECT MIN(step), MAX(step) FROM {table}")[0]
        return "it has none" if first is None else f"it has steps {first} to {last}"

    def _has(self, table: str) -> bool:
        return bool(self._rows("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?", table))

    def _records(self) -> list[dict[str, Any]]:
        """Return the records of the epochs in order."""
        if self.meta("format") == FORMAT_1:
            return [json.loads(row[0]) for row in self._rows("SELECT record FROM epochs ORDER BY number")]
        found = []
        for number, record, checksum in self._rows("SELECT number, record, checksum FROM epochs ORDER BY number"):
            if Packed("[]", Encoding.PLAIN, b"").checksum(number, record) != checksum:
                raise ValueError(f"the checksum of epoch {number} is wrong")
            found.append(json.loads(record))
        return found

    def _last_values(self) -> Iterator[tuple[str, dict[str, np.ndarray]]]:
        """Yield what may have the last values, the best source first."""
        final = self.constants("final")
        if final:
            yield "final", final
        for _, arrays in self.rows("updates", "ORDER BY step DESC LIMIT 1"):
            yield "update", arrays
        initial = self.constants("initial")
        if initial:
            yield "initial", initial

    def _network(self, steps: int, epochs: int) -> NetworkState | None:
        """Return the state of the network after so many updates and epochs; None if it is not known."""
        for (_, *counted), arrays in self.rows("network") if self._has("network") else ():
            with self._reported():
                return stored_network(arrays) if counted == [steps, epochs] else None
        return None

    def _best(self, epochs: Sequence[Epoch]) -> FloatArray | None:
        """Return the values (E,) after the best epoch."""
        if not epochs:
            return None
        best = max(epochs, key=lambda epoch: epoch.merit)
        with self._reported():
            return self.values(int(self._rows("SELECT MAX(step) FROM batches WHERE epoch = ?", best.number)[0][0]))

    def _rows_of_format_1(
        self, table: str, where: str, *values: object
    ) -> Iterator[tuple[tuple[Any, ...], dict[str, np.ndarray]]]:
        blob = "state" if table == "optimizer" else "arrays"
        query = f"SELECT {', '.join(_KEYS_1[table])}, {blob} FROM {table} {where}"
        for *first, data in self._iterate(query, *values):
            with self._reported():
                arrays = arrays_of_format_1(data)
            yield tuple(first), arrays

    def _constants_of_format_1(self, name: str) -> dict[str, np.ndarray] | None:
        found = self.meta(name)
        with self._reported():
            if name == "final":
                return None if found is None else {"requested": np.array(found, dtype=np.float64)}
            if name == "initial":
                return None if found is None else {"requested": np.array(found["asked"], dtype=np.float64)}
        return None

    def _iterate(self, query: str, *values: object) -> Iterator[tuple[Any, ...]]:
        """Yield the rows of a query one by one, so that a large run needs little memory."""
        with self._reported():
            cursor = self._db.execute(query, plain_scalars(values))
        while True:
            with self._reported():
                row = cursor.fetchone()
            if row is None:
                return
            yield row

    def _rows(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        with self._reported():
            return self._db.execute(query, plain_scalars(values)).fetchall()

    def _reported(self) -> Any:
        return reported_damage(self.folder)


def _epoch(record: Mapping[str, Any]) -> Epoch:
    known = {name: value for name, value in record.items() if name != "true"}
    for name in ("train", "validation"):
        known[name] = None if known[name] is None else Score(**known[name])
    return Epoch(**known)
