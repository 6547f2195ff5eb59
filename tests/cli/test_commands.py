"""Output, files and exit codes of each command."""

import json
import tomllib
from pathlib import Path

import pytest

from hwlearn.errors import NetworkError
from hwlearn.installed import entry_points
from hwlearn.lab.bench_file.file import shipped_benches
from hwlearn.lab.runs.store import Run
from hwlearn_sim.twin.backend import SimBackend

KEYS = {"event", "run", "bench", "backend", "epochs", "stopped", "measurements", "seconds", "report", "energy"}


def test_train_prints_json_lines_for_scripts(hwlearn, folder):
    ended = hwlearn("train", "iris", "--set", "train.epochs=8", "--json")
    assert (ended.code, ended.err) == (0, [])
    events = [json.loads(line) for line in ended.out]  # stdout holds nothing else
    assert [e["event"] for e in events] == ["start", *["epoch"] * 8, "end"]
    assert [e["number"] for e in events[1:-1]] == list(range(8))
    last = events[-1]
    assert set(last) == KEYS | {"test_accuracy", "true_test_accuracy"}
    assert (last["bench"], last["backend"], last["epochs"], last["stopped"]) == ("iris", "sim", 8, "finished")
    assert last["test_accuracy"] > 0.7
    assert 0 < last["seconds"] < 30
    run = Run.open(last["run"])
    assert run.folder.parent.resolve() == folder / "runs"
    assert (run.folder / "report.png").stat().st_size > 10_000


@pytest.mark.usefixtures("without_reports")
def test_train_with_target_volts_reports_rms_error(hwlearn):
    last = json.loads(hwlearn("train", "small.toml", "--json").out[-1])
    assert set(last) == KEYS | {"rms_error_V", "true_rms_error_V"}
    # 5 epochs of one free and two nudged phases for 6 samples, and the final measurement
    assert last["measurements"] == 90
    assert last["rms_error_V"] == pytest.approx(last["true_rms_error_V"])


@pytest.mark.usefixtures("without_reports")
def test_class_targets_with_mse_cost_have_an_accuracy(hwlearn):
    changes = ["--set", "train.epochs=3", "--set", "train.cost=mse"]
    last = json.loads(hwlearn("train", "iris", *changes, "--json").out[-1])
    assert 0 <= last["test_accuracy"] <= 1
    every = json.loads(hwlearn("train", "iris", *changes, "--set", "data.test_fraction=0", "--json").out[-1])
    assert 0 <= every["train_accuracy"] <= 1
    assert "test_accuracy" not in every


def test_train_prints_a_closing_table(hwlearn, folder):
    ended = hwlearn("train", "small.toml")
    assert ended.code == 0
    text = "\n".join(ended.out)
    run = next((folder / "runs").iterdir())
    for words in ("measured", "true", "rms error", "6 training samples", "finished after 5 epochs", "90"):
        assert words in text
    assert any(line.split() == ["run", str(Path("runs", run.name))] for line in ended.out)


@pytest.mark.usefixtures("without_reports")
def test_seed_option_seeds_training_and_simulated_devices(hwlearn):
    one, again, other = (
        json.loads(
            hwlearn("train", "small.toml", "--seed", seed, "--set", "train.initial=random", "--json").out[-1]
        )
        for seed in (1, 1, 2)
    )
    assert one["rms_error_V"] == again["rms_error_V"] != other["rms_error_V"]
    bench = Run.open(other["run"]).bench().file
    assert bench.train.seed == 2
    assert bench.tables["backend"]["seed"] == 2


@pytest.mark.usefixtures("without_reports")
def test_runs_folder_comes_from_option_or_environment(hwlearn, folder, monkeypatch):
    hwlearn("train", "small.toml", "--set", "train.epochs=1", "--runs", folder / "here")
    monkeypatch.setenv("HWLEARN_RUNS", str(folder / "there"))
    hwlearn("train", "small.toml", "--set", "train.epochs=1")
    for name in ("here", "there"):
        assert len(list((folder / name).iterdir())) == 1
    assert not (folder / "runs").exists()


@pytest.mark.usefixtures("without_reports")
def test_runs_lists_every_run_and_unreadable_ones(hwlearn, folder):
    assert "no runs" in hwlearn("runs").out[0]
    hwlearn("train", "small.toml")
    hwlearn("train", "iris", "--set", "train.epochs=1")
    broken = folder / "runs" / "20200101-000000-broken-s0"
    broken.mkdir()
    (broken / "run.sqlite").write_bytes(b"no database" * 100)
    ended = hwlearn("runs", "--json")
    assert ended.code == 0
    rows = {Path(row["run"]).name.split("-", 2)[2]: row for row in map(json.loads, ended.out)}
    assert rows["small-s0"]["status"] == "finished"
    assert rows["small-s0"]["epochs"] == 5
    assert rows["small-s0"]["steps"] == 10
    assert rows["iris-s0"]["result"]["measured"]["accuracy"] > 0
    assert rows["broken-s0"]["status"].startswith("unreadable")
    text = "\n".join(hwlearn("runs").out)
    for run in (folder / "runs").iterdir():
        assert run.name in text  # the whole name, to be copied


