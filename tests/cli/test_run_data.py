"""``hwlearn export``, ``hwlearn compare`` and ``hwlearn runs``: runs as data from the command line."""

import json

import pytest
from stored_runs import recorded

import hwlearn as hl


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


@pytest.mark.usefixtures("without_reports")
def test_note_is_stored_with_the_run(hwlearn, folder):
    assert hwlearn("train", "small.toml", "--note", "devices of wafer 7", "--set", "train.epochs=1").code == 0
    (run,) = hl.runs("runs")
    with run.contents() as contents:
        assert contents.notes() == ["devices of wafer 7"]
