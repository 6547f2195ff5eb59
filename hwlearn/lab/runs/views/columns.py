"""The scores of a run by epoch, and arrays of the whole run, as plain arrays by name."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from hwlearn.lab.runs.contents import RunContents
from hwlearn.learning.scoring import Score


def epoch_columns(contents: RunContents) -> dict[str, np.ndarray]:
    """Return the scores, counts and durations of the epochs by name; scores that do not exist are left out."""
    epochs, true = contents.epochs(), contents.true_scores()
    columns: dict[str, np.ndarray] = {"epoch": np.array([epoch.number for epoch in epochs], np.int64)}
    for rows in ("train", "validation"):
        columns |= _scores(rows, [getattr(epoch, rows) for epoch in epochs])
    for rows in ("train", "validation", "test"):
        columns |= _scores(f"true_{rows}", [scores.get(rows) for scores in true])
    columns["measurements"] = np.array([epoch.measurements for epoch in epochs], np.int64)
    columns["epoch_skipped"] = np.array([epoch.skipped for epoch in epochs], np.int64)
    columns["seconds"] = np.array([epoch.seconds for epoch in epochs], np.float64)
    return columns


def constant_arrays(contents: RunContents) -> dict[str, tuple[tuple[str, ...], np.ndarray]]:
    """Return dimensions and values of the arrays of the whole run: graph, first and last programming."""
    found: dict[str, tuple[tuple[str, ...], np.ndarray]] = {}
    for group, prefix in (("topology", ""), ("initial", "initial_"), ("final", "final_")):
        arrays: Mapping[str, np.ndarray] = contents.constants(group) or {}
        for name, array in arrays.items():
            found[prefix + name] = (contents.variable(name).dimensions, array)
    return found


def _scores(prefix: str, scores: list[Score | None]) -> dict[str, np.ndarray]:
    columns = {}
    for name, field in (("cost", "cost"), ("accuracy", "accuracy"), ("rms_error", "rms_error_V")):
        values = [None if score is None else getattr(score, field) for score in scores]
        if any(value is not None for value in values):
            columns[f"{prefix}_{name}"] = np.array([np.nan if v is None else v for v in values], np.float64)
    return columns
