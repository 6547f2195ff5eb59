"""The run store: one folder for each run, with its bench file, its files and a database of every step."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, SupportsIndex

import numpy as np

from hwlearn.arrays import FloatArray
from hwlearn.errors import RunError
from hwlearn.lab.runs.contents import RunContents, open_contents
from hwlearn.lab.runs.database import (
    DATABASE,
    FORMAT,
    close_writer,
    connect,
    create_database,
    put_fact,
    write_failure,
)
from hwlearn.lab.runs.earlier import FORMAT_1
from hwlearn.lab.runs.inputs import copy_files, graph_arrays, identity, new_folder, own_files
from hwlearn.lab.runs.reading import named_folder, run_folders
from hwlearn.learning.records import Epoch, Progress
from hwlearn.learning.scoring import Score
from hwlearn.storage.lock import is_locked

if TYPE_CHECKING:
    import pandas
    import xarray
    from matplotlib.figure import Figure

    from hwlearn.lab.bench.bench import Bench
    from hwlearn.lab.runs.report import ReportFormat
    from hwlearn.lab.runs.views.tables import TableName

BENCH_FILE = "bench.toml"


def runs_folder(chosen: str | Path | None = None) -> Path:
    """Return the absolute folder of all runs: the chosen one, else ``$HWLEARN_RUNS``, else ``./runs``."""
    return Path(chosen or os.environ.get("HWLEARN_RUNS") or "runs").absolute()


@dataclass(frozen=True)
class Run:
    """A run on disk. It needs nothing outside its folder.

    Attributes
    ----------
    folder : Path
        Absolute. Contains ``run.sqlite``, the database; ``bench.toml``, the bench file with all defaults filled
        in; and ``files``, copies of the files that it names.
    """

    folder: Path

    def __post_init__(self) -> None:
        object.__setattr__(self, "folder", self.folder.absolute())  # the working folder may change

    def __repr__(self) -> str:
        from hwlearn.lab.runs.views.shown import run_text

        return run_text(self.folder)

    def _repr_html_(self) -> str:
        from hwlearn.lab.runs.views.shown import run_box

        return run_box(self.folder)

    # --- create and find -------------------------------------------------------------------------

    @classmethod
    def create(cls, bench: Bench, runs: Path) -> Run:
        """Create the folder and the database of a new run.

        If the process is killed meanwhile, there is a complete run or none.

        Raises
        ------
        RunError
            If the folder cannot be written, or a file of the bench cannot be read.
        """
        stamp = datetime.now().strftime("%Y%m%d-%H%M%S")
        dry = "-dry-run" if bench.file.is_dry_run else ""
        name = f"{stamp}-{bench.file.name}-s{bench.file.train.seed}{dry}"
        try:
            runs.mkdir(parents=True, exist_ok=True)
            folder = new_folder(runs, name)
            files = copy_files(bench, folder)
            text = bench.text()
            (folder / BENCH_FILE).write_text(text, encoding="utf-8")
            facts = identity(bench) | {"settings": text, "files": files}
            create_database(folder, facts, {"topology": graph_arrays(bench.topology)})
        except (OSError, sqlite3.Error) as error:
            raise RunError(f"cannot create a run folder in {runs}: {error}") from error
        return cls(folder)

    @classmethod
    def open(cls, path: str | Path, runs: Path | None = None) -> Run:
        """Open a run by its folder, or by its name (or the first part of it) in the folder of all runs.

        Raises
        ------
        RunError
            If there is no such run, several runs match, or it was written by a later version of the store.
        """
        folder = Path(path)
        if not (folder / DATABASE).is_file():
            folder = named_folder(runs_folder(runs), str(path))
        run = cls(folder)
        written = run.meta("format")
        if written not in (FORMAT_1, FORMAT):
            raise RunError(
                f"run {folder} was written in format {written}, this version reads {FORMAT_1} and {FORMAT}; "
                "read it with the version of hwlearn that wrote it, or a later one"
            )
        return run

    @classmethod
    def all(cls, runs: Path) -> list[Run]:
        """Return the runs in a folder, in the order in which they were created."""
        return [cls(folder) for folder in run_folders(runs)]

    # --- reading ------------------------------------------------------------------------------------

    @property
    def name(self) -> str:
        """Name of the folder."""
        return self.folder.name

    @contextmanager
    def contents(self) -> Iterator[RunContents]:
        """Read the run in this block as it is at one moment, also while it is written and on read-only media.

        Raises
        ------
        RunError
            If it cannot be read, or, from each method of the contents, if what is read is damaged.
        """
        with open_contents(self.folder) as contents:
            yield contents

    def bench(self) -> Bench:
        """Return a bench of the settings that the run has stored and of the files in its folder."""
        # slow to import, and not needed to list runs
        from hwlearn.lab.bench.bench import Bench
        from hwlearn.lab.bench_file.file import load_bench_file, parse_bench_file

        with self.contents() as contents:
            facts = contents.facts
        if facts.get("format") == FORMAT_1:
            return Bench(replace(load_bench_file(self.folder / BENCH_FILE), name=str(facts.get("bench"))))
        file = parse_bench_file(facts["settings"], facts["bench"], self.folder)
        return Bench(file.with_(own_files(facts, self.folder)))

    @property
    def alive(self) -> bool:
        """Whether a process of this computer is writing the run."""
        return is_locked(self.folder, "run")

    @property
    def status(self) -> str:
        """Status: created, running, finished, no improvement, interrupted, terminated, failed or aborted.

        It is aborted if the process ended without writing a status. On another computer than the one that wrote
        it last, it is "running on HOST, or aborted". That of a dry run says so.
        """
        with self.contents() as contents:
            return contents.status()

    def meta(self, key: str) -> Any:
        """Return a fact about the run by name; None if it does not exist."""
        with self.contents() as contents:
            return contents.meta(key)

    def epochs(self) -> list[Epoch]:
        """Return the completed epochs."""
        with self.contents() as contents:
            return contents.epochs()

    def true_scores(self) -> list[dict[str, Score]]:
        """Return the true scores of each completed epoch by row set; empty on hardware."""
        with self.contents() as contents:
            return contents.true_scores()

    def steps(self) -> int:
        """Return the number of committed updates."""
        with self.contents() as contents:
            return contents.steps()

    def batch_costs(self) -> FloatArray:
        """Return the measured mean cost of every committed batch."""
        with self.contents() as contents:
            return contents.batch_costs()

    def readings(self, step: SupportsIndex) -> dict[str, np.ndarray]:
        """Return the kept readings of the batch of a step by name; ``samples`` are its row numbers.

        ``[run] keep`` chooses what is kept; see `RunContents.readings`.
        """
        with self.contents() as contents:
            return contents.readings(step)

    def values(self, step: SupportsIndex | None = None) -> FloatArray:
        """Return the unquantised target values (E,) of a step, or of the end of the run.

        They are in siemens, or in volts for gates; `RunContents.kinds_of_values` says which edges have which.
        ``[run] conductances`` chooses the steps that are kept; `RunContents.kept_steps` lists them.
        """
        with self.contents() as contents:
            return contents.values(step)

    def conductances(self, step: SupportsIndex | None = None) -> FloatArray:
        """Return the `values` (E,) in siemens of a run whose values are conductances.

        Raises
        ------
        CircuitError
            If some are not.
        """
        with self.contents() as contents:
            return contents.conductances(step)

    def seconds(self) -> float:
        """Return the duration of the training, summed over all its parts."""
        with self.contents() as contents:
            return contents.seconds()

    def progress(self) -> Progress | None:
        """Return the state after the last update, from which `Bench.train` can continue; None if there is none.

        Before the first update it is the state after the initial programming.

        Raises
        ------
        RunError
            If the run is a dry run, or was written in format 1.
        """
        with self.contents() as contents:
            refuse_continuing(self, contents)
            return contents.progress()

    # --- as data ------------------------------------------------------------------------------------

    def to_xarray(self) -> xarray.Dataset:
        """Return the run as an `xarray.Dataset`; needs the extra ``data``.

        The dimensions are ``step``, ``sample`` (place in the batch), ``output``, ``kept_step`` (steps whose
        conductances were kept), ``edge`` and ``epoch``. Batches with fewer samples than the largest are filled
        with NaN, -1 or False; ``kept_samples`` counts the samples of each. Every variable has ``units`` and
        ``long_name``; the attributes of the data set are the facts of the run, among them ``bench_file``,
        ``versions`` and ``sessions``, as JSON unless they are texts or numbers. What NetCDF cannot store in a text
        is escaped.

        The arrays of steps are read from the run folder when they are used, so the folder must stay. Of a run that
        is being written, the data set has what was stored when it was made.

        Raises
        ------
        RunError
            If the run is damaged; later, when an array is read, also if its step was measured again.
        SetupError
            If xarray is not installed.
        """
        # slow to import, and not needed to list runs
        from hwlearn.lab.runs.views.dataset import run_dataset

        return run_dataset(self.folder)

    def to_pandas(self, table: TableName = "samples") -> pandas.DataFrame:
        """Return a table of the run as a `pandas.DataFrame`; needs the extra ``data``.

        Parameters
        ----------
        table : str
            ``"samples"``: a row for each measured sample, by step and place in the batch, with its row in the
            training set, its readings (``free_voltages_0`` is output 0) and its cost. ``"steps"``: a row for each
            batch. ``"epochs"``: scores. ``"edges"``: a row for each edge of each kept step.

        Returns
        -------
        pandas.DataFrame
            Its ``attrs`` are ``units`` by column, and the facts of the run as in `to_xarray`.

        Raises
        ------
        RunError, SetupError
            As `to_xarray`, or if there is no such table.
        """
        from hwlearn.lab.runs.views.frames import run_frame

        return run_frame(self.folder, table)

    def plot(self) -> Figure:
        """Return a matplotlib figure of the learning curve and the conductances, as `hwlearn report` draws them.

        A notebook shows it; ``run.plot().savefig("run.pdf")`` writes it.

        Raises
        ------
        RunError
            If the run is damaged, or ended before anything was programmed.
        """
        from hwlearn.lab.runs.figures.run_figure import run_figure

        with self.contents() as contents:
            return run_figure(contents)

    def report(self, path: str | Path | None = None, kind: ReportFormat | None = None) -> Path:
        """Write the report of the run and return its path; see ``hwlearn report``.

        Parameters
        ----------
        path : str or Path, optional
            Default: ``report.html`` in the run folder or, if that is read-only, a file named after the run in the
            working folder.
        kind : {"html", "png", "svg"}, optional
            HTML is one file with all figures and tables, the others are the figure of `plot`. Default: by the
            ending of the path, else HTML.

        Raises
        ------
        RunError
            If the run is damaged, or the ending of the path does not fit the format.
        OSError
            If the file cannot be written.
        """
        from hwlearn.lab.runs.report import write_report

        return write_report(self, None if path is None else Path(path), kind)

    # --- writing ------------------------------------------------------------------------------------

    def set_meta(self, **facts: object) -> None:
        """Write and commit facts about the run."""
        with self._writing() as db:
            for key, value in facts.items():
                put_fact(db, key, value)

    def note_outputs_off(self, session: int) -> None:
        """Write that the outputs are off, unless a later session of the run has switched them on.

        Parameters
        ----------
        session : int
            Number of the session whose bench was closed.
        """
        with self._writing() as db:
            db.execute("BEGIN IMMEDIATE")
            (last,) = db.execute("SELECT max(number) FROM sessions").fetchone()
            if last is None or last <= session:
                put_fact(db, "outputs", "off")

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        """Commit what a block writes; raises `RunError` if it cannot be written."""
        try:
            db = connect(self.folder)
            try:
                with db:
                    yield db
            finally:
                close_writer(db)
        except sqlite3.Error as error:
            raise write_failure(self.folder, error) from error


def refuse_continuing(run: Run, contents: RunContents) -> None:
    """Refuse to continue a run that never can be.

    Raises
    ------
    RunError
        If the run is a dry run, or was written in format 1.
    """
    if contents.meta("dry_run"):
        raise RunError(
            f"run {run.name} is a dry run: no instrument was contacted, so there is nothing to continue; start a "
            "run without --dry-run"
        )
    if contents.meta("format") != FORMAT:
        raise RunError(
            f"run {run.name} was written in format {contents.meta('format')} by an earlier version: it can be "
            "listed and reported, but not continued; train again, or resume it with that version of hwlearn"
        )
