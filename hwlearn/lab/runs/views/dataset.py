"""A run as an `xarray.Dataset`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from hwlearn.installed import extra_module
from hwlearn.lab.runs.contents import open_contents
from hwlearn.lab.runs.views.arrays import Stack
from hwlearn.lab.runs.views.labelled import Labelled, run_data

if TYPE_CHECKING:
    import xarray


def run_dataset(folder: Path) -> xarray.Dataset:
    """Return a run as a data set whose arrays of steps are read when they are used; see `Run.to_xarray`.

    In attributes, NUL and bytes that are no characters are escaped, as NetCDF has no text with them.
    """
    xr = extra_module("xarray", "data", "Run.to_xarray")
    from hwlearn.lab.runs.views.lazy import lazy

    with open_contents(folder) as contents:
        data = run_data(contents)

    def made(labelled: Labelled) -> xarray.Variable:
        values = labelled.values
        stored = lazy(values) if isinstance(values, Stack) else values
        found: xarray.Variable = xr.Variable(labelled.dimensions, stored, dict(labelled.attributes))
        return found

    found: xarray.Dataset = xr.Dataset(
        {name: made(labelled) for name, labelled in data.variables.items()},
        {name: made(labelled) for name, labelled in data.coordinates.items()},
        {name: netcdf_text(value) if isinstance(value, str) else value for name, value in data.attributes.items()},
    )
    return found


def netcdf_text(text: str) -> str:
    r"""Return text with what NetCDF cannot store escaped as in Python: NUL, and bytes that are no characters.

    Examples
    --------
    >>> netcdf_text("5 µS\udcff\0")
    '5 µS\\udcff\\x00'
    """
    return text.encode("utf-8", "backslashreplace").decode().replace("\0", "\\x00")
