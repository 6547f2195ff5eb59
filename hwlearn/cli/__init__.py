"""The command line: one file per command. Installed packages add commands through ``hwlearn.commands``.

Modules that take long to import (numpy, matplotlib, pydantic) are imported inside the commands, so that
``hwlearn --help``, ``hwlearn off`` and the completion of the shell are fast.
"""

from __future__ import annotations

import signal
import sys
from types import FrameType
from typing import Annotated

import typer

import hwlearn
from hwlearn import early_exit
from hwlearn.cli import calibrate, check, init, off, resume, runs, status, train
from hwlearn.cli.command_group import CommandGroup
from hwlearn.cli.outcome import FAILED, one_line
from hwlearn.cli.plugins.origin import plugin_hint, plugin_of, print_traceback
from hwlearn.cli.run_data import compare, export, report, watch
from hwlearn.cli.series import study, sweep
from hwlearn.errors import HwlearnError
from hwlearn.exit_signals import ENDING, other_fatal_signals

app = typer.Typer(
    name="hwlearn",
    cls=CommandGroup,
    help="Train physical resistor networks with measurements in the loop.",
    epilog="First steps: `hwlearn train iris`. Completion with the Tab key: `hwlearn --install-completion`.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)
app.command("train")(train.train)
app.command("resume")(resume.resume)
app.command("runs")(runs.runs)
app.command("report")(report.report)
app.command("study")(study.study)
app.command("watch")(watch.watch)
app.command("compare")(compare.compare)
app.command("export")(export.export)
app.command("sweep")(sweep.sweep)
app.command("calibrate")(calibrate.calibrate)
app.command("check")(check.check)
app.command("init")(init.init)
app.command("status")(status.status)
app.command("off")(off.off)


def _show_version(requested: bool) -> None:
    if requested:
        typer.echo(f"hwlearn {hwlearn.__version__}")
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
    """Run the command line. Signals that end the process close the network first; exit code 128 + number."""

    def on_terminate(number: int, frame: FrameType | None) -> None:
        sys.exit(128 + number)

    for ending in ENDING:
        if signal.getsignal(ending) != signal.SIG_IGN:  # nohup ignores SIGHUP
            signal.signal(ending, on_terminate)
    for fatal in other_fatal_signals():
        if signal.getsignal(fatal) == signal.SIG_DFL:
            signal.signal(fatal, on_terminate)
    try:
        app(
            prog_name="hwlearn"
        )  # not "python -m hwlearn": the completion of the shell is installed under this name
    except Exception as error:  # from the command of a plugin; ours report their errors themselves
        if not isinstance(error, HwlearnError) and plugin_of(error) is None:
            raise
        print_traceback(error)
        text = str(error) if isinstance(error, HwlearnError) else f"{type(error).__name__}: {error}"
        typer.echo(one_line(f"hwlearn: {' '.join(text.split())}{plugin_hint(error)}"), err=True)
        sys.exit(FAILED)
    finally:
        early_exit.command_ended()
