"""``hwlearn sweep``."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from hwlearn import early_exit
from hwlearn.cli.outcome import (
    FAILED,
    INTERRUPTED,
    JsonOption,
    SetOption,
    at_work,
    causes,
    command,
    one_line,
    print_json,
)
from hwlearn.cli.series.places import ClusterOption, WorkersOption
from hwlearn.errors import HwlearnError, SetupError

if TYPE_CHECKING:
    from hwlearn.lab.sweeps.definition import SweepDefinition
    from hwlearn.lab.sweeps.running import SweepOptions
    from hwlearn.lab.sweeps.sweep import Sweep
    from hwlearn.lab.sweeps.table import Outcome

_ENDS: Final = (HwlearnError, OSError, KeyboardInterrupt, SystemExit)
"""What ends a sweep early, after which its result is printed all the same."""
_FILES: Final = 2
"""The table and the figure."""


@command
def sweep(
    bench: Annotated[
        str | None,
        typer.Argument(help="A bench file (TOML), or the name of a shipped bench. Not needed with --resume."),
    ] = None,
    grid: Annotated[
        list[str] | None,
        typer.Option(
            "--grid",
            metavar="KEY=VALUES",
            help="Values of a key: 0.02,0.05, or a range start:stop:count such as 0:0.5:6 or 1e-3:0.1:5:log. "
            "Repeatable.",
        ),
    ] = None,
    seeds: Annotated[
        str | None,
        typer.Option(help="Number of seeds of training, simulated devices and data split, or a list such as 3,7."),
    ] = None,
    changes: SetOption = None,
    workers: WorkersOption = None,
    cluster: ClusterOption = None,
    hardware: Annotated[
        bool, typer.Option("--hardware", help="Sweep a bench that is no simulation, one point at a time.")
    ] = False,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", metavar="FOLDER", help="Folder of the sweep. Default: a new one in ./sweeps."
        ),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Continue the sweep in FOLDER; its points that are done stay.")
    ] = False,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="With an earlier sweep, also run the points that failed.")
    ] = False,
    keep_runs: Annotated[
        bool, typer.Option("--keep-runs", help="Record each training as a run, in FOLDER/runs.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Train a bench for all combinations of values and seeds, into one table. It can be resumed at every point.

    For example: hwlearn sweep iris --grid train.rate=0.02,0.05 --grid backend.device_spread=0:0.5:6 --seeds 10
    """
    from hwlearn.lab.sweeps.definition import define
    from hwlearn.lab.sweeps.running import SweepOptions, new_sweep_folder, resumed_definition
    from hwlearn.lab.sweeps.sweep import RUNS

    if resume and output is None:
        raise SetupError("--resume needs the folder of the sweep; add -o FOLDER")
    if bench is None:
        if not resume:
            raise SetupError("name a bench, for example: hwlearn sweep iris --grid train.rate=0.02,0.05")
        if grid or seeds or changes or keep_runs:
            raise SetupError(
                "--grid, --seeds, --set and --keep-runs belong to a bench; name it, or leave them out"
            )
    folder = output if output is not None else new_sweep_folder(str(bench))
    if resume:
        definition = resumed_definition(folder)
    if bench is not None:
        runs = folder / RUNS if keep_runs else None
        definition = define(bench, changes or [], grid, seeds, runs)
    options = SweepOptions(workers, cluster, hardware, retry_failed)
    options.check(definition)
    code = _run(definition, folder, options, as_json)
    raise typer.Exit(code)


def _run(definition: SweepDefinition, folder: Path, options: SweepOptions, as_json: bool) -> int:
    """Run a sweep, print its result, and return the exit code."""
    from hwlearn.lab.sweeps.progress import progress_bar
    from hwlearn.lab.sweeps.running import run_points
    from hwlearn.lab.sweeps.sweep import open_sweep
    from hwlearn.lab.sweeps.table import PointTable

    points = definition.points()
    errors: list[BaseException] = []
    begun = False
    try:
        with PointTable(folder, definition.facts(), points) as table:
            early_exit.work_begins()  # from here on there is a result to print
            counts = table.counts()
            _print_start(definition, folder, counts, as_json)
            begun = True
            with progress_bar(definition.trained.name, False if as_json else None) as shown:
                on_outcome = shown.begin(counts, options.retry_failed)

                def received(outcome: Outcome) -> None:
                    on_outcome(outcome)
                    if as_json:
                        print_json(**_point_facts(outcome))

                run_points(definition, table, options, received)
    except _ENDS as error:
        if not begun:
            raise
        errors.append(error)
    with at_work():
        found = open_sweep(folder)
        written = _write(found, errors)
        return _closed(found, written, errors, as_json)


