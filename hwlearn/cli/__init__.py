"""The command line: one file a command; commands of installed wings join through ``hwlearn.commands``."""

from __future__ import annotations

import signal
import sys
from importlib.metadata import entry_points, version
from types import FrameType
from typing import Annotated

import typer

from hwlearn.cli import check, init, off, report, resume, runs, train

app = typer.Typer(
    name="hwlearn",
    help="Train physical resistor networks with measurements in the loop.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
app.command("train")(train.train)
app.command("resume")(resume.resume)
app.command("runs")(runs.runs)
app.command("report")(report.report)
app.command("check")(check.check)
app.command("init")(init.init)
app.command("off")(off.off)
for _point in entry_points(group="hwlearn.commands"):
    app.add_typer(_point.load(), name=_point.name)


@app.callback()
def _root(
    show_version: Annotated[
        bool, typer.Option("--version", help="Print the version and exit.", is_eager=True)
    ] = False,
) -> None:
    if show_version:
        typer.echo(f"hwlearn {version('hwlearn')}")
        raise typer.Exit


def main() -> None:
    """Run the command line; SIGTERM closes what is open before the process ends."""

    def on_terminate(number: int, frame: FrameType | None) -> None:
        sys.exit(128 + number)

    signal.signal(signal.SIGTERM, on_terminate)
    app()
