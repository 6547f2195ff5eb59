"""Train the bench of one point and return its scores; a picklable function of the point."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from hwlearn.lab.bench.bench import Bench
from hwlearn.lab.bench.evaluation import Evaluation
from hwlearn.lab.bench_file.file import BenchFile, parse_bench_file
from hwlearn.lab.runs.recorder import RunRecorder
from hwlearn.lab.runs.store import Run
from hwlearn.learning.records import History
from hwlearn.learning.scoring import Score

SEED: Final = "seed"
"""Key of the seed in a point; all other keys are of the bench file."""


@dataclass(frozen=True)
class TrainedPoint:
    """The training of a bench with some keys changed.

    Attributes
    ----------
    name : str
        Of the bench.
    folder : str
        Where the relative paths of the bench file start.
    settings : str
        The bench file as TOML.
    fixed : tuple of str
        Keys that a seed does not set, because they have a value of their own.
    runs : str or None
        Folder in which each training is recorded as a run.
    """

    name: str
    folder: str
    settings: str
    fixed: tuple[str, ...] = ()
    runs: str | None = None

    def bench(self, point: Mapping[str, Any]) -> Bench:
        """Return the bench of a point, not opened; raises as `hwlearn.open_bench`."""
        file = parse_bench_file(self.settings, self.name, Path(self.folder))
        changed = file.with_({key: value for key, value in point.items() if key != SEED})
        bench = Bench(changed)
        seed = point.get(SEED)
        if seed is None:
            return bench
        keys = self.seed_keys(bench, int(seed))
        return Bench(changed.with_(keys)) if keys else bench

    def seed_keys(self, bench: Bench, seed: int) -> dict[str, int]:
        """Return the keys that a seed sets: of training, simulated devices and noise, and split of the data."""
        keys = ["train.seed", *(text.partition("=")[0] for text in bench.seed_keys(seed))]
        if _is_split(bench.file):
            keys.append("data.split_seed")
        return {key: seed for key in keys if key not in self.fixed}

    def __call__(self, point: Mapping[str, Any]) -> dict[str, Any]:
        """Train and evaluate the bench of a point.

        Returns
        -------
        dict
            Scores and counts by name, and ``curves``: lists with a value for each epoch.

        Raises
        ------
        KeyboardInterrupt
            If the training was interrupted: the point is not done.
        """
        bench = self.bench(point)
        with bench:
            if self.runs is None:
                return _results(bench.train(), bench)
            folder = Path(self.runs)
            folder.mkdir(parents=True, exist_ok=True)
            run = Run.create(bench, folder)
            with RunRecorder(run, bench) as recorder:
                found = _results(bench.train([recorder]), bench)
            run.set_meta(seconds=run.seconds())
            return found | {"run": run.name}


def _is_split(file: BenchFile) -> bool:
    return file.data.test_fraction > 0 or file.data.validation_fraction > 0


def _results(history: History, bench: Bench) -> dict[str, Any]:
    if history.stopped == "interrupted":
        raise KeyboardInterrupt
    final = bench.evaluate()
    scores = _final_scores(final)
    counts = {
        "held_out": final.held_out,
        "rows": final.rows,
        "epochs": len(history.epochs),
        "stopped": history.stopped,
        "measurements": history.measurements,
        "skipped": sum(epoch.skipped for epoch in history.epochs),
    }
    return {**scores, **counts, "curves": _curves(history)}


def _final_scores(final: Evaluation) -> dict[str, float]:
    """Return the scores of the trained network: measured, and true ones where a simulation knows them."""
    found = _score("", final.measured)
    return found if final.true is None else found | _score("true_", final.true)


def _curves(history: History) -> dict[str, list[float]]:
    """Return the score of each epoch: of the readings before each update, and of the validation rows."""
    curves: dict[str, list[float]] = {}
    for epoch in history.epochs:
        found = _score("train_", epoch.train)
        if epoch.validation is not None:
            found |= _score("validation_", epoch.validation)
        for name, value in found.items():
            curves.setdefault(name, []).append(value)
    return curves


def _score(prefix: str, score: Score) -> dict[str, float]:
    values = {"cost": score.cost, "accuracy": score.accuracy, "rms_error_V": score.rms_error_V}
    return {f"{prefix}{name}": value for name, value in values.items() if value is not None}
