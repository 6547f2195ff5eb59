"""`hwlearn.sweep`: train a bench for many values of its keys and seeds, in a table that survives interruptions."""

from __future__ import annotations

import logging
import shlex
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from hwlearn.errors import RunError, SetupError
from hwlearn.lab.bench.bench import Bench
from hwlearn.lab.runs.report import save_figure
from hwlearn.lab.sweeps.attempts import error_line
from hwlearn.lab.sweeps.definition import SweepDefinition, define, stored_definition
from hwlearn.lab.sweeps.execution import checked_place, execute, execute_here
from hwlearn.lab.sweeps.progress import progress_bar
from hwlearn.lab.sweeps.sweep import RUNS, Sweep, open_sweep
from hwlearn.lab.sweeps.table import DATABASE, Outcome, PointTable

log = logging.getLogger("hwlearn")

FIGURES = ("sweep.svg", "sweep.png")


def sweep(
    bench: str | Path | Bench,
    grid: Mapping[str, Any] | Iterable[str] | str | None = None,
    seeds: int | Iterable[int] | str | None = None,
    *,
    overrides: Iterable[str] | Mapping[str, Any] = (),
    folder: str | Path | None = None,
    workers: int | None = None,
    cluster: Any = None,
    hardware: bool = False,
    keep_runs: bool = False,
    retry_failed: bool = False,
    progress: bool | None = None,
) -> Sweep:
    """Train a bench for every combination of values and seeds, and store one row for each in a table.

    Every combination is checked before the first training. A training that fails is a row with its error; the
    others go on. Whatever ends the sweep, the finished points stay in its folder, and the same call with this
    folder continues it.

    Parameters
    ----------
    bench : str, Path or Bench
        A bench file, the name of a bench that comes with the package, or a bench.
    grid : mapping, or iterable of str, optional
        Values by key of the bench file: ``{"train.rate": [0.02, 0.05], "backend.device_spread": "0:0.5:6"}``. Text
        is read as ``--grid`` reads it, also all of it: ``["train.rate=0.02,0.05"]``.
    seeds : int or iterable of int, optional
        10 is the seeds 0 to 9. A seed is that of the training, of simulated devices and noise, and of the split
        into training, validation and test rows. Points with equal seeds are equal in these, so that they are
        compared in pairs. Unless given, the bench's own seeds.
    overrides : iterable of str, or mapping
        Keys changed for all points, as in `hwlearn.open_bench`. A seed that is given here stays as it is.
    folder : str or Path, optional
        Folder of the sweep. Default: a new one in ``./sweeps``. If it has this sweep already, that is continued.
    workers : int, optional
        Processes of this computer, each with one thread. Default: one for each core.
    cluster : str or distributed.Client, optional
        ``"tcp://host:port"`` of a Dask scheduler, ``"local"``, or a client. Needs the extra ``cluster``.
    hardware : bool
        Allow backends that are no simulation. The points then run one after the other in this process.
    keep_runs : bool
        Whether to record each training as a run too, in ``FOLDER/runs``.
    retry_failed : bool
        Whether points that failed earlier run again.
    progress : bool, optional
        Whether to show the progress; unless given, it is shown in a terminal.

    Returns
    -------
    Sweep

    Raises
    ------
    SetupError
        If a key, value or option is wrong, or the bench is hardware and ``hardware`` is False. Nothing was run.
    RunError
        If the folder has another sweep, is damaged, or cannot be written.
    NetworkError
        If the cluster cannot be reached or was lost, or the hardware failed.
    StorageError
        If the CSV file cannot be written; all points are kept, and the same call writes it.
    """
    place = new_sweep_folder(bench) if folder is None else Path(folder)
    definition = define(bench, overrides, grid, seeds, place / RUNS if keep_runs else None)
    options = SweepOptions(workers, cluster, hardware, retry_failed)
    options.check(definition)
    points = definition.points()
    with (
        progress_bar(definition.trained.name, progress) as shown,
        PointTable(place, definition.facts(), points) as table,
    ):
        run_points(definition, table, options, shown.begin(table.counts(), retry_failed))
    return finished(place)


