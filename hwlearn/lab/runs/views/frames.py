"""A table of a run as a `pandas.DataFrame`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from hwlearn.installed import extra_module
from hwlearn.lab.runs.views.tables import TableName, run_table

if TYPE_CHECKING:
    import pandas


def run_frame(folder: Path, name: TableName) -> pandas.DataFrame:
    """Return a table of a run as a data frame; see `Run.to_pandas`."""
    pd = extra_module("pandas", "data", "Run.to_pandas")
    table = run_table(folder, name)
    blocks = list(table.blocks())
    columns = {column: np.concatenate([block[column] for block in blocks]) for column in table.dtypes}
    frame: pandas.DataFrame = pd.DataFrame(columns).set_index(list(table.index))
    units = {column: known["units"] for column, known in table.attributes.items() if "units" in known}
    frame.attrs = {"units": units, **table.provenance}
    return frame
