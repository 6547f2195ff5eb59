"""Sweeps: speed on two processes and through Dask, and what kills lose.

    python tests/campaigns/sweeps.py speed           # times, which want a quiet machine of two free cores
    python tests/campaigns/sweeps.py kills --count 20

``speed`` runs a sweep of 200 points on one process, on two, and through a Dask cluster of two processes, in turn,
and prints the medians of the whole command, starts of processes included. ``kills`` kills a worker, the scheduler
and the sweep itself at random moments: every point that was in the table stays as it was, and the sweep resumes to
the table of an undisturbed one.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from campaign import Campaign, every, shown

import hwlearn as hl
from hwlearn.lab.sweeps.table import PointRow

GRID = ["--grid", "train.rate=0.02,0.05", "--grid", "backend.device_spread=0:0.5:5"]
WAIT_S = 120.0


def sweep_command(folder: Path, seeds: int, epochs: int, *more: str) -> list[str]:
    """Return the command of a sweep of the bench ``regression`` with 10 points for each seed."""
    given = ["regression", *GRID, "--seeds", str(seeds), "--set", f"train.epochs={epochs}"]
    return [sys.executable, "-m", "hwlearn", "sweep", *given, "-o", str(folder), "--json", *more]


def facts_of(rows: list[PointRow]) -> list[tuple[object, ...]]:
    """Return everything of the rows that must be equal: all but the duration and the number of attempts."""
    return [(row.number, dict(row.point), row.status, row.error, json.dumps(row.result)) for row in rows]


def run(command: list[str]) -> dict[str, object]:
    """Run a sweep to its end and return its last line."""
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=3600)
    assert done.returncode == 0, done.stderr
    last: dict[str, object] = json.loads(done.stdout.splitlines()[-1])
    return last


# --- kills -------------------------------------------------------------------------------------------


def children(parent: int, words: str) -> list[int]:
    """Return the processes below one whose command line has these words."""
    import psutil

    found = []
    for child in psutil.Process(parent).children(recursive=True):
        try:
            if words in " ".join(child.cmdline()):
                found.append(child.pid)
        except psutil.Error:
            continue
    return found


def wait_for_points(process: subprocess.Popen[str], count: int) -> None:
    """Wait until a sweep has printed so many points."""
    assert process.stdout is not None
    seen = 0
    while seen < count:
        line = process.stdout.readline()
        assert line, "the sweep ended early"
        seen += json.loads(line)["event"] == "point"


@contextmanager
def dask_cluster(folder: Path) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """Give the address and the process of a scheduler with two workers of their own."""
    info = folder / "scheduler.json"
    base = [sys.executable, "-m", "distributed.cli."]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "start_new_session": True}
    started = [f"--scheduler-file={info}", "--no-dashboard"]
    scheduler = subprocess.Popen(
        [*base[:2], f"{base[2]}dask_scheduler", "--port=0", "--host=127.0.0.1", *started], **quiet
    )
    workers = subprocess.Popen(
        [*base[:2], f"{base[2]}dask_worker", "--nworkers=2", "--nthreads=1", *started], **quiet
    )
    try:
        until = time.monotonic() + WAIT_S
        while not info.is_file():
            assert time.monotonic() < until, "the scheduler does not start"
            time.sleep(0.1)
        yield json.loads(info.read_text())["address"], scheduler
    finally:
        for process in (workers, scheduler):
            if process.poll() is None:
                process.terminate()
            process.wait()


def trial(case: str, rng: np.random.Generator) -> dict[str, float]:
    """Disturb one sweep at a random moment and compare its table with an undisturbed one."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        undisturbed = facts_of(reference())
        disturbed = folder / "disturbed"
        with _place(case, folder) as (scheduler, where):
            process = subprocess.Popen(
                sweep_command(disturbed, SEEDS, EPOCHS, *where),
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            wait_for_points(process, int(rng.integers(1, 15)))
            time.sleep(float(rng.uniform(0, 0.2)))
            kept_then = {row.number for row in hl.open_sweep(disturbed).rows() if row.status == "finished"}
            if case == "worker killed":
                os.kill(int(rng.choice(children(process.pid, "popen_loky_posix"))), signal.SIGKILL)
            elif case == "scheduler killed":
                assert scheduler is not None
                scheduler.kill()
            elif case == "sweep killed":
                process.kill()
            else:
                process.send_signal(signal.SIGINT)
            _, said = process.communicate(timeout=WAIT_S)
        kept = {row.number for row in hl.open_sweep(disturbed).rows() if row.status == "finished"}
        expected = {"worker killed": 0, "scheduler killed": 1, "sweep killed": -signal.SIGKILL, "Ctrl-C": 130}
        says_how = case in ("worker killed", "sweep killed") or "continue with: hwlearn sweep --resume" in said
        again = subprocess.run(
            [sys.executable, "-m", "hwlearn", "sweep", "--resume", "-o", str(disturbed)],
            capture_output=True,
            check=False,
            timeout=600,
        )
        return {
            "kept": float(kept_then <= kept),
            "code": float(process.returncode == expected[case]),
            "says how": float(says_how),
            "resumes": float(again.returncode == 0),
            "equal": float(facts_of(hl.open_sweep(disturbed).rows()) == undisturbed),
            "points kept": float(len(kept)),
        }


@contextmanager
def _place(case: str, folder: Path) -> Iterator[tuple[subprocess.Popen[bytes] | None, list[str]]]:
    """Give the scheduler, if the case has one, and the options of where the points run."""
    if case != "scheduler killed":
        yield None, ["--workers", "2"]
        return
    with dask_cluster(folder) as (address, scheduler):
        yield scheduler, ["--cluster", address]


SEEDS, EPOCHS = 2, 100  # so many that a sweep does not end before it is disturbed
_reference: list[list[PointRow]] = []


def reference() -> list[PointRow]:
    """Return the rows of the undisturbed sweep, run once."""
    if not _reference:
        with tempfile.TemporaryDirectory() as name:
            run(sweep_command(Path(name) / "s", SEEDS, EPOCHS, "--workers", "2"))
            _reference.append(hl.open_sweep(Path(name) / "s").rows())
    return _reference[0]


CAMPAIGN = Campaign(
    "sweeps",
    trial,
    ["worker killed", "scheduler killed", "sweep killed", "Ctrl-C"],
    {
        "kept": every(),
        "code": every(),
        "says how": every(),
        "resumes": every(),
        "equal": every(),
        "points kept": shown(),
    },
    count=20,
)


# --- speed -------------------------------------------------------------------------------------------


def speed(rounds: int, seeds: int, epochs: int) -> dict[str, list[float]]:
    """Return the seconds of each place, in turn so that all have the same load of the machine."""
    places = {
        "one process": ["--workers", "1"],
        "two processes": ["--workers", "2"],
        "Dask, two processes": ["--workers", "2", "--cluster", "local"],
    }
    seconds: dict[str, list[float]] = {name: [] for name in places}
    tables = []
    for _ in range(rounds):
        for name, where in places.items():
            with tempfile.TemporaryDirectory() as folder:
                began = time.perf_counter()
                run(sweep_command(Path(folder) / "s", seeds, epochs, *where))
                seconds[name].append(time.perf_counter() - began)
                tables.append(facts_of(hl.open_sweep(Path(folder) / "s").rows()))
            print(f"{name}: {seconds[name][-1]:.1f} s", flush=True)
    assert all(table == tables[0] for table in tables), "the tables of the places differ"
    return seconds


def main() -> None:
    """Measure the speed, or count what kills lose."""
    if sys.argv[1:2] != ["speed"]:
        sys.argv[1:2] = [] if sys.argv[1:2] == ["kills"] else sys.argv[1:2]
        CAMPAIGN.main()
    parser = argparse.ArgumentParser(prog="sweeps.py speed")
    parser.add_argument("--rounds", type=int, default=3, help="of all three places, 3")
    parser.add_argument("--seeds", type=int, default=20, help="10 points for each, 20")
    parser.add_argument("--epochs", type=int, default=200, help="of each point, 200")
    given = parser.parse_args(sys.argv[2:])
    seconds = speed(given.rounds, given.seeds, given.epochs)
    one, two, dask = (statistics.median(values) for values in seconds.values())
    print(
        f"{10 * given.seeds} points, medians of {given.rounds}: one process {one:.1f} s, two {two:.1f} s: ", end=""
    )
    print(f"{one / two:.2f} times as fast, asked 1.8; Dask {dask:.1f} s: {dask / two:.2f} of two, asked <= 1.2")
    sys.exit(0 if one / two >= 1.8 and dask / two <= 1.2 else 1)


if __name__ == "__main__":
    main()
