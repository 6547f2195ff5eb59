"""What runs look like in a terminal and in a notebook; unreadable ones say so, and nothing is raised."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from hwlearn.errors import HwlearnError
from hwlearn.html_text import object_box, record_table
from hwlearn.lab.data.scaling import OutputScale
from hwlearn.lab.runs.contents import RunContents, open_contents
from hwlearn.learning.scoring import Score

_MOST_LISTED = 100


def run_text(folder: Path) -> str:
    """Return a run in one line."""
    facts = _facts(folder)
    if "cannot be read" in facts:
        return f"<Run {folder.name}, which cannot be read: {facts['cannot be read']}>"
    score = f", {facts['score']}" if facts["score"] else ""
    return f"<Run {folder.name}: {facts['status']}, {facts['epochs']} epochs{score}>"


def run_box(folder: Path) -> str:
    """Return a run as HTML."""
    facts = {**_facts(folder), "folder": str(folder)}
    return object_box(f"Run {folder.name}", [(name, value) for name, value in facts.items() if value])


def runs_table(folders: Iterable[Path]) -> str:
    """Return a table of runs as HTML, the latest ones if there are many."""
    listed = list(folders)
    left_out = len(listed) - _MOST_LISTED
    title = f"{len(listed)} runs" + (f", the last {_MOST_LISTED} of them" if left_out > 0 else "")
    rows = []
    for folder in listed[-_MOST_LISTED:]:
        facts = _facts(folder)
        state = facts.get("status") or f"cannot be read: {facts['cannot be read']}"
        others = (facts.get(name, "") for name in ("bench", "epochs", "score", "note"))
        rows.append((folder.name, state, *others))
    return record_table(title, ("run", "status", "bench", "epochs", "score", "note"), rows, (3,)) or object_box(
        title, ()
    )


def _facts(folder: Path) -> dict[str, str]:
    """Return the facts of a run, or why it cannot be read."""
    try:
        with open_contents(folder) as contents:
            return _known(contents)
    except (HwlearnError, OSError) as error:
        return {"cannot be read": str(error)}


def _known(contents: RunContents) -> dict[str, str]:
    facts = contents.facts
    result, scale = facts.get("result"), OutputScale.from_facts(facts.get("target_scale"))
    epochs, requested = contents.epochs(), facts.get("epochs_requested")
    score = ""
    if result is not None:
        kind = "held-out" if result["held_out"] else "training"
        score = f"{_score(Score(**result['measured']), scale)} on {result['rows']:,} {kind} samples"
    elif epochs and not facts.get("dry_run"):
        kind = "training" if epochs[-1].validation is None else "validation"
        score = f"{_score(epochs[-1].validation or epochs[-1].train, scale)} on {kind} samples"
    return {
        "status": contents.status(),
        "bench": f"{facts.get('bench')} on {facts.get('backend')}",
        "epochs": f"{len(epochs)}" + (f" of {requested}" if requested else ""),
        "score": score,
        "created": str(facts.get("created") or ""),
        "note": "; ".join(contents.notes()),
    }


def _score(score: Score, scale: OutputScale | None) -> str:
    if scale is None or score.rms_error_V is None or score.accuracy is not None:
        return str(score)
    return f"{score} = {scale.error_text(score.rms_error_V)}"
