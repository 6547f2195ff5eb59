"""`hwlearn calibrate`: results, refusals, and interruptions without loss."""

import dataclasses
import json
import os
import shutil
import signal
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

import hwlearn as hl
from hwlearn.calibrated.record import CalibrationRecord
from hwlearn.cli import app
from hwlearn.lab.calibration.calibrate import calibrate
from hwlearn.lab.calibration.job import RECORD_NAME, CalibrationOptions
from hwlearn.lab.calibration.journal.journal import Journal
from hwlearn_sim.twin.backend import SimBackend

pytestmark = pytest.mark.usefixtures("without_rendering")

STEPS = ["noise", "lines", "converters", "edges", "verify"]  # pulses run only if they are named
FLAWS = [
    "device_spread = 0.2",
    'read_noise = "1 mV"',
    'current_noise = "10 nA"',
    "adc_gain = 0.02",
    'adc_offset = "5 mV"',
    "dac_gain = 0.02",
    'dac_offset = "5 mV"',
]
QUICK = ("--configurations", 4, "--patterns", 12)


def write_flawed(folder, bench_text):
    """Write the small bench with converters and devices that deviate from their nominal values."""
    text = bench_text.replace('kind = "sim"', "\n".join(['kind = "sim"', *FLAWS]))
    (folder / "flawed.toml").write_text(text, encoding="utf-8")
    return folder


@pytest.fixture
def flawed(folder, bench_text):
    """The working directory with the flawed bench."""
    return write_flawed(folder, bench_text)


@pytest.fixture(scope="module")
def complete(tmp_path_factory, bench_text):
    """A folder in which every step of the flawed bench was run, and the exit code and events of the command."""
    folder = write_flawed(tmp_path_factory.mktemp("complete"), bench_text)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        result = CliRunner().invoke(app, ["calibrate", "flawed.toml", "--json", *map(str, QUICK)])
    return folder, result.exit_code, [json.loads(line) for line in result.stdout.splitlines()]


@pytest.fixture
def calibrated(folder, complete):
    """The working directory with the flawed bench and its complete record."""
    shutil.copytree(complete[0], folder, dirs_exist_ok=True)
    return folder


def events(ended, kind="step"):
    lines = [json.loads(line) for line in ended.out]
    return [line for line in lines if line["event"] == kind]


def test_every_step_passes_on_the_twin(complete):
    folder, code, lines = complete
    found = {event["step"]: event for event in lines if event["event"] == "step"}
    assert list(found) == STEPS
    assert [event["verdict"] for event in found.values() if event["passed"] is False] == []
    assert code == 0
    for event in found.values():
        assert event["verdict"].startswith("PASSED: ")
        assert Path(event["figure"]).read_bytes().startswith(b"\x89PNG")
        assert event["rows"]
        assert event["measured"] > 0
        assert event["kept"] == 0
    record = CalibrationRecord.load(folder / RECORD_NAME)
    assert list(record.made) == STEPS
    assert record.noise.reading_sigma_V == pytest.approx(1e-3, rel=0.2)
    assert record.verify.rms_V < 1.25e-3
    assert record.verify.nominal_rms_V > 4e-3
    assert record.edges.scale_known
    assert not (folder / "calibration.unfinished").exists()
    assert lines[-1]["event"] == "end"
    assert lines[-1]["failed"] == []


def test_calibrated_bench_is_nearer_to_its_model(hwlearn, calibrated):
    named = (calibrated / "flawed.toml").read_text(
        encoding="utf-8"
    ) + '\n[calibration]\nfile = "calibration.toml"\n'
    (calibrated / "named.toml").write_text(named, encoding="utf-8")
    error = {}
    for name in ("flawed", "named"):
        with hl.open_bench(f"{name}.toml") as bench:
            g = bench.network.program(np.full(30, 2e-5)).reached
            outputs = hl.Kirchhoff(bench.topology, g).solve(bench.data.inputs)[:, bench.topology.outputs]
            read = np.mean([bench.network.measure(bench.data.inputs).voltages for _ in range(64)], axis=0)
            error[name] = np.sqrt(np.mean((read - outputs) ** 2))
    assert error["named"] < 0.15 * error["flawed"]
    # a run keeps the file's whole path, so that it can be resumed and drawn from anywhere
    run = json.loads(hwlearn("train", "named.toml", "--set", "train.epochs=2", "--json").out[-1])["run"]
    assert str(calibrated / RECORD_NAME) in (Path(run) / "bench.toml").read_text(encoding="utf-8")


