"""Time and memory of reading a table of training data, in a process of its own.

``python tests/benchmarks/measure_tables.py`` reads 60,000 rows of 785 numbers: whole (as in MNIST), of six digits,
and with all digits of float64. It prints the time and the memory above that of the imports, in units of
the array. Its exit code is 1 if a figure is above 10 s or 3 arrays.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

MOST_S, MOST_ARRAYS = 10.0, 3.0
KINDS = ("whole", "six digits", "all digits")

READER = """
import json, resource, sys, time
from pathlib import Path
from hwlearn.lab.data.files import read_csv
import hwlearn.tables.table_file
unit = 1 if sys.platform == "darwin" else 1024
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
began, cpu = time.perf_counter(), time.process_time()
read = read_csv(Path(sys.argv[1]), 0, None) if sys.argv[2] == "whole" else read_csv(Path(sys.argv[1]), None, [0])
print(json.dumps({
    "seconds": time.perf_counter() - began,
    "cpu_s": time.process_time() - cpu,
    "arrays": unit * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / read.values.nbytes,
    "shape": read.values.shape,
}))
"""


def write_table(path: Path, kind: str, rows: int, columns: int) -> None:
    """Write random numbers, a class or a target first."""
    rng = np.random.default_rng(0)
    with path.open("w", encoding="utf-8") as file:
        for _ in range(rows):
            if kind == "whole":
                label, cells = int(rng.integers(10)), map(str, rng.integers(0, 256, columns - 1).tolist())
                file.write(f"{label},{','.join(cells)}\n")
            else:
                form = "{:.6g}" if kind == "six digits" else "{!r}"
                file.write(",".join(map(form.format, rng.normal(size=columns).tolist())) + "\n")


def measure(kind: str, rows: int, columns: int) -> dict[str, float]:
    """Return seconds, seconds of the processor, and memory in units of the array."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "table.csv"
        write_table(path, kind, rows, columns)
        command = [sys.executable, "-c", READER, str(path), kind]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    found: dict[str, float] = json.loads(done.stdout)
    return found


def main() -> int:
    """Measure and print; the exit code is 1 if a figure is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=60_000)
    parser.add_argument("--columns", type=int, default=785)
    options = parser.parse_args()
    missed = False
    for kind in KINDS:
        found = measure(kind, options.rows, options.columns)
        missed = missed or found["seconds"] > MOST_S or found["arrays"] > MOST_ARRAYS
        print(
            f"{kind:<12}{found['seconds']:6.1f} s ({found['cpu_s']:.1f} s of the processor), memory "
            f"{found['arrays']:.2f} times the array",
            flush=True,
        )
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
