"""Time to open a run of 1,000,000 measurements and to read parts of it.

``python tests/benchmarks/run_opening.py [--measurements N] [--batch N]``. The rows are written by the store, with
random numbers as readings, which do not compress. Each time is the median of seven; the first one, which also
imports xarray, is not among them. Peak memory is that of a fresh process which opens the run and reads one step,
then a whole variable (Linux).
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import numpy as np

import hwlearn as hl
from hwlearn.lab.runs.database import close_writer, connect, put_arrays
from hwlearn.lab.runs.packing import Encoding, pack
from hwlearn.lab.runs.store import Run

# VmHWM is the peak of this program; ru_maxrss begins with that of the program which started it (Linux)
ONE_STEP = """
import re, sys
from pathlib import Path
import hwlearn as hl
import xarray

def peak():
    return int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) / 1024

before = peak()
data = hl.open_run(sys.argv[1]).to_xarray()
data.plus_voltages[len(data.step) // 2].load()
one = peak()
data.plus_voltages.load()
print(one - before, peak() - one)
"""


def large_run(folder: Path, measurements: int, batch: int) -> Run:
    """Return a run with this many measured samples in batches of one size."""
    bench = hl.open_bench("regression", ["run.conductances=epochs"])
    run = Run.create(bench, folder)
    outputs, edges = bench.topology.n_outputs, bench.topology.n_edges
    rng = np.random.default_rng(0)
    db = connect(run.folder)
    db.execute("PRAGMA synchronous=OFF")
    with db:
        for step in range(measurements // batch):
            readings = {f"{p}_voltages": rng.normal(size=(batch, outputs)) for p in ("free", "plus", "minus")}
            arrays = {"samples": np.arange(batch), **readings, "costs": rng.random(batch)}
            put_arrays(db, "batches", (step, step // 100, float(step), 0.1, 0), pack(arrays, Encoding.PLANES))
            if step % 100 == 99:
                done = {"requested": rng.random(edges), "reached": rng.random(edges)}
                put_arrays(db, "updates", (step, step // 100, float(step)), pack(done, Encoding.ZLIB))
    close_writer(db)
    return run


def seconds(call: Callable[[], object], repeats: int = 7) -> float:
    """Return the median time of a call, after one that is not counted."""
    call()
    times = []
    for _ in range(repeats):
        began = time.perf_counter()
        call()
        times.append(time.perf_counter() - began)
    return median(times)


def opening(measurements: int, batch: int) -> dict[str, float]:
    """Return the figures by name: seconds, and megabytes of ``memory``."""
    with TemporaryDirectory() as place:
        run = large_run(Path(place), measurements, batch)
        data = run.to_xarray()
        middle = len(data.step) // 2
        found = {
            "open_run and to_xarray": seconds(lambda: hl.open_run(run.folder).to_xarray()),
            "one step": seconds(lambda: data.plus_voltages[middle].load()),
            "1000 samples": seconds(lambda: data.plus_voltages[middle : middle + -(-1000 // batch)].load()),
            "one variable": seconds(lambda: data.plus_voltages.copy().load(), 1),
        }
        command = [sys.executable, "-c", ONE_STEP, str(run.folder)]
        one, all_steps = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
        return found | {"memory": float(one), "memory of one variable": float(all_steps)}


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--measurements", type=int, default=1_000_000)
    parser.add_argument("--batch", type=int, nargs="*", default=[1000, 100, 10])
    chosen = parser.parse_args()
    for batch in chosen.batch:
        print(f"{chosen.measurements:,} measurements in batches of {batch}")
        for name, value in opening(chosen.measurements, batch).items():
            print(f"  {name:24} {f'{value:.0f} MB' if name.startswith('memory') else f'{1e3 * value:9.2f} ms'}")


if __name__ == "__main__":
    main()
