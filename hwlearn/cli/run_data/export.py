"""``hwlearn export``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, cast, get_args

import typer

from hwlearn.cli.outcome import CommandFailed, JsonOption, RunsOption, command, print_json
from hwlearn.errors import RunError


@command
def export(
    run: Annotated[str, typer.Argument(help="A run folder, or the first characters of a run's name.")],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="File to write.")],
    kind: Annotated[
        str | None,
        typer.Option("--format", help="netcdf, csv, parquet or npz. Default: by the ending of FILE."),
    ] = None,
    table: Annotated[
        str, typer.Option(help="Table in a CSV or Parquet file: samples, steps, epochs or edges.")
    ] = "samples",
    runs: RunsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write the data of a run to a file, every number exactly, with units and provenance.

    NetCDF and NPZ files have all arrays, CSV and Parquet files one table. The run may still be written.
    """
    from hwlearn.lab.runs.inputs import check_target
    from hwlearn.lab.runs.store import Run, runs_folder
    from hwlearn.lab.runs.views.files import ENDINGS, FileFormat, export_run, written_files
    from hwlearn.lab.runs.views.tables import TableName

    found = Run.open(run, runs_folder(runs))
    chosen = kind or ENDINGS.get(output.suffix.lower())
    formats, tables = get_args(FileFormat), get_args(TableName)
    if chosen is None:
        raise RunError(f"the ending of {output} names no format; add --format with one of: {', '.join(formats)}")
    for option, value, known in (("format", chosen, formats), ("table", table, tables)):
        if value not in known:
            raise RunError(f"--{option} {value} is not known; use one of: {', '.join(known)}")
    if not output.parent.is_dir():
        raise RunError(f"cannot write {output}: there is no folder {output.parent}")
    for file in written_files(output, cast("FileFormat", chosen)):
        check_target(file)
    try:
        files = export_run(found.folder, output, cast("FileFormat", chosen), cast("TableName", table))
    except RunError as error:
        raise CommandFailed(str(error)) from error
    if as_json:
        print_json(run=str(found.folder), format=chosen, files=[str(file) for file in files])
    else:
        typer.echo("\n".join(map(str, files)))
