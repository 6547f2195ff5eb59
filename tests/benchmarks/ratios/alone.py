"""Measure one thing in a process of its own: ``python -m ratios.alone ROW`` prints it as a line of JSON.

One process a measurement keeps what peers do to logging, warnings and memory out of the others', and can be told
to do without numba.
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
    """Return what a row measures in a new process; ``fast`` allows numba."""
    # ours and theirs: one thread for linear algebra, so that only numba's own threads make a difference
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    if fast:
        del environment["OMP_NUM_THREADS"]
    command = [sys.executable, "-m", "ratios.alone", row, *([] if fast else ["--without-numba"])]
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
    """Measure the row that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("row")
    parser.add_argument("--without-numba", action="store_true")
    asked = parser.parse_args()
    if asked.without_numba:
        sys.modules["numba"] = None  # type: ignore[assignment]  # from now on importing it fails
    from ratios.peers import MissingPeer
    from ratios.rows import measure

    try:
        print(json.dumps(measure(asked.row)))
    except MissingPeer as missing:
        sys.stderr.write(f"{missing}\n")
        raise SystemExit(MISSING_PEER) from missing


if __name__ == "__main__":
    main()
