"""One training session as `train` and `resume` run it: progress, closing table, the last line for scripts."""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as ProgressBar
from rich.table import Table

from hwlearn.cli.outcome import INTERRUPTED, CommandFailed, print_json
from hwlearn.errors import HwlearnError, RunError
from hwlearn.lab.bench.bench import Bench
from hwlearn.lab.bench.evaluation import Evaluation
from hwlearn.lab.runs.recorder import RunRecorder
from hwlearn.lab.runs.report import draw_run
from hwlearn.lab.runs.store import Run
from hwlearn.learning.records import Callback, Epoch, History, Progress, Score
from hwlearn.units import format_quantity


def run_session(bench: Bench, recorder: RunRecorder, as_json: bool, start: Progress | None = None) -> int:
    """Train an open bench, evaluate, draw and report; return the exit code.

    Raises
    ------
    CommandFailed
        If the network fails on the way; what was committed stays, and the run can be resumed.
    """
    run = recorder.run
    go_on = f"go on with: hwlearn resume {run.folder}"
    shown: Callback = _JsonLines() if as_json else _LiveProgress(bench)
    if as_json:
        print_json(
            event="start",
            run=str(run.folder),
            bench=bench.file.name,
            backend=bench.file.backend.kind,
            epochs=bench.file.train.epochs,
            samples=len(bench.data.train),
            edges=bench.topology.n_edges,
            steps_done=0 if start is None else start.steps,
        )
    try:
        began = time.perf_counter()
        history = bench.train([recorder, shown], start)
        seconds = time.perf_counter() - began
        measurements = bench.network.measurements
        result = bench.evaluate() if history.stopped != "interrupted" else None
        bench.close()  # drawing takes a second in which nothing needs to be on
        run.set_meta(seconds=seconds, result=None if result is None else asdict(result))
        picture = draw_run(run)
    except BaseException as error:
        bench.close()  # outputs first, the paperwork afterwards
        with suppress(RunError):  # a full disk may be the failure itself
            run.set_meta(status=_how_it_ended(error))
        if isinstance(error, HwlearnError):
            raise CommandFailed(f"{error}; what was measured is kept, {go_on}") from error
        if isinstance(error, SystemExit):
            with suppress(OSError):  # the terminal may be gone
                typer.echo(f"hwlearn: terminated, what was measured is kept; {go_on}", err=True)
        raise
    finally:
        if isinstance(shown, _LiveProgress):
            shown.stop()
    facts = _facts(bench, run, history, result, seconds, measurements, picture)
    if as_json:
        print_json(**facts)
    else:
        _closing_table(facts, result, history)
    if result is None:
        typer.echo(f"hwlearn: interrupted, everything is kept; {go_on}", err=True)
        return INTERRUPTED
    return 0


def _how_it_ended(error: BaseException) -> str:
    if isinstance(error, KeyboardInterrupt):
        return "interrupted"
    return "terminated" if isinstance(error, SystemExit) else f"failed: {error or type(error).__name__}"


def figure_text(score: Score) -> str:
    """Return a score's figure as text: ``"accuracy 96.7 %"`` or ``"rms error 0.41 mV"``."""
    if score.accuracy is not None:
        return f"accuracy {100 * score.accuracy:.1f} %"
    assert score.rms_error_V is not None
    return f"rms error {1e3 * score.rms_error_V:.3f} mV"


class _JsonLines(Callback):
    """Prints an object for each epoch."""

    def on_epoch(self, epoch: Epoch) -> None:
        print_json(event="epoch", **asdict(epoch))


class _LiveProgress(Callback):
    """Shows epoch, score, measurements per second and time left."""

    def __init__(self, bench: Bench) -> None:
        self._progress = ProgressBar(
            TextColumn("[bold]{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TextColumn("epochs   {task.fields[figure]}"),
            TextColumn("[dim]{task.fields[rate]}"),
            TimeRemainingColumn(),
            console=Console(),
        )
        self._task = self._progress.add_task(bench.file.name, total=bench.file.train.epochs, figure="", rate="")
        self._progress.start()

    def on_epoch(self, epoch: Epoch) -> None:
        rate = epoch.measurements / epoch.seconds if epoch.seconds > 0 else 0.0
        score = epoch.validation or epoch.train
        self._progress.update(
            self._task,
            completed=epoch.number + 1,
            figure=f"cost {score.cost:.3g}   {figure_text(score)}",
            rate=f"{rate:,.0f} measurements/s",
        )

    def stop(self) -> None:
        """Leave the terminal as it was."""
        self._progress.stop()


def _facts(
    bench: Bench,
    run: Run,
    history: History,
    result: Evaluation | None,
    seconds: float,
    measurements: int,
    picture: Path,
) -> dict[str, Any]:
    facts: dict[str, Any] = {
        "event": "end",
        "run": str(run.folder),
        "bench": bench.file.name,
        "backend": bench.file.backend.kind,
        "epochs": len(run.epochs()),
        "stopped": history.stopped,
    }
    if result is not None:
        kind = "test" if result.held_out else "train"
        if result.measured.accuracy is not None:
            facts[f"{kind}_accuracy"] = result.measured.accuracy
            if result.true is not None:
                facts[f"true_{kind}_accuracy"] = result.true.accuracy
        else:
            facts["rms_error_V"] = result.measured.rms_error_V
            if result.true is not None:
                facts["true_rms_error_V"] = result.true.rms_error_V
    return facts | {"measurements": measurements, "seconds": round(seconds, 4), "report": str(picture)}


def _closing_table(facts: dict[str, Any], result: Evaluation | None, history: History) -> None:
    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    if result is not None:
        rows = f"{result.rows} {'held-out' if result.held_out else 'training'} samples"
        table.add_row("measured", f"[bold]{figure_text(result.measured)}[/bold] on {rows}")
        if result.true is not None:
            table.add_row("true", f"{figure_text(result.true)} (known to the simulation alone)")
    g = history.conductances
    span = f"{format_quantity(g.min(), 'S')} to {format_quantity(g.max(), 'S')}"
    table.add_row("conductances", span)
    table.add_row("ended", f"{history.stopped} after {facts['epochs']} epochs, {facts['seconds']:.1f} s")
    table.add_row("measurements", f"{facts['measurements']:,}")
    Console().print(table)
    # whole paths on lines of their own, to be copied
    typer.echo(f"run           {facts['run']}\npicture       {facts['report']}")
