"""Accuracy of the classification benches; each fold has other devices and other noise.

Split, seeds and rule differ from the bench files that come with the package; everything else is the same.
"""

import numpy as np
import pytest

import hwlearn as hl

NUDGES = {
    "clamp": {"train.nudge": "clamp"},
    "current": {"train.nudge": "current"},
    "resistor": {"train.nudge": "resistor", "train.kappa": "100 uS"},
    "analytic": {"train.rule": "analytic"},
}


def folds(labels: np.ndarray, number: int, seed: int) -> list[np.ndarray]:
    """Return the held-out rows of each fold, with an equal share of every class."""
    rng = np.random.default_rng(seed)
    order = np.concatenate([rng.permutation(np.flatnonzero(labels == c)) for c in np.unique(labels)])
    return [np.sort(order[k::number]) for k in range(number)]


def held_out_accuracy(bench: hl.Bench, test: np.ndarray) -> float:
    """Train on the other rows with the settings of the bench file; return the accuracy measured on ``test``."""
    train, data = bench.file.train, bench.data
    rest = np.setdiff1d(np.arange(len(data.inputs)), test)
    with bench:
        trainer = bench.trainer()
        schedule = hl.Schedule(train.epochs, train.batch, train.anneal)
        trainer.fit(data.inputs[rest], data.targets[rest], schedule)
        return trainer.evaluate(data.inputs[test], data.targets[test]).accuracy


@pytest.mark.slow
@pytest.mark.parametrize("name", NUDGES)
def test_iris_cross_validation_accuracy(name, figure, seeds):
    """5 folds, repeated 3 times; a share is one repetition."""
    found, repeats = [], seeds.first(3, 1)
    labels = hl.open_bench("iris").data.targets
    for repeat in repeats:
        for k, test in enumerate(folds(labels, 5, repeat)):
            seed = 5 * repeat + k
            bench = hl.open_bench("iris", NUDGES[name] | {"train.seed": seed, "backend.seed": seed})
            found.append(held_out_accuracy(bench, test))
    mean, error = np.mean(found), np.std(found, ddof=1) / np.sqrt(len(found))
    figure(f"iris, 5 folds x {len(repeats)}, {name}: test accuracy {mean:.4f} +- {error:.4f} (required >= 0.95)")
    assert mean >= 0.95


@pytest.mark.slow
@pytest.mark.parametrize("name", NUDGES)
def test_digits_accuracy(name, figure, seeds):
    """Three splits, each with a fifth of the images held out; a share is one split."""
    found = []
    for seed in seeds.first(3, 1):
        changes = {"train.seed": seed, "backend.seed": seed, "data.split_seed": seed}
        bench = hl.open_bench("digits", NUDGES[name] | changes)
        found.append(held_out_accuracy(bench, bench.data.test))
    figure(f"digits, {len(found)} splits, {name}: test accuracy {np.mean(found):.4f} (required >= 0.94)")
    assert np.mean(found) >= 0.94
