"""Which run is followed: one run, or the running or newest run of a bench, also before it exists."""

from __future__ import annotations

from pathlib import Path
from typing import Final, Protocol

from hwlearn.errors import HwlearnError, RunError, SetupError
from hwlearn.lab.bench_file.file import load_bench_file
from hwlearn.lab.runs.database import DATABASE
from hwlearn.lab.runs.store import Run, runs_folder
from hwlearn.storage.lock import is_locked

_MOST_CHECKED: Final = 20
"""Runs of a bench that are looked at for one that is running, newest first."""


class ChosenRun(Protocol):
    """Says which run is followed."""

    @property
    def text(self) -> str:
        """What is followed, for a person."""

    def current(self) -> Run | None:
        """Return the run that is followed at this moment; None if it does not exist yet."""


class FixedRun:
    """One run.

    Parameters
    ----------
    run : Run
    """

    def __init__(self, run: Run) -> None:
        self._run = run

    @property
    def text(self) -> str:
        """See `ChosenRun.text`."""
        return f"run {self._run.name}"

    def current(self) -> Run | None:
        """See `ChosenRun.current`."""
        return self._run


class RunOfBench:
    """The running run of a bench, the newest if there are several; without one, the newest run.

    Parameters
    ----------
    bench : str
        Name of the bench.
    folder : Path
        Folder of all runs; it may not exist yet.
    """

    def __init__(self, bench: str, folder: Path) -> None:
        self._bench, self._folder = bench, folder
        self._benches: dict[Path, str] = {}

    @property
    def text(self) -> str:
        """See `ChosenRun.text`."""
        return f"bench {self._bench}, runs in {self._folder}"

    def current(self) -> Run | None:
        """See `ChosenRun.current`."""
        own = [run for run in Run.all(self._folder) if self._bench_of(run) == self._bench]
        newest_first = own[::-1]
        running = (run for run in newest_first[:_MOST_CHECKED] if is_locked(run.folder, "run"))
        return next(running, newest_first[0] if newest_first else None)

    def _bench_of(self, run: Run) -> str:
        """Return the bench of a run, which is read once; empty if the run cannot be read."""
        if run.folder not in self._benches:
            try:
                self._benches[run.folder] = str(run.meta("bench"))
            except RunError:
                return ""
        return self._benches[run.folder]


def chosen_run(text: str, runs: str | Path | None = None) -> ChosenRun:
    """Return what a person wants to follow.

    Parameters
    ----------
    text : str
        A run folder, the first characters of a run's name, a bench file or the name of a shipped bench.
    runs : str or Path, optional
        Folder of all runs. Default: ``$HWLEARN_RUNS``, else ``./runs``.

    Raises
    ------
    RunError
        If it is neither a run nor a bench.
    """
    folder = runs_folder(runs)
    if (Path(text) / DATABASE).is_file():
        return FixedRun(Run.open(text, folder))
    try:
        bench = load_bench_file(text).name
    except HwlearnError as no_bench:
        if Path(text).suffix.lower() == ".toml":
            raise
        try:
            return FixedRun(Run.open(text, folder))
        except RunError as no_run:
            raise _neither(text, no_run, no_bench) from None
    return RunOfBench(bench, folder)


def _neither(text: str, no_run: RunError, no_bench: HwlearnError) -> RunError:
    if isinstance(no_bench, SetupError) and Path(text).is_file():
        return RunError(str(no_bench))
    return RunError(f"{no_run}; it is not a bench either: a bench is a TOML file or the name of a shipped bench")
