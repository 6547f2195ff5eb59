"""Runs that stand alone: read-only media, copies, running and killed runs, earlier formats, what is kept."""

import contextlib
import platform
import shutil
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing

import numpy as np
import pytest
from combinations import pairwise
from stored_runs import everything, recorded

import hwlearn as hl
from hwlearn.errors import RunError
from hwlearn.lab.runs.recorder import RunRecorder
from hwlearn.lab.runs.report import draw_run
from hwlearn.lab.runs.store import Run


@contextlib.contextmanager
def read_only(folder):
    """Mount a folder read-only on itself."""
    mounted = subprocess.run(["mount", "--bind", str(folder), str(folder)], capture_output=True, check=False)
    if mounted.returncode:
        pytest.skip("a folder cannot be mounted here")
    try:
        subprocess.run(["mount", "-o", "remount,bind,ro", str(folder)], check=True, capture_output=True)
        yield
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


# --- row 17: journal mode, read-only media, copies -------------------------------------------------------


def test_ended_run_is_one_file_without_wal(bench_path, tmp_path):
    for stop in (None, 3):
        run = recorded(hl.open_bench(bench_path), tmp_path, stop)
        run.set_meta(note="written after the end")
        assert sorted(path.name for path in run.folder.iterdir()) == ["bench.toml", "run.lock", "run.sqlite"]
        with closing(sqlite3.connect(run.folder / "run.sqlite")) as db:
            assert db.execute("PRAGMA journal_mode").fetchone() == ("delete",)


CHILD = """
import os, signal, sys
import hwlearn as hl
from hwlearn.lab.runs.recorder import RunRecorder
from hwlearn.lab.runs.store import Run

class Events(hl.Callback):
    def on_step(self, step):
        print(step.number, flush=True)
        if len(sys.argv) > 2 and step.number + 1 == int(sys.argv[2]):
            os.kill(os.getpid(), signal.SIGKILL)

run = Run.open(sys.argv[1])
with run.bench() as bench, RunRecorder(run, bench) as recorder:
    bench.train([recorder, Events()], run.progress())
"""


def killed(bench_path, runs, steps=7):
    """Return a run whose process was killed after some steps; its WAL holds them."""
    run = Run.create(hl.open_bench(bench_path, ["train.epochs=50"]), runs)
    ended = subprocess.run([sys.executable, "-c", CHILD, str(run.folder), str(steps)], capture_output=True)
    assert ended.returncode == -signal.SIGKILL
    assert (run.folder / "run.sqlite-wal").stat().st_size > 0
    return run


linux = pytest.mark.skipif(sys.platform != "linux", reason="mounts folders, or kills processes")


@pytest.mark.share(1)
@linux
@pairwise(1, state=["created", "finished", "killed"], shm=["with shm", "without shm"])
def test_run_on_read_only_medium_is_read(bench_path, tmp_path, monkeypatch, state, shm):
    runs, here = tmp_path / "runs", tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    if state == "killed":
        run = killed(bench_path, runs)
        wanted = 7
    else:
        bench = hl.open_bench(bench_path)
        run = recorded(bench, runs) if state == "finished" else Run.create(bench, runs)
        wanted = 10 if state == "finished" else 0
    if shm == "without shm":
        (run.folder / "run.sqlite-shm").unlink(missing_ok=True)
    before = sorted(path.name for path in run.folder.iterdir())
    with read_only(runs):
        again = Run.open(run.folder)
        assert again.steps() == wanted
        assert again.status == {"created": "created", "finished": "finished", "killed": "aborted"}[state]
        if state != "created":
            assert len(again.epochs()) == wanted // 2
            assert draw_run(again).resolve() == here / f"{run.name}-report.png"
            everything(again)
        with pytest.raises(RunError, match=r"cannot be written: .*read-only"):
            RunRecorder(again)
    assert sorted(path.name for path in run.folder.iterdir()) == before


@linux
def test_run_that_is_being_written_is_seen_as_running_through_a_read_only_mount(bench_path, tmp_path):
    run = Run.create(hl.open_bench(bench_path), tmp_path / "runs")
    with RunRecorder(run) as recorder, read_only(tmp_path / "runs"):
        code = "import sys; from hwlearn.lab.runs.store import Run; print(Run.open(sys.argv[1]).alive)"
        command = [sys.executable, "-c", code, str(recorder.run.folder)]
        assert subprocess.run(command, capture_output=True, text=True).stdout == "True\n"


