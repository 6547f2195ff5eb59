"""The command line: one file a command; commands of installed wings join through ``hwlearn.commands``."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterable
from importlib.metadata import EntryPoint, entry_points, version
from types import FrameType
from typing import Annotated

import typer

from hwlearn.cli import calibrate, check, init, off, report, resume, runs, train
from hwlearn.cli.outcome import FAILED
from hwlearn.errors import HwlearnError

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
app.command("calibrate")(calibrate.calibrate)
app.command("check")(check.check)
app.command("init")(init.init)
app.command("off")(off.off)


def mount(points: Iterable[EntryPoint]) -> None:
    """Add the commands of installed wings, a typer app or a function each; tell of one that cannot be loaded."""
    for point in points:
        try:
            loaded = point.load()
            if isinstance(loaded, typer.Typer):
                app.add_typer(loaded, name=point.name)
            else:
                app.command(point.name)(loaded)
        except Exception as error:  # whatever a plugin does wrong, `hwlearn off` must still work
            typer.echo(f"hwlearn: the command {point.name!r} cannot be loaded: {error}", err=True)


mount(entry_points(group="hwlearn.commands"))


def _show_version(asked: bool) -> None:
    if asked:
        typer.echo(f"hwlearn {version('hwlearn')}")
        raise typer.Exit


@app.callback()
def _root(
    show_version: Annotated[
        bool,
        typer.Option("--version", help="Print the version and exit.", is_eager=True, callback=_show_version),
    ] = False,
) -> None:
    pass


def main() -> None:
    """Run the command line; SIGTERM or a closed terminal closes the network before the process ends."""

    def on_terminate(number: int, frame: FrameType | None) -> None:
        sys.exit(128 + number)

    for name in ("SIGTERM", "SIGHUP", "SIGBREAK"):  # the last two exist on one kind of system each
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), on_terminate)
    try:
        app()
    except HwlearnError as error:  # from a plugin's command; ours end by themselves
        typer.echo(f"hwlearn: {error}", err=True)
        sys.exit(FAILED)
