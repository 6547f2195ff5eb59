"""Campaign: what learning with two copies costs, and what measuring both phases on one network saves.

Each trial is a random network of 9 nodes and 16 edges that learns one input pattern with two outputs, noise-free,
by coupled learning from the middle of its range; "alternating" trains two patterns in turn, with one output. "One
network" measures both phases one after the other; "pair" holds them on two copies. Errors are rms volts of the
true outputs of the network that is used, the free copy. "Iris" trains the bench ``iris-paired`` on other splits::

    python tests/campaigns/paired_copies.py --figure docs/paired.png

Settings (rate, strengths, biases, those of Iris) were chosen on the seeds from 100; those from 0 are reported.
"Floors" has the first tasks that one network learns to below 10 nV within the 600 updates, whatever a pair does.
Intervals are 95 %, Student's t over the seeds; errors are geometric means with the interval of their logarithm.
Literature: arXiv:2505.22887; Dillavou, Stern, Liu & Durian, Phys. Rev. Applied 18, 014040 (2022).
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import hwlearn as hl
from hwlearn.network.edge_codes import Rheostat
from hwlearn_sim import EdgeFault, Imperfections, KirchhoffTwin

LIMITS = hl.Limits("1 V", "2 V", "1 V", "10 mA", ("10 uS", "1 mS"))
MIDDLE = 1e-4
ETA, RATE, UPDATES, BLOCK, CYCLES = 0.25, 2e4, 600, 20, 40
BIASES = (1e-7, 3e-7, 1e-6, 3e-6)
FLOOR_BIASES = BIASES[:3]
CONVERGED_V = 1e-8
FACTORS = (1.0, 2.0, 4.0, 8.0)
SPREADS = (3e-6, 3e-5)
REAL_SPREAD, CUT_SPREAD = 0.01, 0.003

T_95 = {2: 12.71, 3: 4.30, 4: 3.18, 5: 2.78, 6: 2.57, 8: 2.36, 10: 2.26, 12: 2.20, 16: 2.13, 20: 2.09}
IRIS = {
    "one network": {"backend.paired": False, "backend.contrast_bias": 0, "train.readout": "nodes"},
    "pair without bias or spread": {"backend.contrast_bias": 0, "backend.device_spread": 0},
    "pair": {},
    "pair, bias of 1e-3 V^2": {"backend.contrast_bias": 1e-3},
    "pair, bias of 1e-3 V^2, overclamped 8 times": {"backend.contrast_bias": 1e-3, "train.overclamp": 8},
}


@dataclass(frozen=True)
class Task:
    """A random circuit, input patterns (S, 3) and target outputs (S, n_out) that it can give."""

    topology: hl.Topology
    inputs: np.ndarray
    targets: np.ndarray
    seed: int

    @classmethod
    def of(cls, seed: int, samples: int = 1, outputs: int = 2) -> Task:
        """Return the task of a seed; a teacher circuit in the inner part of the range makes the targets."""
        top, rng = hl.Topology.random(9, 16, 3, outputs, seed=seed), np.random.default_rng([seed, 9])
        g = np.exp(rng.uniform(np.log(2e-5), np.log(5e-4), top.n_edges))
        x = rng.uniform(-0.4, 0.4, (samples, 3))
        return cls(top, x, hl.Kirchhoff(top, g).solve(x)[:, top.outputs], seed)

    def twin(
        self, copy: int, limits: hl.Limits = LIMITS, law: Rheostat | None = None, **flaws: object
    ) -> KirchhoffTwin:
        """Return a network of this circuit that reads every node; each copy has devices of its own."""
        seed = 2 * self.seed + copy
        return KirchhoffTwin(
            self.topology, limits, Imperfections(**flaws), seed=seed, node_readout=True, edge_law=law
        )

    def pair(self, bias: float = 0.0, **options: object) -> hl.PairedNetwork:
        """Return two copies whose edge circuits have random offsets of a standard deviation in V^2."""
        offsets = bias * np.random.default_rng([self.seed, 5]).standard_normal(self.topology.n_edges)
        return hl.PairedNetwork(self.twin(0, **options), self.twin(1, **options), contrast_bias=offsets)


@dataclass
class Training:
    """Coupled learning of one network, update by update."""

    task: Task
    network: hl.Network
    overclamp: float = 1.0
    symmetric: bool = False
    optimizer: hl.learning.optimizers.Optimizer | None = None

    def __post_init__(self) -> None:
        readout = "edges" if isinstance(self.network, hl.PairedNetwork) else "nodes"
        self.rule = hl.CoupledLearning(ETA, overclamp=self.overclamp, symmetric=self.symmetric, readout=readout)
        self.optimizer = self.optimizer or hl.SGD(RATE, scale="log")
        g = np.full(self.task.topology.n_edges, MIDDLE)
        self.optimizer.start(g, self.network.limits.conductance)
        self.network.program(self.optimizer.shadow)
        self.model, self.every = hl.Kirchhoff(self.task.topology, g), np.ones(len(g), dtype=bool)

    def error(self, sample: int | slice = slice(None)) -> float:
        """Return the true rms error in volts."""
        off = (self.network.true_outputs(self.task.inputs) - self.task.targets)[sample]
        return float(np.sqrt((off**2).mean()))

    def update(self, sample: int | None = None) -> None:
        """Measure both phases of one pattern (all unless given), and program one update."""
        rows = slice(None) if sample is None else slice(sample, sample + 1)
        request = hl.GradientRequest(
            self.network, self.model, self.task.inputs[rows], self.task.targets[rows], hl.MSE()
        )
        self.network.program(self.optimizer.step(self.rule.gradient(request).values, self.every))

    def run(self, updates: int = UPDATES) -> np.ndarray:
        """Return the error before each of some updates, and after the last one."""
        errors = [self.error()]
        for _ in range(updates):
            self.update()
            errors.append(self.error())
        return np.array(errors)

    def floor(self) -> float:
        """Train, and return the geometric mean of the error over the last tenth of the updates."""
        for _ in range(UPDATES - UPDATES // 10):
            self.update()
        return float(np.exp(np.log(np.maximum(self.run(UPDATES // 10), 1e-15)).mean()))


def floors(seed: int) -> dict[str, float]:
    """Return the error in volts that each arrangement ends with; empty if one network does not learn the task."""
    task = Task.of(seed)
    found = {"one network": Training(task, task.twin(0)).floor()}
    if found["one network"] > CONVERGED_V:
        return {}
    found |= {f"pair, bias {bias:g} V^2": Training(task, task.pair(bias)).floor() for bias in FLOOR_BIASES}
    worst = FLOOR_BIASES[-1]
    for factor in FACTORS[1:]:
        name = f"pair, bias {worst:g} V^2, overclamped {factor:g} times"
        found[name] = Training(task, task.pair(worst), factor).floor()
    spread = REAL_SPREAD
    found[f"one network, device spread {spread:g}"] = Training(task, task.twin(0, device_spread=spread)).floor()
    for each in (*SPREADS, spread):
        found[f"pair, device spread {each:g}"] = Training(task, task.pair(device_spread=each)).floor()
    symmetric = Training(task, task.pair(device_spread=spread), symmetric=True)
    found[f"pair, device spread {spread:g}, symmetric"] = symmetric.floor()
    return found


def alternating(seed: int) -> dict[str, float]:
    """Return what two patterns that are trained in turn do to each other, over the last six cycles."""
    found: dict[str, float] = {}
    for bias in (0.0, *BIASES[1::2]):
        task = Task.of(seed, samples=2, outputs=1)
        training = Training(task, task.pair(bias))
        errors = []  # after each block: of the pattern just trained, and of the other one
        for _ in range(CYCLES):
            for sample in (0, 1):
                for _ in range(BLOCK):
                    training.update(sample)
                errors += [training.error(sample), training.error(1 - sample)]
        last = np.array(errors).reshape(CYCLES, 4)[-6:]
        name = f"bias {bias:g} V^2"
        found |= {f"{name}: error of the pattern just trained": last[:, ::2].mean()}
        found |= {f"{name}: error of the other pattern": last[:, 1::2].mean()}
        change = np.abs(np.diff(last[:, 1::2], axis=0)).mean() / last[:, 1::2].mean()
        found |= {f"{name}: relative change from cycle to cycle": change}
    return found


def steps(seed: int) -> dict[str, float]:
    """Return the floor of a pair of potentiometers, and the number of updates after which its codes repeat."""
    task, found = Task.of(seed), {}
    for positions, bias in ((128, 0.0), (1024, 0.0), (128, BIASES[-1])):
        law = Rheostat(100e3, 1e3, positions)
        limits = hl.Limits("1 V", "2 V", "1 V", "10 mA", law.siemens_range)
        pair = task.pair(bias, limits=limits, law=law)
        training = Training(task, pair, optimizer=hl.Potentiometer(positions))
        codes, errors = [], []
        for _ in range(UPDATES):
            training.update()
            codes.append(law.nearest(training.optimizer.shadow).tobytes())
            errors.append(training.error())
        name = f"{positions} positions, bias {bias:g} V^2"
        found[f"{name}: error"] = float(np.exp(np.log(errors[-UPDATES // 10 :]).mean()))
        seen = [k for k, earlier in enumerate(codes[:-1]) if earlier == codes[-1]]
        found[f"{name}: updates of a cycle (0: none)"] = len(codes) - 1 - seen[-1] if seen else 0
    return found


def cuts(seed: int) -> dict[str, float]:
    """Return the error before edges are cut, just after, and after as many updates again."""
    task, found = Task.of(seed), {}
    for many in (1, 2, 4):
        faults = (EdgeFault(UPDATES // 2, _cut(task.topology, many, seed)),)
        training = Training(task, task.pair(BIASES[1], device_spread=CUT_SPREAD, faults=faults))
        errors = training.run()
        at = UPDATES // 2 - 1  # errors[k] is after k updates, and the cut comes with update UPDATES // 2
        name = f"{many} of 16 edges"
        found |= {f"{name}: before": errors[at], f"{name}: just after": errors[at + 1], f"{name}: end": errors[-1]}
    return found


def _cut(topology: hl.Topology, many: int, seed: int) -> list[int]:
    """Return random edges without which every node is still connected to a driven one."""
    rng = np.random.default_rng([seed, 7])
    while True:
        edges = rng.choice(topology.n_edges, many, replace=False)
        present = np.ones(topology.n_edges, dtype=bool)
        present[edges] = False
        if not len(topology.floating_nodes(present)):
            return sorted(edges.tolist())


def iris_cuts(seed: int) -> dict[str, float]:
    """Return training accuracies of ``iris-paired``; two random edges are cut in both copies after 120 updates.

    An epoch has three updates. Steps of one size never come to rest, so the best epoch of a range counts.
    """
    seeds = {"backend.seed": seed, "data.split_seed": seed, "train.seed": seed, "train.keep": "last"}
    edges = _cut(hl.open_bench("iris-paired").topology, 2, seed)
    faults = {"backend.faults": [{"at_step": 120, "edges": edges}]}
    with hl.open_bench("iris-paired", seeds | faults) as bench:
        found = [epoch.train.accuracy for epoch in bench.train(record=False).epochs]
    return {"before": max(found[:40]), "the epoch after": found[40], "later": max(found[41:])}


def iris(seed: int) -> dict[str, float]:
    """Return the true test accuracies of the bench ``iris-paired`` on the split of a seed."""
    found = {}
    for name, keys in IRIS.items():
        seeds = {"backend.seed": seed, "data.split_seed": seed, "train.seed": seed}
        with hl.open_bench("iris-paired", seeds | keys) as bench:
            bench.train(record=False)
            found[name] = bench.true_scores()["test"].accuracy
            if name in ("one network", "pair"):
                periods = getattr(bench.network, "periods", None) or bench.network.measurements
                found[f"{name}: sample periods"] = periods
    exact = {"train.rule": "analytic", "train.optimizer": "adam", "train.scale": "log", "train.rate": 0.05}
    with hl.open_bench("iris-paired", seeds | IRIS["one network"] | exact | {"train.epochs": 100}) as bench:
        bench.train(record=False)
        found["one network, exact gradient, steps of any size"] = bench.true_scores()["test"].accuracy
    return found


PARTS: dict[str, Callable[[int], dict[str, float]]] = {
    "floors": floors,
    "alternating": alternating,
    "steps": steps,
    "cuts": cuts,
    "iris": iris,
    "iris-cuts": iris_cuts,
}
LOGARITHMIC = ("floors", "cuts")
"""Parts whose values are all errors: their means are geometric."""


def interval(values: Sequence[float], logarithmic: bool) -> tuple[float, float, float]:
    """Return mean and 95 % interval, of the logarithm if chosen."""
    x = np.asarray(values, float)
    x = np.log(np.maximum(x, 1e-15)) if logarithmic else x
    if len(x) < 2:
        return (float(np.exp(x[0]) if logarithmic else x[0]),) * 3
    half = T_95[max(n for n in T_95 if n <= len(x))] * x.std(ddof=1) / len(x) ** 0.5
    ends = np.array([x.mean(), x.mean() - half, x.mean() + half])
    return tuple((np.exp(ends) if logarithmic else ends).tolist())


def slopes(rows: Sequence[dict[str, float]], names: Sequence[str], at: Sequence[float]) -> list[float]:
    """Return for each seed the exponent of a power law through the errors with these names."""
    return [float(np.polyfit(np.log(at), np.log([row[name] for name in names]), 1)[0]) for row in rows]


def exponents(rows: Sequence[dict[str, float]]) -> dict[str, list[float]]:
    """Return the exponents of the floor in bias, overclamping and spread."""
    worst = f"pair, bias {FLOOR_BIASES[-1]:g} V^2"
    over = [f"{worst}, overclamped {factor:g} times" for factor in FACTORS[1:]]
    return {
        "floor against bias": slopes(rows, [f"pair, bias {b:g} V^2" for b in FLOOR_BIASES], FLOOR_BIASES),
        "floor against overclamping": slopes(rows, [worst, *over], FACTORS),
        "floor against device spread": slopes(rows, [f"pair, device spread {s:g}" for s in SPREADS], SPREADS),
    }


def table(part: str, rows: Sequence[dict[str, float]]) -> str:
    """Return a table in Markdown: mean, interval, median and range over the seeds."""
    lines = [f"| {part} | mean | 95 % interval | median | smallest | largest |", "|---|---|---|---|---|---|"]
    columns = {name: [row[name] for row in rows] for name in rows[0]}
    extra = exponents(rows) if part == "floors" else {}
    for name, values in [*columns.items(), *extra.items()]:
        mean, low, high = interval(values, part in LOGARITHMIC and name not in extra)
        ends = f"{np.median(values):.3g} | {min(values):.3g} | {max(values):.3g}"
        lines.append(f"| {name} | {mean:.3g} | {low:.3g} to {high:.3g} | {ends} |")
    return "\n".join(lines)


def figure(path: Path, rows: Sequence[dict[str, float]], seed: int) -> None:
    """Draw the floor against the bias, and the courses of one network, a pair and an overclamped pair."""
    from hwlearn.lab import figure_style as style

    def draw(left: object, right: object) -> None:
        floor = 1e3 * np.array([[row[f"pair, bias {b:g} V^2"] for b in FLOOR_BIASES] for row in rows])
        left.plot(FLOOR_BIASES, floor.T, "-", color=style.FAINT, linewidth=0.8)
        middle = np.median(floor, axis=0)
        left.plot(FLOOR_BIASES, middle, "o-", color=style.INK, label="median; grey: each task")
        straight = middle[0] * np.array(FLOOR_BIASES) / FLOOR_BIASES[0]
        left.plot(FLOOR_BIASES, straight, ":", color=style.SECOND, label="proportional")
        left.set(
            xscale="log", yscale="log", xlabel="bias of each edge's contrast (V$^2$)", ylabel="error floor (mV)"
        )
        task = Task.of(seed)
        for name, network, factor, colour in (
            ("one network", task.twin(0), 1.0, style.THIRD),
            ("pair", task.pair(BIASES[2]), 1.0, style.SECOND),
            ("pair, overclamped 8 times", task.pair(BIASES[2]), 8.0, style.INK),
        ):
            right.plot(np.maximum(Training(task, network, factor).run(400), 1e-9) * 1e3, color=colour, label=name)
        right.set(yscale="log", xlabel="update", ylabel="rms error (mV)", ylim=(1e-6, None))
        left.legend(frameon=False, loc="upper left")
        right.legend(frameon=False)

    style.drawn(path, draw)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the parts and print their tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=10, help="number of seeds")
    parser.add_argument("--first", type=int, default=0, help="first seed; settings were chosen on those from 100")
    parser.add_argument("--part", choices=tuple(PARTS), nargs="+", default=list(PARTS))
    parser.add_argument("--figure", type=Path, help="also draw this figure, of the part 'floors'")
    given = parser.parse_args(arguments)
    for part in given.part:
        begin = time.perf_counter()
        rows, used, seed = [], [], given.first
        while len(rows) < given.seeds:
            if found := PARTS[part](seed):
                rows.append(found)
                used.append(seed)
            seed += 1
        tried = f"{given.seeds} of {seed - given.first} seeds"
        print(f"\n{table(part, rows)}\n\n{tried}, {time.perf_counter() - begin:.0f} s", flush=True)
        if part == "floors" and given.figure is not None:
            figure(given.figure, rows, used[0])


if __name__ == "__main__":
    main()
