"""``hwlearn export``, ``hwlearn compare`` and ``hwlearn runs``: runs as data from the command line."""

import json
import os
from pathlib import Path

import pytest
from stored_runs import recorded

import hwlearn as hl
from hwlearn.lab.runs.figures.overlay import overlay_figure
from hwlearn.lab.runs.views.comparison import compared_runs


@pytest.fixture
def run(folder):
    """A run of the small bench in the folder of the command line."""
    return recorded(hl.open_bench("small.toml"), folder / "runs")


def test_command_writes_files_and_refuses_what_it_cannot(hwlearn, run, folder):
    written = hwlearn("export", run.folder, "-o", folder / "e.csv", "--table", "epochs", "--json")
    assert written.code == 0
    files = [str(folder / name) for name in ("e.csv", "e.csv-metadata.json")]
    assert json.loads(written.out[0])["files"] == files
    head = (folder / "e.csv").read_text(encoding="utf-8").partition("\n")[0]
    assert head.startswith("epoch,train_cost,train_rms_error,")
    for words, text in (
        (
            ["-o", "run.txt"],
            "the ending of run.txt names no format; add --format with one of: netcdf, csv, parquet, npz",
        ),
        (["-o", "run.txt", "--format", "hdf"], "--format hdf is not known; use one of: netcdf"),
        (["-o", "run.csv", "--table", "x"], "--table x is not known; use one of: samples, steps, epochs, edges"),
        (["-o", "missing/run.csv"], "cannot write missing/run.csv: there is no folder missing"),
    ):
        refused = hwlearn("export", run.folder, *words)
        assert refused.code == 2
        assert refused.err[0].startswith(f"hwlearn: {text}")


def contents_of(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    ("words", "target"),
    [
        (["export", "--format", "csv"], "run.sqlite"),
        (["export", "--format", "npz"], "RUN.SQLITE-wal"),
        (["export", "--format", "npz"], "files/../run.lock"),
        (["export", "--format", "npz"], "bench.toml"),
        (["export"], "files/table.csv"),
        (["report"], "files/report.html"),
    ],
)
def test_parts_of_a_run_are_never_replaced(hwlearn, run, words, target):
    (run.folder / "files").mkdir()
    (run.folder / "files" / "table.csv").write_text("kept", encoding="utf-8")
    before = contents_of(run.folder)
    refused = hwlearn(*words, run.folder, "-o", run.folder / target)
    assert refused.code == 2
    assert f"it belongs to run {run.name}, which needs it; give another name" in refused.err[0]
    assert contents_of(run.folder) == before


def test_pictures_of_several_runs_replace_no_part_of_one(hwlearn, three_runs, folder):
    place = folder / "runs" / three_runs[2]
    (place / "files").mkdir(exist_ok=True)
    refused = hwlearn("compare", *three_runs[:2], "-o", place / "files" / "a.png")
    assert (refused.code, "which needs it; give another name" in refused.err[0]) == (2, True)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no named pipes in folders")
@pytest.mark.parametrize("command", ["export", "report"])
def test_what_is_no_file_is_never_replaced(hwlearn, run, folder, command):
    name = {"export": "out.npz", "report": "out.html"}[command]
    pipe = folder / name
    os.mkfifo(pipe)
    (folder / f"link{pipe.suffix}").symlink_to(pipe)
    for path in (pipe, folder / f"link{pipe.suffix}"):
        refused = hwlearn(command, run.folder, "-o", path)
        assert (refused.code, refused.err) == (
            2,
            [f"hwlearn: cannot write {path}: it is a named pipe; give the name of a file"],
        )
    assert pipe.is_fifo()
    if command == "export":
        os.mkfifo(folder / "a.csv-metadata.json")
        assert "a named pipe" in hwlearn("export", run.folder, "-o", folder / "a.csv").err[0]
        assert not (folder / "a.csv").exists()


@pytest.mark.usefixtures("without_reports")
def test_note_is_stored_with_the_run(hwlearn, folder):
    assert hwlearn("train", "small.toml", "--note", "devices of wafer 7", "--set", "train.epochs=1").code == 0
    (run,) = hl.runs("runs")
    with run.contents() as contents:
        assert contents.notes() == ["devices of wafer 7"]


@pytest.fixture
def three_runs(folder):
    """Runs with two rates, one of them with classes."""
    benches = [
        hl.open_bench("small.toml"),
        hl.open_bench("small.toml", ["train.rate=0.02", "train.epochs=3", "train.strength=1e-5"]),
        hl.open_bench("iris", ["train.epochs=2", "data.validation_fraction=0.2"]),
    ]
    for bench, note in zip(benches, ("wafer 7", "wafer 8", None), strict=True):
        with bench:
            bench.train(note=note, record=folder / "runs", progress=False)
    return [bench.run_folder.name for bench in benches]


