"""Train and calibrate with interruptions, go on, and compare with what was not interrupted."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

import hwlearn as hl
from hwlearn.lab.calibration.calibrate import calibrate
from hwlearn.lab.calibration.job import CalibrationOptions
from hwlearn.lab.runs.recorder import RunRecorder
from hwlearn.lab.runs.store import Run


class Killed(Exception):
    """Raised in place of a killed process: what a callback has committed is kept, everything else is lost."""


class KillAfter(hl.Callback):
    """Raises at the event with this number, counted from 0."""

    def __init__(self, events: int) -> None:
        self.left = events

    def _event(self, *_: object) -> None:
        self.left -= 1
        if self.left < 0:
            raise Killed

    on_start = on_gradient = on_step = on_epoch = on_end = on_progress = _event


def train_part(run: Run, kill_after: int | None = None, first: bool = True) -> dict[str, Any] | None:
    """Train a run from where it stands, in a bench that is opened anew; return its result, or None if killed.

    ``first``: the callback that kills is called before the recorder, so that the event is not committed.
    """
    bench = run.bench()
    with RunRecorder(run, bench) as recorder, bench:
        callbacks: list[hl.Callback] = [recorder]
        if kill_after is not None:
            callbacks.insert(0 if first else 1, KillAfter(kill_after))
        try:
            history = bench.train(callbacks, run.progress())
        except Killed:
            return None
        if history.stopped == "interrupted":  # Ctrl-C ends the campaign, not one training of it
            raise KeyboardInterrupt
        return {
            "measurements": history.measurements,
            "conductances": history.values.tolist(),
            "evaluation": asdict(bench.evaluate()),
        }


def interrupted_run(run: Run, kills: Sequence[tuple[int, bool]]) -> dict[str, Any]:
    """Train with these kills, (number of events, whether before the recorder), and return the result."""
    for events, first in kills:
        done = train_part(run, events, first)
        if done is not None:
            return done
    done = train_part(run)
    assert done is not None
    return done


def new_run(bench_file: Path, folder: Path) -> Run:
    """Return a new run of a bench file."""
    return Run.create(hl.open_bench(bench_file), folder)


def unequal_rows(run: Run, other: Run) -> list[str]:
    """Return the names of stored values that are not equal bit for bit; times are not compared."""
    mine, theirs = dict(_rows(run)), dict(_rows(other))
    return sorted(
        name
        for name in mine.keys() | theirs.keys()
        if name not in mine or name not in theirs or not _same(mine[name], theirs[name])
    )


def _same(value: Any, other: Any) -> bool:
    if isinstance(value, np.ndarray):
        return np.array_equal(value, other, equal_nan=value.dtype.kind == "f")
    return bool(value == other)


def _rows(run: Run) -> Iterator[tuple[str, Any]]:
    with run.contents() as contents:
        for table in ("batches", "updates", "optimizer", "network", "constants"):
            for keys, arrays in contents.rows(table):
                for name, array in arrays.items():
                    yield f"{table} {keys[0]} {name}", array
        for epoch, true in zip(contents.epochs(), contents.true_scores(), strict=True):
            yield f"epoch {epoch.number}", (epoch.train, epoch.validation, epoch.measurements, epoch.skipped, true)


def calibrated_part(
    bench_file: Path, record: Path, kill_after: int | None = None, steps: Sequence[str] = ()
) -> bool:
    """Calibrate in a bench that is opened anew, as the same command again does; return whether it ended."""
    left = kill_after

    def count(*_: object) -> None:
        nonlocal left
        if left is not None:
            left -= 1
            if left < 0:
                raise Killed

    bench = hl.open_bench(bench_file)
    options = CalibrationOptions(configurations=4, patterns=6, devices=2, retention_s=0.1)
    try:
        with bench:
            list(calibrate(bench.calibration_job(options, record), steps, count))
    except Killed:
        return False
    return True


def calibrated(bench_file: Path, record: Path, kills: Sequence[int], steps: Sequence[str] = ()) -> dict[str, Any]:
    """Calibrate with kills after these numbers of reports, and return what was measured."""
    for reports in kills:
        if calibrated_part(bench_file, record, reports, steps):
            break
    else:
        assert calibrated_part(bench_file, record, None, steps)
    table = tomllib.loads(record.read_text(encoding="utf-8"))
    del table["calibration"], table["end"]  # dates, addresses and the checksum of both
    return table
