"""What is written beside the numbers of a run: units and descriptions of variables, and provenance."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from hwlearn.lab.runs.contents import RunContents

_COST: Final = "cost"
_SQUARE: Final = "V^2"
"""Unit of a mean squared error, in the spelling of UDUNITS."""

_OTHER: Final[Mapping[str, tuple[str, str]]] = {
    "step": ("1", "number of the batch and of its update"),
    "kept_step": ("1", "steps whose conductances were kept"),
    "sample": ("1", "place of a sample in its batch"),
    "edge": ("1", "number of a programmable edge"),
    "output": ("1", "number of an output"),
    "epoch": ("1", "number of the epoch"),
    "epoch_of_step": ("1", "epoch of a step"),
    "time": ("s", "when the batch was stored, since 1970-01-01 UTC"),
    "update_time": ("s", "when the update was stored, since 1970-01-01 UTC"),
    "cost": (_COST, "mean cost of the batch at the measured free outputs"),
    "skipped": ("1", "samples of the batch that contributed nothing to the gradient"),
    "kept_samples": ("1", "samples of the batch whose readings were kept"),
    "measurements": ("1", "samples measured in the epoch"),
    "epoch_skipped": ("1", "samples of the epoch that contributed nothing to a gradient"),
    "seconds": ("s", "duration of the epoch"),
}
_SCORES: Final[Mapping[str, tuple[str, str]]] = {
    "cost": (_COST, "mean cost"),
    "accuracy": ("1", "fraction of samples of which the largest score is that of their class"),
    "rms_error": ("V", "root mean square of output minus target"),
}
_ROW_SETS: Final = {"train": "training", "validation": "validation", "test": "test"}


def attributes_of(contents: RunContents, name: str) -> dict[str, str]:
    """Return ``units`` and ``long_name`` of a variable or a column; without ``units`` if they are not known.

    The number of an output or a node at the end of a column's name does not count.
    """
    unit, text = _described(contents, name)
    unit = _cost_unit(contents, unit)
    return ({"units": unit} if unit else {}) | ({"long_name": text} if text else {})


def provenance(contents: RunContents) -> dict[str, str | int | float]:
    """Return all facts of a run: text and numbers as they are, everything else as JSON; None is left out.

    ``bench_file`` is the text of the bench file with all defaults filled in, ``sessions`` what is known of each
    part between two resumes: versions, host, command, instruments, calibration, git commit, note.
    """
    facts = {"run": contents.folder.resolve().name, **contents.facts, "status": contents.status()}
    facts["bench_file"] = facts.pop("settings", None)
    facts["note"] = "\n".join(contents.notes()) or None
    facts["sessions"] = [
        {"started": part.started, "ended": part.ended, "seconds": part.seconds, **part.facts}
        for part in contents.sessions()
    ]
    return {name: _plain(value) for name, value in facts.items() if value is not None}


def _plain(value: Any) -> str | int | float:
    simple = isinstance(value, str | int | float) and not isinstance(value, bool)
    return value if simple else json.dumps(value)


def _described(contents: RunContents, name: str) -> tuple[str, str]:
    if name in _OTHER:
        return _OTHER[name]
    for when in ("initial", "final"):
        if name.startswith(f"{when}_"):
            unit, text = _described(contents, name.removeprefix(f"{when}_"))
            return unit, f"{text}, {when}"
    true, rest = ("true ", name.removeprefix("true_")) if name.startswith("true_") else ("", name)
    rows, _, score = rest.partition("_")
    if rows in _ROW_SETS and score in _SCORES:
        unit, text = _SCORES[score]
        return unit, f"{true}{text} of the {_ROW_SETS[rows]} rows"
    known = contents.variable(name)
    if not known.unit:
        stem, _, number = name.rpartition("_")
        if stem and number.isdigit():
            return _described(contents, stem)
    return known.unit, known.description


def _cost_unit(contents: RunContents, unit: str) -> str:
    """Return a unit with that of the cost filled in: V² for voltages, 1 for classes."""
    if not unit.startswith(_COST):
        return unit
    of_classes = contents.meta("cost") in ("CrossEntropy", "Hinge")
    if contents.meta("cost") == "Differential":  # of any cost
        epochs = contents.epochs()
        if not epochs:
            return unit
        of_classes = epochs[0].train.rms_error_V is None
    # of a mixed network the unit of a gradient is a list: "cost/S, cost/V"
    return unit.replace(_COST, "1") if of_classes else unit.replace("cost/V", "V").replace(_COST, _SQUARE)
