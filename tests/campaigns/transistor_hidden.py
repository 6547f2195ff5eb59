"""Digits on transistors with hidden nodes, at most 1,300 transistors, beside software; and how far software gets.

    python tests/campaigns/transistor_hidden.py digits --splits 0 1 2 --environment ENV
    python tests/campaigns/transistor_hidden.py software --splits 100 101 102

``digits`` trains the bench `digits-hidden-nmos` on splits as `transistor_tasks.py` makes them, by the exact
gradient through the public loop, and compares it with the classifiers there, and with the bench `digits-nmos` if
``--accuracies`` gives its accuracies on the same splits. The rule takes outputs and gradient from one solution of
the circuit: what `Analytic` measures on a perfect network, in half the time.

``software`` trains perceptrons of one hidden layer, whose weights have either sign and no bounds, on the training
rows without the validation rows, and scores the validation rows: with the connections of the bench, with other
sparse ones, and with all of them. "shifted" distorts each training image anew in every epoch: moved by up to 0.2
pixels, turned by up to 4 degrees, with its sides stretched by up to 4 % and slanted by up to 4 %.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import campaign  # noqa: F401  # finds the folders of shared test modules
import numpy as np
from transistor_tasks import Engine, mean_text, own_split, software, wilson

import hwlearn as hl
from hwlearn.lab.data import Distortion
from hwlearn.learning.rules.rule import Gradient, GradientRequest, Rule

NAME = "digits-hidden-nmos"
IMAGE = (8, 8)
SHIFTED = Distortion(*IMAGE, shift=0.2, turn=4, stretch=0.04, slant=0.04)
EPOCHS, BATCH, RATE, DECAY, NOISE = 80, 64, 0.01, 0.01, 0.05
"""Training of the perceptrons: Adam with the decay of the weights apart from the gradient."""


class OneSolution(Rule):
    """The exact gradient of a network that is its model: outputs and adjoint of one solution."""

    def gradient(self, request: GradientRequest) -> Gradient:
        """Return the gradient; see `Rule.gradient`."""
        model, cost = request.model, request.cost
        outputs = model.solve(request.inputs)[:, model.topology.outputs]
        values = model.gradient(request.inputs, cost.error(outputs, request.targets))
        return Gradient(values, outputs, cost.values(outputs, request.targets))


def trained(rows: np.ndarray, seed: int, epochs: int | None = None) -> tuple[hl.Bench, hl.Network]:
    """Return the closed bench and the perfect network, trained on some rows."""
    with hl.open_bench(NAME, {"train.seed": seed}) as bench:
        data, train = bench.data, bench.file.train
        network, given = Engine(bench), bench.trainer()
    trainer = hl.Trainer(
        network, OneSolution(), given.cost, given.optimizer, model=given.model, seed=seed, vary=data.jitter
    )
    schedule = hl.Schedule(train.epochs if epochs is None else epochs, train.batch, train.anneal)
    trainer.fit(data.inputs[rows], data.targets[rows], schedule)
    return bench, network


def accuracy(bench: hl.Bench, network: hl.Network, rows: np.ndarray) -> float:
    """Return the share of rows that are right."""
    data = bench.data
    assert data.pairs is not None
    scores = data.pairs.differences(network.measure(data.inputs[rows]).voltages)
    return float((scores.argmax(axis=1) == data.targets[rows]).mean())


def show_digits(
    seeds: list[int], part: str, environment: Path | None, others: list[float], epochs: int | None
) -> None:
    """Print accuracies on the test or validation rows of splits, and paired differences to software."""
    with hl.open_bench(NAME) as bench:
        splits = [own_split(np.asarray(bench.data.targets), seed) for seed in seeds]
        print(f"{NAME}: {bench.topology.n_edges} transistors", flush=True)
    references = {"digits-nmos": others} if others else {}
    if environment is not None and part == "test":
        references |= software("digits", splits, environment)["accuracy"]
    found: list[float] = []
    for rows, seed in zip(splits, seeds, strict=True):
        began = time.process_time()
        used = rows["train"] if part == "test" else np.setdiff1d(rows["train"], rows["validation"])
        bench, network = trained(used, seed, epochs)
        found.append(accuracy(bench, network, rows[part]))
        low, high = wilson(round(found[-1] * len(rows[part])), len(rows[part]))
        print(
            f"split {seed}, {part} rows: {found[-1]:.4f} ({low:.3f} to {high:.3f}); training rows "
            f"{accuracy(bench, network, used):.4f}; {time.process_time() - began:.0f} s of processor time",
            flush=True,
        )
    print(f"mean {mean_text(np.array(found))}")
    for name, values in references.items():
        print(f"{name}: mean {mean_text(np.array(values))}; minus it: {mean_text(np.array(found) - values)}")


# --- software ---------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Connections:
    """Weights that a perceptron has: pixels to hidden nodes (64, H), pixels to classes (64, 10)."""

    hidden: np.ndarray
    direct: np.ndarray

    @property
    def weights(self) -> int:
        """Number of weights without biases."""
        return int(self.hidden.sum() + 10 * self.hidden.shape[1] + self.direct.sum())


def of_bench() -> Connections:
    """Return the connections of the bench."""
    with hl.open_bench(NAME) as bench:
        top = bench.topology
    first_output = int(top.outputs[0])
    hidden, direct = np.zeros((64, first_output - 64)), np.zeros((64, 10))
    for a, b in top.edges.tolist():
        if a < 64 <= b < first_output:
            hidden[a, b - 64] = 1
        elif a < 64:
            direct[a, (b - first_output) % 10] = 1
    return Connections(hidden, direct)


def windows(size: int) -> np.ndarray:
    """Return the mask (64, H) of all square windows of this size."""
    masks = []
    for top in range(IMAGE[0] - size + 1):
        for left in range(IMAGE[1] - size + 1):
            mask = np.zeros(IMAGE)
            mask[top : top + size, left : left + size] = 1
            masks.append(mask.ravel())
    return np.array(masks).T


class Perceptron:
    """One hidden layer of rectified units, and weights from the pixels to the classes."""

    def __init__(self, connections: Connections, rng: np.random.Generator) -> None:
        self.mask, H = connections, connections.hidden.shape[1]
        scale = np.sqrt(2 / np.maximum(connections.hidden.sum(axis=0), 1))
        self.weights = [
            rng.standard_normal((64, H)) * scale * connections.hidden,
            np.zeros(H),
            rng.standard_normal((H, 10)) / np.sqrt(max(H, 1)),
            np.zeros((64, 10)),
            np.zeros(10),
        ]

    def scores(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return scores (S, 10) and hidden units (S, H)."""
        into, bias, out, direct, offset = self.weights
        hidden = np.maximum(x @ into + bias, 0)
        return hidden @ out + x @ direct + offset, hidden

    def gradient(self, x: np.ndarray, y: np.ndarray) -> list[np.ndarray]:
        """Return the gradient of the mean cross-entropy."""
        scores, hidden = self.scores(x)
        p = np.exp(scores - scores.max(axis=1, keepdims=True))
        p /= p.sum(axis=1, keepdims=True)
        p[np.arange(len(x)), y] -= 1
        p /= len(x)
        back = (p @ self.weights[2].T) * (hidden > 0)
        return [x.T @ back * self.mask.hidden, back.sum(0), hidden.T @ p, x.T @ p * self.mask.direct, p.sum(0)]

    def fit(
        self, x: np.ndarray, y: np.ndarray, rng: np.random.Generator, vary: Callable[..., np.ndarray] | None
    ) -> None:
        """Train by Adam with a falling rate."""
        first = [np.zeros_like(w) for w in self.weights]
        second = [np.zeros_like(w) for w in self.weights]
        per_epoch = len(x) // BATCH
        for step in range(EPOCHS * per_epoch):
            if step % per_epoch == 0:
                order, shown = rng.permutation(len(x)), x if vary is None else vary(x, rng)
                shown = np.clip(shown + NOISE * rng.standard_normal(x.shape), 0, 1)
            chosen = order[step % per_epoch * BATCH :][:BATCH]
            rate = RATE * (0.05 + 0.475 * (1 + np.cos(np.pi * step / (EPOCHS * per_epoch))))
            for k, g in enumerate(self.gradient(shown[chosen], y[chosen])):
                first[k] = 0.9 * first[k] + 0.1 * g
                second[k] = 0.999 * second[k] + 0.001 * g**2
                share = first[k] / (1 - 0.9 ** (step + 1))
                size = np.sqrt(second[k] / (1 - 0.999 ** (step + 1))) + 1e-8
                kept = self.weights[k] if k in (0, 2, 3) else 0.0
                self.weights[k] = self.weights[k] - rate * (share / size + DECAY * kept)


