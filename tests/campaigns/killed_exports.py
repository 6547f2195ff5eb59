"""Runs as data while another process writes them, and after it was killed: nothing lost, files bit for bit.

A process trains the twin with noise and prints the number of each batch and of each update when the recorder has
stored it. Meanwhile the run is opened as a data set; at a random moment the process is killed. Then the run is
opened again and exported to every format, and the files are read back by other libraries (`exported_files`).
"""

from __future__ import annotations

import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

import exported_files
import numpy as np
from campaign import Campaign, none

import hwlearn as hl
from hwlearn.lab.runs.store import Run

CHILD = """
import sys
import hwlearn as hl
from hwlearn.lab.runs.recorder import RunRecorder
from hwlearn.lab.runs.store import Run

class Events(hl.Callback):
    def on_gradient(self, epoch, number, samples, gradient):
        print("step", number, flush=True)

    def on_step(self, step):
        print("kept_step", step.number, flush=True)

run = Run.open(sys.argv[1])
with run.bench() as bench, RunRecorder(run, bench) as recorder:
    bench.train([recorder, Events()])
"""

KEPT = {
    "all": ["run.conductances=steps"],
    "summary": ["run.keep=summary", "run.conductances=steps"],
    "epochs": ["run.conductances=epochs"],
}


def trial(case: str, rng: np.random.Generator) -> Mapping[str, float]:
    """Open a run while it is written, kill its writer, and read everything back."""
    with tempfile.TemporaryDirectory() as place:
        changes = ["backend.read_noise=1 mV", "train.batch=3", "train.epochs=100000", *KEPT[case]]
        run = Run.create(hl.open_bench("regression", changes), Path(place))
        command = [sys.executable, "-c", CHILD, str(run.folder)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            printed: dict[str, int] = {}
            looks = set(rng.integers(5, 200, 3).tolist())
            missing = 0
            for count in range(int(rng.integers(200, 500))):
                what, number = process.stdout.readline().split()
                printed[what] = int(number)
                if count in looks:
                    missing += _missing(run, printed, case)
            process.send_signal(signal.SIGKILL)
            for line in process.stdout:  # what was printed before it was killed
                if line.endswith("\n"):
                    what, number = line.split()
                    printed[what] = int(number)
        unequal: list[str] = []
        # with "summary", the readings of an unfinished epoch are all that a table of samples has
        readers = [read for read in exported_files.READERS if case != "summary" or read is exported_files.npz]
        for read in readers:
            unequal += read(run, Path(place))
        return {"lost": _missing(run, printed, case), "unread": missing, "unequal": len(unequal)}


def _missing(run: Run, printed: Mapping[str, int], case: str) -> int:
    """Return how many of the last acknowledged batches and updates a data set of the run does not have."""
    data = run.to_xarray()
    lost = 0
    for axis, number in printed.items():
        found = data[axis].values
        lost += int(number not in found if axis == "step" or case != "epochs" else found.max() < number)
    if "requested" in data:
        lost += int(not np.isfinite(data.requested.values[-1]).all())
    return lost


CAMPAIGN = Campaign(
    "killed_exports",
    trial,
    list(KEPT),
    {"lost": none(), "unread": none(), "unequal": none()},
    count=67,  # of each of 3 cases: 201
)

if __name__ == "__main__":
    CAMPAIGN.main()
