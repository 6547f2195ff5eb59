"""Texts of the page as HTML: header, alarm, tiles and tables."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from html import escape
from typing import Any, Final

from hwlearn.lab.watch_page.wording import duration_text, number_text, score_unit, score_value
from hwlearn.lab.watching.condition import Phase
from hwlearn.lab.watching.follower import EpochView, RunView

_TONES: Final[Mapping[Phase, str]] = {
    "waiting": "w-calm",
    "running": "w-good",
    "finished": "w-good",
    "stopped": "w-warn",
    "killed": "w-bad",
    "failed": "w-bad",
    "unknown": "w-warn",
}


def header(view: RunView | None, followed: str) -> str:
    """Return the name of the run and what it is."""
    if view is None:
        return f'<div class="w-title">hwlearn watch</div><div class="w-sub">{escape(followed)}</div>'
    facts, topology = view.facts, view.definition.topology
    parts = [
        f"bench {facts.get('bench')} on {facts.get('backend')}",
        f"seed {facts.get('seed')}",
        f"{topology.n_nodes} nodes, {topology.n_edges} edges, {topology.n_outputs} outputs",
    ]
    if facts.get("dry_run"):
        parts.append("DRY RUN: no measurements")
    return f'<div class="w-title">{escape(view.name)}</div><div class="w-sub">{escape("  ·  ".join(parts))}</div>'


def badge(view: RunView | None) -> str:
    """Return the state of the run and of the outputs as badges."""
    if view is None:
        return '<span class="w-badge w-calm" data-phase="waiting">waiting</span>'
    condition = view.condition
    words = {"none": ("w-calm", "no instruments"), "off": ("w-good", "outputs off")}
    tone, outputs = words.get(condition.outputs, ("", ""))
    more = f' <span class="w-badge {tone}" data-outputs="{condition.outputs}">{outputs}</span>' if outputs else ""
    phase = condition.phase
    return f'<span class="w-badge {_TONES[phase]}" data-phase="{phase}">{phase}</span>{more}'


def alarm(view: RunView | None) -> str:
    """Return the warning that outputs are on or may be on; empty if they are off."""
    if view is None or view.condition.outputs in ("none", "off"):
        return ""
    word = "OUTPUTS ON" if view.condition.outputs == "on" else "OUTPUTS MAY BE ON"
    return (
        f'<div class="w-alarm" role="alert" data-outputs="{view.condition.outputs}"><b>{word}</b>'
        f"<span>{escape(view.condition.outputs_detail)}</span></div>"
    )


def tiles(view: RunView) -> str:
    """Return the most important numbers."""
    requested = view.epochs_requested
    share = min(1.0, view.epochs_done / requested) if requested else 0.0
    bar = f'<div class="w-bar"><i style="width:{100 * share:.1f}%"></i></div>'
    last = view.epochs[-1] if view.epochs else None
    condition = view.condition
    time = duration_text(view.left_s) if condition.phase == "running" else duration_text(view.seconds)
    label = "Time left" if condition.phase == "running" else "Duration"
    more = f"{duration_text(view.seconds)} so far" if condition.phase == "running" else _ended(view)
    saturated, marked = _saturated(view, last)
    skipped = sum(reading.skipped for reading in view.readings.values())
    failed = 0 if view.failed is None else int(view.failed.sum())
    failed_text = "" if view.failed is None else _listed(view.failed.nonzero()[0].tolist())
    return "".join(
        [
            _tile("State", condition.phase, escape(condition.detail), "state"),
            _tile("Epochs", f"{view.epochs_done} / {requested}", f"{bar}{view.steps} batches measured", "epochs"),
            _score_tile(view, last),
            _tile(label, time, more, "time"),
            _tile(
                "Saturated readings",
                saturated,
                f"{skipped} of {len(view.readings)} recent samples skipped",
                "saturated",
                marked,
            ),
            _tile(
                "Failed edges",
                "not known" if view.failed is None else f"{failed}",
                failed_text or f"of {view.definition.topology.n_edges}",
                "failed",
                failed > 0,
            ),
        ]
    )


def _saturated(view: RunView, last: EpochView | None) -> tuple[str, bool]:
    """Return the saturated readings of the last batches or, if it is recorded, their share of the last epoch."""
    share = None if last is None else last.health.get("saturated_share")
    if isinstance(share, int | float):
        return f"{100 * share:.3g} %", share > 0
    count = sum(reading.saturated for reading in view.readings.values())
    return f"{count}", count > 0


def _ended(view: RunView) -> str:
    ended = view.facts.get("ended")
    return f"ended {escape(str(ended)[:19].replace('T', ' '))}" if ended else ""


def _listed(numbers: list[int]) -> str:
    return ", ".join(map(str, numbers[:8])) + (", ..." if len(numbers) > 8 else "")


def _tile(name: str, value: str, detail: str, part: str, bad: bool = False) -> str:
    tone = " w-bad" if bad else ""
    return (
        f'<div class="w-tile" data-tile="{part}"><div class="k">{name}</div>'
        f'<div class="v{tone}">{escape(value)}</div>'
        f'<div class="d">{detail}</div></div>'
    )


def _score_tile(view: RunView, last: EpochView | None) -> str:
    if last is None:
        return _tile("Score", "none yet", "after the first epoch", "score")
    scale, unit = view.definition.scale, score_unit(view.classifies, view.definition.scale)
    rows = "validation" if "validation" in last.measured else "train"
    kind = "Accuracy" if view.classifies else "Rms error"
    true = (
        f"true {score_value(last.true[rows], scale):.4g} {unit}" if rows in last.true else "true score not known"
    )
    label = {"train": "training", "validation": "validation"}[rows]
    return _tile(
        f"{kind}, {label} (measured)",
        f"{score_value(last.measured[rows], scale):.4g} {unit}",
        escape(true),
        "score",
    )


def health_table(view: RunView) -> str:
    """Return the health of the gradient of the last epoch; the share of skipped samples is always known."""
    last = view.epochs[-1] if view.epochs else None
    if last is None:
        return '<div class="w-empty">No epoch was scored yet.</div>'
    if not last.health:
        share = 100 * last.skipped / max(1, last.measurements)
        skipped = f"{last.skipped} of {last.measurements} measured ({share:.3g} %)"
        return _table([("skipped samples", skipped), ("other figures", "not recorded")])
    limits, alarms = last.health.get("limits") or {}, last.health.get("alarms") or []
    rows = []
    for name, value in last.health.items():
        if name not in ("limits", "alarms"):
            mark = ' class="w-bad"' if name in alarms else ""
            limit = f"at most {number_text(limits[name])}" if name in limits else ""
            rows.append(
                f"<tr><th>{escape(_figure_name(name))}</th><td{mark}>{escape(number_text(value))}</td>"
                f"<td>{escape(limit)}</td></tr>"
            )
    listed = "".join(f"<b>ALARM: {escape(_figure_name(str(name)))}</b> " for name in alarms)
    alarm_line = f'<div class="w-bad">{listed}</div>' if alarms else ""
    return f'{alarm_line}<table class="w-table">{"".join(rows)}</table>'


def _figure_name(name: str) -> str:
    """Return the name of a figure of a record as words.

    Examples
    --------
    >>> _figure_name("scale_invariance"), _figure_name("setpoint_error_V")
    ('scale invariance', 'setpoint error (V)')
    """
    words = name.removesuffix("_V").replace("_", " ")
    return f"{words} (V)" if name.endswith("_V") else words


def provenance_table(view: RunView) -> str:
    """Return where the numbers of the run come from."""
    facts = view.facts
    sessions: list[Mapping[str, Any]] = [part.facts for part in view.sessions]
    last = sessions[-1] if sessions else {}
    instruments = last.get("instruments") or []
    rows = [
        ("instruments", "; ".join(_instrument(one) for one in instruments) or "none recorded"),
        ("calibration", str(last.get("calibration_id") or "none")),
        ("note", "; ".join(str(one["note"]) for one in sessions if one.get("note")) or "none"),
        ("started", str(facts.get("started") or "not yet")[:19].replace("T", " ")),
        ("parts", f"{len(sessions)}" if sessions else "none"),
        ("host", str(last.get("host") or "not known")),
        ("command", str(last.get("command") or "not known")),
        ("git commit", str(last.get("git_commit") or "none")),
        ("hwlearn", str((last.get("versions") or {}).get("hwlearn", "not known"))),
        (
            "cost, kept",
            f"{facts.get('cost')}, {facts.get('keep')} readings, values of {facts.get('conductances')}",
        ),
    ]
    return _table(rows)


def _instrument(one: Any) -> str:
    if isinstance(one, Mapping):
        return " ".join(str(value) for value in one.values() if value)
    return str(one)


def _table(rows: Iterable[tuple[str, str]]) -> str:
    body = "".join(f"<tr><th>{escape(name)}</th><td>{escape(value)}</td></tr>" for name, value in rows)
    return f'<table class="w-table">{body}</table>'
