"""`Journal`: the answers of the hardware to the requests of one step, on disk before the next request is sent."""

from __future__ import annotations

import io
import json
import shutil
import zipfile
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from hwlearn.errors import SetupError, StorageError
from hwlearn.network.simulation import Simulation, restore_simulation
from hwlearn.storage.atomic_file import write_atomically
from hwlearn.storage.lock import FolderLock
from hwlearn.storage.text_file import read_text

_FACTS = "journal.json"
_REQUEST = "request_"
_STATE = "state_"
_SAME = 1e-6  # relative: another number of threads changes the last bits of a request


class Journal:
    """Stored requests and answers of one step, in a folder that one process uses at a time.

    Parameters
    ----------
    folder : Path
        Created if it does not exist.
    facts : mapping
        What the answers depend on: settings, topology, instruments. Answers stored under other facts are deleted.

    Raises
    ------
    SetupError
        If the folder cannot be written, or holds answers of other hardware.
    RunError
        If another process uses the folder.
    """

    def __init__(self, folder: Path, facts: Mapping[str, Any]) -> None:
        self.folder = folder
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise SetupError(f"cannot create {folder}: {error}") from None
        self._lock = FolderLock(folder, "calibration")
        try:
            kept = self._stored_facts()
            if kept is not None and kept != json.loads(json.dumps(dict(facts))):
                self._refuse_other_hardware(kept, facts)
                self._delete_from(0)
            write_atomically(folder / _FACTS, json.dumps(dict(facts), indent=1).encode())
        except BaseException:
            self._lock.release()
            raise
        self.entries = self._count()
        self._behind: dict[str, np.ndarray] | None = None

    def _stored_facts(self) -> Any:
        if not (self.folder / _FACTS).exists():
            return None
        try:
            return json.loads(read_text(self.folder / _FACTS, "journal", SetupError))
        except ValueError as error:
            raise SetupError(f"{self.folder / _FACTS} cannot be read ({error}); delete {self.folder}") from None

    def _refuse_other_hardware(self, kept: Mapping[str, Any], facts: Mapping[str, Any]) -> None:
        for name in ("topology", "instruments"):
            if kept.get(name) != json.loads(json.dumps(facts[name])):
                raise SetupError(
                    f"the unfinished calibration in {self.folder} was made with another {name.removesuffix('s')}; "
                    f"finish it on that bench, or delete the folder"
                )

    def _path(self, number: int) -> Path:
        return self.folder / f"{number:06d}.npz"

    def _count(self) -> int:
        number = 0
        while self._path(number).is_file():
            number += 1
        return number

    def _delete_from(self, number: int) -> None:
        # the last first, so that no gap is left if this is interrupted
        for path in sorted(self.folder.glob("??????.npz"), reverse=True):
            if int(path.stem) >= number:
                path.unlink()

    def answer(self, number: int, request: Mapping[str, Any]) -> dict[str, np.ndarray] | None:
        """Return the stored answer to a request; None if there is none.

        A request that differs from the stored one deletes it and all entries after it. After stored answers,
        `catch_up` must precede the next use of the hardware.
        """
        if number >= self.entries:
            return None
        try:
            with np.load(io.BytesIO(self._path(number).read_bytes()), allow_pickle=False) as arrays:
                kept = {name: arrays[name] for name in arrays.files}
            same = _same({k[len(_REQUEST) :]: v for k, v in kept.items() if k.startswith(_REQUEST)}, request)
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
            same = False  # damaged on disk: measured again
        if same:
            self._behind = {k[len(_STATE) :]: v for k, v in kept.items() if k.startswith(_STATE)} or None
            return {name: array for name, array in kept.items() if not name.startswith((_REQUEST, _STATE))}
        self._delete_from(number)
        self.entries = number
        return None

    @property
    def is_behind(self) -> bool:
        """Whether a simulation is not yet in its state after the last answer that was given."""
        return self._behind is not None

    def catch_up(self, simulation: Simulation | None) -> bool:
        """Restore a simulation to its state after the last answer that was given; return whether it was behind.

        Raises
        ------
        SetupError
            If the state does not fit.
        """
        if self._behind is None:
            return False
        restore_simulation(simulation, self._behind)
        self._behind = None
        return True

    def keep(
        self,
        number: int,
        request: Mapping[str, Any],
        answer: Mapping[str, np.ndarray | None],
        simulation: Simulation | None = None,
    ) -> None:
        """Write a request, its answer and the state of a simulation; they are on disk when this returns.

        Raises
        ------
        StorageError
            If they cannot be written; all earlier entries are kept.
        """
        buffer = io.BytesIO()
        whole: dict[str, Any] = {_REQUEST + name: value for name, value in request.items()}
        whole |= {name: array for name, array in answer.items() if array is not None}
        if simulation is not None:
            whole |= {_STATE + name: array for name, array in simulation.state().items()}
        np.savez(buffer, **whole)
        try:
            write_atomically(self._path(number), buffer.getvalue())
        except SetupError as error:  # the folder was accessible when the step began
            raise StorageError(str(error)) from None
        self.entries = number + 1

    def finish(self) -> None:
        """Delete the journal, after the result of its step is on disk."""
        self.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def close(self) -> None:
        """Release the folder and keep its entries."""
        self._lock.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _same(kept: Mapping[str, np.ndarray], request: Mapping[str, Any]) -> bool:
    """Return whether a stored request equals this one within rounding."""
    if kept.keys() != request.keys() or str(kept["kind"]) != request["kind"]:
        return False
    numbers = [(kept[name], np.asarray(value)) for name, value in request.items() if name != "kind"]
    return all(
        a.shape == b.shape and np.allclose(a, b, rtol=_SAME, atol=1e-15, equal_nan=True) for a, b in numbers
    )
