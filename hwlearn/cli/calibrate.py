"""``hwlearn calibrate``."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hwlearn.cli.outcome import (
    FAILED,
    INTERRUPTED,
    CommandFailed,
    JsonOption,
    SetOption,
    WireLogOption,
    causes,
    closing_network,
    command,
    print_json,
    wire_keys,
)
from hwlearn.cli.unattended.session import CommandSession, LogFileOption, OnEndOption, OnFailureOption, unattended
from hwlearn.errors import HwlearnError, InUseError, SetupError
from hwlearn.storage.toml_text import toml_value
from hwlearn.units import parse_quantity

if TYPE_CHECKING:
    from hwlearn.lab.calibration.job import CalibrationOptions
    from hwlearn.lab.calibration.result import StepDone

log = logging.getLogger("hwlearn.calibration")


@command
def calibrate(
    bench: Annotated[
        str | None,
        typer.Argument(help="A bench file (TOML), or the name of a shipped bench. Not with --from-data."),
    ] = None,
    steps: Annotated[
        list[str] | None,
        typer.Argument(
            help="Steps to run: noise, lines, pulses, converters, edges, verify. Default: all but pulses, which "
            "runs only if it is named, because pulses wear devices."
        ),
    ] = None,
    changes: SetOption = None,
    configurations: Annotated[
        int, typer.Option(help="Number of configurations to program for the estimate of the edges.")
    ] = 16,
    patterns: Annotated[int, typer.Option(help="Patterns to measure in each configuration.")] = 24,
    seed: Annotated[int, typer.Option(help="Seed of the random configurations and patterns.")] = 0,
    devices: Annotated[
        int, typer.Option(help="Number of single devices that the step pulses measures; 0: all.")
    ] = 8,
    retention: Annotated[
        str,
        typer.Option(metavar="TIME", help='Duration of the retention reading in the step pulses, such as "10 s".'),
    ] = "10 s",
    from_data: Annotated[
        Path | None,
        typer.Option(
            "--from-data",
            metavar="FILE",
            help="Fit a device model to measured pulses instead: a CSV of pulse, amplitude, width, conductance.",
        ),
    ] = None,
    model: Annotated[str, typer.Option(help="Device model for --from-data.")] = "soft-bounds",
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="File for the record, or for the fit. Default: named in the bench file, else calibration.toml.",
        ),
    ] = None,
    wire_log: WireLogOption = None,
    log_file: LogFileOption = None,
    on_end: OnEndOption = None,
    on_failure: OnFailureOption = None,
    as_json: JsonOption = False,
) -> None:
    """Measure the converters, lines and edges of a bench, and write calibration.toml.

    Every answer of the hardware is saved before the next request is sent. Ctrl-C stops after the current
    measurement. After Ctrl-C, a lost link or a killed process, run the same command again to continue.
    """
    with unattended("calibrate", log_file, on_end, on_failure) as session:
        if from_data is not None:
            _fit(bench, from_data, model, output, as_json)
            return
        if bench is None:
            raise SetupError("name a bench to calibrate, or a file of measured pulses with --from-data")
        from hwlearn.lab.calibration.job import CalibrationOptions

        options = CalibrationOptions(
            configurations, patterns, seed, devices=devices, retention_s=parse_quantity(retention, "s")
        )
        overrides = [*(changes or []), *wire_keys(wire_log, False)]
        raise typer.Exit(_calibrated(session, bench, overrides, steps or (), options, output, as_json))


def _fit(bench: str | None, from_data: Path, model: str, output: Path | None, as_json: bool) -> None:
    """Fit a device model to measured pulses."""
    if bench is not None:
        raise SetupError("--from-data fits a file without a bench; remove the bench name")
    from hwlearn.cli.fit_devices import fit_devices

    fit_devices(from_data, model, output, as_json=as_json)


def _calibrated(
    session: CommandSession,
    bench: str,
    overrides: Sequence[str],
    steps: Sequence[str],
    options: CalibrationOptions,
    output: Path | None,
    as_json: bool,
) -> int:
    """Run the steps of a calibration, print their results and return the exit code."""
    from hwlearn.lab.bench.bench import open_bench
    from hwlearn.lab.calibration.calibrate import calibrate as calibrate_steps
    from hwlearn.lab.calibration.calibrate import chosen_steps

    session.bench = bench
    opened = open_bench(bench, overrides)
    session.bench = opened.file.name
    chosen_steps(steps)  # refused before anything is opened
    job = opened.calibration_job(options, None if output is None else output.absolute())
    shown = _JsonLines() if as_json else _Live()
    go_on = "all measurements are kept; run the same command again to continue"
    failed = []
    try:
        with shown, closing_network(opened):  # outputs first
            for done in calibrate_steps(job, steps, shown.progress):
                shown.step(done)
                log.info("step %s: %s", done.result.step, done.result.verdict)
                if done.result.passed is False:
                    failed.append(done.result.step)
    except KeyboardInterrupt:
        typer.echo(f"hwlearn: interrupted, {go_on}", err=True)
        raise typer.Exit(INTERRUPTED) from None
    except (SetupError, InUseError):  # refused, nothing was measured
        raise
    except (CommandFailed, HwlearnError) as error:
        text = str(error) if isinstance(error, CommandFailed) else causes(error)
        raise CommandFailed(f"{text}; {go_on}") from error
    named = opened.file.calibration.file is not None and output is None
    if as_json:
        print_json(event="end", record=str(job.path), failed=failed)
    else:
        typer.echo(f"record        {job.path}")
        if not named:
            line = f"file = {toml_value(str(job.path))}"
            if "calibration" in opened.file.tables:  # a second table of this name would be invalid TOML
                typer.echo(f"to use it, write in the table [calibration] of the bench file:\n{line}")
            else:
                typer.echo(f"to use it, add to the bench file:\n[calibration]\n{line}")
    return FAILED if failed else 0


class _JsonLines:
    """Prints one JSON object for every part of a step and for every step."""

    def __enter__(self) -> _JsonLines:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def progress(self, step: str, done: int, parts: int | None) -> None:
        """Print the progress of a step."""
        print_json(event="progress", step=step, done=done, of=parts)

    def step(self, done: StepDone) -> None:
        """Print the result of a step."""
        result = done.result
        sections: dict[str, Any] = {name: section.table() for name, section in result.sections.items()}
        print_json(
            event="step",
            step=result.step,
            passed=result.passed,
            verdict=result.verdict,
            rows=[asdict(row) for row in result.rows],
            found=sections,
            figure=None if result.figure is None else str(result.figure),
            measured=done.measured,
            kept=done.kept,
            before=done.before,
        )


class _Live:
    """Shows a progress bar, and a table when a step is done."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

        self._console = Console()
        self._bar = Progress(
            TextColumn("[bold]{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=self._console,
            transient=True,
        )
        self._task = self._bar.add_task("opening", total=None)

    def __enter__(self) -> _Live:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def progress(self, step: str, done: int, parts: int | None) -> None:
        """Update the bar."""
        self._bar.update(self._task, description=step, completed=done, total=parts)

    def step(self, done: StepDone) -> None:
        """Print the result table of a step."""
        from rich.markup import escape
        from rich.table import Table

        result = done.result
        table = Table("quantity", "value", "uncertainty", box=None, header_style="bold", padding=(0, 2, 0, 0))
        for row in result.rows:
            table.add_row(escape(row.what), escape(row.value), escape(row.uncertainty))
        colour = {True: "green", False: "red", None: "yellow"}[result.passed]
        past = "   (done before the interruption)" if done.before else ""
        self._console.print(f"\n[bold]{result.step}[/bold]{past}")
        if result.rows:
            self._console.print(table)
        self._console.print(f"[{colour}]{escape(result.verdict)}[/{colour}]", soft_wrap=True)
        if result.figure is not None:
            self._console.print(f"figure        {escape(str(result.figure))}", soft_wrap=True)
