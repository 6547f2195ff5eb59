"""Wrong requests are refused with one line and exit code 2; nothing is written or applied."""

import json
import os

import numpy as np
import pytest

from hwlearn.errors import LimitError, NetworkError
from hwlearn.lab.runs.database import connect
from hwlearn.lab.runs.store import Run
from hwlearn_sim import KirchhoffTwin
from hwlearn_sim.twin.backend import SimBackend

pytestmark = pytest.mark.usefixtures("without_reports")

GOOD = "0.1,0.2,-0.1,0.3,0.0,0.1,0.2\n"
CSV = ("data.source=rows.csv", "data.target_columns=[4, 5, 6]")
NARROW = ("data.source=rows.csv", "data.target_columns=[4, 5]")


def rows(text):
    """Return a function that writes a data file with these rows."""
    return lambda folder: (folder / "rows.csv").write_text(text, encoding="utf-8")


def small(*changes):
    """Return arguments that change some keys of the small bench."""
    return ["small.toml", *(word for change in changes for word in ("--set", change))]


def nothing(folder):
    """Prepare nothing."""


# a preparation of the folder, the arguments, and words that the error line contains
MISTAKES = {
    "missing file": (nothing, ["gone.toml"], "gone.toml"),
    "no such bench": (nothing, ["irsi"], "did you mean 'iris'?"),
    "not TOML": (lambda f: (f / "bad.toml").write_text("[net"), ["bad.toml"], "not valid TOML"),
    "a folder": (lambda f: (f / "folder.toml").mkdir(), ["folder.toml"], "folder.toml"),
    "missing data": (nothing, small(*CSV), "rows.csv"),
    "text cell": (rows(GOOD + GOOD.replace("-0.1", "oops")), small(*CSV), "line 2, column 2: 'oops'"),
    "NaN": (rows(GOOD + GOOD.replace("-0.1", "nan")), small(*CSV), "line 2, column 2: 'nan'"),
    "short row": (rows(GOOD + "0.1,0.2\n"), small(*CSV), "line 2: 2 columns"),
    "too many inputs": (rows(GOOD), small(*NARROW), "the network has 4 inputs"),
    "too few targets": (rows(GOOD), small(*NARROW, "network.inputs=5"), "targets"),
    "volts beyond the limit": (rows(GOOD.replace("-0.1", "-0.6")), small(*CSV), "limits.voltage = 500 mV"),
    "spread beyond the limit": (nothing, small("limits.drop=100 mV"), "limits.drop = 100 mV"),
    "limit beyond the converter": (nothing, small("backend.dac_range=300 mV"), "beyond the DAC range"),
    "range upside down": (nothing, small("limits.conductance=['2 uS', '1 uS']"), "limits.conductance"),
    "unknown backend": (nothing, small("backend.kind=smi"), "'smi', did you mean 's"),
    "mistyped key": (nothing, small("train.epoch=3"), "did you mean 'epochs'?"),
    "mistyped table": (nothing, small("trian.epochs=3"), "did you mean 'train'?"),
    "wrong unit": (nothing, small("limits.nudge=200 mA"), "'200 mA' is not in V"),
    "wrong word": (nothing, small("train.rule=gap"), "train.rule = 'gap'"),
    "nudge out of reach": (nothing, small("backend.nudges=['clamp']"), "can make: clamp"),
    "unknown edge": (nothing, small("train.subset=[30]"), "edge 30"),
    "bad graph": (nothing, small("network.outputs=[0]"), "both input and output"),
    "negative seed": (nothing, ["small.toml", "--seed", "-1"], "train.seed = -1"),
}


@pytest.mark.share(23)
@pytest.mark.parametrize(("prepare", "arguments", "words"), MISTAKES.values(), ids=MISTAKES)
@pytest.mark.parametrize("as_json", [[], ["--json"]], ids=["text", "json"])
def test_wrong_request_is_refused_before_anything_is_applied(
    hwlearn, folder, mocker, prepare, arguments, words, as_json
):
    measured, programmed = mocker.spy(KirchhoffTwin, "_measure"), mocker.spy(KirchhoffTwin, "_program")
    prepare(folder)
    before = sorted(folder.iterdir())
    ended = hwlearn("train", *arguments, *as_json)
    assert ended.code == 2
    assert ended.out == []
    assert len(ended.err) == 1
    assert ended.err[0].startswith("hwlearn: ")
    assert words in ended.err[0]
    assert sorted(folder.iterdir()) == before  # no run folder, not even an empty one
    assert measured.call_count == programmed.call_count == 0


@pytest.mark.parametrize("command", ["resume", "report"])
def test_missing_run_is_refused(hwlearn, folder, command):
    ended = hwlearn(command, "20200101")
    assert (ended.code, ended.out, len(ended.err)) == (2, [], 1)
    assert "hwlearn runs" in ended.err[0]
    assert not (folder / "runs").exists()


