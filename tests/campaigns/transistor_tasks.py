r"""The published tasks of transistor networks: digits, ionosphere and exclusive or, beside software and ngspice.

    python tests/campaigns/transistor_tasks.py digits --splits 0 1 2 --chips 1 2 3 --environment ENV
    python tests/campaigns/transistor_tasks.py ionosphere --splits 0 1 2 --chips 1 2 3 --environment ENV
    python tests/campaigns/transistor_tasks.py xor --splits 0 1 2
    python tests/campaigns/transistor_tasks.py digits --rule coupled --splits published 0 1 2 --epochs 15 30 \
        --environment ENV
    python tests/campaigns/transistor_tasks.py ionosphere --rule coupled --chips 1 2 3 --noise 0.005
    python tests/campaigns/transistor_tasks.py xor --rule coupled --splits 0 1 2
    python tests/campaigns/transistor_tasks.py seconds --splits 1

The networks are the benches `digits-nmos`, `ionosphere-nmos` and `xor-nmos`. ``exact`` trains them through the
public loop: outputs measured with noise, exact gradient of the declared transistors. ``coupled`` is coupled
learning as published, see `coupled_learning.py`. A split is a number, a stratified 80/20 split of that seed, or
"published", the one of scikit-learn with seed 0; for "xor" it is the seed of the initial gates. A chip has a
mismatch of 10 mV and 0.5 % and read noise of 5 mV (ionosphere: 4 mV), in the training and in the test. With
coupled learning the free and the clamped phase are measured on different devices; the exact gradient needs the
free phase alone.

Software classifiers run in a virtual environment with scikit-learn, which is made unless it is there; without
``--environment`` they are left out, and so is the published split. Settings were chosen on validation rows
inside the training part of splits 100 to 103, the strength of each classifier on validation rows inside the
training part of its own split. Accuracies have Wilson 95 % intervals, means of splits those of Student's t.
Each result is printed as it is found.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import campaign  # noqa: F401  # finds the folders of shared test modules
import numpy as np
from coupled_learning import CoupledLearner, Published, hinge, squared

import hwlearn as hl
from hwlearn.lab.data.loading import split

Split = Mapping[str, np.ndarray]
Train = Callable[[Split, int, int | None], int]
"""Takes a split, a seed and a chip (None: clean); returns the number of test rows that are right."""

PUBLISHED = {
    "digits": Published(gamma=1.0, epochs=15, read_noise_V=0.0),
    "ionosphere": Published(gamma=4.0, epochs=50, read_noise_V=0.0),
    "xor": Published(gamma=0.3, epochs=10_000, read_noise_V=0.0),
}
NOISE = {"digits": 5e-3, "ionosphere": 4e-3}
CHIP_EPOCHS = {"digits": 30, "ionosphere": 50}


def wilson(right: int, count: int) -> tuple[float, float]:
    """Return the 95 % interval of a share."""
    z, share = 1.96, right / count
    middle = (share + z * z / (2 * count)) / (1 + z * z / count)
    half = z / (1 + z * z / count) * np.sqrt(share * (1 - share) / count + z * z / (4 * count**2))
    return float(middle - half), float(middle + half)


def mean_text(values: np.ndarray) -> str:
    """Return the mean with its 95 % interval."""
    if len(values) < 2:
        return f"{values.mean():.4f}"
    from scipy.stats import t

    half = t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values))
    return f"{values.mean():+.4f} +- {half:.4f} ({len(values)} splits)"


def environment_python(folder: Path) -> Path:
    """Return the Python of an environment with scikit-learn, which is made unless it is there."""
    python = folder / "bin" / "python"
    if not python.exists():
        venv.create(folder, with_pip=True)
        subprocess.run([str(python), "-m", "pip", "install", "--quiet", "scikit-learn"], check=True)
    return python


def own_split(labels: np.ndarray, seed: int) -> Split:
    """Return a stratified split with validation rows inside the training part."""
    train, test = split(labels, True, 0.2, seed)
    _, held = split(labels[train], True, 0.2, seed + 1000)
    return {"train": train, "test": test, "validation": train[held]}


def software(task: str, splits: list[Split], environment: Path) -> dict[str, Any]:
    """Return accuracies of the classifiers on the splits, and the published split."""
    with hl.open_bench(f"{task}-nmos") as bench, tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "data.npz"
        np.savez(source, x=bench.data.inputs, y=bench.data.targets)
        listed = [{name: rows.tolist() for name, rows in one.items()} for one in splits]
        script = Path(__file__).with_name("referee_classifiers.py")
        done = subprocess.run(
            [str(environment_python(environment)), str(script)],
            input=json.dumps({"source": str(source), "splits": listed}),
            capture_output=True,
            text=True,
            check=True,
        )
    return dict(json.loads(done.stdout))


class Engine(hl.Network):
    """A perfect network: what the engine solves. The ideal twin reads the same, and checks limits of currents."""

    has_any_values = True

    def __init__(self, bench: hl.Bench) -> None:
        super().__init__(bench.topology, bench.limits, {})
        self._model = hl.Kirchhoff(bench.topology, bench.trainer().model.values)

    def _measure(self, inputs: np.ndarray, drive: Any) -> hl.Readout:
        return hl.Readout(self._model.solve(inputs)[:, self.topology.outputs])

    def _close(self) -> None:
        pass  # nothing is to be switched off

    def _program(self, values: np.ndarray) -> hl.Programmed:
        self._model = self._model.with_values(values)
        return hl.Programmed(values, values, np.zeros(len(values), dtype=bool))


def exact(task: str, rows: Split, seed: int, chip: int | None, noise_V: float) -> int:
    """Train a bench through the public loop; return the number of test rows that are right, as measured."""
    changes: dict[str, Any] = {"train.seed": seed}
    if chip is not None:
        changes |= {"backend.seed": chip, "backend.read_noise": noise_V}
        changes["backend.device_spread"] = {"vto": 0.01, "kp": 0.005}
    with hl.open_bench(f"{task}-nmos", changes) as bench:
        data, train = bench.data, bench.file.train
        network = bench.network if chip is not None else Engine(bench)
        trainer = bench.trainer()
        if chip is None:
            trainer = hl.Trainer(
                network,
                trainer.rule,
                trainer.cost,
                trainer.optimizer,
                model=trainer.model,
                seed=seed,
                vary=data.jitter,
            )
        schedule = hl.Schedule(train.epochs, train.batch, train.anneal)
        trainer.fit(data.inputs[rows["train"]], data.targets[rows["train"]], schedule)
        outputs = network.measure(data.inputs[rows["test"]]).voltages
        scores = outputs if data.pairs is None else data.pairs.differences(outputs)
    return int((scores.argmax(axis=1) == data.targets[rows["test"]]).sum())


def learner(
    task: str, bench: Any, seed: int, chip: int | None, epochs: int | None = None, noise_V: float | None = None
) -> CoupledLearner:
    """Return coupled learning as published, before its first epoch; with other epochs or noise if given."""
    top, labels = bench.topology, bench.data.targets
    rng = np.random.default_rng([seed, 5])
    numbers = PUBLISHED[task]
    if chip is not None:
        numbers = Published(numbers.gamma, CHIP_EPOCHS[task], NOISE[task] if noise_V is None else noise_V)
    if epochs is not None:
        numbers = replace(numbers, epochs=epochs)
    if task == "digits":
        clamp = hinge(labels, np.arange(10), np.arange(10, 20), 0.02, 0.05)
        return CoupledLearner(top, rng.uniform(0.5, 4.5, top.n_edges), numbers, clamp, True, chip)
    if task == "ionosphere":
        return CoupledLearner(
            top, np.full(147, 2.0), numbers, hinge(labels, np.arange(2), None, 0.01, 0.01), False, chip
        )
    raise ValueError(task)


def xor_learner(bench: Any, seeds: list[int]) -> CoupledLearner:
    """Return coupled learning as published of exclusive or, from the initial gates of each seed.

    The networks of all seeds are in one graph, without connections: each operating point solves all of them.
    """
    top, count = bench.topology, len(seeds)
    nodes = top.n_nodes * np.arange(count)[:, None]
    whole = hl.Topology(
        count * top.n_nodes,
        np.concatenate([top.edges + offset for offset in nodes]),
        (top.inputs + nodes).ravel(),
        (top.outputs + nodes).ravel(),
    ).with_elements(top.edge_elements[0])
    gates = np.concatenate([np.random.default_rng([seed, 5]).uniform(0.5, 3.0, top.n_edges) for seed in seeds])
    one = squared(bench.data.targets[:, 0], 0.5)

    def clamp(outputs: np.ndarray, sample: int) -> dict[int, float]:
        goals = [one(pair, sample) for pair in outputs.reshape(count, 2)]
        return {2 * k + output: volts for k, goal in enumerate(goals) for output, volts in goal.items()}

    return CoupledLearner(whole, gates, PUBLISHED["xor"], clamp)


def coupled(task: str, rows: Split, seed: int, chip: int | None, shown: Sequence[int], noise_V: float) -> int:
    """Train by coupled learning as published; return the number of test rows that are right, as measured.

    Accuracies after the epochs of ``shown`` are printed; the last one of them ends the training.
    """
    with hl.open_bench(f"{task}-nmos") as bench:
        one = learner(task, bench, seed, chip, max(shown, default=None), noise_V)
        x, labels = bench.data.inputs, bench.data.targets[rows["test"]]
        order = np.random.default_rng(seed)
        for epoch in range(1, one.published.epochs + 1):
            one.epoch(x, order.permutation(rows["train"]))
            if epoch in shown or epoch == one.published.epochs:
                outputs = one.outputs(x[rows["test"]])
                scores = outputs if bench.data.pairs is None else bench.data.pairs.differences(outputs)
                right = int((scores.argmax(axis=1) == labels).sum())
                print(f"  after {epoch} epochs: {right / len(labels):.4f}", flush=True)
    return right


def classify(task: str, train: Train, names: list[str], chips: list[int], environment: Path | None) -> None:
    """Print accuracies of a task on splits, clean and on chips, and those of software on the same splits."""
    with hl.open_bench(f"{task}-nmos") as bench:
        labels = np.asarray(bench.data.targets)
    seeds = [int(name) for name in names if name != "published"]
    splits = [own_split(labels, seed) for seed in seeds]
    references: dict[str, list[float]] = {}
    if environment is not None:
        answer = software(task, splits, environment)
        references = answer["accuracy"] if seeds else {}
        for name, values in references.items():
            print(
                f"{task}, {name}: {np.round(values, 4).tolist()}, mean {mean_text(np.array(values))}", flush=True
            )
        if "published" in names:
            rows = {part: np.array(found) for part, found in answer["published"].items()}
            splits, seeds = [*splits, rows], [*seeds, 0]
    found: dict[int | None, list[float]] = {chip: [] for chip in (None, *chips)}
    for k, (rows, seed) in enumerate(zip(splits, seeds, strict=True)):
        for chip, values in found.items():
            began, count = time.process_time(), len(rows["test"])
            right = train(rows, seed, chip)
            low, high = wilson(right, count)
            values.append(right / count)
            print(
                f"{task}, {'clean' if chip is None else f'chip {chip}'}, "
                f"{'published split' if 'validation' not in rows else f'split {seed}'}: {right / count:.4f} "
                f"({low:.3f} to {high:.3f}), {time.process_time() - began:.0f} s of processor time",
                flush=True,
            )
        of_own = [k for k, one in enumerate(splits[: k + 1]) if "validation" in one]
        if not of_own:
            continue
        clean = np.array(found[None])[of_own]
        print(f"  mean of clean: {mean_text(clean)}")
        for name, others in references.items():
            print(f"  minus {name}: {mean_text(clean - np.array(others)[of_own])}")
        for chip in chips:
            print(f"  chip {chip} minus clean: {mean_text(np.array(found[chip])[of_own] - clean)}", flush=True)
        if chips:
            every = np.mean([np.array(found[chip])[of_own] for chip in chips], axis=0)
            print(f"  mean of chips minus clean: {mean_text(every - clean)}", flush=True)


def xor_exactly(seeds: list[int]) -> Iterator[np.ndarray]:
    """Train exclusive or by the bench for each seed; yield the output voltages (4, 2)."""
    for seed in seeds:
        with hl.open_bench("xor-nmos", {"train.seed": seed}) as bench:
            bench.train(record=False)
            outputs = bench.network.true_outputs(bench.data.inputs)
            assert outputs is not None
            yield outputs


def xor_coupled(seeds: list[int]) -> Iterator[np.ndarray]:
    """Train exclusive or by coupled learning for all seeds; yield the output voltages (4, 2) of each."""
    with hl.open_bench("xor-nmos") as bench:
        one = xor_learner(bench, seeds)
        x = np.tile(bench.data.inputs, (1, len(seeds)))
        for _ in range(one.published.epochs):
            one.epoch(x, np.arange(4))
        yield from one.outputs(x).reshape(4, len(seeds), 2).transpose(1, 0, 2)


def solve_xor(rule: str, seeds: list[int]) -> None:
    """Print for each seed of the initial gates whether exclusive or is solved: right, rms error at most 3 mV."""
    good, right, began = 0, 0, time.process_time()
    with hl.open_bench("xor-nmos") as bench:
        targets = np.asarray(bench.data.targets)[:, 0]
    train = xor_exactly if rule == "exact" else xor_coupled
    for done, (seed, outputs) in enumerate(zip(seeds, train(seeds), strict=True), 1):
        difference = outputs[:, 0] - outputs[:, 1]
        rms = float(np.sqrt(((difference - targets) ** 2).mean()))
        classes = bool(((np.abs(difference + 0.087) < np.abs(difference)) == (targets < -0.04)).all())
        good, right = good + (classes and rms <= 3e-3), right + classes
        print(
            f"xor, {rule}, seed {seed}: {'right' if classes else 'wrong'}, rms error {1e3 * rms:.2f} mV; "
            f"so far {good} of {done} within 3 mV, {right} right, {time.process_time() - began:.0f} s",
            flush=True,
        )


def main() -> None:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("task", choices=("digits", "ionosphere", "xor", "seconds"))
    parser.add_argument("--rule", choices=("exact", "coupled"), default="exact")
    parser.add_argument("--splits", nargs="+", default=[str(k) for k in range(10)])
    parser.add_argument("--chips", nargs="*", type=int, default=[])
    parser.add_argument("--environment", type=Path, help="folder of the virtual environment with scikit-learn")
    parser.add_argument("--epochs", nargs="*", type=int, default=[], help="coupled: where accuracies are shown")
    parser.add_argument("--noise", type=float, help="read noise of chips in volts")
    asked = parser.parse_args()
    if asked.task == "seconds":
        from transistor_seconds import measure

        measure([int(split) for split in asked.splits])
    elif asked.task == "xor":
        solve_xor(asked.rule, [int(seed) for seed in asked.splits])
    elif "published" in asked.splits and asked.environment is None:
        sys.exit("the published split is made by scikit-learn: give --environment")
    else:
        noise_V = NOISE[asked.task] if asked.noise is None else asked.noise

        def train(rows: Split, seed: int, chip: int | None) -> int:
            if asked.rule == "exact":
                return exact(asked.task, rows, seed, chip, noise_V)
            return coupled(asked.task, rows, seed, chip, asked.epochs, noise_V)

        print(f"{asked.task}, rule {asked.rule}, read noise of chips {1e3 * noise_V:g} mV")
        classify(asked.task, train, asked.splits, asked.chips, asked.environment)


if __name__ == "__main__":
    main()