@pytest.mark.slow
def test_running_run_is_read_consistently(bench_path, tmp_path):
    """Epochs, scores, costs and conductances are read in separate queries, but are of one moment."""
    run = Run.create(hl.open_bench(bench_path, ["train.epochs=8000"]), tmp_path / "runs")
    child = subprocess.Popen([sys.executable, "-c", CHILD, str(run.folder)], stdout=subprocess.PIPE, text=True)
    try:
        child.stdout.readline()
        seen = []
        for _ in range(25):
            with run.contents() as contents:
                steps, epochs = contents.steps(), len(contents.epochs())
                for _ in range(5):
                    child.stdout.readline()  # it goes on meanwhile
                assert (contents.steps(), len(contents.true_scores())) == (steps, epochs)
                assert steps <= len(contents.batch_costs()) <= steps + 1
                assert contents.kept_steps() == list(range(steps))
                contents.verify()
            seen.append(steps)
        assert seen[-1] > seen[0]
        assert draw_run(run, tmp_path / "report.png").is_file()
        assert run.status == "running"
    finally:
        child.kill()
        child.communicate()
    assert run.status == "aborted"


def test_status_on_another_computer_does_not_claim_that_the_run_has_ended(bench_path, tmp_path, monkeypatch):
    run = killed(bench_path, tmp_path / "runs")
    assert run.status == "aborted"
    here = platform.node()
    monkeypatch.setattr("platform.node", lambda: "another")
    assert run.status == f"running on {here}, or aborted"


@pytest.mark.slow
def test_copy_made_while_a_run_is_written_is_consistent_or_refused(bench_path, tmp_path):
    changes = ["train.epochs=3000"]
    run = Run.create(hl.open_bench(bench_path, changes), tmp_path / "runs")
    child = subprocess.Popen(
        [
            sys.executable,
            "-c",
            CHILD.replace("bench.train", "recorder._db.execute('PRAGMA wal_autocheckpoint=20'); bench.train"),
            str(run.folder),
        ],
        stdout=subprocess.PIPE,
        text=True,
    )
    copied, refused = [], []
    try:
        child.stdout.readline()
        for number in range(30):
            copy = tmp_path / f"copy{number}"
            copy.mkdir()
            for name in ("run.sqlite", "bench.toml", "run.sqlite-wal", "run.sqlite-shm", "run.lock"):
                with contextlib.suppress(FileNotFoundError):
                    shutil.copyfile(run.folder / name, copy / name)
                child.stdout.readline()  # checkpoints come between the files
            try:
                with Run(copy).contents() as contents:
                    contents.verify()
                    progress, costs = contents.progress(), contents.batch_costs()
                    rows = {keys[0]: arrays["outputs"].tobytes() for keys, arrays in contents.rows("batches")}
            except RunError as error:
                refused.append(str(error))
                continue
            assert progress.steps <= len(costs) <= progress.steps + 1
            copied.append((costs, rows))
    finally:
        child.kill()
        child.communicate()
    assert len(copied) + len(refused) == 30
    assert all(str(tmp_path) in text for text in refused)
    assert copied
    in_the_end = run.batch_costs()
    with run.contents() as contents:
        final = {keys[0]: arrays["outputs"].tobytes() for keys, arrays in contents.rows("batches")}
    for costs, rows in copied:
        np.testing.assert_array_equal(costs, in_the_end[: len(costs)])
        assert rows.items() <= final.items()


@linux
def test_killed_run_is_continued_from_a_copy_of_its_folder_alone(bench_text, tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    (home / "rows.csv").write_text("0.1,0.2,-0.1,0.3,0.0,0.1,0.2\n0.3,-0.2,0.1,0.3,0.1,0.1,0.0\n" * 3)
    path = home / "small.toml"
    path.write_text(bench_text, encoding="utf-8")
    changes = ["data.source=rows.csv", "data.target_columns=[4, 5, 6]", "train.epochs=12"]
    whole = recorded(hl.open_bench(path, changes), tmp_path)
    run = Run.create(hl.open_bench(path, changes), home / "runs")
    ended = subprocess.run([sys.executable, "-c", CHILD, str(run.folder), "5"], capture_output=True)
    assert ended.returncode == -signal.SIGKILL
    copy = Run(shutil.copytree(run.folder, tmp_path / "elsewhere"))
    shutil.rmtree(home)
    assert copy.steps() == 5
    with copy.bench() as bench, RunRecorder(copy, bench) as recorder:
        bench.train([recorder], copy.progress())
    mine, theirs = everything(copy), everything(whole)
    assert mine["rows"] == theirs["rows"]
    assert mine["conductances"] == theirs["conductances"]
