"""Run points on a Dask cluster by `Client.map`: of a scheduler's address, or of processes on this computer."""

from __future__ import annotations

import importlib
import logging
import time
import uuid
from collections.abc import Iterator, Sequence
from concurrent.futures import CancelledError
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from queue import Empty, Queue
from typing import Any, Final

from hwlearn.errors import NetworkError, SetupError
from hwlearn.installed import extra_module
from hwlearn.lab.sweeps.attempts import Job, PointFunction, attempt, error_line
from hwlearn.lab.sweeps.local import ONE_THREAD, children_without_ctrl_c
from hwlearn.lab.sweeps.table import Outcome

LOCAL: Final = "local"

_CONNECT_S: Final = 10
_WORKERS_S: Final = 30
_LOOK_S: Final = 2.0


def check_cluster(cluster: Any) -> None:
    """Refuse what is no cluster; no scheduler is contacted.

    Raises
    ------
    SetupError
        If the extra ``cluster`` is missing, or this is no address and no client.
    """
    distributed = extra_module("distributed", "cluster", "a sweep on a cluster")
    if isinstance(cluster, str):
        wrong = cluster != LOCAL and "://" not in cluster
    else:
        wrong = not isinstance(cluster, distributed.Client)
    if wrong:
        raise SetupError(
            f"cluster is {cluster!r}; give local, or the address of a scheduler such as tcp://host:8786"
        )


