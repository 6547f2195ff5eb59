"""`UnfinishedCalibration`: the steps of a calibration that are done, kept on disk until all are."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from hwlearn.lab.calibration.journal import Journal
from hwlearn.lab.calibration.result import Row, StepResult
from hwlearn.storage.atomic_file import write_atomically

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
    done : mapping, optional
        Results of the steps that are done, as plain data.
    """

    def __init__(
        self,
        folder: Path,
        steps: Sequence[str],
        facts: Mapping[str, Any],
        done: Mapping[str, Any] | None = None,
    ) -> None:
        self.folder = folder
        self._steps, self._facts, self._done = list(steps), dict(facts), dict(done or {})
        self._write()

    @classmethod
    def open(cls, folder: Path, steps: Sequence[str], facts: Mapping[str, Any]) -> Self:
        """Continue the calibration in a folder if it is the same one, else begin a new one.

        A new calibration with other settings or steps still uses the journals that match its steps.
        """
        try:
            kept = json.loads((folder / _NAME).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            kept = None  # a missing or unreadable file costs the list of steps, not the measurements
        same = {"steps": list(steps), "facts": json.loads(json.dumps(facts))}
        matches = isinstance(kept, dict) and all(kept.get(name) == value for name, value in same.items())
        return cls(folder, steps, facts, kept["done"] if matches else None)

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

    def finish(self, result: StepResult) -> None:
        """Save that a step is done; its sections must be in the record already."""
        self._done[result.step] = {
            "passed": result.passed,
            "verdict": result.verdict,
            "rows": [[row.what, row.value, row.uncertainty] for row in result.rows],
            "figure": None if result.figure is None else str(result.figure),
        }
        self._write()

    def delete(self) -> None:
        """Delete the folder: the calibration is complete."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _write(self) -> None:
        text = json.dumps({"steps": self._steps, "facts": self._facts, "done": self._done}, indent=1)
        write_atomically(self.folder / _NAME, text.encode())
