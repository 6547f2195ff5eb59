"""The run store: committed steps survive every end of the process, and a stopped run can be resumed."""

import os
import signal
import sqlite3
import subprocess
import sys
import threading
import tomllib
from contextlib import closing

import numpy as np
import pytest

import hwlearn as hl
from hwlearn.errors import RunError
from hwlearn.lab.runs.database import connect
from hwlearn.lab.runs.packing import Encoding, pack
from hwlearn.lab.runs.recorder import RunRecorder
from hwlearn.lab.runs.store import Run


def trained(bench, runs, callbacks=(), start=None, run=None):
    """Train a bench, record it in a run folder, and return the run and the history."""
    run = Run.create(bench, runs) if run is None else run
    with bench, RunRecorder(run) as recorder:
        history = bench.train([recorder, *callbacks], start)
    return run, history


class Kept(hl.Callback):
    """Keeps the steps and epochs of the trainer, to compare them with the store."""

    def __init__(self):
        self.steps, self.epochs = [], []

    def on_step(self, step):
        self.steps.append(step)

    def on_epoch(self, epoch):
        self.epochs.append(epoch)


class StopAfter(hl.Callback):
    """Ends the training as a lost connection does: by an exception right after an update was committed."""

    def __init__(self, steps):
        self.steps = steps

    def on_step(self, step):
        if step.number + 1 == self.steps:
            raise ConnectionResetError


def test_every_step_and_epoch_is_in_the_store(bench_path, tmp_path):
    kept = Kept()
    run, history = trained(hl.open_bench(bench_path), tmp_path / "runs", [kept])
    again = Run.open(run.folder)
    assert again.steps() == len(kept.steps) == 10
    assert again.epochs() == kept.epochs
    np.testing.assert_array_equal(again.conductances(), history.conductances)
    for step in kept.steps:
        np.testing.assert_array_equal(again.conductances(step.number), step.requested)
        readings = again.readings(step.number)
        np.testing.assert_array_equal(readings["samples"], step.samples)
        np.testing.assert_array_equal(readings["free_voltages"], step.gradient.outputs)
        assert {"plus_voltages", "minus_voltages", "strength", "error"} <= set(readings)
    progress = again.progress()
    assert progress.steps == 10
    np.testing.assert_array_equal(progress.optimizer_state["u"], kept.steps[-1].optimizer_state["u"])
    assert again.meta("status") == "finished"
    assert again.meta("topology") == hl.open_bench(bench_path).topology.fingerprint
    assert set(again.meta("versions")) >= {"hwlearn", "numpy", "scipy", "python"}
    assert np.allclose(again.batch_costs(), [s.gradient.costs.mean() for s in kept.steps])


def test_run_folder_contains_the_resolved_bench_file(bench_path, tmp_path):
    run, _ = trained(hl.open_bench(bench_path, ["train.epochs=2", "train.seed=4"]), tmp_path / "runs")
    assert run.name.endswith("-small-s4")
    tables = tomllib.loads((run.folder / "bench.toml").read_text(encoding="utf-8"))
    assert tables["train"]["epochs"] == 2
    bench = run.bench()
    assert bench.file.name == "small"
    assert bench.file.train.seed == 4


def test_run_names_are_unique_within_a_second(bench_path, tmp_path):
    bench = hl.open_bench(bench_path)
    runs = [Run.create(bench, tmp_path / "runs") for _ in range(5)]
    assert len({run.name for run in runs}) == 5
    assert [run.name for run in Run.all(tmp_path / "runs")] == sorted(run.name for run in runs)


@pytest.mark.usefixtures("waits_for_disk")
@pytest.mark.parametrize(
    ("backend", "changes", "level"),
    [
        ('"sim"', [], 1),  # a simulation can be repeated
        ('"sim"', ["run.synchronous=full"], 2),
        ('"board"\naddress = "loop://"', [], 2),
        ('"board"\naddress = "loop://"', ["run.synchronous=normal"], 1),
    ],
)
def test_commits_wait_for_the_disk_on_hardware_or_as_chosen(backend, changes, level, bench_text, tmp_path):
    (tmp_path / "b.toml").write_text(bench_text.replace('"sim"', backend), encoding="utf-8")
    run = Run.create(hl.open_bench(tmp_path / "b.toml", changes), tmp_path / "runs")
    with RunRecorder(run) as recorder:
        assert recorder._db.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert recorder._db.execute("PRAGMA synchronous").fetchone() == (level,)  # 1: NORMAL, 2: FULL


@pytest.mark.usefixtures("waits_for_disk")
def test_runs_without_a_choice_wait_for_the_disk(bench_path, tmp_path):
    run = Run.create(hl.open_bench(bench_path), tmp_path / "runs")
    with closing(connect(run.folder)) as db:
        db.execute("DELETE FROM meta WHERE key = 'synchronous'")
        db.commit()
    with RunRecorder(run) as recorder:
        assert recorder._db.execute("PRAGMA synchronous").fetchone() == (2,)


