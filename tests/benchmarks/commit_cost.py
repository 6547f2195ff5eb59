"""Time that recording a run takes of each training step, for both settings of ``[run] synchronous``.

``python tests/benchmarks/commit_cost.py [BENCH ...] [--epochs N] [--folder FOLDER]``. A step has two commits: the
readings of its batch, and its update. ``commit`` is the SQL command COMMIT alone; ``stored`` is all that the
recorder does for a step: packing, checksums, SQL and both commits. Times are medians; shares are of the median
step, which includes its recording. FOLDER chooses the disk.
"""

from __future__ import annotations

import argparse
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import hwlearn as hl
from hwlearn.arrays import IntArray
from hwlearn.lab.runs.recorder import RunRecorder
from hwlearn.lab.runs.store import Run
from hwlearn.learning.records import Step
from hwlearn.learning.rules import Gradient


class TimedRecorder(RunRecorder):
    """Keeps how long each commit took, how long each batch and update took to store, and when updates ended."""

    def __init__(self, run: Run, bench: hl.Bench) -> None:
        super().__init__(run, bench)
        self.commits: list[float] = []
        self.batches: list[float] = []
        self.updates: list[float] = []
        self.ends: list[float] = []

    def on_gradient(self, epoch: int, number: int, samples: IntArray, gradient: Gradient) -> None:
        began = time.perf_counter()
        super().on_gradient(epoch, number, samples, gradient)
        self.batches.append(time.perf_counter() - began)

    def on_step(self, step: Step) -> None:
        began = time.perf_counter()
        super().on_step(step)
        self.ends.append(time.perf_counter())
        self.updates.append(self.ends[-1] - began)

    @contextmanager
    def _commit(self) -> Iterator[sqlite3.Connection]:
        with super()._commit() as db:
            yield db
            began = time.perf_counter()
            db.commit()  # the commit of the recorder finds nothing more to do
            self.commits.append(time.perf_counter() - began)


def costs(name: str, synchronous: str, epochs: int, folder: Path | None = None) -> dict[str, float]:
    """Return the medians in seconds: ``step``, ``commit``, and ``stored`` of a step."""
    bench = hl.open_bench(name, {"run.synchronous": synchronous, "train.epochs": epochs})
    with TemporaryDirectory(dir=folder) as place, bench:
        with TimedRecorder(Run.create(bench, Path(place)), bench) as recorder:
            bench.train([recorder], progress=False)
        steps = [after - before for before, after in zip(recorder.ends, recorder.ends[1:], strict=False)]
        stored = [a + b for a, b in zip(recorder.batches, recorder.updates, strict=True)]
        return {"step": median(steps), "commit": median(recorder.commits), "stored": median(stored)}


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("bench", nargs="*", default=["virtual-board", "iris"])
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--folder", type=Path)
    chosen = parser.parse_args()
    print(f"{'bench':16}{'synchronous':14}{'step':>12}{'commit':>12}{'share':>9}{'stored':>12}{'share':>9}")
    for bench in chosen.bench:
        for synchronous in ("normal", "full"):
            found = costs(bench, synchronous, chosen.epochs, chosen.folder)
            # two commits for each step
            shares = 2 * found["commit"] / found["step"], found["stored"] / found["step"]
            print(
                f"{bench:16}{synchronous:14}{1e3 * found['step']:9.2f} ms{1e6 * found['commit']:9.0f} us"
                f"{100 * shares[0]:7.2f} %{1e6 * found['stored']:9.0f} us{100 * shares[1]:7.2f} %"
            )


if __name__ == "__main__":
    main()
