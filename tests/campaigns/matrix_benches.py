"""Iris on one two-channel source-measure unit and a switch matrix, against the twin with the same devices.

``virtual-matrix`` measures samples of two voltages directly, ``virtual-superposed`` composes samples of many
voltages after its check. Each seed draws other devices, noise, splits and initial conductances; the settings of
the training were chosen on seeds 100 to 105::

    python tests/campaigns/matrix_benches.py --seeds 5

prints, for each bench, the accuracies on held-out samples, those of the twin, samples per second and relay moves
per sample. The exit code is 1 if a mean accuracy is more than 1.5 points below that of the twin, if a relay moved
under voltage, or if a sample was composed before the check.
"""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

import hwlearn as hl
from hwlearn.errors import NetworkError
from hwlearn.lab.bench.bench import Bench
from hwlearn.lab.bench_file.file import parse_bench_file
from hwlearn.lab.checks import check_bench
from hwlearn.storage.toml_text import toml_text

ALLOWED = 0.015
FIRST_SEED, SEEDS = 1, 5
BENCHES = ("virtual-matrix", "virtual-superposed")
TWIN = {
    "kind": "sim",
    "device_spread": 0.1,
    "read_noise": "20 uV",
    "rheostat": {"full": "100 kohm", "wiper": "130 ohm", "positions": 256},
}


@dataclass(frozen=True)
class Trained:
    """One training.

    Attributes
    ----------
    accuracy, twin : float
        On held-out samples.
    samples_per_s : float
        Samples of the training and of its evaluation in one second.
    moves_per_sample : float
    hot_moves : int
        Relay moves under voltage or current.
    unchecked : int
        Samples that were composed before the check.
    """

    accuracy: float
    twin: float
    samples_per_s: float
    moves_per_sample: float
    hot_moves: int
    unchecked: int


def keys(seed: int, epochs: int | None) -> dict[str, object]:
    """Return what a seed changes."""
    changed = {"backend.seed": seed, "train.seed": seed, "data.split_seed": seed}
    return changed if epochs is None else {**changed, "train.epochs": epochs}


def twin(name: str, seed: int, epochs: int | None) -> Bench:
    """Return the bench of the twin with the same devices."""
    file = hl.open_bench(name, keys(seed, epochs)).file
    tables = {**file.tables, "backend": {**TWIN, "seed": seed}}
    return Bench(parse_bench_file(toml_text(tables), "twin", file.folder))


def accuracy(bench: Bench) -> float:
    """Train; return the accuracy on the held-out samples."""
    bench.train(record=False)
    found = bench.evaluate().measured.accuracy
    assert found is not None
    return found


def trained(name: str, seed: int, epochs: int | None = None) -> Trained:
    """Train a bench with one seed, and its twin."""
    with TemporaryDirectory() as folder:
        changed = keys(seed, epochs)
        composed = name == "virtual-superposed"
        if composed:
            changed |= {"backend.superposition": str(Path(folder) / "superposition.toml")}
        with hl.open_bench(name, changed) as bench:
            unchecked = 0
            if composed:
                try:
                    unchecked = len(bench.network.measure(bench.data.inputs[:2]).voltages)
                except NetworkError:
                    failed = [one for one in check_bench(bench) if one.result == "fail"]
                    assert not failed, failed
            samples, moves = bench.network.measurements, bench.network.relay_moves or 0
            began = time.monotonic()
            found = accuracy(bench)
            seconds = time.monotonic() - began
            samples = bench.network.measurements - samples
            moves = (bench.network.relay_moves or 0) - moves
            hot = len(bench.network.bench.instrument("mat1").relays.hot_moves)
    with twin(name, seed, epochs) as other:
        return Trained(found, accuracy(other), samples / seconds, moves / samples, hot, unchecked)


def main() -> int:
    """Train both benches on several seeds, and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=SEEDS)
    parser.add_argument("--first", type=int, default=FIRST_SEED)
    parser.add_argument("--epochs", type=int)
    given = parser.parse_args()
    failed = False
    for name in BENCHES:
        found = [trained(name, seed, given.epochs) for seed in range(given.first, given.first + given.seeds)]
        mean, other = (100 * np.mean([getattr(one, key) for one in found]) for key in ("accuracy", "twin"))
        each = " ".join(f"{100 * one.accuracy:.1f}/{100 * one.twin:.1f}" for one in found)
        speed = np.mean([one.samples_per_s for one in found])
        moves = np.mean([one.moves_per_sample for one in found])
        hot, unchecked = sum(one.hot_moves for one in found), sum(one.unchecked for one in found)
        print(
            f"{name}: accuracy {mean:.1f} %, twin {other:.1f} % (each: {each}); {speed:.0f} samples per second, "
            f"{moves:.3f} relay moves per sample; moved under voltage: {hot}, composed unchecked: {unchecked}",
            flush=True,
        )
        failed |= bool(mean < other - 100 * ALLOWED or hot or unchecked)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
