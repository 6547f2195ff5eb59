"""Where the points of a sweep or a study run."""

from __future__ import annotations

from typing import Annotated

import typer

WorkersOption = Annotated[
    int | None, typer.Option("--workers", help="Processes of this computer. Default: one for each core.")
]
ClusterOption = Annotated[
    str | None,
    typer.Option(
        "--cluster", metavar="ADDRESS", help="Run on a Dask cluster: tcp://HOST:PORT of its scheduler, or local."
    ),
]
