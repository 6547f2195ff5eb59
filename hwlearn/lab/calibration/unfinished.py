"""`UnfinishedCalibration`: the steps of a calibration that are done, kept on disk until all are."""

from __future__ import annotations

import base64
import io
import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np

from hwlearn.errors import SetupError
from hwlearn.lab.calibration.journal import Journal
from hwlearn.lab.calibration.result import Row, StepResult
from hwlearn.network.simulation import Simulation, restore_simulation
from hwlearn.storage.atomic_file import write_atomically
from hwlearn.storage.text_file import read_text

_NAME = "session.json"


class UnfinishedCalibration:
    """Progress of a calibration in a folder.

    Parameters
    ----------
    folder : Path
    steps : sequence of str
        Steps of this calibration.
    facts : mapping
        Settings and hardware on which the answers depend, as plain data.
    kept : mapping, optional
        Contents of the file of an earlier part: results of the steps that are done, the record after them, and the
        state of a simulation.
    simulation : Simulation, optional
        Its state is stored with each step.
    """

    def __init__(
        self,
        folder: Path,
        steps: Sequence[str],
        facts: Mapping[str, Any],
        kept: Mapping[str, Any] | None = None,
        simulation: Simulation | None = None,
    ) -> None:
        self.folder, self._simulation = folder, simulation
        self._steps, self._facts = list(steps), dict(facts)
        self._done: dict[str, Any] = {} if kept is None else dict(kept["done"])
        self.record: str | None = None if kept is None else kept.get("record")
        state = None if kept is None else kept.get("simulation")
        if state is not None:
            restore_simulation(simulation, _unpacked(state))
        self._write()

    @classmethod
    def open(
        cls,
        folder: Path,
        steps: Sequence[str],
        facts: Mapping[str, Any],
        simulation: Simulation | None = None,
    ) -> Self:
        """Continue the calibration in a folder if it is the same one, else begin a new one.

        A new calibration with other settings or steps still uses the journals that match its steps. If it is the
        same one, a simulation is restored to its state after the last step that is done.

        Raises
        ------
        SetupError
            If the state of the simulation does not fit.
        """
        try:
            kept = json.loads(read_text(folder / _NAME, "list of steps", SetupError))
        except ValueError:
            kept = None  # a missing or unreadable file costs the list of steps, not the measurements
        same = {"steps": list(steps), "facts": json.loads(json.dumps(facts))}
        matches = isinstance(kept, dict) and all(kept.get(name) == value for name, value in same.items())
        return cls(folder, steps, facts, kept if matches else None, simulation)

    def result(self, step: str) -> StepResult | None:
        """Return the result of a step that is done, without its sections, which are in the record; else None."""
        kept = self._done.get(step)
        if kept is None:
            return None
        rows = tuple(Row(*row) for row in kept["rows"])
        figure = None if kept["figure"] is None else Path(kept["figure"])
        return StepResult(step, kept["passed"], kept["verdict"], rows, {}, figure)

    def journal(self, step: str, inputs: str) -> Journal:
        """Open the journal of a step; ``inputs`` is a digest of what the step takes from the record."""
        return Journal(self.folder / step, {**self._facts, "step": step, "inputs": inputs})

    def finish(self, result: StepResult, record: str | None = None) -> None:
        """Save that a step is done, with the text of the record that contains its sections."""
        self._done[result.step] = {
            "passed": result.passed,
            "verdict": result.verdict,
            "rows": [[row.what, row.value, row.uncertainty] for row in result.rows],
            "figure": None if result.figure is None else str(result.figure),
        }
        self.record = record
        self._write()

    def delete(self) -> None:
        """Delete the folder: the calibration is complete."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _write(self) -> None:
        contents = {"steps": self._steps, "facts": self._facts, "done": self._done, "record": self.record}
        if self._simulation is not None:
            contents["simulation"] = _packed(self._simulation.state())
        write_atomically(self.folder / _NAME, json.dumps(contents, indent=1).encode())


def _packed(state: Mapping[str, np.ndarray]) -> str:
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **state)
    return base64.b64encode(buffer.getvalue()).decode()


def _unpacked(text: str) -> dict[str, np.ndarray]:
    with np.load(io.BytesIO(base64.b64decode(text)), allow_pickle=False) as stored:
        return {name: stored[name] for name in stored.files}