def _print_start(definition: SweepDefinition, folder: Path, counts: Any, as_json: bool) -> None:
    if as_json:
        print_json(
            event="start",
            folder=str(folder),
            bench=definition.trained.name,
            points=sum(counts.values()),
            done=counts["finished"] + counts["failed"],
        )
    else:
        typer.echo(f"sweep         {folder}\npoints        {_points_text(definition, counts)}")


def _write(found: Sweep, errors: list[BaseException]) -> dict[str, Path]:
    """Write the files of a sweep that ended and return them; what went wrong is added to the errors."""
    from hwlearn.lab.sweeps.running import FIGURES, draw_sweep
    from hwlearn.lab.sweeps.table import DATABASE

    written = {"table": found.folder / DATABASE}
    try:
        written["table"] = found.export(found.table)
        if draw_sweep(found):
            written["figure"] = found.folder / FIGURES[0]
    except _ENDS as error:
        errors.append(error)
    return written


def _closed(found: Sweep, written: Mapping[str, Path], errors: Sequence[BaseException], as_json: bool) -> int:
    """Print the result of a sweep that ended, whatever ended it, and return the exit code."""
    counts = found.counts()
    total, done = sum(counts.values()), counts["finished"]
    facts: dict[str, Any] = {
        "event": "end",
        "points": total,
        "finished": done,
        "failed": counts["failed"],
        "pending": counts["pending"],
        "seconds": round(found.seconds(), 3),
        "stopped": _stopped(errors),
        "folder": str(found.folder.absolute()),
    } | {name: str(path.absolute()) for name, path in written.items()}
    if as_json:
        print_json(**facts)
    else:
        typer.echo(f"finished      {done} of {total} points in {found.seconds():.1f} s")
        for name, path in written.items():
            typer.echo(f"{name:<14}{path}")
    if errors:
        return _report(errors, found, len(written) == _FILES)
    if counts["failed"]:
        first = next(row for row in found.rows() if row.status == "failed")
        typer.echo(
            one_line(
                f"hwlearn: {counts['failed']} of {total} points failed; the first is point {first.number}: "
                f"{first.error}; run them again with: hwlearn sweep --resume --retry-failed -o "
                f"{shlex.quote(str(found.folder))}"
            ),
            err=True,
        )
        return FAILED
    return 0


def _report(errors: Sequence[BaseException], found: Sweep, is_complete: bool) -> int:
    """Print why a sweep ended early and how to go on, in one line, and return the exit code."""
    counts, stopped = found.counts(), _stopped(errors)
    texts = ["interrupted" if stopped == "interrupted" else causes(errors[0])]
    texts += [causes(error) for error in errors[1:] if isinstance(error, Exception)]
    texts.append(f"{counts['finished']} of {sum(counts.values())} points are finished and kept")
    line = "; ".join(dict.fromkeys(texts))
    if counts["pending"] or not is_complete:
        what = "continue" if counts["pending"] else "write the table and the figure"
        line += f", {what} with: hwlearn sweep --resume -o {shlex.quote(str(found.folder))}"
    typer.echo(f"hwlearn: {one_line(' '.join(line.split()))}", err=True)
    if isinstance(errors[0], SystemExit):
        raise errors[0]
    return INTERRUPTED if stopped == "interrupted" else FAILED


def _stopped(errors: Sequence[BaseException]) -> str:
    """Return ``"finished"``, ``"failed"`` or ``"interrupted"``."""
    if not errors:
        return "finished"
    return "failed" if isinstance(errors[0], Exception) else "interrupted"


def _point_facts(outcome: Outcome) -> dict[str, Any]:
    status = "finished" if outcome.error is None else "failed"
    facts = {"event": "point", "point": outcome.number, "status": status, "seconds": round(outcome.seconds, 4)}
    return facts if outcome.error is None else facts | {"error": outcome.error}


def _points_text(definition: SweepDefinition, counts: Any) -> str:
    """Return for example ``"120 = train.rate (2) x backend.device_spread (6) x seed (10); 30 are done"``."""
    parts = [f"{axis.key} ({len(axis.values)})" for axis in definition.axes]
    parts += [] if definition.seeds is None else [f"seed ({len(definition.seeds)})"]
    done = counts["finished"] + counts["failed"]
    return f"{sum(counts.values())} = {' x '.join(parts)}" + (f"; {done} are done" if done else "")
