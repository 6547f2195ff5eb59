"""`Sweep`: a sweep on disk, to be read as pandas and xarray objects and drawn."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np

from hwlearn.errors import RunError
from hwlearn.installed import extra_module
from hwlearn.lab.bench.bench import Bench
from hwlearn.lab.runs.reading import reported_damage
from hwlearn.lab.sweeps.columns import array_of, csv_text, curve_columns, curves_of, place_of, table_columns
from hwlearn.lab.sweeps.definition import stored_definition
from hwlearn.lab.sweeps.figure import sweep_figure
from hwlearn.lab.sweeps.table import DATABASE, PointRow, PointStatus, StoredTable
from hwlearn.lab.sweeps.trained_point import SEED
from hwlearn.storage.atomic_file import write_atomically

if TYPE_CHECKING:
    import pandas
    import xarray
    from matplotlib.figure import Figure

TABLE_FILE: Final = "table.csv"
RUNS: Final = "runs"
"""Folder of the runs of the points, if they are kept."""


@dataclass(frozen=True)
class Sweep:
    """A sweep on disk. It can be read while it runs, and after its process was killed.

    Attributes
    ----------
    folder : Path
        Contains ``sweep.sqlite``, the table; after the sweep also ``table.csv`` and the figure.
    """

    folder: Path

    @property
    def table(self) -> Path:
        """The CSV file of the table, which is written when the sweep ends or is interrupted."""
        return self.folder / TABLE_FILE

    @cached_property
    def _stored(self) -> StoredTable:
        return StoredTable(self.folder)

    @cached_property
    def definition(self) -> Mapping[str, Any]:
        """The bench, its settings as TOML, the grid, the seeds and the hashes of the files."""
        return self._stored.definition()

    @property
    def axes(self) -> dict[str, list[Any]]:
        """The values of the grid by key, without the seeds."""
        return {key: list(values) for key, values in self.definition.get("grid", {}).items()}

    @property
    def seeds(self) -> list[int] | None:
        """The seeds; None if the bench's own were used."""
        found = self.definition.get("seeds")
        return None if found is None else list(found)

    def rows(self) -> list[PointRow]:
        """Return the rows of the table, each with number, point, status, error, attempts, seconds and result."""
        return self._stored.rows()

    def counts(self) -> dict[PointStatus, int]:
        """Return the number of points that are ``"pending"``, ``"finished"`` and ``"failed"``."""
        return self._stored.counts()

    def seconds(self) -> float:
        """Return how long the sweep has run, all parts together."""
        return self._stored.seconds()

    @property
    def status(self) -> str:
        """``"finished"``, ``"running"``, or ``"interrupted"``: points are left, and no process here runs them."""
        if not self.counts()["pending"]:
            return "finished"
        return "running" if self._stored.is_being_written() else "interrupted"

    def bench(self, number: int) -> Bench:
        """Return the bench of a point, not opened: the way to repeat or to look into one.

        Raises
        ------
        RunError
            If there is no such point.
        SetupError
            If files that it names have changed or are missing.
        """
        point = next((row.point for row in self.rows() if row.number == number), None)
        if point is None:
            raise RunError(f"sweep {self.folder} has no point {number}")
        return stored_definition(self.definition, self.folder / RUNS).trained.bench(point)

    # --- as data --------------------------------------------------------------------------------------

    def to_pandas(self, table: Literal["points", "curves"] = "points") -> pandas.DataFrame:
        """Return a row for each point, or for each epoch of each point.

        Raises
        ------
        SetupError
            If pandas (extra ``data``) is not installed.
        RunError
            If there is no such table, or the sweep is damaged.
        """
        if table not in ("points", "curves"):
            raise RunError(f"there is no table {table!r}; the tables are: points, curves")
        module = extra_module("pandas", "data", "to_pandas")
        rows = self.rows()
        columns = table_columns(rows) if table == "points" else curve_columns(rows)
        frame: pandas.DataFrame = module.DataFrame({name: array_of(values) for name, values in columns.items()})
        return frame.set_index("point") if table == "points" else frame.set_index(["point", "epoch"])

    def to_xarray(self) -> xarray.Dataset:
        """Return the results as arrays over the grid: a dimension for each key, and ``seed``.

        Numbers of points that are not finished are NaN. Learning curves have the dimension ``epoch`` as well.

        Raises
        ------
        SetupError
            If xarray (extra ``data``) is not installed.
        RunError
            If the sweep is damaged.
        """
        module = extra_module("xarray", "data", "to_xarray")
        axes: dict[str, list[Any]] = self.axes
        if self.seeds is not None:
            axes[SEED] = self.seeds
        rows, shape = self.rows(), tuple(len(values) for values in axes.values())
        with reported_damage(self.folder, "sweep"):
            variables = _grids(rows, axes, shape)
        coordinates = {key: array_of([_coordinate(value) for value in values]) for key, values in axes.items()}
        attributes = {"bench": self.definition.get("bench", ""), "status": self.status}
        found: xarray.Dataset = module.Dataset(variables, coordinates, attributes)
        for name in found.variables:
            found[name].attrs.update(_attributes(str(name)))
        return found

    def plot(self, score: str | None = None, where: Mapping[str, Any] | None = None) -> Figure:
        """Return a figure of a score along one or two axes of the grid; lines and colours are means over seeds.

        Parameters
        ----------
        score : str, optional
            A column of numbers of `to_pandas`, such as ``"true_rms_error_V"``. Default: the measured accuracy,
            else the measured rms error.
        where : mapping of str to value, optional
            Values of the other axes, such as ``{"train.rate": 0.05}``.

        Raises
        ------
        RunError
            If no point is finished, there is no such score, or more than two axes are left.
        """
        return sweep_figure(self.rows(), self.axes, str(self.definition.get("bench", "")), score, where)

    def export(self, path: str | Path) -> Path:
        """Write the table to a CSV or Parquet file, by the ending of the path; every number reads back exactly.

        Raises
        ------
        RunError
            If the ending is another one.
        SetupError, StorageError
            If the file cannot be written, or a package of the extra ``data`` is missing.
        """
        file = Path(path)
        if file.suffix.lower() == ".csv":
            write_atomically(file, csv_text(table_columns(self.rows())).encode())
        elif file.suffix.lower() == ".parquet":
            extra_module("pyarrow", "data", "a Parquet file")
            stream = io.BytesIO()
            self.to_pandas().to_parquet(stream)
            write_atomically(file, stream.getvalue())
        else:
            raise RunError(f"cannot write {file}: a table is written to a file ending in .csv or .parquet")
        return file