class SweepOptions:
    """Where the points of a sweep run.

    Parameters
    ----------
    workers, cluster, hardware, retry_failed
        As `sweep` has them.
    """

    def __init__(
        self, workers: int | None = None, cluster: Any = None, hardware: bool = False, retry_failed: bool = False
    ) -> None:
        self.workers: int | None = workers
        self.cluster: Any = cluster
        self.hardware: bool = hardware
        self.retry_failed: bool = retry_failed

    def check(self, definition: SweepDefinition) -> None:
        """Refuse hardware that is not wanted, and a place where the points cannot run.

        Raises
        ------
        SetupError
            Saying what to do.
        """
        if definition.hardware and not self.hardware:
            raise SetupError(
                f"bench {definition.trained.name}: its backend is no simulation; a sweep over hardware needs "
                "--hardware, in Python hardware=True, and runs one point at a time"
            )
        if not self.hardware:
            checked_place(self.workers, self.cluster)
        elif self.cluster is not None or self.workers not in (None, 1):
            raise SetupError(
                "a sweep over hardware runs one point at a time in this process; leave out workers and cluster"
            )


def run_points(
    definition: SweepDefinition,
    table: PointTable,
    options: SweepOptions,
    on_outcome: Callable[[Outcome], None] | None = None,
) -> None:
    """Run the points of a table that are not done; raises as `sweep`."""
    if options.hardware:
        execute_here(definition.trained, table, retry_failed=options.retry_failed, on_outcome=on_outcome)
    else:
        execute(
            definition.trained,
            table,
            workers=options.workers,
            cluster=options.cluster,
            retry_failed=options.retry_failed,
            on_outcome=on_outcome,
        )


def new_sweep_folder(bench: str | Path | Bench) -> Path:
    """Return the name of a folder in ``./sweeps`` that does not exist yet; it is not created."""
    name = bench.file.name if isinstance(bench, Bench) else Path(bench).stem
    stamp = f"{datetime.now():%Y%m%d-%H%M%S}-{name}"
    found, number = Path("sweeps") / stamp, 1
    while found.exists():
        number += 1
        found = Path("sweeps") / f"{stamp}-{number}"
    return found


def resumed_definition(folder: Path) -> SweepDefinition:
    """Return the definition of the sweep in a folder, to continue it.

    Raises
    ------
    RunError
        If there is no sweep of a bench, or it is damaged.
    SetupError
        If its files or its bench are not valid any more.
    """
    if not (folder / DATABASE).is_file():
        raise RunError(f"there is no sweep in {folder} to resume; leave out --resume to begin one there")
    return stored_definition(open_sweep(folder).definition, folder / RUNS)


def finished(folder: Path) -> Sweep:
    """Write the table as CSV and the figure, and return the sweep.

    Raises
    ------
    RunError
        If the table is damaged.
    SetupError, StorageError
        If the CSV file cannot be written.
    """
    found = Sweep(folder)
    found.export(found.table)
    draw_sweep(found)
    return found


def draw_sweep(found: Sweep) -> bool:
    """Write the figure of a sweep and return whether that was possible.

    The numbers do not need the figure: one that cannot be drawn or written is a warning in the log. One that
    would have nothing to show, or more than two axes, is left out.
    """
    try:
        try:
            figure = found.plot()
        except RunError:
            return False
        for name in FIGURES:
            save_figure(figure, found.folder / name)
    except Exception as error:  # of matplotlib, Pillow, a font or the disk
        log.warning(
            "the figure of sweep %s is not written: %s; the table does not need it, write it later with: "
            "hwlearn sweep --resume -o %s",
            found.folder,
            error_line(error),
            shlex.quote(str(found.folder)),
        )
        return False
    return True
