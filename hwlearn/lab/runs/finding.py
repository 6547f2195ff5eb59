"""Open a run, and list the runs of a folder."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from hwlearn.errors import RunError
from hwlearn.lab.runs.store import Run, runs_folder
from hwlearn.lab.runs.views.filters import RunFilter


class RunList(list[Run]):
    """A list of runs that a notebook shows as a table."""

    def __repr__(self) -> str:
        shown = ", ".join(run.name for run in self[:_MOST_NAMED])
        return f"[{shown}{', ...' if len(self) > _MOST_NAMED else ''}]"

    def _repr_html_(self) -> str:
        from hwlearn.lab.runs.views.shown import runs_table  # not needed to find runs

        return runs_table(run.folder for run in self)


_MOST_NAMED = 20


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


def runs(folder: str | Path | None = None, filters: str | Iterable[str] = ()) -> RunList:
    """Return the runs of a folder, oldest first; a notebook shows them as a table.

    Parameters
    ----------
    folder : str or Path, optional
        Default: ``$HWLEARN_RUNS``, else ``./runs``. A folder that does not exist has no runs.
    filters : str or iterable of str
        Conditions that all hold, such as ``"bench=iris"``, ``"train.rate>=0.05"``, ``"rms_error<1 mV"`` or
        ``"note~wafer"``. With any, runs that cannot be read are left out.

    Raises
    ------
    RunError
        If a condition is wrong, or names a key that no run has.
    """
    found = Run.all(runs_folder(folder))
    conditions = [filters] if isinstance(filters, str) else list(filters)
    return RunList(chosen_runs(found, conditions)[0] if conditions else found)


def chosen_runs(found: Sequence[Run], conditions: Iterable[str]) -> tuple[list[Run], int]:
    """Return the runs that fulfil all conditions, and how many cannot be read; raises as `runs`."""
    filters = [RunFilter.parse(text) for text in conditions]
    known: set[str] = set()
    comparable: set[RunFilter] = set()
    chosen, unreadable = [], 0
    for run in found:
        try:
            with run.contents() as contents:
                values = [condition.value_of(contents) for condition in filters]
        except RunError:
            unreadable += 1
            continue
        pairs = list(zip(filters, values, strict=True))
        known |= {condition.key for condition, value in pairs if value is not None}
        comparable |= {condition for condition, value in pairs if value is not None and condition.can_fit(value)}
        if all(condition.fits(value) for condition, value in pairs):
            chosen.append(run)
    for condition in filters:
        if condition.key not in known and "." in condition.key and len(found) > unreadable:
            raise RunError(f"no run has the key {condition.key}")
        if condition.key in known and condition not in comparable:
            raise RunError(
                f"no run has a {condition.key} that can be ordered beside {condition.value!r}; use =, != or ~"
            )
    return chosen, unreadable
