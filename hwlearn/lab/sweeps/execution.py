"""`execute`: call a function for every point of a table that is not done, here or on a cluster."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from typing import Any, Final

from hwlearn import early_exit
from hwlearn.errors import MAY_BE_ON, NetworkError, SetupError
from hwlearn.lab.sweeps.attempts import Job, PointFunction, attempt
from hwlearn.lab.sweeps.cluster import LOCAL, check_cluster, cluster_outcomes
from hwlearn.lab.sweeps.local import checked_workers, local_outcomes
from hwlearn.lab.sweeps.table import Outcome, PointTable

RETRIES: Final = 2
"""So often a point is repeated whose process was killed."""


def execute(
    function: PointFunction,
    table: PointTable,
    *,
    workers: int | None = None,
    cluster: Any = None,
    retry_failed: bool = False,
    retries: int = RETRIES,
    on_outcome: Callable[[Outcome], None] | None = None,
) -> None:
    """Call a function for every point of a table that is not done, and commit each result when it arrives.

    A point that raises an error has failed; the others go on. Whatever ends this call, also Ctrl-C, the points
    that are done stay in the table, and the same call continues.

    Parameters
    ----------
    function : callable
        Takes a point and returns its results: a mapping of names to numbers, text, lists and mappings. It must be
        picklable (by cloudpickle, so that functions of a script or a notebook are).
    table : PointTable
    workers : int, optional
        Processes of this computer, each with one thread. Default: one for each core.
    cluster : str or distributed.Client, optional
        ``"tcp://host:port"`` of a Dask scheduler, ``"local"`` for a Dask cluster of processes on this computer, or
        a client. Needs the extra ``cluster``.
    retry_failed : bool
        Whether points that failed run again.
    retries : int
        So often a point is repeated, alone, whose process was killed.
    on_outcome : callable, optional
        Called with each `Outcome` after it is in the table.

    Raises
    ------
    SetupError
        If ``workers`` or ``cluster`` is wrong, or the extra is not installed.
    NetworkError
        If the scheduler cannot be reached or was lost.
    RunError
        If the table cannot be written.
    """
    count = checked_place(workers, cluster)
    jobs = _jobs(table, retry_failed)
    if not jobs:
        return
    if cluster is None:
        outcomes = local_outcomes(function, jobs, count, retries)
    else:
        outcomes = cluster_outcomes(function, jobs, cluster, count, retries)
    _store(outcomes, table, on_outcome)


def checked_place(workers: int | None, cluster: Any) -> int:
    """Return the number of processes of this computer; nothing is started or contacted.

    Raises
    ------
    SetupError
        If ``workers`` or ``cluster`` is wrong, or the extra of a cluster is not installed.
    """
    count = checked_workers(workers)
    if cluster is not None:
        check_cluster(cluster)
        if workers is not None and cluster != LOCAL:
            raise SetupError(
                "workers is for this computer and for the cluster 'local'; another cluster has its own"
            )
    return count


def execute_here(
    function: PointFunction,
    table: PointTable,
    *,
    retry_failed: bool = False,
    on_outcome: Callable[[Outcome], None] | None = None,
) -> None:
    """Call a function for one point after the other in this process, as hardware needs it.

    A `NetworkError` of the function, or an error after which outputs may be on, ends the call: the point has
    failed, and the points after it are not begun.

    Raises
    ------
    NetworkError, HwlearnError
        As above.
    """
    _store(_outcomes_here(function, _jobs(table, retry_failed)), table, on_outcome)


def _jobs(table: PointTable, retry_failed: bool) -> list[Job]:
    return [Job(row.number, row.point) for row in table.to_run(failed=retry_failed)]


def _store(outcomes: Iterator[Outcome], table: PointTable, on_outcome: Callable[[Outcome], None] | None) -> None:
    early_exit.work_begins()
    with closing(outcomes):  # type: ignore[type-var]  # a generator, which ends its processes when it is closed
        for outcome in outcomes:
            table.put(outcome)
            if on_outcome is not None:
                on_outcome(outcome)


def _outcomes_here(function: PointFunction, jobs: Sequence[Job]) -> Iterator[Outcome]:
    for job in jobs:
        fatal: list[Exception] = []

        def called(point: Any, fatal: list[Exception] = fatal) -> Any:
            try:
                return function(point)
            except Exception as error:
                if isinstance(error, NetworkError) or MAY_BE_ON in str(error):
                    fatal.append(error)
                raise

        yield attempt(job, called)
        if fatal:
            raise fatal[0]
