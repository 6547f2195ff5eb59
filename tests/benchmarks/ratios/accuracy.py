"""Held-out accuracy of a bench of the package, for splits, devices and noise of several seeds."""

from __future__ import annotations

import numpy as np

import hwlearn as hl

SEEDS = range(3)


def held_out(name: str) -> list[float]:
    """Train the bench with its own settings on all but the held-out rows; return the accuracy of each seed."""
    found = []
    for seed in SEEDS:
        changes = {"train.seed": seed, "backend.seed": seed, "data.split_seed": seed}
        with hl.open_bench(name, changes) as bench:
            train, data = bench.file.train, bench.data
            rest = np.setdiff1d(np.arange(len(data.inputs)), data.test)
            trainer = bench.trainer()
            schedule = hl.Schedule(train.epochs, train.batch, train.anneal)
            trainer.fit(data.inputs[rest], data.targets[rest], schedule)
            found.append(trainer.evaluate(data.inputs[data.test], data.targets[data.test]).accuracy)
    return found
