"""`hwlearn resume` refuses what changed and names it; runs are used on read-only media; dry runs are marked."""

import json
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from typer.testing import CliRunner

import hwlearn as hl
from hwlearn.cli import app
from hwlearn.lab.runs.store import Run

pytestmark = pytest.mark.usefixtures("without_reports")

ROWS = "0.1,0.2,-0.1,0.3,0.0,0.1,0.2\n0.3,-0.2,0.1,0.3,0.1,0.1,0.0\n-0.1,-0.2,0.2,0.1,0.1,0.0,0.0\n" * 2
CHANGES = (
    "data.source=rows.csv",
    "data.target_columns=[4, 5, 6]",
    "train.epochs=9",
    "data.validation_fraction=0.3",
)


def train(hwlearn, *changes, words=()):
    return hwlearn("train", "small.toml", "--json", *words, *(w for change in changes for w in ("--set", change)))


@pytest.fixture(scope="module")
def whole(tmp_path_factory, bench_text):
    """The result of the whole training on the data file."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("whole")
        patch.chdir(folder)
        patch.setattr("hwlearn.cli.session.draw_run", lambda run: run.folder / "report.png")
        (folder / "small.toml").write_text(bench_text, encoding="utf-8")
        (folder / "rows.csv").write_text(ROWS, encoding="utf-8")
        changes = [word for change in CHANGES for word in ("--set", change)]
        return json.loads(
            CliRunner().invoke(app, ["train", "small.toml", "--json", *changes]).stdout.splitlines()[-1]
        )


@pytest.fixture
def stopped(hwlearn, folder, monkeypatch, whole):
    """A run on a data file that was stopped after seven steps, and the result of the whole training."""
    (folder / "rows.csv").write_text(ROWS, encoding="utf-8")
    with monkeypatch.context() as patched:
        step = hl.Callback.on_step

        def stop(self, step):
            if step.number == 6:
                raise KeyboardInterrupt

        patched.setattr("hwlearn.cli.session._JsonLines.on_step", stop, raising=False)
        assert step is hl.Callback.on_step
        ended = train(hwlearn, *CHANGES)
    assert ended.code == 130
    run = Run.open(json.loads(ended.out[0])["run"])
    assert run.steps() == 7
    return run, whole


def result(ended):
    assert ended.code == 0, ended.err
    return json.loads(ended.out[-1])["rms_error_V"]


def refused(ended, *words):
    assert ended.code == 2
    assert ended.out == []
    (line,) = ended.err
    for word in words:
        assert word in line, line
    return line


def test_unchanged_run_is_resumed(hwlearn, stopped):
    run, whole = stopped
    assert result(hwlearn("resume", run.folder, "--json")) == whole["rms_error_V"]


@pytest.mark.parametrize("change", ["a value", "a row", "the order"])
def test_changed_data_file_is_named_and_the_stored_one_is_used_on_request(hwlearn, folder, stopped, change):
    run, whole = stopped
    lines = ROWS.splitlines(keepends=True)
    changed = {
        "a value": [lines[0].replace("0.1", "0.11"), *lines[1:]],
        "a row": lines[1:],
        "the order": lines[::-1],
    }
    (folder / "rows.csv").write_text("".join(changed[change]), encoding="utf-8")
    line = refused(hwlearn("resume", run.folder, "--json"), "data file", str(folder / "rows.csv"), "was changed")
    assert "--as-stored" in line
    assert result(hwlearn("resume", run.folder, "--json", "--as-stored")) == whole["rms_error_V"]


def test_run_whose_data_file_is_gone_is_resumed_with_its_own_copy(hwlearn, folder, stopped):
    run, whole = stopped
    (folder / "rows.csv").unlink()
    assert result(hwlearn("resume", run.folder, "--json")) == whole["rms_error_V"]


def test_changed_copy_of_the_data_is_refused_also_as_stored(hwlearn, stopped):
    run, _ = stopped
    copy = run.folder / "files" / "data-rows.csv"
    copy.write_text(ROWS.replace("0.3", "0.31"), encoding="utf-8")
    for words in ((), ("--as-stored",)):
        refused(hwlearn("resume", run.folder, "--json", *words), "the run's copy of its data file", "was changed")
    copy.unlink()
    refused(hwlearn("resume", run.folder, "--json", "--as-stored"), "is missing")


@pytest.mark.share(2)
@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ("\nrate = 0.08", "\nrate = 0.5", "train.rate was 0.08, it is 0.5"),
        ('rule = "gep"', 'rule = "spsa"', "train.rule was 'gep', it is 'spsa'"),
        ('optimizer = "adam"', 'optimizer = "sgd"', "train.optimizer was 'adam', it is 'sgd'"),
        ("split_seed = 0", "split_seed = 1", "data.split_seed was 0, it is 1"),
        ('kind = "sim"', 'kind = "sim"\nread_noise = 1e-3', "backend.read_noise was"),
        ("[safety]", "[surprise]", "safety.guardian was False, it is not set"),
    ],
)
def test_changed_settings_are_named_key_by_key(hwlearn, stopped, old, new, named):
    run, whole = stopped
    path = run.folder / "bench.toml"
    text = path.read_text(encoding="utf-8")
    if new.startswith('kind = "sim"\n'):
        text = "\n".join(line for line in text.splitlines() if not line.startswith("read_noise"))
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    refused(hwlearn("resume", run.folder, "--json"), named, "--as-stored")
    assert result(hwlearn("resume", run.folder, "--json", "--as-stored")) == whole["rms_error_V"]


def test_all_changes_are_named_at_once(hwlearn, folder, stopped):
    run, _ = stopped
    (folder / "rows.csv").write_text(ROWS + ROWS, encoding="utf-8")
    path = run.folder / "bench.toml"
    path.write_text(path.read_text(encoding="utf-8").replace("epochs = 9", "epochs = 99"), encoding="utf-8")
    refused(hwlearn("resume", run.folder), "train.epochs was 9, it is 99", "rows.csv was changed")


@pytest.mark.share(1)
@pytest.mark.parametrize("contents", [None, b"\xff\xff", b"[train\n"])
def test_missing_or_unreadable_bench_file_of_a_run_is_named(hwlearn, stopped, contents):
    run, whole = stopped
    path = run.folder / "bench.toml"
    path.unlink()
    if contents is not None:
        path.write_bytes(contents)
    refused(hwlearn("resume", run.folder), "bench.toml", "missing" if contents is None else "cannot be read")
    assert hwlearn("report", run.folder, "-o", "report.png").code == 0
    assert hwlearn("runs").code == 0
    assert result(hwlearn("resume", run.folder, "--json", "--as-stored")) == whole["rms_error_V"]


def test_changed_calibration_record_is_named(hwlearn, folder):
    assert hwlearn("calibrate", "small.toml", "noise").code == 0
    ended = train(hwlearn, "calibration.file=calibration.toml", "train.epochs=0")
    run = Run.open(json.loads(ended.out[0])["run"])
    run.set_meta(status="interrupted", result=None)
    record = folder / "calibration.toml"
    kept = record.read_bytes()
    record.unlink()
    assert hwlearn("calibrate", "small.toml", "noise", "lines").code == 0
    assert record.read_bytes() != kept
    refused(hwlearn("resume", run.folder), "calibration record", str(record), "was changed")
    assert hwlearn("resume", run.folder, "--as-stored").code == 0


def test_changed_netlist_is_named(hwlearn, folder):
    cards = "* net\nV1 in 0 1\nR1 in out 10k\nR2 out 0 20k\nR3 in mid 30k\nR4 mid out 30k\n.print V(out)\n"
    (folder / "net.cir").write_text(cards, encoding="utf-8")
    text = (folder / "small.toml").read_text(encoding="utf-8")
    text = '[network]\nkind = "spice"\nfile = "net.cir"\n' + text[text.index("[limits]") :]
    (folder / "small.toml").write_text(text, encoding="utf-8")
    ended = train(hwlearn, "train.epochs=2")
    assert ended.code == 0, ended.err
    run = Run.open(json.loads(ended.out[0])["run"])
    run.set_meta(status="interrupted", result=None)
    (folder / "net.cir").write_text(cards.replace("R4 mid out", "R4 mid 0"), encoding="utf-8")
    refused(hwlearn("resume", run.folder), "netlist", "net.cir was changed")
    assert hwlearn("report", run.folder, "-o", "report.png").code == 0
    (folder / "net.cir").unlink()
    assert hwlearn("report", run.folder, "-o", "report.png").code == 0
    assert hwlearn("resume", run.folder).code == 0


def test_data_that_the_package_ships_in_another_version_is_named(hwlearn, monkeypatch):
    ended = hwlearn("train", "iris", "--json", "--set", "train.epochs=1")
    run = Run.open(json.loads(ended.out[0])["run"])
    run.set_meta(status="interrupted", result=None, data_sha256="0" * 64)
    refused(hwlearn("resume", run.folder), "encoded data differ")
    run.set_meta(split_sha256="0" * 64)
    refused(hwlearn("resume", run.folder), "encoded data differ", "split into rows differs")


# --- media -----------------------------------------------------------------------------------------------


@pytest.mark.skipif(sys.platform != "linux", reason="mounts a folder read-only")
def test_commands_work_on_a_read_only_folder_and_resume_is_refused_by_name(hwlearn, folder, stopped):
    run, whole = stopped
    mounted = subprocess.run(["mount", "--bind", "runs", "runs"], cwd=folder, capture_output=True, check=False)
    if mounted.returncode:
        pytest.skip("a folder cannot be mounted here")
    try:
        subprocess.run(["mount", "-o", "remount,bind,ro", "runs"], cwd=folder, check=True)
        rows = [json.loads(line) for line in hwlearn("runs", "--json").out]
        assert [row["status"] for row in rows] == ["interrupted"]
        ended = hwlearn("report", run.folder)
        assert ended.code == 0, ended.err
        assert (folder / f"{run.name}-report.html").is_file()
        refused(hwlearn("resume", run.folder), "cannot be written", "read-only", "copy it")
    finally:
        subprocess.run(["umount", "-l", "runs"], cwd=folder, check=True)
    copy = shutil.copytree(run.folder, folder / "copy")
    assert result(hwlearn("resume", copy, "--json")) == whole["rms_error_V"]


def test_report_of_a_damaged_run_is_one_line(hwlearn, stopped):
    run, _ = stopped
    path = run.folder / "run.sqlite"
    path.write_bytes(path.read_bytes()[:20_000])
    for command in ("report", "resume"):
        (line,) = hwlearn(command, run.folder).err
        assert str(run.folder) in line


# --- seconds, dry runs, listing ------------------------------------------------------------------------------


def test_seconds_of_a_resumed_run_are_the_sum_of_its_parts(hwlearn, stopped, monkeypatch):
    run, _ = stopped
    before = run.seconds()
    assert before > 0
    with closing(sqlite3.connect(run.folder / "run.sqlite")) as db, db:
        db.execute("UPDATE sessions SET seconds = 1000")
    last = json.loads(hwlearn("resume", run.folder, "--json").out[-1])
    assert 1000 < last["seconds"] < 1100
    assert run.meta("seconds") == pytest.approx(last["seconds"], abs=1e-3)
    assert run.seconds() == pytest.approx(last["seconds"], abs=1e-3)


DRY = """
[network]
kind = "edges"
nodes = 4
edges = [[0, 2], [1, 2], [2, 3], [0, 3]]
inputs = [0, 1]
outputs = [2]
ground = 3
[limits]
voltage = "500 mV"
drop = "1 V"
nudge = "200 mV"
current = "1 mA"
conductance = ["10 uS", "200 uS"]
[backend]
kind = "smu"
channels = [
  {address = "GPIB0::24::INSTR", model = "2400", node = 0},
  {address = "GPIB0::25::INSTR", model = "2450", node = 1},
  {address = "GPIB0::26::INSTR", model = "2450", node = 2},
]
edges = "100 uS"
settle = 0
slew_V_per_s = 1e6
ramp_step = "500 mV"
[data]
source = "teacher"
samples = 2
amplitude = "300 mV"
[train]
rule = "analytic"
epochs = 1
"""


@pytest.mark.parametrize("how", [("--dry-run",), ("--set", "backend.dry_run=true")], ids=["option", "key"])
def test_dry_run_is_marked_everywhere_and_never_resumed(hwlearn, folder, how):
    (folder / "dry.toml").write_text(DRY, encoding="utf-8")
    ended = hwlearn("train", "dry.toml", *how, "--json")
    assert ended.code == 0, ended.err
    printed = [line for line in ended.out if not line.startswith("{")]
    for line in printed:
        assert line.count("GPIB0::") == line.count(" > ") == 1, line
    start, *_, end = (json.loads(line) for line in ended.out if line.startswith("{"))
    assert start["dry_run"] is end["dry_run"] is True
    assert not [key for key in end if "rms" in key or "accuracy" in key]
    run = Run.open(end["run"])
    assert run.name.endswith("-s0-dry-run")
    assert run.meta("result") is None
    report = json.loads(hwlearn("report", run.folder, "--json").out[-1])
    assert report["dry_run"] is True
    assert "measured" not in report
    (row,) = (json.loads(line) for line in hwlearn("runs", "--json").out)
    assert row["dry_run"] is True
    assert row["status"] == "dry run, finished"
    assert row["result"] is None
    assert "dry run" in " ".join(hwlearn("runs").out)
    refused(hwlearn("resume", run.folder), "is a dry run", "no instrument was contacted")
    run.set_meta(status="interrupted", result=None)
    refused(hwlearn("resume", run.folder), "is a dry run")
    with pytest.raises(hl.HwlearnError, match="is a dry run"):
        run.progress()


def test_start_names_the_expected_size_and_the_free_space(hwlearn, folder, mocker):
    start = json.loads(train(hwlearn).out[0])
    assert 50_000 < start["expected_bytes"] < 500_000
    assert start["free_bytes"] > 0
    text = " ".join(hwlearn("train", "small.toml").out)
    assert "free" in text
    assert "warning" not in text
    mocker.patch("shutil.disk_usage", return_value=mocker.Mock(free=1000))
    text = " ".join(hwlearn("train", "small.toml").out)
    assert "warning: the run needs about" in text
    assert "only 1 kB free" in text


@pytest.mark.slow
def test_two_hundred_runs_are_listed_in_little_more_time_than_one(hwlearn, folder, figure):
    run = Path(json.loads(train(hwlearn, "train.epochs=2").out[0])["run"])
    code = "import sys, time\nfrom hwlearn.cli import main\nsys.argv = ['hwlearn', 'runs']\n"
    code += "try:\n    main()\nexcept SystemExit:\n    print('CPU', time.process_time())"

    def seconds(count: int, tries: int = 2) -> float:
        used = []
        for _ in range(tries):
            done = subprocess.run(
                [sys.executable, "-c", code], capture_output=True, text=True, cwd=folder, check=True
            )
            assert done.stdout.count(run.name) == count
            used.append(float(done.stdout.split()[-1]))
        return min(used)

    one = seconds(1)
    for number in range(199):
        shutil.copytree(run, run.with_name(f"{run.name}-{number + 2}"))
    many = seconds(200)
    assert many < 2 * one  # most of it is the start of the program, which is slower on a busy machine
    figure(f"list of 200 runs: {many:.2f} s of processor time, of 1 run {one:.2f} s (required: less than twice)")