def cluster_outcomes(
    function: PointFunction, jobs: Sequence[Job], cluster: Any, workers: int, retries: int
) -> Iterator[Outcome]:
    """Run points on a cluster and yield what became of each.

    Dask repeats a point whose worker was killed. After some kills it gives up that point and others that the
    worker had; each of these is repeated after all others, alone, at most ``retries`` times.

    Raises
    ------
    SetupError
        If ``cluster`` is no address that Dask knows.
    NetworkError
        If the scheduler cannot be reached or was lost, or its workers have another version of this package.
    """
    distributed = extra_module("distributed", "cluster", "a sweep on a cluster")
    with ExitStack() as stack:
        stack.enter_context(_quiet())
        client = _client(distributed, cluster, workers, stack)
        _check_workers(client)
        given_up: list[Job] = []
        yield from _mapped(distributed, client, function, jobs, given_up)
        for job in given_up:
            yield _alone(distributed, client, function, job, retries)


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence the logs of Dask: lost workers and schedulers are reported by the points and by one error."""
    logger = logging.getLogger("distributed")
    before = logger.level
    logger.setLevel(logging.CRITICAL + 1)
    names = [name for name in logging.root.manager.loggerDict if name.startswith("distributed.")]
    levels = {name: logging.getLogger(name).level for name in names}
    for name in names:
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        logger.setLevel(before)
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)


def _client(distributed: Any, cluster: Any, workers: int, stack: ExitStack) -> Any:
    """Return a client of a cluster, closed by the stack unless it was given."""
    if not isinstance(cluster, str):
        return cluster
    if cluster == LOCAL:
        # a point whose worker was killed twice is repeated alone, not beside others again
        dask = extra_module("dask", "cluster", "a sweep on a cluster")
        once = {"distributed.scheduler.allowed-failures": 1}
        # Dask gives up a worker that is just starting again when the time for an earlier start of it is over
        patient = {"distributed.deploy.lost-worker-timeout": "1 day"}
        stack.enter_context(dask.config.set(once | patient))
        with children_without_ctrl_c():
            made = stack.enter_context(
                distributed.LocalCluster(
                    n_workers=workers,
                    threads_per_worker=1,
                    dashboard_address=None,
                    silence_logs=logging.CRITICAL,
                    env=ONE_THREAD,
                )
            )
        return stack.enter_context(distributed.Client(made))
    try:
        return stack.enter_context(distributed.Client(cluster, timeout=_CONNECT_S, set_as_default=False))
    except (OSError, TimeoutError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise NetworkError(f"the scheduler at {cluster} cannot be reached: {reason}") from error
    except ValueError as error:  # an address of a kind that Dask does not know
        raise SetupError(f"cluster {cluster!r} is no address of a scheduler: {error}") from error


def _version() -> str:
    return str(importlib.import_module("hwlearn").__version__)


def _check_workers(client: Any) -> None:
    """Refuse a cluster without workers, or whose workers do not have this version of the package."""
    try:
        client.wait_for_workers(1, timeout=_WORKERS_S)
    except TimeoutError as error:
        raise NetworkError(f"the scheduler has no workers, also not after {_WORKERS_S} s; start some") from error
    try:
        found = set(client.run(_version).values())
    except (ImportError, AttributeError) as error:
        raise NetworkError(
            f"the workers of the cluster cannot import hwlearn: {error}; install it there"
        ) from error
    if found != {_version()}:
        raise NetworkError(
            f"the workers of the cluster have hwlearn {', '.join(sorted(found))}, here it is "
            f"{_version()}; install the same version"
        )


def _mapped(
    distributed: Any, client: Any, function: PointFunction, jobs: Sequence[Job], given_up: list[Job]
) -> Iterator[Outcome]:
    """Yield the points that end; those that Dask gives up are added to ``given_up``."""
    run = uuid.uuid4().hex
    keys = [f"hwlearn-{run}-{job.number}" for job in jobs]
    by_key = dict(zip(keys, jobs, strict=True))
    futures = client.map(attempt, jobs, key=keys, pure=False, retries=0, function=function)
    done: Queue[Any] = Queue()
    for future in futures:
        future.add_done_callback(done.put)
    try:
        for _ in jobs:
            future = _next_done(client, done)
            ended = _ended(distributed, client, future, by_key[future.key])
            if ended is None:
                given_up.append(by_key[future.key])
            else:
                yield ended
            future.release()
    finally:
        if client.status == "running":
            client.cancel(futures, force=True)


def _next_done(client: Any, done: Queue[Any]) -> Any:
    """Return the next future that is done.

    Raises
    ------
    NetworkError
        If the cluster had no worker for some time: nothing would ever be done.
    """
    alone_since = None
    while True:
        try:
            return done.get(timeout=_LOOK_S)
        except Empty:
            if client.status == "running" and client.scheduler_info()["workers"]:
                alone_since = None
                continue
        now = time.monotonic()
        alone_since = now if alone_since is None else alone_since
        if now - alone_since > _WORKERS_S:
            raise NetworkError(f"the cluster has had no workers for {_WORKERS_S} s; start some")


def _ended(distributed: Any, client: Any, future: Any, job: Job) -> Outcome | None:
    """Return what became of a point; None if Dask gave it up because workers were killed.

    A point whose worker is killed before its result has arrived here runs again.

    Raises
    ------
    NetworkError
        If the scheduler was lost.
    """
    try:
        outcome: Outcome = future.result()
    except distributed.KilledWorker:
        return None
    except Exception as error:
        # a point that did not end with an error has a result, which could not be fetched; the client may not have
        # noticed yet that the scheduler is gone
        if future.status != "error" or client.status != "running" or isinstance(error, CancelledError):
            raise NetworkError(f"the connection to the scheduler {_address(client)} was lost") from error
        return Outcome(job.number, None, error_line(error), 0.0)
    return outcome


def _address(client: Any) -> str:
    return str(client.scheduler.address) if client.scheduler is not None else ""


def _alone(distributed: Any, client: Any, function: PointFunction, job: Job, retries: int) -> Outcome:
    """Repeat a point that Dask gave up, with no other one beside it."""
    for times in range(1, retries + 1):
        given_up: list[Job] = []
        for ended in _mapped(distributed, client, function, [job], given_up):
            return replace(ended, attempts=times + 1)
    error = f"its worker was killed in each of {retries + 1} attempts; it may need more memory"
    return Outcome(job.number, None, error, 0.0, retries + 1)
