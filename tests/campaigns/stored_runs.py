"""Record runs, also interrupted ones, and read everything that they have stored."""

import contextlib

import hwlearn as hl
from hwlearn.lab.runs.recorder import RunRecorder
from hwlearn.lab.runs.store import Run


class StopAfter(hl.Callback):
    """Ends the training as a lost connection does."""

    def __init__(self, steps):
        self.steps = steps

    def on_step(self, step):
        if step.number + 1 == self.steps:
            raise ConnectionResetError


def recorded(bench, runs, stop=None):
    run = Run.create(bench, runs)
    with contextlib.suppress(ConnectionResetError), bench, RunRecorder(run, bench) as recorder:
        bench.train([recorder] if stop is None else [recorder, StopAfter(stop)])
    return run


def everything(run):
    """Return what a run answers, without times."""
    with run.contents() as contents:
        contents.verify()
        return {
            "rows": [
                (table, keys[0], {name: array.tobytes() for name, array in arrays.items()})
                for table in ("batches", "updates", "optimizer", "network", "constants")
                for keys, arrays in contents.rows(table)
            ],
            "epochs": contents.epochs(),
            "conductances": contents.conductances().tobytes(),
            "steps": contents.steps(),
        }