def show_software(seeds: list[int]) -> None:
    """Print accuracies of perceptrons on validation rows."""
    with hl.open_bench("digits-nmos") as bench:
        x, y = np.asarray(bench.data.inputs), np.asarray(bench.data.targets)
    every, none = np.ones((64, 10)), np.zeros((64, 10))
    rng = np.random.default_rng(5)
    dense = Connections(np.ones((64, 6)), every)
    cases = {
        "as the bench": of_bench(),
        "no hidden units": Connections(np.zeros((64, 1)), every),
        "16 windows of 5 x 5, and pixels": Connections(windows(5), every),
        "25 windows of 4 x 4, and pixels": Connections(windows(4), every),
        "36 windows of 3 x 3, and pixels": Connections(windows(3), every),
        "6 units of all pixels, and pixels": dense,
        "16 units of all pixels, and pixels": Connections(np.ones((64, 16)), every),
        "32 units of all pixels": Connections(np.ones((64, 32)), none),
        "128 units of all pixels": Connections(np.ones((64, 128)), none),
    }
    for name, connections in cases.items():
        for shown, vary in (("as they are", None), ("shifted", SHIFTED)):
            found = []
            for seed in seeds:
                rows, rng = own_split(y, seed), np.random.default_rng(seed)
                used, held = np.setdiff1d(rows["train"], rows["validation"]), rows["validation"]
                one = Perceptron(connections, rng)
                one.fit(x[used], y[used], rng, vary)
                found.append([(one.scores(x[part])[0].argmax(1) == y[part]).mean() for part in (held, used)])
            held_out, own = np.array(found).T
            print(
                f"{name}, {connections.weights} weights, images {shown}: {mean_text(held_out)}, "
                f"training rows {own.mean():.4f}",
                flush=True,
            )


def main() -> None:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("digits", "software"))
    parser.add_argument("--splits", nargs="+", type=int, default=list(range(10)))
    parser.add_argument("--part", choices=("test", "validation"), default="test")
    parser.add_argument("--epochs", type=int, help="instead of those of the bench")
    parser.add_argument("--environment", type=Path, help="folder of the virtual environment with scikit-learn")
    parser.add_argument(
        "--accuracies", nargs="*", type=float, default=[], help="of digits-nmos on the same splits"
    )
    asked = parser.parse_args()
    if asked.what == "software":
        show_software(asked.splits)
    else:
        show_digits(asked.splits, asked.part, asked.environment, asked.accuracies, asked.epochs)


if __name__ == "__main__":
    main()
