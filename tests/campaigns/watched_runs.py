"""How long `hwlearn watch` takes to open and follow a run of 1,000,000 measurements, and how much it reads of it.

    python tests/campaigns/watched_runs.py [--measurements 1000000]

It writes the run without measuring, by the functions that record runs, then follows it while 50 more epochs are
written, and prints one line each for opening it and for following it. Bytes are those of the kernel's accounts of
this process (Linux), cached or not.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import time
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

import hwlearn as hl
from hwlearn.lab.runs.database import DATABASE, connect, put_arrays, put_fact
from hwlearn.lab.runs.packing import Encoding, Packed, pack
from hwlearn.lab.runs.store import Run
from hwlearn.lab.watching.choice import FixedRun
from hwlearn.lab.watching.follower import RunFollower
from hwlearn.learning.records import Epoch
from hwlearn.learning.scoring import Score
from hwlearn.storage.lock import FolderLock

BATCH, BATCHES = 8, 10
"""Samples of a batch, batches of an epoch."""


@dataclass(frozen=True)
class Reading:
    """Cost of reading a run once.

    Attributes
    ----------
    seconds : float
    megabytes : float
        That were read from its files.
    """

    seconds: float
    megabytes: float


@dataclass(frozen=True)
class WatchedRun:
    """What was measured of one run.

    Attributes
    ----------
    size_MB : float
        Of its database.
    opened : Reading
        The first view.
    followed : list of Reading
        One for each epoch that was written.
    peak_MB : float
        Memory that the process gained at most while it followed the run.
    """

    size_MB: float
    opened: Reading
    followed: list[Reading]
    peak_MB: float


def _bytes_read() -> int:
    for line in Path("/proc/self/io").read_text(encoding="ascii").splitlines():
        if line.startswith("rchar:"):
            return int(line.split()[1])
    return 0


def _peak_MB() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


class Writer:
    """Writes epochs of a run as a recorder does, with random readings."""

    def __init__(self, run: Run, edges: int, outputs: int) -> None:
        self.db, self._rng = connect(run.folder), np.random.default_rng(0)
        self._edges, self._outputs = edges, outputs
        self.db.execute("PRAGMA synchronous=OFF")
        self.epochs = 0

    def write(self, epochs: int) -> None:
        """Write some epochs in one transaction."""
        with self.db as db:
            put_fact(db, "status", "running")
            for epoch in range(self.epochs, self.epochs + epochs):
                for step in range(epoch * BATCHES, (epoch + 1) * BATCHES):
                    volts = self._rng.normal(0, 0.1, (3, BATCH, self._outputs))
                    arrays = {
                        "samples": self._rng.permutation(BATCH),
                        "outputs": volts[0],
                        "costs": volts[0, :, 0] ** 2,
                    }
                    arrays |= {"free_voltages": volts[0], "plus_voltages": volts[1], "minus_voltages": volts[2]}
                    arrays |= {"strength": np.ones(BATCH)}
                    row = (step, epoch, time.time(), 0.1 / (1 + step), 0)
                    put_arrays(db, "batches", row, pack(arrays, Encoding.PLANES))
                score = Score(0.1, None, 0.01)
                record = json.dumps(asdict(Epoch(epoch, score, None, BATCH * BATCHES, 0, 0.1)))
                checksum = Packed("[]", Encoding.PLAIN, b"").checksum(epoch, record)
                db.execute("INSERT INTO epochs VALUES (?, ?, ?)", (epoch, record, checksum))
            values = np.full(self._edges, 1e-5)
            done = {"requested": values, "reached": values, "failed": np.zeros(self._edges, dtype=bool)}
            put_arrays(db, "updates", (step, epoch, time.time()), pack(done, Encoding.ZLIB))
            put_arrays(db, "optimizer", (0, step), pack({}))
        self.epochs += epochs


def watched(measurements: int, folder: Path, more: int = 50) -> WatchedRun:
    """Write a run of so many measurements and follow it while more epochs are written."""
    overrides = {"data.samples": BATCH * BATCHES, "train.batch": BATCH, "train.epochs": 10**6}
    bench = hl.open_bench("regression", overrides)
    run = Run.create(bench, folder)
    writer = Writer(run, bench.topology.n_edges, bench.topology.n_outputs)
    with FolderLock(run.folder, "run"), closing(writer.db):
        epochs = -(-measurements // (BATCH * BATCHES))
        for first in range(0, epochs, 500):
            writer.write(min(500, epochs - first))
        writer.db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        memory = _peak_MB()
        follower = RunFollower(FixedRun(run))
        opened = _read(follower)
        followed = []
        for _ in range(more):
            writer.write(1)
            end = time.monotonic() + 60
            while follower.view is None or follower.view.epochs_done < writer.epochs:
                assert time.monotonic() < end, follower.error
                time.sleep(0.02)  # a follower rests ten times as long as it reads
                reading = _read(follower)
            followed.append(reading)
        return WatchedRun((run.folder / DATABASE).stat().st_size / 1e6, opened, followed, _peak_MB() - memory)


def _read(follower: RunFollower) -> Reading:
    before, began = _bytes_read(), time.perf_counter()
    follower.poll()
    return Reading(time.perf_counter() - began, (_bytes_read() - before) / 1e6)


def main() -> None:
    """Print one line for opening and one for following."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--measurements", type=int, default=1_000_000)
    count = options.parse_args().measurements
    with TemporaryDirectory() as folder:
        found = watched(count, Path(folder))
    seconds = sorted(one.seconds for one in found.followed)
    read = max(one.megabytes for one in found.followed)
    print(f"{count} measurements, {found.size_MB:.0f} MB, memory gained {found.peak_MB:.0f} MB")
    print(f"first view   {found.opened.seconds:.3f} s, {found.opened.megabytes:.1f} MB read")
    middle, most = seconds[len(seconds) // 2], seconds[-1]
    print(f"each epoch   median {middle:.3f} s, largest {most:.3f} s, at most {read:.1f} MB read")


if __name__ == "__main__":
    sys.exit(main())