def open_sweep(path: str | Path) -> Sweep:
    """Open a sweep for reading, also one that is running or whose process was killed.

    Parameters
    ----------
    path : str or Path
        Its folder, or a file in it.

    Raises
    ------
    RunError
        If there is no sweep, it is damaged, or a later version wrote it.
    """
    folder = Path(path)
    if not (folder / DATABASE).is_file() and (folder.parent / DATABASE).is_file() and folder.is_file():
        folder = folder.parent
    found = Sweep(folder)
    found.counts()  # refuses what is no sweep
    return found


def _grids(rows: list[PointRow], axes: Mapping[str, list[Any]], shape: tuple[int, ...]) -> dict[str, Any]:
    """Return arrays over the axes by name, with their dimensions."""
    dimensions, found = tuple(axes), {}
    # a table in the order of the axes
    ordered = sorted(rows, key=lambda row: place_of(row, axes))
    for name, values in table_columns(ordered).items():
        if name not in axes:
            found[name] = (dimensions, array_of(values).reshape(shape))
    curves = [curves_of(row) for row in ordered]
    longest = max((len(curve) for each in curves for curve in each.values()), default=0)
    for name in dict.fromkeys(name for each in curves for name in each):
        table = np.full((len(ordered), longest), np.nan)
        for line, each in zip(table, curves, strict=True):
            line[: len(each.get(name, ()))] = each.get(name, ())
        found[f"{name}_by_epoch"] = ((*dimensions, "epoch"), table.reshape(*shape, longest))
    return found


def _coordinate(value: Any) -> Any:
    return value if isinstance(value, int | float | str) else str(value)


def _attributes(name: str) -> dict[str, str]:
    if name.removesuffix("_by_epoch").endswith("_V"):
        return {"units": "V"}
    return {"units": "s"} if name == "seconds" else {}
