"""Several runs side by side: what was set differently, and what came out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any, Literal

from hwlearn.errors import RunError
from hwlearn.lab.data.scaling import OutputScale
from hwlearn.lab.runs.contents import RunContents, open_contents
from hwlearn.learning.records import Epoch
from hwlearn.learning.scoring import Score
from hwlearn.storage.toml_text import toml_tables

Rows = Literal["test", "validation", "train"]


@dataclass(frozen=True)
class ComparedRun:
    """A run beside others.

    Attributes
    ----------
    name, bench, backend, status : str
    seed, steps, measurements : int
    seconds : float
        Duration of the training.
    settings : mapping of str to object
        Bench file by key, such as ``"train.rate"``.
    epochs : sequence of Epoch
    true : sequence of mapping
        True scores of each epoch by row set; empty on hardware.
    final : Score or None
        Measured score at the end: the final evaluation, else of the last epoch.
    final_rows : str
        Rows of which it is the score.
    scale : OutputScale or None
        Scale of the targets.
    """

    name: str
    bench: str
    backend: str
    status: str
    seed: int
    steps: int
    measurements: int
    seconds: float
    settings: Mapping[str, Any]
    epochs: Sequence[Epoch]
    true: Sequence[Mapping[str, Score]]
    final: Score | None
    final_rows: Rows
    scale: OutputScale | None

    @property
    def classifies(self) -> bool:
        """Whether it has an accuracy."""
        return self.final is not None and self.final.accuracy is not None

    def curve(self) -> tuple[list[int], list[int], list[float]]:
        """Return number, measurements so far and score of each epoch: accuracy or rms error in volts.

        The score is measured on the validation rows if there are any, else on the training rows.
        """
        scores = [epoch.validation or epoch.train for epoch in self.epochs]
        values = [score.accuracy if self.classifies else score.rms_error_V for score in scores]
        found = [float("nan") if value is None else value for value in values]
        counts = list(accumulate(epoch.measurements for epoch in self.epochs))
        return [epoch.number + 1 for epoch in self.epochs], counts, found

    def facts(self) -> dict[str, Any]:
        """Return the numbers for JSON."""
        true = self.true[-1] if self.true else {}
        plain = ("bench", "backend", "status", "seed", "steps", "measurements", "seconds")
        return {
            "run": self.name,
            **{name: getattr(self, name) for name in plain},
            "epochs": len(self.epochs),
            "rows": self.final_rows,
            "measured": None if self.final is None else asdict(self.final),
            "true": {rows: asdict(score) for rows, score in true.items()},
        }


def compared_runs(folders: Sequence[Path]) -> list[ComparedRun]:
    """Return runs side by side.

    Raises
    ------
    RunError
        If there are fewer than two, one is a dry run, which has no score, or one is damaged.
    """
    if len(folders) < 2:
        raise RunError("compare needs two runs or more; `hwlearn runs` lists them")
    found = []
    for folder in folders:
        with open_contents(folder) as contents:
            if contents.meta("dry_run"):
                raise RunError(f"run {folder.name} is a dry run: it measured nothing that can be compared")
            found.append(_compared(contents))
    return found


def different_settings(compared: Sequence[ComparedRun]) -> dict[str, list[Any]]:
    """Return each key of the bench files that differs, with its value in each run; None if it is not set."""
    keys = dict.fromkeys(key for run in compared for key in run.settings)
    values = {key: [run.settings.get(key) for run in compared] for key in keys}
    return {key: each for key, each in values.items() if any(repr(one) != repr(each[0]) for one in each)}


def _compared(contents: RunContents) -> ComparedRun:
    facts, epochs = contents.facts, contents.epochs()
    settings = facts.get("settings")
    tables = {} if settings is None else toml_tables(str(settings))
    result = facts.get("result")
    rows: Rows = "train"
    final = None
    if result is not None:
        final, rows = Score(**result["measured"]), "test" if result["held_out"] else "train"
    elif epochs:
        final = epochs[-1].validation or epochs[-1].train
        rows = "train" if epochs[-1].validation is None else "validation"
    return ComparedRun(
        contents.folder.resolve().name,
        str(facts.get("bench")),
        str(facts.get("backend")),
        contents.status(),
        int(facts.get("seed") or 0),
        contents.steps(),
        sum(epoch.measurements for epoch in epochs),
        contents.seconds(),
        {f"{table}.{key}": value for table, keys in tables.items() for key, value in keys.items()},
        epochs,
        contents.true_scores(),
        final,
        rows,
        OutputScale.from_facts(facts.get("target_scale")),
    )
