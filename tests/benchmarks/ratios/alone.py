"""Measure one row in a separate process: ``python -m ratios.alone ROW`` prints the result as a line of JSON.

A separate process isolates what peers change in logging, warnings and memory, and it can block numba and cvxopt,
the libraries of the extra ``fast``.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

MISSING_PEER = 3  # exit code


def run(row: str, *, fast: bool) -> dict[str, object]:
    """Return the result of a row, measured in a new process; ``fast`` permits numba and cvxopt."""
    # both sides use one thread for linear algebra, so that only numba uses more
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    if fast:
        del environment["OMP_NUM_THREADS"]
    command = [sys.executable, "-m", "ratios.alone", row, *([] if fast else ["--without-fast"])]
    done = subprocess.run(
        command, cwd=Path(__file__).parents[1], env=environment, capture_output=True, text=True, timeout=1800
    )
    if done.returncode == MISSING_PEER:
        raise LookupError(done.stderr.strip())
    if done.returncode:
        raise RuntimeError(f"measuring {row!r} failed:\n{done.stderr[-3000:]}")
    found: dict[str, object] = json.loads(done.stdout.splitlines()[-1])
    return found


def main() -> None:
    """Measure the row that is given on the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("row")
    parser.add_argument("--without-fast", action="store_true")
    options = parser.parse_args()
    if options.without_fast:
        for library in ("numba", "cvxopt"):
            sys.modules[library] = None  # type: ignore[assignment]  # makes its import fail
    from ratios.peers import MissingPeer
    from ratios.rows import measure

    try:
        print(json.dumps(measure(options.row)))
    except MissingPeer as missing:
        sys.stderr.write(f"{missing}\n")
        raise SystemExit(MISSING_PEER) from missing


if __name__ == "__main__":
    main()