@pytest.mark.parametrize("command", ["check", "off"])
def test_check_and_off_refuse_wrong_bench_files(hwlearn, command):
    for arguments in (["gone.toml"], ["small.toml", "--set", "backend.kind=smi"]):
        ended = hwlearn(command, *arguments)
        assert (ended.code, ended.out, len(ended.err)) == (2, [], 1)


def test_runs_folder_that_cannot_be_created_is_refused(hwlearn, folder):
    (folder / "file").write_text("no folder")
    ended = hwlearn("train", "small.toml", "--runs", "file")
    assert (ended.code, ended.out, len(ended.err)) == (2, [], 1)
    assert "file" in ended.err[0]


def test_unreachable_hardware_is_a_failure_and_leaves_no_run(hwlearn, folder, mocker):
    mocker.patch.object(SimBackend, "open", side_effect=NetworkError("no reply from GPIB0::12"))
    ended = hwlearn("train", "small.toml")
    assert (ended.code, ended.out) == (1, [])
    assert ended.err == ["hwlearn: no reply from GPIB0::12"]
    assert not (folder / "runs").exists()


@pytest.mark.parametrize("error", [LimitError("the source tripped"), NetworkError("no reply")])
def test_failed_training_can_be_resumed(hwlearn, folder, mocker, error):
    measure, closed = KirchhoffTwin._measure, mocker.spy(KirchhoffTwin, "_close")
    count = 0

    def failing(self, inputs, drive):
        nonlocal count
        count += 1
        if count == 6:
            raise error
        return measure(self, inputs, drive)

    mocker.patch.object(KirchhoffTwin, "_measure", failing)
    ended = hwlearn("train", "small.toml", "--json")
    assert ended.code == 1
    assert len(ended.err) == 1
    assert str(error) in ended.err[0]
    assert "hwlearn resume" in ended.err[0]
    assert closed.call_count == 1
    run = json.loads(ended.out[0])["run"]
    row = json.loads(hwlearn("runs", "--json").out[0])
    assert row["status"] == f"failed: {error}"
    assert row["steps"] == 2  # five measurements: a free and a nudged one for each update
    resumed = json.loads(hwlearn("resume", run, "--json").out[-1])
    plain = json.loads(hwlearn("train", "small.toml", "--json").out[-1])
    assert resumed["epochs"] == 5
    assert resumed["rms_error_V"] == plain["rms_error_V"]
    again = hwlearn("resume", run)
    assert again.code == 2
    assert "nothing to resume" in again.err[0]


def test_full_disk_is_reported_in_one_line(hwlearn, mocker):
    def small_disk(folder, *synchronous):
        db = connect(folder, *synchronous)
        (pages,) = db.execute("PRAGMA page_count").fetchone()
        db.execute(f"PRAGMA max_page_count = {pages + 1}")
        return db

    mocker.patch("hwlearn.lab.runs.recorder.connect", small_disk)
    ended = hwlearn("train", "small.toml", "--json")
    assert ended.code == 1
    assert len(ended.err) == 1
    assert "full" in ended.err[0]
    mocker.stopall()
    assert hwlearn("resume", json.loads(ended.out[0])["run"]).code == 0


def test_run_of_another_topology_is_not_resumed(hwlearn, folder):
    hwlearn("train", "small.toml", "--set", "train.epochs=0")
    run = next((folder / "runs").iterdir())
    Run.open(run).set_meta(status="interrupted", topology="0" * 16)
    ended = hwlearn("resume", run.name)
    assert ended.code == 2
    assert "another topology" in ended.err[0]


def test_nan_reading_ends_the_training(hwlearn, mocker):
    measure = KirchhoffTwin._measure

    def broken(self, inputs, drive):
        readout = measure(self, inputs, drive)
        readout.voltages[0, 0] = np.nan
        return readout

    mocker.patch.object(KirchhoffTwin, "_measure", broken)
    ended = hwlearn("train", "small.toml")
    assert ended.code == 1
    assert len(ended.err) == 1


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such file names")
def test_control_characters_in_names_are_escaped_in_one_line(hwlearn, folder, bench_text):
    (folder / "new\nline.toml").write_text(bench_text, encoding="utf-8")
    ended = hwlearn("train", "new\nline.toml")
    assert (ended.code, len(ended.err)) == (2, 1)
    assert r"'new\nline'" in ended.err[0]
    assert hwlearn("off", "new\nline.toml").code == 0
    ended = hwlearn("train", "esc\x1b[2J.toml")
    assert ended.err == [r"hwlearn: there is no bench file esc\x1b[2J.toml"]
    # a run folder that was made before, or by somebody else
    assert hwlearn("train", "small.toml", "--set", "train.epochs=1").code == 0
    made = next((folder / "runs").iterdir())
    made.rename(folder / "runs" / "old\nrun\x1b[2J")
    assert sum(r"old\nrun\x1b[2J" in line for line in hwlearn("runs").out) == 1
