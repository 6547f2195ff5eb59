"""`bench.train()` records a run and shows its progress, unless it is not wanted."""

import contextlib
import io
import re
import sys

import numpy as np
import pytest

import hwlearn as hl
from hwlearn.errors import NetworkError, RunError, SetupError
from hwlearn.lab.runs.database import connect
from hwlearn.lab.runs.recorder import RunRecorder
from hwlearn.lab.runs.store import Run


@pytest.fixture
def runs(tmp_path, monkeypatch):
    """The folder of all runs."""
    folder = tmp_path / "my-runs"
    monkeypatch.setenv("HWLEARN_RUNS", str(folder))
    return folder


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_training_from_python_records_a_run(bench_path, runs):
    with hl.open_bench(bench_path) as bench:
        history = bench.train(note="first try")
    (run,) = hl.runs()
    assert run.folder == bench.run_folder == runs / run.name
    assert (run.status, run.steps()) == ("finished", 10)
    np.testing.assert_array_equal(run.conductances(), history.conductances)
    with run.contents() as contents:
        contents.verify()
        assert contents.notes() == ["first try"]
    assert run.meta("seconds") > 0


def test_recording_changes_no_number_of_a_training(bench_path, runs):
    histories = []
    for record in (None, False):
        with hl.open_bench(bench_path, ["backend.read_noise=1 mV"]) as bench:
            histories.append(bench.train(record=record))
    recorded, plain = histories
    np.testing.assert_array_equal(recorded.conductances, plain.conductances)
    assert [epoch.train for epoch in recorded.epochs] == [epoch.train for epoch in plain.epochs]
    assert len(hl.runs()) == 1


def test_runs_go_to_a_chosen_folder_or_nowhere(bench_path, runs, tmp_path):
    with hl.open_bench(bench_path, ["train.epochs=1"]) as bench:
        bench.train(record=False)
        assert bench.run_folder is None
        bench.train(record=tmp_path / "others")
        assert bench.run_folder.parent == tmp_path / "others"
        bench.with_(train__epochs=2).train()
    assert len(hl.runs()) == 1  # of the bench with two epochs


def test_a_callback_that_records_is_enough(bench_path, runs, tmp_path):
    bench = hl.open_bench(bench_path, ["train.epochs=1"])
    run = Run.create(bench, tmp_path / "own")
    with bench, RunRecorder(run, bench) as recorder:
        bench.train([recorder])
        with pytest.raises(SetupError, match="a callback records this training already"):
            bench.train([recorder], record=True)
        with pytest.raises(SetupError, match="cannot be recorded as a new run"):
            bench.train(start=run.progress(), record=True)
        bench.train(start=run.progress())
    assert hl.runs() == []


def test_failed_training_keeps_its_steps_and_says_why(bench_path, runs):
    class Fails(hl.Callback):
        def on_step(self, step):
            if step.number == 2:
                raise ConnectionResetError("the cable was unplugged")

    with hl.open_bench(bench_path) as bench, pytest.raises(ConnectionResetError):
        bench.train([Fails()])
    (run,) = hl.runs()
    assert (run.status, run.steps()) == ("failed: the cable was unplugged", 3)
    with run.bench() as again, RunRecorder(run, again) as recorder:
        again.train([recorder], run.progress())
    assert (run.status, run.steps()) == ("finished", 10)


def test_folder_that_cannot_be_written_is_refused_before_the_first_measurement(bench_path, monkeypatch, tmp_path):
    (tmp_path / "file").write_text("", encoding="utf-8")
    monkeypatch.setenv("HWLEARN_RUNS", str(tmp_path / "file"))
    with hl.open_bench(bench_path) as bench:
        with pytest.raises(RunError, match=r"cannot create a run folder .* train\(record=False\)"):
            bench.train()
        assert bench.network.measurements == 0
        assert bench.train(record=False).stopped == "finished"


def test_full_disk_switches_the_outputs_off(tmp_path, runs, monkeypatch):
    def full(*args):
        raise RunError("run cannot be written: database or disk is full")

    with hl.open_bench("virtual-smu", ["train.epochs=2"]) as bench:
        monkeypatch.setattr(RunRecorder, "on_gradient", full)
        with pytest.raises(RunError, match="disk is full"):
            bench.train()
        assert bench.network.drives_outputs is False


@pytest.mark.usefixtures("runs")
def test_run_says_that_outputs_are_off_after_its_bench_is_closed():
    settings = ["train.epochs=1", "backend.noise=0.0", "data.samples=4"]
    with hl.open_bench("virtual-smu", settings) as bench:
        bench.train(progress=False)
        (run,) = hl.runs()
        assert run.meta("outputs") == "on"  # it is open: the instruments hold the outputs
    assert run.meta("outputs") == "off"


@pytest.mark.usefixtures("runs")
def test_run_that_another_process_continues_is_not_marked_as_off():
    with hl.open_bench("virtual-smu", ["train.epochs=1", "backend.noise=0.0", "data.samples=4"]) as bench:
        bench.train(progress=False)
        (run,) = hl.runs()
        with contextlib.closing(connect(run.folder)) as db, db:  # what a later session begins with
            db.execute("INSERT INTO sessions VALUES (1, 'now', NULL, 0.0, '{}')")
    assert run.meta("outputs") == "on"


@pytest.mark.usefixtures("runs")
def test_run_whose_outputs_could_not_be_switched_off_does_not_say_so(mocker):
    bench = hl.open_bench("virtual-smu", ["train.epochs=1", "backend.noise=0.0", "data.samples=4"])
    bench.train(progress=False)
    (run,) = hl.runs()
    real = type(bench.network).close
    mocker.patch.object(type(bench.network), "close", side_effect=NetworkError("OUTPUTS MAY BE ON"), autospec=True)
    network = bench.network
    with pytest.raises(NetworkError):
        bench.close()
    assert run.meta("outputs") == "on"
    mocker.stopall()
    real(network)


@pytest.mark.usefixtures("runs")
def test_progress_is_shown_in_a_terminal_only(bench_path, monkeypatch):
    for stream, shown in ((Terminal(), True), (io.StringIO(), False)):
        monkeypatch.setattr(sys, "stderr", stream)
        monkeypatch.setenv("TERM", "xterm")
        with hl.open_bench(bench_path) as bench:
            bench.train()
        assert ("5/5 epochs  rms error" in re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", stream.getvalue())) == shown
        before = len(stream.getvalue())
        with hl.open_bench(bench_path) as bench:
            bench.train(progress=False)
        assert len(stream.getvalue()) == before


def test_note_that_cannot_be_stored_leaves_no_run(runs):
    with hl.open_bench("regression", ["train.epochs=1"]) as bench:
        with pytest.raises(RunError, match="NUL"):
            bench.train(note="a\0b")
        assert not runs.exists()
        assert bench.network.measurements == 0