def test_check_reports_drift_and_age(hwlearn, calibrated):
    named = ("--set", "calibration.file=calibration.toml")

    def result(name, *changes):
        ended = hwlearn("check", "flawed.toml", *named, *changes, "--json")
        return {c["name"]: c["result"] for c in map(json.loads, ended.out)}[name]

    assert result("calibration drift") == "pass"
    assert result("calibration drift", "--set", "backend.seed=9") == "fail"
    assert result("calibration age") == "pass"
    assert result("calibration age", "--set", "calibration.most_age_days=1e-9") == "fail"
    # without the step verify there is nothing to compare with
    record = CalibrationRecord.load(calibrated / RECORD_NAME)
    dataclasses.replace(record, verify=None).save(calibrated / RECORD_NAME)
    assert result("calibration drift") == "not applicable"


def test_output_shows_tables_and_how_to_use_the_record(hwlearn, flawed):
    ended = hwlearn("calibrate", "flawed.toml", "noise", "lines")
    assert ended.code == 0
    text = "\n".join(ended.out)
    for word in ("one reading", "source and line of", "uncertainty", "PASSED: ", RECORD_NAME):
        assert word in text
    table = tomllib.loads(text[text.index("[calibration]") :])  # the printed lines can be copied into a bench file
    assert Path(table["calibration"]["file"]).name == RECORD_NAME


def test_repeated_step_removes_the_results_that_depend_on_it(hwlearn, calibrated):
    before = CalibrationRecord.load(calibrated / RECORD_NAME)
    hwlearn("calibrate", "flawed.toml", "noise", "--seed", 3)
    after = CalibrationRecord.load(calibrated / RECORD_NAME)
    assert after.edges == before.edges
    assert after.noise != before.noise
    ended = hwlearn("calibrate", "flawed.toml", "converters", "noise", "--json", *QUICK)
    assert [event["step"] for event in events(ended)] == ["noise", "converters"]
    last = CalibrationRecord.load(calibrated / RECORD_NAME)
    assert last.edges is None
    assert last.verify is None
    assert list(last.made) == ["noise", "lines", "converters"]


def test_step_without_current_readout_is_not_measurable(hwlearn, flawed):
    changes = ("--set", "backend.current_readout=false")
    ended = hwlearn("calibrate", "flawed.toml", "lines", *changes, "--json")
    (lines,) = events(ended)
    assert lines["passed"] is None
    assert "does not measure the currents" in lines["verdict"]
    assert lines["figure"] is None
    assert CalibrationRecord.load(flawed / RECORD_NAME).lines is None
    assert ended.code == 0


def test_common_scale_is_unknown_from_voltages_alone(hwlearn, flawed):
    changes = (
        "--set",
        "backend.current_readout=false",
        "--set",
        "backend.nudges=['clamp']",
        "--set",
        "train.nudge=clamp",
    )
    ended = hwlearn("calibrate", "flawed.toml", "edges", *changes, "--json", *QUICK)
    (edges,) = events(ended)
    assert edges["found"]["edges"]["scale_known"] is False
    assert "not measurable from voltages alone" in edges["verdict"]
    assert edges["found"]["edges"]["scale_sigma"] > 0.01


def test_failed_step_sets_the_exit_code(hwlearn, flawed):
    ended = hwlearn("calibrate", "flawed.toml", "noise", "--set", "backend.settle_tau=50 us", "--json")
    (noise,) = events(ended)
    assert noise["passed"] is False
    assert "settle" in noise["verdict"]
    assert noise["found"]["noise"]["settle_s"] > 200e-6
    assert ended.code == 1
    assert events(ended, "end")[0]["failed"] == ["noise"]


# --- refusals -----------------------------------------------------------------------------------------


def one_line(ended, code, *words):
    assert ended.code == code
    assert len(ended.err) == 1
    for word in words:
        assert word in ended.err[0]


