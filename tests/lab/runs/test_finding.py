"""Runs in a folder: found by their names, listed in their order, each once, and read from any working folder."""

import json
import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

import hwlearn as hl
from hwlearn.errors import RunError
from hwlearn.lab.runs.store import Run


def test_runs_are_found_by_the_beginning_of_their_name(bench_path, tmp_path, monkeypatch):
    bench = hl.open_bench(bench_path)
    one, two = (Run.create(bench, tmp_path / "runs") for _ in range(2))
    monkeypatch.setenv("HWLEARN_RUNS", str(tmp_path / "runs"))
    assert Run.open(two.name).folder == two.folder
    with pytest.raises(RunError, match="matches several runs"):
        Run.open(one.name[:10])
    Run.create(bench, tmp_path / "single")
    for name in ("nothing", "", "*", "..", tmp_path / "gone"):
        for where in ("runs", "single", "empty"):
            with pytest.raises(RunError, match="is not a run folder"):
                Run.open(name, tmp_path / where)


def created(run, text):
    with closing(sqlite3.connect(run.folder / "run.sqlite")) as db, db:
        db.execute("UPDATE meta SET value = ? WHERE key = 'created'", (json.dumps(text),))


def test_runs_are_listed_in_the_order_of_their_creation(bench_path, tmp_path):
    place, bench = tmp_path / "runs", hl.open_bench(bench_path)
    names = ["x-10", "x-2", "a", "z", "damaged"]
    for name in names:
        Run(Run.create(bench, place).folder.rename(place / name))
    for name, text in (
        ("x-10", "2026-01-02T00:30:00.000+02:00"),
        ("x-2", "2026-01-01T23:30:00.000+01:00"),  # the same moment
        ("a", "2026-01-01T23:00:00.000+00:00"),
        ("z", "2025-12-31T23:00:00.000+00:00"),
    ):
        created(Run(place / name), text)
    (place / "damaged" / "run.sqlite").write_bytes(b"no database" * 100)
    os.utime(place / "damaged" / "run.sqlite", (0, 0))
    assert [run.name for run in hl.runs(place)] == ["damaged", "z", "x-2", "x-10", "a"]


@pytest.mark.skipif(os.name == "nt", reason="symbolic links need a privilege on Windows")
def test_run_behind_symbolic_links_is_listed_once(bench_path, tmp_path):
    place, bench = tmp_path / "runs", hl.open_bench(bench_path)
    one, other = Run.create(bench, place), Run.create(bench, tmp_path / "elsewhere")
    (place / "0-latest").symlink_to(one.folder, target_is_directory=True)
    (place / "20-again").symlink_to(one.folder, target_is_directory=True)
    (place / "other").symlink_to(other.folder, target_is_directory=True)
    assert [run.name for run in hl.runs(place)] == [one.name, "other"]
    assert Run.open("0-lat", place).folder == place / "0-latest"
    assert Run.open("20", place).folder == one.folder, "all that begin so are the same run"


def test_runs_are_read_after_the_working_folder_changed(bench_path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HWLEARN_RUNS", raising=False)
    bench = hl.open_bench(bench_path, ["train.epochs=1"])
    with bench:
        bench.train(record=True, progress=False)
    name = bench.run_folder.name
    found = [
        hl.open_run(f"runs/{name}"),
        hl.open_run(name, "runs"),
        *hl.runs(),
        *hl.runs("runs"),
        Run(Path("runs", name)),
    ]
    (tmp_path / "away").mkdir()
    monkeypatch.chdir(tmp_path / "away")
    assert {run.folder for run in found} == {bench.run_folder} == {tmp_path / "runs" / name}
    assert [run.steps() for run in found] == 5 * [2]
