"""``hwlearn calibrate``."""

from __future__ import annotations

from contextlib import closing
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
    command,
    print_json,
    wire_keys,
)
from hwlearn.errors import HwlearnError, SetupError
from hwlearn.units import parse_quantity

if TYPE_CHECKING:
    from hwlearn.lab.calibration.session import StepDone


@command
def calibrate(
    bench: Annotated[
        str | None, typer.Argument(help="A TOML file, or the name of a bench that ships; none with --from-data.")
    ] = None,
    steps: Annotated[
        list[str] | None,
        typer.Argument(
            help="Of noise, lines, pulses, converters, edges, verify. Unless given: all, but pulses, which wear "
            "devices, only where there is nothing to pulse."
        ),
    ] = None,
    changes: SetOption = None,
    configurations: Annotated[
        int, typer.Option(help="Programmed configurations from which the edges are estimated.")
    ] = 16,
    patterns: Annotated[int, typer.Option(help="Patterns measured in each of them.")] = 24,
    seed: Annotated[int, typer.Option(help="Of the random configurations and patterns.")] = 0,
    devices: Annotated[int, typer.Option(help="Single devices that the step pulses measures; 0: all.")] = 8,
    retention: Annotated[
        str, typer.Option(metavar="TIME", help='How long the step pulses watches them, such as "10 s".')
    ] = "10 s",
    from_data: Annotated[
        Path | None,
        typer.Option(
            "--from-data",
            metavar="FILE",
            help="Instead: fit a device model to measured pulses, a CSV of pulse, amplitude, width, conductance.",
        ),
    ] = None,
    model: Annotated[str, typer.Option(help="The model that --from-data fits.")] = "soft-bounds",
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", help="Where to keep the record, unless where the bench file says; or the fit."
        ),
    ] = None,
    wire_log: WireLogOption = None,
    as_json: JsonOption = False,
) -> None:
    """Find out what a bench's converters, lines and edges really are, and write calibration.toml.

    Every answer of the hardware is on disk before the next is asked for: after Ctrl-C, a lost link or a killed
    process the same command goes on where it was. Ctrl-C ends after the current measurement.
    """
    if from_data is not None:
        if bench is not None:
            raise SetupError("--from-data fits a file and opens no bench: leave the bench out")
        from hwlearn.cli.fit_devices import fit_devices

        fit_devices(from_data, model, output, as_json=as_json)
        return
    if bench is None:
        raise SetupError("name a bench to calibrate, or a file of measured pulses with --from-data")
    from hwlearn.lab.bench.bench import open_bench
    from hwlearn.lab.calibration.session import CalibrationOptions, calibrate_bench, chosen_steps, record_path
    from hwlearn.learning.interrupt import Interrupted

    opened = open_bench(bench, [*(changes or []), *wire_keys(wire_log, False)])
    chosen_steps(steps or [])  # refused before anything is opened
    options = CalibrationOptions(
        configurations, patterns, seed, devices=devices, retention_s=parse_quantity(retention, "s")
    )
    path = record_path(opened) if output is None else output.absolute()
    shown = _JsonLines() if as_json else _Live()
    go_on = "what was measured is kept, the same command goes on"
    untrusted = []
    with closing(opened), shown:
        try:
            for done in calibrate_bench(opened, steps or (), options, path, shown.progress):
                shown.step(done)
                if done.found.trusted is False:
                    untrusted.append(done.found.step)
        except Interrupted:
            opened.close()  # outputs first
            typer.echo(f"hwlearn: interrupted, {go_on}", err=True)
            raise typer.Exit(INTERRUPTED) from None
        except SetupError:
            raise
        except HwlearnError as error:
            raise CommandFailed(f"{error}; {go_on}") from error
    named = opened.file.calibration.file is not None and output is None
    if as_json:
        print_json(event="end", record=str(path), untrusted=untrusted)
    else:
        typer.echo(f"record        {path}")
        if not named:
            typer.echo(f'to use it, add to the bench file:  [calibration] file = "{path}"')
    raise typer.Exit(FAILED if untrusted else 0)


class _JsonLines:
    """An object for every part of a step and for every step."""

    def __enter__(self) -> _JsonLines:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def progress(self, step: str, done: int, parts: int | None) -> None:
        """Tell how far a step is."""
        print_json(event="progress", step=step, done=done, of=parts)

    def step(self, done: StepDone) -> None:
        """Tell what a step found."""
        found = done.found
        sections: dict[str, Any] = {name: section.table() for name, section in found.sections.items()}
        print_json(
            event="step",
            step=found.step,
            trusted=found.trusted,
            verdict=found.verdict,
            rows=[asdict(row) for row in found.rows],
            found=sections,
            figure=None if found.figure is None else str(found.figure),
            measured=done.measured,
            kept=done.kept,
            before=done.before,
        )


class _Live:
    """A progress bar, and a table when a step is done."""

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
        """Move the bar."""
        self._bar.update(self._task, description=step, completed=done, total=parts)

    def step(self, done: StepDone) -> None:
        """Print the table of a step."""
        from rich.markup import escape
        from rich.table import Table

        found = done.found
        table = Table("found", "value", "uncertainty", box=None, header_style="bold", padding=(0, 2, 0, 0))
        for row in found.rows:
            table.add_row(escape(row.what), escape(row.value), escape(row.uncertainty))
        colour = {True: "green", False: "red", None: "yellow"}[found.trusted]
        past = "   (done before the interruption)" if done.before else ""
        self._console.print(f"\n[bold]{found.step}[/bold]{past}")
        if found.rows:
            self._console.print(table)
        self._console.print(f"[{colour}]{escape(found.verdict)}[/{colour}]", soft_wrap=True)
        if found.figure is not None:
            self._console.print(f"figure        {escape(str(found.figure))}", soft_wrap=True)