CHANGES = {
    "adam": [],
    "momentum": ["train.optimizer=momentum", "train.rate=1e3"],
    "sensitive subset": ["train.rule=analytic", "train.subset=0.5"],
    "spsa": ["train.rule=spsa", "train.subset=0.5", "train.subset_kind=random"],
    "best": ["train.keep=best", "train.initial=random", "train.rate=0.6", "train.anneal=1.0"],
    "patience": ["train.patience=1", "train.keep=best", "train.rate=0.6", "train.anneal=1.0"],
}


@pytest.fixture(scope="module", params=CHANGES.values(), ids=CHANGES)
def uninterrupted(request, bench_text, tmp_path_factory):
    """A bench file, the changes to it, and the run and history of an uninterrupted training."""
    folder = tmp_path_factory.mktemp("uninterrupted")
    path = folder / "small.toml"
    path.write_text(bench_text, encoding="utf-8")
    return path, request.param, *trained(hl.open_bench(path, request.param), folder / "runs")


@pytest.mark.share(8)
@pytest.mark.parametrize("stop", [1, 2, 5, 10])
def test_resumed_run_equals_an_uninterrupted_one(uninterrupted, tmp_path, stop):
    path, changes, whole, history = uninterrupted
    stop = min(stop, whole.steps())
    run = Run.create(hl.open_bench(path, changes), tmp_path / "runs")
    with pytest.raises(ConnectionResetError):
        trained(run.bench(), tmp_path, [StopAfter(stop)], run=run)
    assert run.steps() == stop
    resumed, rest = trained(run.bench(), tmp_path, start=run.progress(), run=run)
    assert rest.stopped == history.stopped
    np.testing.assert_array_equal(rest.conductances, history.conductances)
    np.testing.assert_array_equal(resumed.conductances(), whole.conductances())
    assert resumed.steps() == whole.steps()
    for step in range(whole.steps()):
        np.testing.assert_array_equal(resumed.conductances(step), whole.conductances(step))
        mine, theirs = resumed.readings(step), whole.readings(step)
        assert mine.keys() == theirs.keys()
        for name, array in theirs.items():
            np.testing.assert_array_equal(mine[name], array)
    for mine, theirs in zip(resumed.epochs(), whole.epochs(), strict=True):
        assert (mine.train, mine.validation) == (theirs.train, theirs.validation)


def test_only_one_recorder_at_a_time_may_write_a_run(bench_path, tmp_path):
    run = Run.create(hl.open_bench(bench_path), tmp_path / "runs")
    with RunRecorder(run):
        assert run.alive
        with pytest.raises(RunError, match="is being written"):
            RunRecorder(Run.open(run.folder))
    assert not run.alive
    with RunRecorder(run):
        assert run.alive


def test_damaged_or_foreign_run_is_named(bench_path, tmp_path):
    run = Run.create(hl.open_bench(bench_path), tmp_path / "runs")
    with closing(sqlite3.connect(run.folder / "run.sqlite")) as db, db:
        db.execute("UPDATE meta SET value = '99' WHERE key = 'format'")
    with pytest.raises(RunError, match="format 99"):
        Run.open(run.folder)
    for left in run.folder.glob("run.sqlite*"):
        left.unlink()
    (run.folder / "run.sqlite").write_bytes(b"no database" * 100)
    with pytest.raises(RunError, match="cannot be read"):
        Run.open(run.folder)


@pytest.mark.parametrize("encoding", Encoding)
def test_arrays_are_restored_bit_for_bit(encoding):
    written = {
        "a": np.array([0.1, np.nan, -0.0]),
        "b": np.array([True, False]),
        "c": np.arange(3),
        "d": np.zeros((0, 3)),
        "same as c": np.arange(3),
        "generator": np.arange(40, dtype=np.uint64).reshape(2, 20) << np.uint64(57),
        "scalar": np.float64(np.pi),
        "text": np.array(["a", "bcd"]),
        "big-endian": np.arange(30, dtype=">f8").reshape(10, 3).T,
    }
    packed = pack(written, encoding)
    assert packed.encoding == encoding
    back = packed.arrays()
    assert set(back) == set(written)
    for name, array in written.items():
        assert back[name].dtype == array.dtype.newbyteorder("<")
        assert back[name].shape == array.shape
        assert back[name].tobytes() == array.astype(back[name].dtype).tobytes()


# --- killed at any moment ---------------------------------------------------------------------------

CHILD = """
import sys
import hwlearn as hl
from hwlearn.lab.runs.recorder import RunRecorder
from hwlearn.lab.runs.store import Run

class Acknowledge(hl.Callback):
    # called after the recorder: what it prints is already committed
    def on_gradient(self, epoch, number, samples, gradient):
        print("batch", number, gradient.outputs.tobytes().hex(), flush=True)
    def on_step(self, step):
        print("update", step.number, step.requested.tobytes().hex(), flush=True)

run = Run.open(sys.argv[1])
with run.bench() as bench, RunRecorder(run) as recorder:
    print("ready", flush=True)
    bench.train([recorder, Acknowledge()], run.progress())
"""


