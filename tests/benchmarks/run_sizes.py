"""Size of the runs of shipped benches against its forecast, and time to write a step.

``python tests/benchmarks/run_sizes.py [--all]``; ``--all`` adds ``digits-diode``, which takes some minutes. Sizes
are of whole run folders with their reports. The writing time is that of the recorder alone: the median of each
callback, summed over the events of a step; with ``TMPDIR=/dev/shm`` it is without the waiting for a disk.
"""

from __future__ import annotations

import sys
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import hwlearn as hl
from hwlearn.lab.runs.recorder import RunRecorder
from hwlearn.lab.runs.report import draw_run
from hwlearn.lab.runs.store import Run

try:
    from hwlearn.lab.runs.forecast import forecast_size
except ImportError:  # format 1 had no forecast
    forecast_size = None


def timed(recorder: RunRecorder, events: tuple[str, ...]) -> dict[str, list[float]]:
    """Measure the time of each call of some callbacks."""
    found: dict[str, list[float]] = defaultdict(list)

    def measured(name: str, call: Callable[..., None]) -> Callable[..., None]:
        def wrapped(*values: Any) -> None:
            began = time.perf_counter()
            call(*values)
            found[name].append(time.perf_counter() - began)

        return wrapped

    for name in events:
        setattr(recorder, name, measured(name, getattr(recorder, name)))
    return found


def measure(name: str, folder: Path, changes: list[str]) -> str:
    """Train a bench; return one line of the table."""
    bench = hl.open_bench(name, changes)
    run = Run.create(bench, folder)
    with bench, RunRecorder(run, bench) as recorder:
        forecast = forecast_size(bench, run.folder) if forecast_size else None
        times = timed(recorder, ("on_gradient", "on_step"))
        bench.train([recorder])
    draw_run(run)
    size = sum(path.stat().st_size for path in run.folder.rglob("*") if path.is_file())
    expected = (
        "-" if forecast is None else f"{forecast.total / 1e6:.2f} MB ({100 * (forecast.total / size - 1):+.0f} %)"
    )
    writing = sum(median(values) for values in times.values())
    sizes = f"{run.steps():6} steps{size / 1e6:10.2f} MB   forecast {expected:18}"
    return f"{name:14}{sizes}{1e3 * writing:9.2f} ms a step"


def main() -> None:
    """Print a line for each bench."""
    names = ["iris", "regression", "virtual-smu", *(["digits-diode"] if "--all" in sys.argv else [])]
    with TemporaryDirectory() as folder:
        for name in names:
            print(measure(name, Path(folder), []), flush=True)


if __name__ == "__main__":
    main()
