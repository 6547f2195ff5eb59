"""One training session, as `train` and `resume` run it: training, evaluation, report, and the result printed."""

from __future__ import annotations

import logging
import math
from contextlib import suppress
from dataclasses import asdict
from typing import Any

import typer
from rich.console import Console

from hwlearn.cli.display import RelayWear, closing_table
from hwlearn.cli.outcome import INTERRUPTED, CommandFailed, causes, close_failure, one_line, print_json
from hwlearn.cli.run_data.paths import shown_path
from hwlearn.errors import HwlearnError, NetworkError, RunError
from hwlearn.lab.bench.bench import Bench
from hwlearn.lab.bench.evaluation import Evaluation
from hwlearn.lab.data.scaling import OutputScale
from hwlearn.lab.progress.terminal import LiveProgress, outputs_on, score_text
from hwlearn.lab.runs.forecast import SizeForecast, forecast_size
from hwlearn.lab.runs.recorder import RunRecorder, has_instruments
from hwlearn.lab.runs.report import draw_run
from hwlearn.lab.runs.store import Run
from hwlearn.learning.energy import energy_text
from hwlearn.learning.records import Callback, Epoch, History, Progress

log = logging.getLogger("hwlearn.session")


def run_session(bench: Bench, recorder: RunRecorder, as_json: bool, start: Progress | None = None) -> int:
    """Train an open bench, evaluate it, draw the report, print the result, and return the exit code.

    A report that cannot be drawn is a warning: the run is complete without it.

    Raises
    ------
    CommandFailed
        If the network fails during the training, or outputs cannot be switched off at its end. Everything that
        was stored is kept, and the run can be resumed.
    """
    run, train = recorder.run, bench.file.train
    go_on = f"continue with: hwlearn resume {run.folder}"
    samples = len(bench.data.train)
    closed = {"outputs": "off"} if has_instruments(bench) else {}
    size = forecast_size(bench, run.folder, 0 if start is None else start.steps)
    if as_json:
        print_json(
            event="start",
            run=str(run.folder),
            bench=bench.file.name,
            backend=bench.file.backend.kind,
            epochs=train.epochs,
            samples=samples,
            edges=bench.topology.n_edges,
            steps_done=0 if start is None else start.steps,
            data=list(bench.data.understood),
            output_pairs=None if bench.data.pairs is None else [list(pair) for pair in bench.data.pairs.pairs],
            notes=list(bench.file.network.notes(bench.file.folder)),
            expected_bytes=None if size is None else size.total,
            free_bytes=None if size is None else size.free,
            **_dry_run(bench),
        )
        shown: _JsonLines | LiveProgress = _JsonLines()
    else:
        _print_size(size)
        done = 0 if start is None else len(start.epochs or ())
        for line in bench.file.network.notes(bench.file.folder):
            typer.echo(f"netlist       {line}")
        for line in bench.data.understood:
            typer.echo(f"data          {line}")
        batches = math.ceil(samples / (train.batch or samples))
        shown = LiveProgress(
            bench.file.name,
            train.epochs,
            batches,
            done,
            scale=bench.data.scale,
            outputs_on=outputs_on(bench),
        )
    try:
        recorder.start_clock()
        log.info("run %s on bench %s, backend %s", run.folder, bench.file.name, bench.file.backend.kind)
        history = bench.train([recorder, shown, _LogLines(train.epochs, bench.data.scale)], start)
        seconds = run.seconds()  # of all parts
        measurements = history.measurements
        result = bench.evaluate() if history.stopped != "interrupted" else None
        relays = RelayWear.of(bench.network)
        unsafe = close_failure(bench)  # drawing takes a second, in which no output needs to be on
        log.info("the training ended: %s; %s", history.stopped, unsafe or "outputs are off")
        if unsafe is not None:
            raise NetworkError(f"the training ended ({history.stopped}); {unsafe}")
        kept = None if result is None or bench.file.is_dry_run else asdict(result)  # a dry run measures nothing
        run.set_meta(seconds=seconds, result=kept, **closed, **relays.facts())
        if result is not None and not bench.file.is_dry_run:
            log.info("%s on %d samples", score_text(result.measured, bench.data.scale), result.rows)
    except BaseException as error:
        unsafe = close_failure(bench)  # outputs off first, then the records
        failed = unsafe is not None or not isinstance(error, KeyboardInterrupt | SystemExit)
        text = causes(error) if unsafe is None else causes(error, unsafe)
        with suppress(RunError):  # a full disk may be the failure itself
            run.set_meta(status=f"failed: {text}" if failed else text, **({} if unsafe else closed))
        if unsafe is not None or isinstance(error, HwlearnError | OSError):  # OSError: full disk, closed pipe
            raise CommandFailed(f"{text}; all stored measurements are kept, {go_on}") from error
        if isinstance(error, SystemExit):
            with suppress(OSError):  # the terminal may be closed
                typer.echo(f"hwlearn: terminated, all stored measurements are kept; {go_on}", err=True)
        raise
    finally:
        with suppress(OSError):  # the terminal may be closed
            shown.stop()
    picture = _picture(run)
    facts = _facts(bench, run, history, None if bench.file.is_dry_run else result)
    facts |= {"measurements": measurements, "seconds": round(seconds, 4), "report": picture} | relays.facts()
    if as_json:
        print_json(**facts)
    else:
        scored = None if bench.file.is_dry_run else result
        table = closing_table(scored, history, seconds, measurements, bench.data.scale)
        if history.energy and not bench.file.is_dry_run:
            table.add_row("energy", energy_text(history.energy))
        if relays.moves is not None:
            table.add_row("relay moves", relays.text())
        Console().print(table)
        if bench.file.is_dry_run:
            typer.echo("dry run       no instrument was contacted: no number of this run is a measurement")
        # whole paths on lines of their own, to be copied
        typer.echo(f"run           {shown_path(run.folder)}")
        if picture is not None:
            typer.echo(f"report        {shown_path(picture)}")
    if result is None:
        typer.echo(f"hwlearn: interrupted, all stored measurements are kept; {go_on}", err=True)
        return INTERRUPTED
    return 0