def test_wrong_requests_are_refused_in_one_line(hwlearn, flawed):
    one_line(hwlearn("calibrate", "flawed.toml", "edge"), 2, "did you mean 'edges'")
    one_line(hwlearn("calibrate", "flawed.toml", "--configurations", 0), 2, "configurations is 0")
    one_line(hwlearn("calibrate", "flawed.toml", "--patterns", 0), 2, "patterns is 0")
    assert list(flawed.glob("calib*")) == []


@pytest.fixture
def opened(mocker):
    """A spy that counts how often the network was opened."""
    return mocker.spy(SimBackend, "open")


def test_record_of_another_topology_is_refused_before_opening(hwlearn, flawed, opened):
    hwlearn("calibrate", "flawed.toml", "noise")
    opened.reset_mock()
    other = ("--set", "network.seed=6")
    one_line(hwlearn("calibrate", "flawed.toml", "noise", *other), 2, "would be overwritten", "another topology")
    use = ("--set", "calibration.file=calibration.toml")
    one_line(hwlearn("train", "flawed.toml", *other, *use), 2, "another topology")
    one_line(hwlearn("check", "flawed.toml", *other, *use), 2, "another topology")
    assert opened.call_count == 0


def test_damaged_missing_or_mistyped_record_is_refused(hwlearn, flawed, opened):
    hwlearn("calibrate", "flawed.toml", "noise")
    opened.reset_mock()
    use = ("--set", "calibration.file=calibration.toml")
    path = flawed / RECORD_NAME
    text = path.read_text(encoding="utf-8")
    path.write_text(text[:-40], encoding="utf-8")
    one_line(hwlearn("train", "flawed.toml", *use), 2, "incomplete")
    one_line(hwlearn("calibrate", "flawed.toml", "noise"), 2, "incomplete", "delete it")
    path.write_text(text.replace("floor_V", "flor_V"), encoding="utf-8")
    one_line(hwlearn("train", "flawed.toml", *use), 2, "noise.flor_V", "did you mean 'floor_V'")
    path.unlink()
    one_line(hwlearn("train", "flawed.toml", *use), 2, "there is no calibration file")
    assert opened.call_count == 0
    one_line(hwlearn("train", "flawed.toml", "--set", "calibration.fil=x"), 2, "did you mean 'file'")


def test_record_of_other_instruments_is_refused(hwlearn, flawed, mocker):
    who = mocker.patch("hwlearn_sim.twin.twin.KirchhoffTwin.instruments", new_callable=mocker.PropertyMock)
    who.return_value = ("Maker SMU, serial 1, at here",)
    assert hwlearn("calibrate", "flawed.toml", "noise").code == 0
    use = ("--set", "calibration.file=calibration.toml", "--set", "train.epochs=0")
    who.return_value = ("Maker SMU, serial 1, at another place",)
    assert hwlearn("train", "flawed.toml", *use).code == 0
    who.return_value = ("Maker SMU, serial 2, at here",)
    one_line(hwlearn("train", "flawed.toml", *use), 2, "serial 1", "this bench has", "serial 2")
    one_line(hwlearn("calibrate", "flawed.toml", "noise"), 2, "would be overwritten", "serial 2")
    assert hwlearn("calibrate", "flawed.toml", "noise", "-o", "other.toml").code == 0


# --- interruptions ------------------------------------------------------------------------------------

posix = pytest.mark.skipif(os.name == "nt", reason="Windows cannot send these signals to one process")
STEPS_RUN = ("noise", "converters", "edges", "verify")
WORK = (*STEPS_RUN, "--configurations", 4, "--patterns", 8, "--json")
PROGRAM = """
from matplotlib.figure import Figure
Figure.savefig = lambda figure, file, **options: None  # rendering takes longer than the measurements
from hwlearn.cli import main
main()
"""
QUIET = ("--set", "backend.read_noise=0", "--set", "backend.current_noise=0")


@pytest.fixture
def start(flawed):
    """Return a function that starts the calibration in another process."""
    running = []

    def begin(*more):
        line = [sys.executable, "-c", PROGRAM, "calibrate", "flawed.toml", *map(str, (*WORK, *more))]
        running.append(subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True))
        return running[-1]

    yield begin
    for one in running:
        one.kill()
        one.communicate()


