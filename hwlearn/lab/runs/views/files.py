"""Files of a run's data: NetCDF and NPZ with all arrays, CSV and Parquet with one table; every number is exact."""

from __future__ import annotations

import csv
import io
import json
import os
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np

from hwlearn.errors import RunError
from hwlearn.installed import extra_module
from hwlearn.lab.runs.contents import open_contents
from hwlearn.lab.runs.inputs import check_target
from hwlearn.lab.runs.views.dataset import run_dataset
from hwlearn.lab.runs.views.labelled import run_data
from hwlearn.lab.runs.views.tables import RunTable, TableName, run_table

FileFormat = Literal["netcdf", "csv", "parquet", "npz"]

ENDINGS: Final[Mapping[str, FileFormat]] = {
    ".nc": "netcdf",
    ".netcdf": "netcdf",
    ".csv": "csv",
    ".parquet": "parquet",
    ".npz": "npz",
}
"""Endings of file names, and the format that each means."""
METADATA: Final = "-metadata.json"
"""Ending of the file beside a CSV file with its units and provenance, as in "Metadata Vocabulary for Tabular Data"
of the W3C."""

_CSV_TYPES: Final[Mapping[str, object]] = {
    "f": "double", "i": "integer", "u": "integer", "b": {"base": "boolean", "format": "True|False"}
}  # fmt: skip


def export_run(folder: Path, file: Path, kind: FileFormat, table: TableName = "samples") -> list[Path]:
    """Write a run to a file; an existing file, or a symbolic link, is replaced when the new one is complete.

    Parameters
    ----------
    folder : Path
        The run folder.
    file : Path
    kind : str
        ``netcdf`` and ``npz`` have all arrays of `Run.to_xarray`, ``csv`` and ``parquet`` one table.
    table : str
        ``samples``, ``steps``, ``epochs`` or ``edges``; see `Run.to_pandas`.

    Returns
    -------
    list of Path
        The files: of CSV also that of its units and provenance.

    Raises
    ------
    RunError
        If the run is damaged, a file cannot be written, or it would replace a part of a run or what is no file.
    SetupError
        If a package of the extra ``data`` is missing.
    """
    files = written_files(file, kind)
    for one in files:
        check_target(one)
    if kind in ("csv", "parquet"):
        rows = run_table(folder, table)
        write: Callable[[Path], None] = (
            (lambda new: _write_csv(rows, new)) if kind == "csv" else (lambda new: _write_parquet(rows, new))
        )
    else:
        write = (
            (lambda new: _write_netcdf(folder, new)) if kind == "netcdf" else (lambda new: _write_npz(folder, new))
        )
    with _replaced(file) as new:
        write(new)
    for beside in files[1:]:
        with _replaced(beside) as new:
            new.write_text(json.dumps(_csv_metadata(rows, file.name), indent=1) + "\n", encoding="utf-8")
    return files


def written_files(file: Path, kind: FileFormat) -> list[Path]:
    """Return the files that an export writes: of CSV also that of its units and provenance."""
    return [file, file.with_name(file.name + METADATA)] if kind == "csv" else [file]


@contextmanager
def _replaced(file: Path) -> Iterator[Path]:
    """Give a new file beside this one to write, and rename it when it is complete."""
    new = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        yield new
        new.replace(file)
    except OSError as error:
        raise RunError(f"cannot write {file}: {error.strerror or error}") from error
    finally:
        new.unlink(missing_ok=True)


def _write_netcdf(folder: Path, file: Path) -> None:
    for module in ("h5py", "h5netcdf"):  # h5netcdf remembers whether h5py was there
        extra_module(module, "data", "a NetCDF file")
    data = run_dataset(folder)
    exact = {name: {"_FillValue": None} for name, found in data.variables.items() if found.dtype.kind == "f"}
    packed: Any = {
        name: exact.get(str(name), {}) | ({"zlib": True, "complevel": 1, "shuffle": True} if found.ndim else {})
        for name, found in data.variables.items()
    }
    data.to_netcdf(file, engine="h5netcdf", encoding=packed)


def _write_npz(folder: Path, file: Path) -> None:
    with open_contents(folder) as contents:
        data = run_data(contents)
    named = {**data.coordinates, **data.variables}
    facts = {
        "attributes": dict(data.attributes),
        "variables": {name: {"dimensions": found.dimensions, **found.attributes} for name, found in named.items()},
    }
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, found in [*named.items()]:
            with archive.open(f"{name}.npy", "w", force_zip64=True) as part:
                np.lib.format.write_array(part, np.ascontiguousarray(found.load()), allow_pickle=False)
        with archive.open("provenance.npy", "w") as part:
            np.lib.format.write_array(part, np.array(json.dumps(facts)), allow_pickle=False)


def _write_csv(table: RunTable, file: Path) -> None:
    with file.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(table.dtypes)
        for block in table.blocks():
            buffer = io.StringIO()
            # tolist makes Python's own numbers, whose text is the shortest that reads back exactly
            csv.writer(buffer, lineterminator="\n").writerows(
                zip(*(block[column].tolist() for column in table.dtypes), strict=True)
            )
            stream.write(buffer.getvalue())


def _csv_metadata(table: RunTable, name: str) -> dict[str, Any]:
    columns = []
    for column, dtype in table.dtypes.items():
        known = table.attributes[column]
        entry: dict[str, Any] = {
            "name": column,
            "titles": column,
            "datatype": _CSV_TYPES.get(dtype.kind, "string"),
        }
        entry |= {"dc:description": known["long_name"]} if "long_name" in known else {}
        columns.append(entry | ({"schema:unitText": known["units"]} if "units" in known else {}))
    schema = {"columns": columns, "primaryKey": list(table.index)}
    return {
        "@context": "http://www.w3.org/ns/csvw",
        "url": name,
        "dc:title": f"table {table.name} of run {table.provenance['run']}",
        "tableSchema": schema,
        "notes": [dict(table.provenance)],
    }


def _write_parquet(table: RunTable, file: Path) -> None:
    arrow = extra_module("pyarrow", "data", "a Parquet file")
    parquet = extra_module("pyarrow.parquet", "data", "a Parquet file")
    fields = [
        arrow.field(column, arrow.from_numpy_dtype(dtype), metadata=dict(table.attributes[column]))
        for column, dtype in table.dtypes.items()
    ]
    facts = {"hwlearn": json.dumps({"table": table.name, **table.provenance})}
    schema = arrow.schema(fields, metadata=facts)
    with parquet.ParquetWriter(file, schema, compression="zstd") as writer:
        for block in table.blocks():
            writer.write_table(arrow.table({column: block[column] for column in table.dtypes}, schema=schema))
