"""What the database of a run states about its numbers, and runs of the earlier format."""

import io
import json
import shutil
import sqlite3
import subprocess
from contextlib import closing
from datetime import datetime

import numpy as np
import pytest
from stored_runs import recorded

import hwlearn as hl
from hwlearn.errors import RunError
from hwlearn.lab.runs.provenance import git_commit
from hwlearn.lab.runs.recorder import RunRecorder
from hwlearn.lab.runs.report import draw_run
from hwlearn.lab.runs.store import Run
from hwlearn.lab.runs.views.files import export_run
from hwlearn.lab.watch_page.charts import learning_curve
from hwlearn.lab.watch_page.network_panels import values_panel
from hwlearn.lab.watch_page.theme import LIGHT
from hwlearn.lab.watching.choice import FixedRun
from hwlearn.lab.watching.follower import RunFollower


def test_provenance_units_and_dimensions_are_stored(bench_path, tmp_path):
    run = recorded(hl.open_bench(bench_path), tmp_path, 3)
    with run.bench() as bench, RunRecorder(run, bench) as recorder:
        bench.train([recorder], run.progress())
    with run.contents() as contents:
        parts, facts = contents.sessions(), contents.facts
    assert len(parts) == 2
    for part in parts:
        assert {"hwlearn", "numpy", "scipy", "python", "platform"} <= set(part.facts["versions"])
        assert part.facts["instruments"] == []
        assert part.facts["command"]
        assert datetime.fromisoformat(part.started).tzinfo is not None
        assert part.seconds > 0
    assert parts[0].ended is None
    assert datetime.fromisoformat(parts[1].ended) >= datetime.fromisoformat(parts[1].started)
    assert run.seconds() == pytest.approx(parts[0].seconds + parts[1].seconds)
    assert datetime.fromisoformat(facts["created"]).tzinfo is not None
    assert len(facts["data_sha256"]) == len(facts["split_sha256"]) == 64
    with closing(sqlite3.connect(run.folder / "run.sqlite")) as db:
        units = dict(db.execute("SELECT name, unit FROM variables").fetchall())
        dimensions = dict(db.execute("SELECT name, dimensions FROM variables").fetchall())
        names = {name for (layout,) in db.execute("SELECT arrays FROM layouts") for name, *_ in json.loads(layout)}
        assert db.execute("PRAGMA user_version").fetchone() == (2,)
    assert names == set(units)
    assert "asked" not in names
    assert (units["requested"], units["plus_voltages"], units["plus_output_currents"]) == ("S", "V", "A")
    assert json.loads(dimensions["plus_voltages"]) == ["sample", "output"]
    for (_, _, _, _, _), arrays in [next(_rows(run, "batches"))]:
        for name, array in arrays.items():
            assert array.ndim == len(json.loads(dimensions[name])), name


def _rows(run, table):
    with run.contents() as contents:
        yield from list(contents.rows(table))


def test_git_commit_is_read_from_the_files_of_git(tmp_path):
    if shutil.which("git") is None:
        pytest.skip("needs git")
    assert git_commit(tmp_path) is None
    name = ["-c", "user.name=n", "-c", "user.email=e"]
    for words in (["init", "-q"], [*name, "commit", "-q", "--allow-empty", "-m", "one"]):
        subprocess.run(["git", *words], cwd=tmp_path, check=True)
    head = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=tmp_path, capture_output=True, text=True
    ).stdout.strip()
    (tmp_path / "below").mkdir()
    assert git_commit(tmp_path / "below") == head
    subprocess.run(["git", "pack-refs", "--all"], cwd=tmp_path, check=True)
    assert git_commit(tmp_path) == head
    subprocess.run(["git", "worktree", "add", "-q", "--detach", "tree"], cwd=tmp_path, check=True)
    assert git_commit(tmp_path / "tree") == head


def npz(**arrays):
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


def npz_file(run):
    return np.load(export_run(run.folder, run.folder.parent / "old.npz", "npz")[0])


@pytest.fixture
def old_run(bench_path, tmp_path):
    """A run as the first version of the store wrote it: two steps, one epoch, interrupted."""
    bench = hl.open_bench(bench_path)
    folder = tmp_path / "20250101-000000-small-s0"
    folder.mkdir()
    (folder / "bench.toml").write_text(bench.text(), encoding="utf-8")
    g = [np.full(bench.topology.n_edges, value) for value in (1e-5, 2e-5)]
    score = {"cost": 0.1, "accuracy": None, "rms_error_V": 0.2}
    record = {"number": 0, "train": score, "validation": None, "measurements": 18, "skipped": 0, "seconds": 0.1}
    facts = {"format": 1, "bench": "small", "backend": "sim", "status": "interrupted", "seed": 0, "seconds": 2.5}
    facts["initial"] = {"asked": g[0].tolist()}
    with closing(sqlite3.connect(folder / "run.sqlite")) as db, db:
        db.execute("PRAGMA journal_mode=WAL")
        db.execute("CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT)")
        db.execute("CREATE TABLE batches (step INTEGER PRIMARY KEY, epoch, time, cost, skipped, arrays)")
        db.execute("CREATE TABLE updates (step INTEGER PRIMARY KEY, time, arrays)")
        db.execute("CREATE TABLE optimizer (only_row INTEGER PRIMARY KEY, step, state)")
        db.execute("CREATE TABLE epochs (number INTEGER PRIMARY KEY, record)")
        db.executemany(
            "INSERT INTO meta VALUES (?, ?)", [(key, json.dumps(value)) for key, value in facts.items()]
        )
        for step in range(2):
            db.execute("INSERT INTO batches VALUES (?, 0, 0.0, 0.1, 0, ?)", (step, npz(outputs=np.ones((4, 3)))))
            db.execute("INSERT INTO updates VALUES (?, 0.0, ?)", (step, npz(asked=g[step], reached=g[step])))
        db.execute("INSERT INTO optimizer VALUES (0, 1, ?)", (npz(u=g[1]),))
        db.execute("INSERT INTO epochs VALUES (0, ?)", (json.dumps(record),))
    return Run.open(folder)


def test_run_of_format_1_is_listed_and_reported_and_not_continued(old_run):
    assert (old_run.status, old_run.steps(), len(old_run.epochs()), old_run.seconds()) == (
        "interrupted",
        2,
        1,
        2.5,
    )
    assert (
        old_run.conductances().tolist() == old_run.conductances(1).tolist() == [2e-5] * len(old_run.conductances())
    )
    assert old_run.readings(0)["outputs"].shape == (4, 3)
    assert draw_run(old_run).is_file()
    assert "rms error" in old_run.report().read_text(encoding="utf-8").lower()
    with npz_file(old_run) as exported:
        np.testing.assert_array_equal(exported["requested"][1], old_run.conductances())
        assert exported["outputs"].shape == (2, 4, 3)
    follower = RunFollower(FixedRun(old_run))
    follower.poll()
    view = follower.view
    assert (follower.error, view.steps, view.epochs_done, view.condition.phase) == ("", 2, 1, "stopped")
    np.testing.assert_array_equal(view.values, old_run.conductances())
    assert values_panel(view, LIGHT)[0].drawing
    assert learning_curve(view, LIGHT)["series"]
    with pytest.raises(RunError, match=r"format 1 by an earlier version: .* not continued; train again"):
        old_run.progress()
    with pytest.raises(RunError, match="not continued"):
        RunRecorder(old_run)
    left = [path for path in old_run.folder.glob("run.sqlite-wal") if path.stat().st_size]
    assert not left, "nothing was written"