def _picture(run: Run) -> str | None:
    """Draw the picture of a run and return its path; None, with a warning, if it cannot be drawn."""
    try:
        return str(draw_run(run))
    except Exception as error:  # the run is complete without it, whatever a library of figures raises
        text = f"warning: the picture of the run cannot be drawn: {one_line(causes(error))}"
        log.info("%s", text)
        with suppress(OSError):  # the terminal may be closed
            typer.echo(f"hwlearn: {text}; the run is complete, try: hwlearn report {run.folder}", err=True)
        return None


def _print_size(size: SizeForecast | None) -> None:
    """Print how large the run will be, and warn if its disk cannot hold it."""
    if size is None:
        typer.echo("size          not known: the model cannot compute a batch")
        return
    typer.echo(f"size          {size.text()}")
    if not size.fits:
        typer.echo(f"warning: {size.warning()}")


def _dry_run(bench: Bench) -> dict[str, Any]:
    return {"dry_run": True} if bench.file.is_dry_run else {}


class _LogLines(Callback):
    """Logs a line for each epoch."""

    def __init__(self, epochs: int, scale: OutputScale | None) -> None:
        self._epochs, self._scale = epochs, scale

    def on_epoch(self, epoch: Epoch) -> None:
        score, kind = epoch.validation or epoch.train, "training" if epoch.validation is None else "validation"
        log.info(
            "epoch %d of %d: %s on %s samples, cost %.4g, %d measurements in %.1f s",
            *(epoch.number + 1, self._epochs, score_text(score, self._scale), kind),
            *(score.cost, epoch.measurements, epoch.seconds),
        )


class _JsonLines(Callback):
    """Prints a JSON object for each epoch."""

    def on_epoch(self, epoch: Epoch) -> None:
        print_json(event="epoch", **asdict(epoch))

    def stop(self) -> None:
        """Do nothing: each line is complete when it is printed."""


def _facts(bench: Bench, run: Run, history: History, result: Evaluation | None) -> dict[str, Any]:
    facts: dict[str, Any] = {
        "event": "end",
        "run": str(run.folder),
        "bench": bench.file.name,
        "backend": bench.file.backend.kind,
        "epochs": len(run.epochs()),
        "stopped": history.stopped,
        "energy": dict(history.energy),
        **_dry_run(bench),
    }
    if result is not None:
        kind = "test" if result.held_out else "train"
        if result.measured.accuracy is not None:
            facts[f"{kind}_accuracy"] = result.measured.accuracy
            if result.true is not None:
                facts[f"true_{kind}_accuracy"] = result.true.accuracy
        else:
            facts["rms_error_V"] = result.measured.rms_error_V
            if bench.data.scale is not None and result.measured.rms_error_V is not None:
                facts["rms_error"] = bench.data.scale.error(result.measured.rms_error_V)
                facts["unit"] = bench.data.scale.unit
            if result.true is not None:
                facts["true_rms_error_V"] = result.true.rms_error_V
    return facts
