"""Campaign: what the order k of a nudge, ``I ~ Z^-(k-1) e``, does to direction, noise and speed.

Each task is a random network of 24 nodes and 55 edges with 5 inputs and 6 outputs that learns the outputs of the
same network with other conductances for 8 samples, from the middle of the range::

    python tests/campaigns/nudge_order.py --seeds 12

- direction: cosine between the contrast and the exact gradient of the cost by the logarithm of the conductances,
  at the first step, without noise (EP: 1);
- noise: standard deviation of that contrast under 1 mV read noise, over its length, both with the largest strength
  within the limits (20 repeats);
- speed: epochs of SGD until the true rms error has fallen to a fifth of that of the beginning (at most 150),
  without and with 1 mV read noise. The rate of each order is its best of five on the seeds from 1000.

Means with 95 % intervals (Student's t over the seeds); epochs as medians with quartiles. The resistor nudge has no
order; its rows show where between 1 and 2 it lies.
"""

from __future__ import annotations

import argparse
import logging
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

import hwlearn as hl
from hwlearn.learning.health import HealthSettings
from hwlearn_sim import Imperfections, KirchhoffTwin

LIMITS = hl.Limits("500 mV", "1 V", "200 mV", "1 mA", ("1 uS", "100 uS"))
ORDERS = (0.0, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0)
KAPPAS = (1e-6, 1e-5, 1e-4)
RATES = (0.005, 0.01, 0.02, 0.05, 0.1)
NOISE_V, REPEATS, MOST_EPOCHS, TARGET = 1e-3, 20, 150, 0.2
OFF = HealthSettings("off")


@dataclass(frozen=True)
class Task:
    """A network of a seed, its inputs and the outputs to learn."""

    topology: hl.Topology
    inputs: np.ndarray
    targets: np.ndarray
    seed: int

    @classmethod
    def of(cls, seed: int) -> Task:
        """Return the task of a seed."""
        top, rng = hl.Topology.random(24, 55, 5, 6, seed=seed), np.random.default_rng([seed, 2])
        x = rng.uniform(-0.5, 0.5, (8, 5))
        g = np.exp(rng.uniform(np.log(3e-6), np.log(5e-5), 55))
        return cls(top, x, hl.Kirchhoff(top, g).solve(x)[:, top.outputs], seed)

    def twin(self, noise_V: float = 0.0) -> KirchhoffTwin:
        """Return a network without other imperfections than read noise."""
        return KirchhoffTwin(self.topology, LIMITS, Imperfections(read_noise_V=noise_V), seed=self.seed)


def contrast(task: Task, rule: hl.GEP, twin: KirchhoffTwin) -> np.ndarray:
    """Return the contrast (E,) at the beginning, by the logarithm of the conductances."""
    g = LIMITS.ranges(task.topology).middle()
    model = hl.Kirchhoff(task.topology, twin.program(g).reached)
    request = hl.GradientRequest(twin, model, task.inputs, task.targets, hl.MSE())
    return g * rule.gradient(request).values


def direction_and_noise(task: Task, rule: hl.GEP) -> tuple[float, float]:
    """Return the cosine to the exact gradient, and the noise of the contrast over its length."""
    with task.twin() as twin, task.twin(NOISE_V) as noisy:
        clean, exact = contrast(task, rule, twin), contrast(task, hl.EquilibriumPropagation(), twin)
        drawn = np.array([contrast(task, rule, noisy) for _ in range(REPEATS)])
    cosine = clean @ exact / np.linalg.norm(clean) / np.linalg.norm(exact)
    return float(cosine), float(np.sqrt(drawn.var(axis=0, ddof=1).sum()) / np.linalg.norm(clean))


class Until(hl.Callback):
    """Stops a training when the true error has fallen to a share of that of the beginning."""

    def __init__(self, task: Task, twin: KirchhoffTwin) -> None:
        self._task, self._twin, self._first, self.epochs = task, twin, 0.0, 0

    def error(self) -> float:
        """Return the true rms error in volts."""
        return float(np.sqrt(((self._twin.true_outputs(self._task.inputs) - self._task.targets) ** 2).mean()))

    def on_start(self, programmed: hl.Programmed) -> None:
        """Keep the error of the beginning."""
        self._first = self.error()

    def on_epoch(self, epoch: object) -> None:
        """Count, and stop at the target."""
        self.epochs += 1
        if self.error() <= TARGET * self._first:
            raise StopIteration


def epochs_to_target(task: Task, rule: hl.GEP, rate: float, noise_V: float) -> int:
    """Return the epochs of SGD until the target, at most `MOST_EPOCHS`.

    The rate is that of the largest step of the first gradient, so that it means the same for each order.
    """
    with task.twin(noise_V) as twin:
        size = float(np.abs(contrast(task, rule, twin)).max())
        until = Until(task, twin)
        trainer = hl.Trainer(twin, rule, hl.MSE(), hl.SGD(rate / size, scale="log"), health=OFF)
        try:
            trainer.fit(task.inputs, task.targets, MOST_EPOCHS, callbacks=[until])
        except StopIteration:
            return until.epochs
    return MOST_EPOCHS


def rules() -> dict[str, hl.GEP]:
    """Return each rule by name; a current source makes every order."""
    named = {f"order {k:g}": hl.GEP(order=k) for k in ORDERS}
    return named | {f"resistor, {kappa * 1e6:g} uS": hl.GEP(hl.ResistorNudge(kappa=kappa)) for kappa in KAPPAS}


def best_rate(rule: hl.GEP, seeds: Sequence[int]) -> float:
    """Return the rate with the smallest mean number of epochs without noise over seeds."""
    means = [np.mean([epochs_to_target(Task.of(seed), rule, rate, 0.0) for seed in seeds]) for rate in RATES]
    return RATES[int(np.argmin(means))]


def mean_text(values: Sequence[float]) -> str:
    """Return a mean with its 95 % interval."""
    from scipy.stats import t

    half = t.ppf(0.975, len(values) - 1) * np.std(values, ddof=1) / len(values) ** 0.5 if len(values) > 1 else 0.0
    return f"{np.mean(values):.3f} +- {half:.3f}"


def epochs_text(values: Sequence[int]) -> str:
    """Return a median with quartiles; trainings that did not reach the target are counted apart."""
    low, middle, high = np.percentile(values, [25, 50, 75])
    missed = int(np.sum(np.array(values) >= MOST_EPOCHS))
    return f"{middle:.0f} ({low:.0f} to {high:.0f})" + (f", {missed} not" if missed else "")


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=int, default=12)
    parser.add_argument("--tuning", type=int, default=3, help="seeds from 1000 on which rates are chosen")
    given = parser.parse_args()
    logging.getLogger("hwlearn").setLevel(logging.ERROR)
    print("| nudge | cosine to the gradient | noise over length | rate | epochs, no noise | epochs, 1 mV |")
    print("|---|---|---|---|---|---|")
    for name, rule in rules().items():
        tasks = [Task.of(seed) for seed in range(given.seeds)]
        found = [direction_and_noise(task, rule) for task in tasks]
        rate = best_rate(rule, range(1000, 1000 + given.tuning))
        epochs = [[epochs_to_target(task, rule, rate, noise) for task in tasks] for noise in (0.0, NOISE_V)]
        cosine, noise = (mean_text(each) for each in zip(*found, strict=True))
        print(f"| {name} | {cosine} | {noise} | {rate:g} | {' | '.join(map(epochs_text, epochs))} |", flush=True)


if __name__ == "__main__":
    main()