@pytest.mark.usefixtures("without_reports")
@pytest.mark.parametrize("columns", [80, 120])
def test_runs_fits_the_terminal(hwlearn, folder, monkeypatch, columns):
    monkeypatch.setenv("COLUMNS", str(columns))
    bench = folder / "virtual-board.toml"
    bench.write_bytes((folder / "small.toml").read_bytes())
    hwlearn("train", bench, "--set", "train.epochs=1")
    run = Run.open(next((folder / "runs").iterdir()))
    result = run.meta("result")
    result["measured"]["rms_error_V"] = 0.123456
    run.set_meta(result=result, status="no improvement")
    lines = hwlearn("runs").out
    assert len(lines) == 2
    assert lines[1].split()[0] == run.name
    assert all(word in lines[1] for word in ("no improvement", "1", "rms error 123.456 mV"))
    assert (" sim " in lines[1]) == (columns == 120)
    run.set_meta(status="failed: [limits] voltage")
    assert "[limits]" in " ".join(hwlearn("runs").out)


@pytest.mark.usefixtures("without_reports")
def test_report_is_drawn_into_the_run_folder_or_a_named_file(hwlearn, folder):
    hwlearn("train", "small.toml")
    run = next((folder / "runs").iterdir())
    ended = hwlearn("report", run.name)
    assert ended.code == 0
    assert ended.out == [str(run.relative_to(folder) / "report.html")]
    assert (run / "report.html").read_bytes().startswith(b"<!DOCTYPE html>")
    assert hwlearn("report", run.name, "--format", "png").code == 0
    assert (run / "report.png").read_bytes().startswith(b"\x89PNG")
    assert hwlearn("report", run.name, "--format", "docx").code == 2
    line = json.loads(hwlearn("report", run, "-o", "other.png", "--json").out[0])
    assert line["report"] == "other.png"
    assert (folder / "other.png").is_file()
    assert hwlearn("report", run, "-o", "no/such/folder.png").code == 1


def test_init_writes_a_bench_file_that_trains(hwlearn, folder):
    assert hwlearn("init").code == 0
    assert "#" in (folder / "bench.toml").read_text(encoding="utf-8")
    assert hwlearn("train", "bench.toml", "--set", "train.epochs=1").code == 0
    for name in shipped_benches():
        assert json.loads(hwlearn("init", f"{name}.toml", "--like", name, "--json").out[0])["like"] == name
        assert "network" in tomllib.loads((folder / f"{name}.toml").read_text(encoding="utf-8"))


@pytest.mark.parametrize("like", ["smu", "matrix", "scanner", "daq"])
def test_init_writes_templates_for_instruments(like, hwlearn, folder):
    if like not in {point.name for point in entry_points(group="hwlearn.templates")}:
        pytest.skip("the installed package is older than its pyproject.toml; install it again")
    ended = hwlearn("init", "mine.toml", "--like", like)
    assert ended.code == 0
    assert "set the addresses of your instruments" in ended.out[0]
    assert tomllib.loads((folder / "mine.toml").read_text(encoding="utf-8"))["backend"]["kind"] == "bench"


def test_init_does_not_overwrite_a_file(hwlearn, folder):
    before = (folder / "small.toml").read_bytes()
    ended = hwlearn("init", "small.toml")
    assert ended.code == 2
    assert ended.err == ["hwlearn: small.toml already exists; name another file"]
    assert (folder / "small.toml").read_bytes() == before
    assert "did you mean 'iris'?" in hwlearn("init", "a.toml", "--like", "irsi").err[0]


def test_off_of_a_simulated_bench_has_no_outputs_to_switch(hwlearn):
    assert json.loads(hwlearn("off", "small.toml", "--json").out[0]) == {
        "bench": "small",
        "backend": "sim",
        "off": False,
    }


def test_every_command_has_a_json_option(hwlearn):
    for command in ("train", "resume", "runs", "report", "check", "init", "off"):
        assert "--json" in "\n".join(hwlearn(command, "--help").out)
    assert hwlearn("--version").out[0].startswith("hwlearn 0.")
    assert hwlearn("trian").code == 2


def test_check_reports_each_check_and_fails_with_stuck_devices(hwlearn):
    ended = hwlearn("check", "small.toml", "--json")
    assert ended.code == 0
    rows = [json.loads(line) for line in ended.out]
    assert {row["result"] for row in rows} == {"pass"}
    assert len(rows) == 11
    text = "\n".join(hwlearn("check", "small.toml").out)
    assert all(row["name"] in text for row in rows)
    ended = hwlearn("check", "small.toml", "--set", "backend.stuck_fraction=0.2")
    assert ended.code == 1
    assert any("fail" in line for line in ended.out)


def test_check_of_unreachable_hardware_fails(hwlearn, mocker):
    mocker.patch.object(SimBackend, "open", side_effect=NetworkError("no reply"))
    ended = hwlearn("check", "small.toml", "--json")
    assert ended.code == 1
    assert json.loads(ended.out[0])["result"] == "fail"
