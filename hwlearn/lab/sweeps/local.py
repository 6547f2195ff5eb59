"""Run points in processes of this computer, by loky, the pool of joblib.

Each worker is a pool of one process, which has one point at a time. So it is known which point a killed process
had, and no other point is lost with it.
"""

from __future__ import annotations

import importlib
import os
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from multiprocessing import resource_tracker
from os import _exit as exit_at_once
from typing import Any, Final

from hwlearn.compilation import THREADS, cores
from hwlearn.errors import SetupError
from hwlearn.lab.sweeps.attempts import Job, PointFunction, attempt
from hwlearn.lab.sweeps.table import Outcome
from hwlearn.units import is_count

ONE_THREAD: Final = dict.fromkeys(
    ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS", THREADS), "1"
)
"""Environment of a worker: more threads than cores would wait for each other."""

_WATCH_S: Final = 1.0


def checked_workers(workers: int | None) -> int:
    """Return the number of processes; unless given, one for each core.

    Raises
    ------
    SetupError
        If it is no whole number of at least 1.
    """
    if workers is None:
        return cores()
    if not is_count(workers, 1):
        raise SetupError(f"workers is {workers!r}; it must be a whole number of at least 1")
    return int(workers)


def local_outcomes(function: PointFunction, jobs: Sequence[Job], workers: int, retries: int) -> Iterator[Outcome]:
    """Run points in so many processes and yield what became of each; end the processes when this is closed.

    A point whose process was killed is repeated after all others, alone, at most ``retries`` times: if it had too
    little memory, it now has all of it.
    """
    crashed: list[_Crash] = []
    yield from _together(function, jobs, min(workers, len(jobs)), crashed)
    for crash in crashed:
        yield from _alone(function, crash, retries)


@contextmanager
def children_without_ctrl_c() -> Iterator[None]:
    """Let Ctrl-C never reach processes that are started in this block, or later from threads that begin in it.

    A terminal sends Ctrl-C to all processes, and a worker would answer with a traceback, also while it imports.
    Processes and threads inherit what is blocked. This thread gets a Ctrl-C of meanwhile after the block. Windows
    has no such means.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    resource_tracker.ensure_running()  # it would end the blocking when the first process starts
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@dataclass
class _Crash:
    """A point whose process was killed, how often, and how it ended."""

    job: Job
    times: int
    reason: str
    seconds: float


@dataclass
class _Worker:
    """A pool of one process, and the point that it has."""

    pool: Any = None
    job: Job | None = None
    began: float = field(default=0.0)

    def start(self, job: Job, function: PointFunction) -> Future[Outcome]:
        """Give a point to the process, which is started if there is none."""
        if self.pool is None:
            self.pool = _pool()
        self.job, self.began = job, time.perf_counter()
        with children_without_ctrl_c():
            started: Future[Outcome] = self.pool.submit(attempt, job, function)
        return started

    def end(self) -> None:
        """End the process, whatever it does."""
        pool, self.pool = self.pool, None
        if pool is not None:
            pool.shutdown(wait=True, kill_workers=True)


def _pool() -> Any:
    loky = importlib.import_module("joblib.externals.loky")  # takes long to import
    return loky.ProcessPoolExecutor(max_workers=1, initializer=_begin, initargs=(os.getpid(),), env=ONE_THREAD)


def _begin(parent: int) -> None:
    """Prepare a worker: Ctrl-C is the business of the process that started it, and without that one it ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.platform != "win32":
        threading.Thread(target=_end_with_parent, args=(parent,), daemon=True).start()


def _end_with_parent(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(_WATCH_S)
    exit_at_once(1)


def _together(
    function: PointFunction, jobs: Sequence[Job], workers: int, crashed: list[_Crash]
) -> Iterator[Outcome]:
    """Run points side by side; those whose process was killed are added to ``crashed``."""
    todo = deque(jobs)
    idle = [_Worker() for _ in range(workers)]
    every = list(idle)
    running: dict[Future[Outcome], _Worker] = {}
    try:
        while todo or running:
            while todo and idle:
                worker = idle.pop()
                running[worker.start(todo.popleft(), function)] = worker
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                worker = running.pop(future)
                idle.append(worker)
                ended = _ended(future, worker)
                if isinstance(ended, _Crash):
                    crashed.append(ended)
                else:
                    yield ended
    finally:
        for worker in every:
            worker.end()


def _alone(function: PointFunction, crash: _Crash, retries: int) -> Iterator[Outcome]:
    """Repeat a point that was killed, with no other one beside it."""
    worker = _Worker()
    try:
        while crash.times <= retries:
            future = worker.start(crash.job, function)
            wait([future])
            ended = _ended(future, worker)
            if isinstance(ended, Outcome):
                yield replace(ended, attempts=crash.times + 1)
                return
            crash = replace(ended, times=crash.times + 1)
        error = (
            f"its process was killed in each of {crash.times} attempts ({crash.reason}); it may need more memory"
        )
        yield Outcome(crash.job.number, None, error, crash.seconds, crash.times)
    finally:
        worker.end()


def _ended(future: Future[Outcome], worker: _Worker) -> Outcome | _Crash:
    """Return what became of a point."""
    job = worker.job
    assert job is not None
    seconds = time.perf_counter() - worker.began
    error = future.exception()
    if error is None:
        return future.result()
    if isinstance(error, BrokenProcessPool):
        worker.end()
        if "un-serialize" in str(error):  # loky's word for what its process could not load
            return Outcome(job.number, None, f"a process cannot load the function: {_last_line(error)}", seconds)
        return _Crash(job, 1, _exit_codes(error), seconds)
    return Outcome(job.number, None, f"{type(error).__name__}: {' '.join(str(error).split())}", seconds)


def _last_line(error: BaseException) -> str:
    """Return the last line of the error in the other process."""
    lines = str(error.__cause__ or error).strip().strip('"').splitlines()
    return lines[-1].strip() if lines else type(error).__name__


def _exit_codes(error: BaseException) -> str:
    """Return how the process ended, such as ``SIGKILL(-9)``, from loky's message."""
    _, brace, rest = str(error).partition("{")
    return rest.partition("}")[0] if brace else "for an unknown reason"
