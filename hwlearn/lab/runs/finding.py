"""Open a run, and list the runs of a folder."""

from __future__ import annotations

from pathlib import Path

from hwlearn.lab.runs.store import Run, runs_folder


def open_run(path_or_name: str | Path, folder: str | Path | None = None) -> Run:
    """Open a run for reading, also one that is being written or whose process was killed.

    Parameters
    ----------
    path_or_name : str or Path
        A run folder, or the first characters of the name of a run in ``folder``.
    folder : str or Path, optional
        Folder of the runs. Default: ``$HWLEARN_RUNS``, else ``./runs``.

    Returns
    -------
    Run
        ``run.to_xarray()``, ``run.to_pandas()``, ``run.conductances(step)``, ``run.readings(step)``,
        ``run.epochs()``, ``run.plot()``.

    Raises
    ------
    RunError
        If there is no such run, several runs match, or it was written by a later version of the store.
    """
    return Run.open(path_or_name, None if folder is None else Path(folder))


def runs(folder: str | Path | None = None) -> list[Run]:
    """Return the runs of a folder, oldest first.

    Parameters
    ----------
    folder : str or Path, optional
        Default: ``$HWLEARN_RUNS``, else ``./runs``. A folder that does not exist has no runs.
    """
    return Run.all(runs_folder(folder))