def kill_after(run, lines, seconds):
    """Train in another process, kill it some seconds after so many lines of output, and return its output."""
    child = subprocess.Popen([sys.executable, "-c", CHILD, str(run.folder)], stdout=subprocess.PIPE, text=True)
    with child:
        assert child.stdout.readline() == "ready\n"
        said = [child.stdout.readline() for _ in range(lines)]
        threading.Timer(seconds, child.kill).start()
        said += child.stdout.readlines()
    assert child.returncode == -signal.SIGKILL
    return [line.split() for line in said if line.endswith("\n")]


def killed_and_resumed(bench_path, tmp_path, epochs, moments):
    bench = hl.open_bench(bench_path, [f"train.epochs={epochs}"])
    with bench:
        history = bench.train()
    steps = 2 * epochs  # six samples in batches of four
    run = Run.create(bench, tmp_path / "runs")
    acknowledged = []
    for lines, seconds in moments:
        acknowledged += kill_after(run, lines, seconds)
        run = Run.open(run.folder)
        assert not run.alive
        for kind, step, data in acknowledged:
            row = run.readings(int(step))["free_voltages"] if kind == "batch" else run.conductances(int(step))
            assert row.tobytes().hex() == data
        progress = run.progress()
        assert run.steps() == (progress.steps if progress else 0)
        assert run.steps() >= sum(kind == "update" for kind, _, _ in acknowledged)
        with closing(connect(run.folder)) as db:
            assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert acknowledged
    assert run.steps() < steps
    resumed, _ = trained(run.bench(), tmp_path, start=run.progress(), run=run)
    np.testing.assert_array_equal(resumed.conductances(), history.conductances)
    assert resumed.steps() == steps


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGKILL")
def test_run_killed_three_times_loses_no_committed_step(bench_path, tmp_path):
    # two lines a step; far more steps than fit before the last kill
    killed_and_resumed(bench_path, tmp_path, 100, [(21, 0.001), (0, 0.002), (8, 0.0)])


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGKILL")
def test_run_killed_at_twenty_random_moments_loses_no_committed_step(bench_path, tmp_path, seeds):
    # far more steps than fit into the time
    moments = np.random.default_rng().uniform(0, 0.1, len(seeds(20, 6)))
    epochs = int(1000 * moments.sum()) + 100
    killed_and_resumed(bench_path, tmp_path, epochs, [(0, seconds) for seconds in moments.tolist()])


KILLED_CREATIONS = """
import os, pathlib, signal, sys
import hwlearn as hl
from hwlearn.lab.runs.store import Run

bench, runs = hl.open_bench(sys.argv[1]), pathlib.Path(sys.argv[2])
Run.create(bench, runs / "warm")
own = [os.sep + os.path.join("runs", name) for name in ("store.py", "database.py", "inputs.py")]
for number in range(1, 1000):
    child = os.fork()
    if child == 0:
        left = [number]

        def count(frame, event, argument):
            if not frame.f_code.co_filename.endswith(tuple(own)):
                return None
            left[0] -= event == "line"
            if left[0] == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return count

        sys.settrace(count)
        Run.create(bench, runs / str(number))
        os._exit(0)
    if os.waitpid(child, 0)[1] == 0:
        print(number)
        break
"""


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="Windows has no fork")
def test_killed_creation_leaves_a_complete_run_or_none(bench_path, tmp_path):
    """The process is killed before every single line of `Run.create`."""
    command = [sys.executable, "-W", "ignore", "-c", KILLED_CREATIONS, bench_path, tmp_path]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    last = int(ended.stdout)
    assert last > 20
    found = {number: Run.all(tmp_path / str(number)) for number in range(1, last + 1)}
    assert not found[1]
    assert len(found[last]) == 1
    for runs in found.values():
        for run in runs:
            again = Run.open(run.folder)
            assert (again.status, again.steps(), again.meta("bench")) == ("created", 0, "small")
            assert [path.name for path in run.folder.iterdir() if path.name.startswith("run.sqlite")] == [
                "run.sqlite"
            ]


def test_steps_are_whole_numbers_of_python_or_numpy(bench_path, tmp_path):
    run, _ = trained(hl.open_bench(bench_path), tmp_path / "runs")
    for kind in (np.int64, np.int32, np.uint8, np.array):
        for read in (run.values, run.conductances, run.readings):
            np.testing.assert_equal(read(kind(2)), read(2))
    with run.contents() as contents:
        assert [keys[0] for keys, _ in contents.rows("updates", "WHERE step >= ?", np.int64(8))] == [8, 9]
    for read in (run.values, run.conductances, run.readings):
        for wrong in (True, np.True_, 2.0, np.float64(2), "2"):
            with pytest.raises(RunError, match=r"^the step must be a whole number, got .*; run\.steps\(\) is the"):
                read(wrong)
        for wrong in (-1, 10, 1 << 70):
            with pytest.raises(RunError, match=rf"^run .* has no .* of step {wrong}; it has steps 0 to 9$"):
                read(wrong)
