"""Trainings of a served virtual bench that a second client disturbs; the part that the two campaigns share.

A virtual bench is served on TCP sockets; ``hwlearn train`` runs on it with the drivers of real instruments; a
second client sends one disturbance at a random moment. Then:

- ``named``: exit code 1, the run is "failed", and the error says what was found;
- ``within batch``: no batch that began after the disturbance was completed;
- ``on again``: how many times something was driven after the disturbance was found by the first batch after it;
- ``left on``: whether an output is on after the command has ended;
- ``wrong rows``: stored steps that differ from those of an undisturbed training;
- ``resumed``: ``hwlearn resume`` then ends like the undisturbed training.
"""

from __future__ import annotations

import re
import tempfile
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar
from unittest import mock

import numpy as np
from campaign import Campaign, every, none
from typer.testing import CliRunner

from hwlearn.cli import app
from hwlearn.lab.bench.backends import find_backend
from hwlearn.lab.bench_file.file import load_bench_file
from hwlearn.lab.runs.store import Run
from hwlearn.storage.toml_text import toml_text
from hwlearn_sim.bench.bench import VirtualBench

Row = Mapping[str, float]
Trained = tuple[float, list[Mapping[str, np.ndarray]], np.ndarray]
"""Duration, readings of every step and final conductances of an undisturbed training."""

COLUMNS = {
    "named": every(),
    "within batch": every(),
    "on again": none(),
    "left on": none(),
    "wrong rows": none(),
    "resumed": every(),
}


class Served(ABC):
    """A virtual bench that this process serves, and a count of the batches that the drivers read."""

    named: ClassVar[re.Pattern[str]]
    """What the error must say."""
    batch: ClassVar[tuple[type, str]]
    """Class and name of the method that reads one batch."""

    def __init__(self, name: str, changes: Sequence[str], folder: Path) -> None:
        file = load_bench_file(name, changes)
        settings = find_backend(file.tables["backend"], file.where)[1]
        limits = file.limits.build()
        self.folder = folder
        self.bench: VirtualBench = settings.bench(file.network.build(file.folder), limits).start()
        arguments = (self.bench,) if name == "virtual-board" else (self.bench, limits)
        table = {"kind": name.removeprefix("virtual-"), **settings.driver_settings(*arguments)}
        kept = {key: dict(value) for key, value in file.tables.items() if key != "backend"}
        self.path = folder / "bench.toml"
        self.path.write_text(toml_text({**kept, "backend": table}), encoding="utf-8")
        self.begun = 0
        self.late = 0  # batches that began after the disturbance and were completed
        self.changed_at: int | None = None
        self.first = threading.Event()

    @abstractmethod
    def disturb(self, rng: np.random.Generator) -> None:
        """Send one disturbance from a second client, and wait until it was executed."""

    @abstractmethod
    def switched_on(self) -> int:
        """Return how many times something was driven so far."""

    @abstractmethod
    def left_on(self) -> bool:
        """Whether an output is on."""

    @contextmanager
    def counted(self) -> Iterator[None]:
        """Count the batches."""
        owner, name = self.batch
        read = getattr(owner, name)

        def counted(one: Any, *args: Any) -> Any:
            self.begun += 1
            self.first.set()
            number = self.begun
            result = read(one, *args)
            self.late += self.changed_at is not None and number > self.changed_at
            return result

        with mock.patch.object(owner, name, counted):
            yield

    def run(self, *command: str) -> tuple[int, str, Run]:
        """Run a command line; return exit code, error and run."""
        runs = self.folder / "runs"
        with self.counted(), mock.patch("hwlearn.cli.session.draw_run", lambda run: run.folder):
            ended = CliRunner(env={"HWLEARN_RUNS": str(runs)}).invoke(app, [*command, "--json"])
        return ended.exit_code, ended.stderr, Run(max(runs.iterdir(), key=lambda one: one.stat().st_ctime))


def undisturbed(serve: Callable[[Path], Served]) -> Trained:
    """Train without a disturbance."""
    with tempfile.TemporaryDirectory() as folder:
        served = serve(Path(folder))
        began: list[float] = []
        threading.Thread(target=lambda: began.append((served.first.wait(60), time.monotonic())[1])).start()
        code, error, run = served.run("train", str(served.path))
        seconds = time.monotonic() - began[0]
        assert code == 0, error
        served.bench.close()
        return seconds, [dict(run.readings(step)) for step in range(run.steps())], run.conductances()


def disturbed(serve: Callable[[Path], Served], trained: Trained, rng: np.random.Generator) -> Row:
    """Disturb one training; repeat with an earlier disturbance if it ended before."""
    share = float(rng.uniform(0, 0.9))
    while True:
        with tempfile.TemporaryDirectory() as folder:
            row = _disturbed(serve(Path(folder)), share * trained[0], rng, trained)
        if row is not None:
            return row
        share *= 0.6


def _disturbed(served: Served, wait_s: float, rng: np.random.Generator, trained: Trained) -> Row | None:
    _, rows, final = trained
    before: list[int] = []
    failed: list[Exception] = []

    def disturb() -> None:
        served.first.wait(60)
        time.sleep(wait_s)
        try:
            served.disturb(rng)
        except Exception as error:
            failed.append(error)
        before.append(served.switched_on())
        served.changed_at = served.begun

    thread = threading.Thread(target=disturb)
    thread.start()
    code, error, run = served.run("train", str(served.path))
    too_late = served.changed_at is None or (code == 0 and served.begun == served.changed_at)
    thread.join()
    try:
        if failed:
            raise failed[0]
        if too_late:
            return None
        on_again = served.switched_on() - before[0]
        left_on = served.left_on()
        stored = [dict(run.readings(step)) for step in range(run.steps())]
        wrong = sum(not _equal(found, rows[step]) for step, found in enumerate(stored))
        named = code == 1 and run.status.startswith("failed: ") and served.named.search(error) is not None
        late = served.late
        served.changed_at = None
        code, _, run = served.run("resume", str(run.folder))
        resumed = code == 0 and run.steps() == len(rows) and np.array_equal(run.conductances(), final)
        return {
            "named": named,
            "within batch": late == 0,
            "on again": on_again,
            "left on": left_on,
            "wrong rows": wrong,
            "resumed": resumed,
        }
    finally:
        served.bench.close()


def _equal(found: Mapping[str, np.ndarray], wanted: Mapping[str, np.ndarray]) -> bool:
    return found.keys() == wanted.keys() and all(np.array_equal(found[key], wanted[key]) for key in found)


def campaign(name: str, trial: Callable[[str, np.random.Generator], Row], cases: Sequence[str]) -> Campaign:
    """Return the campaign of 60 disturbances of each case."""
    return Campaign(name, trial, cases, COLUMNS, count=60)
