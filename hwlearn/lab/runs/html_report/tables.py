"""The tables of a report: programming, energy, calibration, bench, instruments, provenance."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import numpy as np

from hwlearn.arrays import BoolArray
from hwlearn.calibrated.record import STEPS, CalibrationRecord
from hwlearn.calibrated.sections import RecordSection
from hwlearn.circuit.topology import Topology
from hwlearn.errors import HwlearnError
from hwlearn.html_text import escaped, fact_table, record_table
from hwlearn.lab.runs.contents import RunContents
from hwlearn.lab.runs.html_report.bench_of_run import BenchOfRun
from hwlearn.lab.runs.html_report.verdict import duration_text
from hwlearn.lab.runs.variables import ValuesOfRun
from hwlearn.learning.records import Epoch
from hwlearn.storage.toml_text import toml_tables
from hwlearn.units import format_quantity

_MOST_LISTED: Final = 40
_UNKNOWN: Final = "not known"


def programming(contents: RunContents, epochs: list[Epoch], kinds: tuple[ValuesOfRun, ...]) -> str:
    """Return the table of updates, failed edges, deviations and samples that gave no gradient."""
    facts: list[tuple[str, str]] = [("updates", f"{contents.steps():,}")]
    last = _last_update(contents)
    failed = _failed(contents, last)
    if failed is not None:
        count = int(failed.sum())
        text = "none" if not count else f"{count:,} of {len(failed):,}: {_listed(np.flatnonzero(failed))}"
        facts.append(("failed edges", text))
    if last is not None and "reached" in last:
        facts += _deviations(kinds, last)
    skipped, measured = sum(epoch.skipped for epoch in epochs), sum(epoch.measurements for epoch in epochs)
    if measured:
        facts.append(("samples without a gradient", f"{skipped:,} (error too small, no headroom, or saturated)"))
    facts.append(("saturated readings", _saturated(contents)))
    warning = contents.meta("health_warning")
    if warning:
        facts.append(("health of the gradient", str(warning)))
    moves = contents.meta("relay_moves")
    if moves is not None:
        facts.append(("relay moves", f"{moves:,} ({contents.meta('relay_moves_per_sample')} per sample)"))
    return fact_table(facts)


def energy(account: Mapping[str, Any]) -> str:
    """Return the table of the energy of a run; empty without an account of it."""
    if not account:
        return ""
    facts = []
    for name, what in _ENERGIES.items():
        joules = account[f"{name}_J"]
        text = f"energy {_UNKNOWN}" if joules is None else format_quantity(joules, "J")
        facts.append((what, f"{text} in {duration_text(account[f'{name}_s'])}"))
    if account["programming_J"] is None:
        facts[-1] = (f"{facts[-1][0]}, energy without programming", facts[-1][1])
    for name, what in (("inference", "one inference"), ("update", "one update")):
        if account[f"{name}_J"] is not None:
            facts.append((what, format_quantity(account[f"{name}_J"], "J")))
    return fact_table([*facts, ("power", account["source"]), ("durations", account["durations"])])


def calibration(contents: RunContents) -> str:
    """Return the calibration of each part of the run, and the results of the stored record."""
    rows = []
    for number, part in enumerate(contents.sessions(), 1):
        if part.facts.get("calibration_id"):
            made = part.facts.get("calibration_made") or {}
            dates = ", ".join(f"{step} {at}" for step, at in made.items())
            rows.append((str(number), part.facts["calibration_id"], dates or _UNKNOWN))
    if not rows:
        return "<p>The network was used without a calibration record.</p>"
    table = record_table("", ("part", "id of the record", "steps and when they were made"), rows)
    return table + _record_results(contents)


def bench(
    contents: RunContents, read: BenchOfRun | None, topology: Topology, kinds: tuple[ValuesOfRun, ...]
) -> str:
    """Return the tables of network, limits, data and training, and the text of the bench file."""
    facts = contents.facts
    rows: list[tuple[str, str]] = [("bench", str(facts.get("bench"))), ("backend", str(facts.get("backend")))]
    rows.append(
        (
            "network",
            f"{topology.n_nodes:,} nodes, {topology.n_edges:,} trained edges, {len(topology.fixed_edges):,} fixed "
            f"edges, {topology.n_inputs} inputs, {topology.n_outputs} outputs",
        )
    )
    for kind in kinds:
        low, high = (
            format_quantity(end, kind.parameter.unit) for end in (kind.parameter.low, kind.parameter.high)
        )
        rows.append((f"range of {kind.parameter.name}s", f"{low} to {high}"))
    for name, value in (facts.get("limits") or {}).items():
        quantity, _, unit = name.rpartition("_")
        if quantity != "conductance" and isinstance(value, int | float):
            rows.append((f"limit of {quantity}", format_quantity(float(value), unit)))
    rows += [("data", str(line)) for line in facts.get("data") or ()]
    if read is not None and read.data is not None:
        data = read.data
        split = (("training", data.train), ("validation", data.validation), ("test", data.test))
        rows.append(("rows", ", ".join(f"{len(part):,} {name}" for name, part in split)))
    rows += [("seed", str(facts.get("seed"))), ("cost", str(facts.get("cost")))]
    train = _settings(contents).get("train", {})
    shown = ("rule", "nudge", "optimizer", "rate", "batch", "epochs", "patience", "keep", "readout", "subset")
    rows += [(f"train.{key}", str(train[key])) for key in shown if train.get(key) is not None]
    text = facts.get("settings")
    whole = ""
    if text:
        whole = f"<details><summary>The bench file with all defaults</summary><pre>{escaped(text)}</pre></details>"
    return fact_table(rows) + whole


def instruments(contents: RunContents) -> str:
    """Return what each instrument answered to ``*IDN?``, with its address, for each part of the run."""
    rows: dict[str, list[str]] = {}
    for number, part in enumerate(contents.sessions(), 1):
        for name in part.facts.get("instruments") or ():
            rows.setdefault(str(name), []).append(str(number))
    if not rows:
        return "<p>No instrument: the network was simulated, or its backend names none.</p>"
    found = [(name, ", ".join(parts)) for name, parts in rows.items()]
    return record_table("", ("identity (*IDN?) and address", "in parts"), found)


def provenance(contents: RunContents, report: str) -> str:
    """Return when, where and by which versions the run was made."""
    facts = contents.facts
    rows = [
        ("run", contents.folder.resolve().name),
        *((name, str(facts[name])) for name in ("created", "started", "ended") if facts.get(name)),
        ("topology", str(facts.get("topology"))),
        *((name, str(facts[key])) for name, key in _HASHES.items() if facts.get(key)),
        *((f"file {item['key']}", f"{item['original']}, SHA-256 {item['sha256']}") for item in _files(facts)),
        ("format of the run", str(facts.get("format"))),
        ("report", report),
    ]
    parts = [
        fact_table(
            [
                ("started", part.started),
                ("ended", part.ended or _UNKNOWN),
                ("duration", duration_text(part.seconds)),
                *((name.replace("_", " "), str(part.facts.get(name) or _UNKNOWN)) for name in _OF_A_PART),
                *(("note", str(note)) for note in [part.facts.get("note")] if note),
            ],
            f"Part {number}: {'from the start' if number == 1 else 'after a resume'}",
        )
        for number, part in enumerate(contents.sessions(), 1)
    ]
    if len(parts) > _MOST_PARTS:
        parts = [*parts[: _MOST_PARTS - 1], f"<p>{len(parts) - _MOST_PARTS} parts are left out.</p>", parts[-1]]
    versions: dict[str, list[str]] = {}
    for part in contents.sessions() or ():
        for name, version in (part.facts.get("versions") or {}).items():
            known = versions.setdefault(str(name), [])
            if str(version) not in known:
                known.append(str(version))
    for name, version in (facts.get("versions") or {}).items():
        versions.setdefault(str(name), [str(version)])
    return (
        fact_table(rows)
        + "".join(parts)
        + record_table("Versions", ("package", "version"), [(k, ", ".join(v)) for k, v in versions.items()])
    )


_ENERGIES: Final = {
    "free": "free phases",
    "nudged": "nudged phases",
    "programming": "programming",
    "training": "whole training",
}
_OF_A_PART: Final = ("host", "folder", "command", "git_commit")
_MOST_PARTS: Final = 12
_HASHES: Final = {"SHA-256 of the data": "data_sha256", "SHA-256 of the split": "split_sha256"}


def _files(facts: Mapping[str, Any]) -> list[dict[str, Any]]:
    return list(facts.get("files") or ())


def _settings(contents: RunContents) -> Mapping[str, Mapping[str, Any]]:
    text = contents.meta("settings")
    return {} if text is None else toml_tables(str(text))


def _last_update(contents: RunContents) -> dict[str, np.ndarray] | None:
    return next((arrays for _, arrays in contents.rows("updates", "ORDER BY step DESC LIMIT 1")), None)


def _failed(contents: RunContents, last: Mapping[str, np.ndarray] | None) -> BoolArray | None:
    """Return the edges that failed in any programming so far, or in the last one if only that is known."""
    if contents.meta("format") != 1:
        for _, arrays in contents.rows("network"):
            if "failed" in arrays:
                return np.asarray(arrays["failed"], dtype=bool)
    known = last or contents.constants("initial") or {}
    return np.asarray(known["failed"], dtype=bool) if "failed" in known else None


def _deviations(kinds: tuple[ValuesOfRun, ...], last: Mapping[str, np.ndarray]) -> Iterator[tuple[str, str]]:
    """Yield how far the reached values of the last update are from the requested ones, for each kind."""
    for kind in kinds:
        edges = slice(None) if kind.edges is None else kind.edges
        requested, reached = last["requested"][edges], last["reached"][edges]
        if not len(requested):
            continue
        name = f"reached minus requested {kind.parameter.name}, last update"
        if kind.parameter.scale == "log" and (requested > 0).all():
            relative = reached / requested - 1
            ends = float(np.sqrt(np.mean(relative**2))), float(np.abs(relative).max())
            yield name, f"rms {100 * ends[0]:.3g} %, largest {100 * ends[1]:.3g} %"
        else:
            difference = reached - requested
            ends = float(np.sqrt(np.mean(difference**2))), float(np.abs(difference).max())
            texts = [format_quantity(end, kind.parameter.unit) for end in ends]
            yield name, f"rms {texts[0]}, largest {texts[1]}"


def _saturated(contents: RunContents) -> str:
    """Return how many readings of the last epoch were saturated, if the run has kept that."""
    last = contents.count_epochs()
    for epoch in (last - 1, last):
        saturated = readings = 0
        for _, arrays in contents.rows("batches", "WHERE epoch = ? LIMIT 2000", epoch):
            for name, array in arrays.items():
                saturated += int(array.sum()) if name.endswith("_saturated") else 0
                readings += array.size if name.endswith("_voltages") else 0
        if readings:
            return (
                f"{saturated:,} of {readings:,} in the last epoch"
                if saturated
                else "none recorded in the last epoch"
            )
    return "not stored in this run"


def _record_results(contents: RunContents) -> str:
    """Return the results of the calibration record in the run folder; empty if there is none."""
    for item in _files(contents.facts):
        if item["key"] == "calibration.file" and item["name"] is not None:
            try:
                record = CalibrationRecord.load(contents.folder / item["name"])
            except HwlearnError as error:
                return f"<p>The copy of the record cannot be read: {escaped(error)}.</p>"
            sections: dict[str, RecordSection | None] = {step: getattr(record, step) for step in STEPS}
            rows = [(step, found.summary()) for step, found in sections.items() if found is not None]
            return record_table("Results of the record", ("step", "result"), rows)
    return ""


def _listed(numbers: np.ndarray) -> str:
    shown = ", ".join(str(number) for number in numbers[:_MOST_LISTED])
    return f"{shown}, ..." if len(numbers) > _MOST_LISTED else shown
