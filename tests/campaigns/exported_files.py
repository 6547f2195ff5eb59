"""Files that `hwlearn export` writes, read back by other libraries, beside the rows of the run's database."""

import csv
import io
import json

import numpy as np

from hwlearn.lab.runs.views.files import METADATA, export_run


def same(a, b):
    """Return whether two arrays have the same type, shape and bits, except that every NaN is equal."""
    a, b = np.asarray(a), np.asarray(b)
    if a.dtype.kind == "f":
        a, b = np.where(np.isnan(a), np.nan, a), np.where(np.isnan(b), np.nan, b)
    return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()


def rows_differ(run, arrays):
    """Return the stored arrays, as ``name of step``, that differ from those of a file with all arrays."""
    found = []
    with run.contents() as contents:
        for table, axis in (("batches", "step"), ("updates", "kept_step")):
            steps = []
            for (step, *_), stored in contents.rows(table, "ORDER BY step"):
                steps.append(step)
                for name, array in stored.items():
                    part = arrays[name][len(steps) - 1][tuple(map(slice, array.shape))]
                    found += [] if same(part, array) else [f"{name} of step {step}"]
            found += [] if steps == arrays[axis].tolist() else [axis]
    return found


def samples_differ(run, columns):
    """Return the stored readings that differ from the columns of a table of samples."""
    found, at = [], 0
    with run.contents() as contents:
        for (step, _, time, *_), stored in contents.rows("batches", "ORDER BY step"):
            count = len(stored["samples"])
            part = slice(at, at + count)
            at += count
            expected = {"step": np.full(count, step), "time": np.full(count, time), "row": stored.pop("samples")}
            for name, array in stored.items():
                flat = array.reshape(count, -1)
                names = [name] if array.ndim == 1 else [f"{name}_{k}" for k in range(flat.shape[1])]
                expected |= dict(zip(names, flat.T, strict=True))
            unequal = [key for key, array in expected.items() if not same(columns[key][part], array)]
            found += [f"{key} of step {step}" for key in unequal]
    found += [] if all(len(column) == at for column in columns.values()) else ["number of rows"]
    return found


def netcdf(run, folder):
    """Read a NetCDF file by the C library of Unidata, which shares no code with the writer's h5netcdf."""
    import netCDF4

    (file,) = export_run(run.folder, folder / "run.nc", "netcdf")
    with netCDF4.Dataset(file) as data:
        data.set_auto_mask(False)
        arrays = {name: np.asarray(variable[...]) for name, variable in data.variables.items()}
        if "failed" in arrays:
            arrays["failed"] = arrays["failed"].astype(bool)  # NetCDF has no truth values
        return rows_differ(run, arrays) + ([] if data.bench_file == run.meta("settings") else ["bench_file"])


def npz(run, folder):
    """Read an NPZ file by numpy."""
    (file,) = export_run(run.folder, folder / "run.npz", "npz")
    with np.load(file, allow_pickle=False) as data:
        facts = json.loads(str(data["provenance"]))
        named = set(facts["variables"]) == set(data.files) - {"provenance"}
        return rows_differ(run, data) + ([] if named else ["variables"])


def text(run, folder):
    """Read a CSV file by Python's csv and float; its types are those that the file beside it says."""
    file, beside = export_run(run.folder, folder / "run.csv", "csv")
    assert beside.name == file.name + METADATA
    said = json.loads(beside.read_text(encoding="utf-8"))["tableSchema"]["columns"]
    types = {column["name"]: {"integer": np.int64, "double": np.float64}[column["datatype"]] for column in said}
    head, *rows = csv.reader(io.StringIO(file.read_text(encoding="utf-8")))
    assert head == list(types)
    cells = zip(*rows, strict=True) if rows else [()] * len(head)
    parsed = {
        name: np.array([types[name](cell) for cell in column], types[name])
        for name, column in zip(head, cells, strict=True)
    }
    return samples_differ(run, parsed)


def text_by_pandas(run, folder):
    """Read a CSV file by pandas, exactly, which before version 3 it does only if requested."""
    import pandas as pd

    file, _ = export_run(run.folder, folder / "again.csv", "csv")
    exact = {} if int(pd.__version__.partition(".")[0]) >= 3 else {"float_precision": "round_trip"}
    frame = pd.read_csv(file, **exact)
    return samples_differ(run, {name: frame[name].to_numpy() for name in frame})


def parquet(run, folder):
    """Read a Parquet file by pyarrow."""
    from pyarrow.parquet import read_table

    (file,) = export_run(run.folder, folder / "run.parquet", "parquet")
    table = read_table(file)
    assert json.loads(table.schema.metadata[b"hwlearn"])["bench_file"] == run.meta("settings")
    return samples_differ(run, {name: table[name].to_numpy() for name in table.column_names})


READERS = (netcdf, npz, text, text_by_pandas, parquet)
