"""Ctrl-C, a second Ctrl-C, SIGTERM and SIGKILL: outputs off, committed data kept, and the run can be resumed."""

import json
import os
import signal
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from hwlearn.cli import app
from hwlearn.lab.runs.store import Run

pytestmark = [
    pytest.mark.skipif(os.name == "nt", reason="Windows cannot send these signals to one process"),
    pytest.mark.usefixtures("without_reports"),
]

# the command line as it is installed, on a twin that reports when it is closed; its readings take 50 ms, so that a
# signal arrives long before the last epoch
PROGRAM = """
import sys
import time
from hwlearn_sim import KirchhoffTwin
close, measure = KirchhoffTwin._close, KirchhoffTwin._measure
def reported(self):
    close(self)
    print("closed", file=sys.stderr, flush=True)
def slow(self, inputs, drive):
    time.sleep(0.05)
    return measure(self, inputs, drive)
KirchhoffTwin._close, KirchhoffTwin._measure = reported, slow
import hwlearn.cli.session
hwlearn.cli.session.draw_run = lambda run: run.folder / "report.png"
from hwlearn.cli import main
main()
"""


class Running:
    """The command line in a process of its own."""

    def __init__(self, *arguments):
        self.process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, *map(str, arguments)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def events(self, number):
        """Read this many JSON lines and return the last."""
        for _ in range(number):
            line = self.process.stdout.readline()
            assert line, self.process.stderr.read()
        return json.loads(line)

    def end(self, *signals):
        """Send signals; return the exit code, the remaining lines of stdout, and the lines of stderr."""
        for number in signals:
            self.process.send_signal(number)
        out, err = self.process.communicate(timeout=60)
        return self.process.returncode, out.splitlines(), err.splitlines()


@pytest.fixture
def start(folder):
    """Return a function that starts a command line, which is killed when the test ends."""
    running = []

    def begin(*arguments):
        running.append(Running(*arguments))
        return running[-1]

    yield begin
    for one in running:
        one.process.kill()
        one.process.communicate()


LONG = ("--set", "train.epochs=30", "--json")


@pytest.fixture(scope="module")
def whole(tmp_path_factory, bench_text):
    """The result of the same training without an interruption."""
    folder = tmp_path_factory.mktemp("whole")
    (folder / "small.toml").write_text(bench_text, encoding="utf-8")
    result = CliRunner().invoke(app, ["train", str(folder / "small.toml"), *LONG, "--runs", str(folder)])
    return json.loads(result.stdout.splitlines()[-1])


def resumed(hwlearn, run, whole):
    """Resume the run and compare its result with that of the uninterrupted training."""
    last = json.loads(hwlearn("resume", run, "--json").out[-1])
    assert last["stopped"] == "finished"
    assert last["epochs"] == whole["epochs"] == 30
    assert last["rms_error_V"] == whole["rms_error_V"]
    mine, theirs = Run.open(run), Run.open(whole["run"])
    assert mine.steps() == theirs.steps()
    assert (mine.conductances() == theirs.conductances()).all()


def test_ctrl_c_keeps_committed_data_and_names_the_resume_command(start, hwlearn, whole):
    command = start("train", "small.toml", *LONG)
    run = command.events(1)["run"]
    command.events(3)
    code, out, err = command.end(signal.SIGINT)
    assert code == 130
    assert json.loads(out[-1])["stopped"] == "interrupted"
    assert err[0] == "closed"
    assert len(err) == 2
    assert f"hwlearn resume {run}" in err[1]
    row = json.loads(hwlearn("runs", "--json").out[-1])
    assert row["status"] == "interrupted"
    assert 3 <= row["epochs"] < 30
    resumed(hwlearn, run, whole)


OTHERS = ("SIGHUP", "SIGQUIT", "SIGABRT", "SIGUSR1", "SIGALRM", "SIGXCPU")


@pytest.mark.parametrize("name", ["SIGTERM", *(pytest.param(name, marks=pytest.mark.slow) for name in OTHERS)])
def test_signal_that_ends_the_process_closes_the_network(start, hwlearn, whole, name):
    number = getattr(signal, name)
    command = start("train", "small.toml", *LONG)
    run = command.events(1)["run"]
    command.events(3)
    code, _, err = command.end(number)
    assert code == 128 + number
    assert err[0] == "closed"
    assert f"hwlearn resume {run}" in err[-1]
    assert json.loads(hwlearn("runs", "--json").out[-1])["status"] == "terminated"
    resumed(hwlearn, run, whole)


@pytest.mark.slow
def test_killed_run_is_broken_off_and_can_be_resumed(start, hwlearn, whole):
    command = start("train", "small.toml", *LONG)
    run = command.events(1)["run"]
    command.events(3)
    busy = hwlearn("resume", run)
    assert busy.code == 2
    assert "being written by another process" in busy.err[0]
    assert json.loads(hwlearn("runs", "--json").out[-1])["status"] == "running"
    command.end(signal.SIGKILL)
    row = json.loads(hwlearn("runs", "--json").out[-1])
    assert row["status"] == "aborted"
    assert row["epochs"] >= 3
    assert hwlearn("report", run).code == 0
    resumed(hwlearn, run, whole)


def test_ctrl_c_twice_still_closes_the_network(start, hwlearn, whole):
    command = start("train", "small.toml", *LONG)
    run = command.events(1)["run"]
    command.events(3)
    # signals in quick succession may arrive as one; the process must close the network in both cases
    code, _, err = command.end(signal.SIGINT, signal.SIGINT)
    assert code == 130
    assert "closed" in err
    assert not [line for line in err if "Traceback" in line]
    resumed(hwlearn, run, whole)
