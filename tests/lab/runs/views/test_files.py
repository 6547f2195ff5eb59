"""Exported files: read back bit for bit by libraries that did not write them, also of a killed run."""

import json
import sqlite3
import subprocess
import sys

import exported_files
import numpy as np
import pytest
from stored_runs import recorded

import hwlearn as hl
from hwlearn.errors import RunError, SetupError
from hwlearn.lab.runs.views.files import export_run

READERS = pytest.mark.parametrize("read", exported_files.READERS, ids=lambda read: read.__name__)
NEEDED = {"netcdf": "netCDF4", "text_by_pandas": "pandas", "parquet": "pyarrow"}


def skip_without_library(read):
    if read.__name__ in NEEDED:
        pytest.importorskip(NEEDED[read.__name__], reason="the extra `data` or `referees` is not installed")


@pytest.fixture(scope="module", params=["whole", "stopped in an epoch"])
def run(request, tmp_path_factory):
    """A run with uneven batches and noise, complete or stopped after an update."""
    bench = hl.open_bench("iris", ["train.epochs=3", "data.validation_fraction=0.2"])
    return recorded(bench, tmp_path_factory.mktemp("runs"), None if request.param == "whole" else 5)


@pytest.mark.share(4)
@READERS
def test_exported_numbers_are_those_of_the_store(run, tmp_path, read):
    skip_without_library(read)
    assert read(run, tmp_path) == []


@pytest.mark.share(1)
def test_netcdf_is_read_back_by_xarray_as_it_was(run, tmp_path):
    xr = pytest.importorskip("xarray")
    (file,) = export_run(run.folder, tmp_path / "run.nc", "netcdf")
    with xr.open_dataset(file, engine="h5netcdf") as data:
        expected = run.to_xarray().load()
        assert data.load().identical(expected)
        assert all(data[name].dtype == expected[name].dtype for name in expected.variables)


@pytest.mark.parametrize("note", ["wafer \udcff, 5 µS", "a\0b"])
def test_notes_that_are_no_text_are_exported(bench_path, tmp_path, note):
    xr = pytest.importorskip("xarray")
    run = recorded(hl.open_bench(bench_path, ["train.epochs=1"]), tmp_path / "runs")
    with sqlite3.connect(run.folder / "run.sqlite") as db:  # as earlier versions stored it
        (facts,) = db.execute("SELECT facts FROM sessions").fetchone()
        db.execute("UPDATE sessions SET facts = ?", (json.dumps(json.loads(facts) | {"note": note}),))
    with run.contents() as contents:
        assert contents.notes() == [note]
    (file,) = export_run(run.folder, tmp_path / "run.nc", "netcdf")
    with xr.open_dataset(file, engine="h5netcdf") as data:
        assert data.attrs["note"] == {"w": r"wafer \udcff, 5 µS", "a": r"a\x00b"}[note[0]]
        assert data.load().identical(run.to_xarray().load())
    export_run(run.folder, tmp_path / "run.npz", "npz")
    stored = json.loads(str(np.load(tmp_path / "run.npz")["provenance"]))
    metadata = export_run(run.folder, tmp_path / "run.csv", "csv")[1]
    for found in (stored["attributes"], json.loads(metadata.read_text(encoding="utf-8"))["notes"][0]):
        assert found["note"] == note
    parquet = pytest.importorskip("pyarrow.parquet")
    export_run(run.folder, tmp_path / "run.parquet", "parquet")
    facts = parquet.read_schema(tmp_path / "run.parquet").metadata[b"hwlearn"]
    assert json.loads(facts)["note"] == note


def test_notes_with_nul_are_refused(bench_path, tmp_path):
    with (
        hl.open_bench(bench_path) as bench,
        pytest.raises(RunError, match="has a NUL character; write it without"),
    ):
        bench.train(note="a\0b", record=tmp_path, progress=False)


def test_extreme_numbers_survive_text():
    values = np.array([0.1, -0.0, 5e-324, 1.7976931348623157e308, np.inf, -np.inf, np.nan, 1 / 3])
    assert exported_files.same([float(str(value)) for value in values.tolist()], values)


def test_failed_export_leaves_the_old_file(run, tmp_path, monkeypatch):
    file = tmp_path / "run.npz"
    export_run(run.folder, file, "npz")
    before = file.read_bytes()

    def full(*args, **options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("numpy.lib.format.write_array", full)
    with pytest.raises(RunError, match=r"cannot write .*run.npz: No space left on device"):
        export_run(run.folder, file, "npz")
    assert file.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["run.npz"]


def test_missing_package_names_the_extra(run, tmp_path, monkeypatch):
    pytest.importorskip("xarray")
    for package, kind in (("h5py", "netcdf"), ("pyarrow", "parquet")):
        monkeypatch.setitem(sys.modules, package, None)
        with pytest.raises(SetupError, match=rf"needs the package {package}.* pip install 'hwlearn\[data\]'"):
            export_run(run.folder, tmp_path / "file", kind)
    assert list(tmp_path.iterdir()) == []


LIGHT = """
import subprocess
import sys
from pathlib import Path
import hwlearn as hl
from hwlearn.lab.runs.views.files import export_run
run = hl.open_run(sys.argv[1])
run.epochs(), run.readings(0), run.conductances(0), hl.runs(run.folder.parent, "bench=iris")
for kind in ("csv", "npz"):
    export_run(run.folder, Path(sys.argv[2]) / kind, kind)
heavy = {"xarray", "pandas", "pyarrow", "h5py", "h5netcdf"}
print(sorted(heavy & {name.partition(".")[0] for name in sys.modules}))
"""


@pytest.mark.share(1)
def test_reading_and_light_exports_import_no_heavy_library(run, tmp_path):
    command = [sys.executable, "-c", LIGHT, str(run.folder), str(tmp_path)]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "[]\n"