def ended_at(process, step, done, *signals):
    """Wait for some progress of a step, send signals, and return exit code, finished steps and stderr."""
    seen = []
    for line in process.stdout:
        event = json.loads(line)
        seen.append(event)
        if event["event"] == "progress" and event["step"] == step and event["done"] >= done:
            break
    for number in signals:
        process.send_signal(number)
    out, err = process.communicate(timeout=60)
    seen += [json.loads(line) for line in out.splitlines() if line.endswith("}")]
    return process.returncode, [e for e in seen if e["event"] == "step"], err


@pytest.fixture(scope="module")
def whole(tmp_path_factory, bench_text):
    """Record of an uninterrupted calibration, and the samples measured in each step."""
    folder = write_flawed(tmp_path_factory.mktemp("whole"), bench_text)
    with hl.open_bench(folder / "flawed.toml", QUIET[1::2]) as bench:
        job = bench.calibration_job(CalibrationOptions(configurations=4, patterns=8))
        measured = {done.result.step: done.measured for done in calibrate(job, STEPS_RUN)}
    return CalibrationRecord.load(folder / RECORD_NAME), measured


def slow(*values):
    return pytest.param(*values, marks=pytest.mark.slow)


@pytest.mark.slow
@posix
@pytest.mark.parametrize(
    ("step", "done", "number", "code"),
    [
        slow("noise", 2, signal.SIGKILL, -signal.SIGKILL),
        slow("converters", 3, signal.SIGKILL, -signal.SIGKILL),
        slow("edges", 2, signal.SIGKILL, -signal.SIGKILL),
        ("edges", 3, signal.SIGINT, 130),
        slow("converters", 2, signal.SIGTERM, 128 + signal.SIGTERM),
        slow("verify", 2, signal.SIGKILL, -signal.SIGKILL),
    ]
    if os.name != "nt"
    else [],
)
def test_interrupted_calibration_continues_without_loss(start, hwlearn, flawed, whole, step, done, number, code):
    record, samples = whole
    ended, first, err = ended_at(start(*QUIET), step, done, number)
    assert ended == code
    if number == signal.SIGINT:
        assert "run the same command again to continue" in err
        assert len(err.splitlines()) == 1
    assert (flawed / "calibration.unfinished" / step).is_dir()
    again = hwlearn("calibrate", "flawed.toml", *WORK, *QUIET)
    steps = {e["step"]: e for e in events(again)}
    assert list(steps) == list(STEPS_RUN), again.err
    # steps that were done before are reported again, not measured
    assert [name for name, e in steps.items() if e["before"]] == [e["step"] for e in first]
    assert all(e["measured"] == 0 for e in steps.values() if e["before"])
    assert steps[step]["kept"] >= done
    # only the request during which the process was killed may be measured twice
    assert steps[step]["measured"] < samples[step]
    last = CalibrationRecord.load(flawed / RECORD_NAME)
    assert list(last.made) == list(record.made)
    np.testing.assert_allclose(last.edges.gain, record.edges.gain, rtol=1e-6)
    np.testing.assert_allclose(last.converters.input_gain, record.converters.input_gain, rtol=1e-6)
    assert not (flawed / "calibration.unfinished").exists()


def test_unfinished_calibration_with_other_options_starts_again(hwlearn, flawed, monkeypatch):
    keep = Journal.keep

    def interrupted(journal, number, *others):
        keep(journal, number, *others)
        if (journal.folder.name, number) == ("converters", 3):
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Journal, "keep", interrupted)
        assert hwlearn("calibrate", "flawed.toml", *WORK).code == 130
    assert (flawed / "calibration.unfinished" / "converters").is_dir()
    steps = events(hwlearn("calibrate", "flawed.toml", *WORK, "--seed", 1))
    assert [(e["kept"], e["before"]) for e in steps] == [(0, False)] * 4


@pytest.mark.slow
@posix
def test_second_calibration_at_once_is_refused(start, flawed, hwlearn):
    process = start()
    for line in process.stdout:
        event = json.loads(line)
        if event["event"] == "progress" and event["step"] == "converters":
            break
    process.send_signal(signal.SIGSTOP)
    try:
        busy = hwlearn("calibrate", "flawed.toml", "converters", *QUICK)
        assert busy.code != 0
        assert "calibration" in busy.err[0]
        assert "being written by another process" in busy.err[0]
    finally:
        process.send_signal(signal.SIGCONT)