@pytest.mark.share(4)
@pytest.mark.parametrize(
    ("conditions", "expected"),
    [
        (["bench=small"], [0, 1]),
        (["train.rate<0.05"], [1]),
        (["train.rate>=20e-3", "bench!=iris"], [0, 1]),
        (["epochs = 3"], [1]),
        (["rms_error<=1 V"], [0, 1]),
        (["rms_error<1 uV"], []),
        (["accuracy>0.1"], [2]),
        (["limits.voltage=0.5 V", "note~WAFER 8"], [1]),
        (["status!=finished"], []),
        (["dry_run=false", "created>2026", "steps<7"], [1, 2]),
        (["note!=wafer 7"], [1, 2]),
        (["bench==small", "train.epochs == 3"], [1]),
        (["train.strength>1e-6"], [1]),
        (["train.strength=auto"], [0, 2]),
        (["created>=2026-9-1", "created<2126-09-01 12:30"], [0, 1, 2]),
        (["created=2025"], []),
        (["created!=2025-2"], [0, 1, 2]),
    ],
)
def test_conditions_choose_runs(hwlearn, three_runs, conditions, expected):
    words = [word for condition in conditions for word in ("--filter", condition)]
    listed = [Path(json.loads(line)["run"]).name for line in hwlearn("runs", "--json", *words).out]
    assert sorted(map(three_runs.index, listed)) == expected
    assert [run.name for run in hl.runs("runs", conditions)] == listed


@pytest.mark.usefixtures("three_runs")
def test_wrong_conditions_are_refused(hwlearn):
    for condition, text in (
        ("benchh=iris", "runs have no 'benchh', did you mean 'bench'?"),
        ("iris", "'iris' is no condition; write for example bench=iris"),
        ("tran.rate=1", "no run has the key tran.rate"),
        ("backend<5", "backend is no number and cannot be ordered beside '5'; use =, != or ~"),
        ("train.cost<5", "no run has a train.cost that can be ordered beside '5'; use =, != or ~"),
        ("created>soon", "'soon' is no date; write for example 'created>=2026-09-01'"),
        ("created>2026-13-01", "'2026-13-01' is no date"),
        ("epochs>=1 mV", "epochs is a number without a unit, got '1 mV'; write for example 'epochs>=1'"),
        ("epochs=many", "epochs is a number without a unit, got 'many'"),
        ("rms_error<1 mA", "rms_error is a number in V, got '1 mA'; write for example 'rms_error>=1 V'"),
        ("limits.voltage<1 A", "limits.voltage is a number in V, got '1 A'"),
        ("train.epochs>1 s", "train.epochs is a number without a unit, got '1 s'"),
    ):
        refused = hwlearn("runs", "--filter", condition)
        assert (refused.code, text in refused.err[0]) == (2, True), refused.err


def test_runs_are_compared_in_a_table_and_a_picture(hwlearn, three_runs, folder, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    shown = hwlearn("compare", *three_runs[:2])
    assert shown.code == 0
    table = {line.split("  ")[0].strip(): line.split() for line in shown.out}
    assert table["train.rate"][-2:] == ["0.08", "0.02"]
    assert table["epochs"][-2:] == ["5", "3"]
    assert "train.nudge" not in table, "equal in both"
    assert (folder / "compare.png").read_bytes().startswith(b"\x89PNG")
    *lines, picture = map(json.loads, hwlearn("compare", *three_runs, "-o", "all.svg", "--json").out)
    for line, name in zip(lines, three_runs, strict=True):
        run = hl.open_run(name)
        last = run.epochs()[-1]
        assert line["measured"]["cost"] == (last.validation or last.train).cost
        assert line["measurements"] == sum(epoch.measurements for epoch in run.epochs())
    assert [line["different"]["train.rate"] for line in lines] == [0.08, 0.02, 0.05]
    assert (folder / picture["picture"]).read_text(encoding="utf-8").startswith("<?xml")


@pytest.mark.parametrize("name", ["_hidden", r"x $\frac{$ y"])
def test_every_run_is_named_in_the_picture(hwlearn, three_runs, folder, name):
    (folder / "runs" / three_runs[0]).rename(folder / "runs" / name)
    assert hwlearn("compare", name, three_runs[1], "-o", "a.png").code == 0
    compared = compared_runs([folder / "runs" / one for one in (name, *three_runs[1:])])
    (legend,) = overlay_figure(compared).legends
    names = [f"{name} (training)", f"{three_runs[1]} (training)"]
    assert sorted(text.get_text() for text in legend.get_texts()) == sorted(
        [*names, f"{three_runs[2]} (validation)"]
    )


def test_what_cannot_be_compared_is_refused(hwlearn, three_runs):
    for names, text in ((three_runs[:1], "two runs or more"), ([*three_runs[:1], "x"], "'x' is not a run folder")):
        refused = hwlearn("compare", *names)
        assert (refused.code, text in refused.err[0]) == (2, True), refused.err


@pytest.mark.parametrize("error", [ValueError("no glyph\nfor it"), OSError(28, "No space left on device")])
def test_picture_that_cannot_be_drawn_is_a_warning(hwlearn, folder, monkeypatch, error):
    def failing(run):
        raise error

    monkeypatch.setattr("hwlearn.cli.session.draw_run", failing)
    ended = hwlearn("train", "small.toml", "--set", "train.epochs=1", "--json", "--log-file", "log.txt")
    (run,) = hl.runs("runs")
    assert (ended.code, run.status, json.loads(ended.out[-1])["report"]) == (0, "finished", None)
    warning = f"warning: the picture of the run cannot be drawn: {str(error).replace(chr(10), chr(92) + 'n')}"
    assert ended.err == [f"hwlearn: {warning}; the run is complete, try: hwlearn report {run.folder}"]
    assert warning in (folder / "log.txt").read_text(encoding="utf-8")
    assert hwlearn("resume", run.folder, "--epochs", "2").code == 0
