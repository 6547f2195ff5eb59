"""Seconds until `digits-nmos` has a test accuracy of 0.96, beside ngspice doing the same updates.

    python tests/campaigns/transistor_tasks.py seconds --splits 1

What is measured, for one split and in processor seconds of one thread:

- the exact gradient through the public loop, with the settings of the bench, until the accuracy is reached;
- coupled learning as published, in the engine: one sample after the other, one update for each that misses the
  margin. As an update needs the sample's own free phase, samples up to the next update are solved side by side;
- ngspice doing *the same* updates of that coupled learning: the inputs, clamps and gates that the engine had are
  replayed with ``alter`` and ``op``, as the published program does, with its tolerances. It has both copies in one
  netlist and solves them together ("two copies"). Copies with equal devices need only one ("one copy").

ngspice would take hours, so it is measured on a part, `PART` samples of the first epoch and of a later one,
and extrapolated with the number of operating points. Its outputs are compared with those of the engine. The engine
does the same part in turn with ngspice, and their ratio is taken in each turn, so that other load of the machine
counts on both sides. Loading of netlists and of compiled functions, and evaluations, are not counted.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import campaign  # noqa: F401  # finds the folders of shared test modules
import numpy as np
from transistor_grids import spent
from transistor_tasks import Engine, Split, learner, own_split

import hwlearn as hl
from hwlearn.circuit.spice.netlist import spice_text

TARGET = 0.96
PART = 16
LATER = 4
EPOCHS = 30
TURNS = 3
OPTIONS = ".options gmin=1e-8 reltol=5e-3 abstol=1e-8 vntol=1e-5 klu rshunt=1e9 itl1=40 itl2=40"
FREE_OHM, CLAMPED_OHM = 1e9, 0.01
AGREES_V = 5e-3
"""Largest difference of an output: with its tolerances, ngspice is only so accurate."""


class Clock:
    """Processor seconds, without those of evaluations."""

    def __init__(self) -> None:
        self._since, self._left_out = time.process_time(), 0.0

    @property
    def seconds(self) -> float:
        """Seconds until now."""
        return time.process_time() - self._since - self._left_out

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """Leave out what is done meanwhile."""
        began = time.process_time()
        yield
        self._left_out += time.process_time() - began


@dataclass(frozen=True)
class Reached:
    """A training until the accuracy is reached, or to its end: epochs, seconds, accuracy, operating points."""

    rule: str
    is_reached: bool
    epochs: int
    seconds: float
    accuracy: float
    points: int

    def __str__(self) -> str:
        return (
            f"{self.rule}: {TARGET} {'' if self.is_reached else 'not '}reached after {self.epochs} epochs, "
            f"{self.seconds:.1f} s, {self.points} operating points, accuracy {self.accuracy:.4f}"
        )


def accuracy(bench: hl.Bench, outputs: np.ndarray, rows: np.ndarray) -> float:
    """Return the share of rows whose class has the largest difference."""
    scores = bench.data.pairs.differences(outputs)
    return float((scores.argmax(axis=1) == bench.data.targets[rows]).mean())


class _Enough(hl.Callback):
    """Notes the first epoch at which the accuracy is reached."""

    def __init__(self, bench: hl.Bench, network: hl.Network, rows: np.ndarray, clock: Clock) -> None:
        self._bench, self._network, self._rows, self._clock = bench, network, rows, clock
        self.epochs, self.accuracy = 0, 0.0
        self.at: tuple[int, float, float] | None = None

    def on_epoch(self, epoch: object) -> None:
        """Evaluate the test rows."""
        self.epochs += 1
        with self._clock.stopped():
            outputs = self._network.measure(self._bench.data.inputs[self._rows]).voltages
            self.accuracy = accuracy(self._bench, outputs, self._rows)
        if self.at is None and self.accuracy >= TARGET:
            self.at = self.epochs, self._clock.seconds, self.accuracy


def exactly(bench: hl.Bench, rows: Split, seed: int) -> Reached:
    """Train by the exact gradient through the public loop, with the settings of the bench."""
    data, settings, own = bench.data, bench.file.train, bench.trainer()
    own.model.gradient(data.inputs[:32], np.ones((32, 20)))  # compiled functions are loaded here
    network, clock = Engine(bench), Clock()
    enough = _Enough(bench, network, rows["test"], clock)
    trainer = hl.Trainer(
        network, own.rule, own.cost, own.optimizer, model=own.model, seed=seed, vary=bench.data.jitter
    )
    schedule = hl.Schedule(settings.epochs, settings.batch, settings.anneal)
    train = rows["train"]
    trainer.fit(data.inputs[train], data.targets[train], schedule, callbacks=[enough])
    epochs, seconds, found = enough.at or (enough.epochs, clock.seconds, enough.accuracy)
    return Reached("exact gradient", enough.at is not None, epochs, seconds, found, epochs * len(train))


@dataclass(frozen=True, eq=False)
class Part:
    """Samples of a training, in order.

    Attributes
    ----------
    name : str
    gates : ndarray, shape (E,)
        Before the first sample.
    order : ndarray of int
    steps : list of (dict, ndarray)
        Of each sample the goals of its clamps, empty if it misses nothing, and the gates after it.
    outputs : ndarray, shape (20,)
        Volts of the free phase of the last sample.
    """

    name: str
    gates: np.ndarray
    order: np.ndarray
    steps: list[tuple[dict[int, float], np.ndarray]]
    outputs: np.ndarray

    @property
    def points(self) -> int:
        """Operating points of this part."""
        return len(self.steps) + sum(bool(goals) for goals, _ in self.steps)


def part_of(bench: hl.Bench, name: str, gates: np.ndarray, order: np.ndarray) -> Part:
    """Return what coupled learning does with some samples, from gates on, one sample at a time."""
    one, x, steps, outputs = learner("digits", bench, 0, None), bench.data.inputs, [], np.empty(0)
    one.gates = gates
    for sample in order.tolist():
        outputs = one.outputs(x[[sample]])[0]
        goals = one.clamp(outputs, sample)
        one.epoch(x, np.array([sample]))
        steps.append((goals or {}, one.gates.copy()))
    return Part(name, gates, order, steps, outputs)


def coupled(bench: hl.Bench, rows: Split, seed: int) -> tuple[Reached, list[Part]]:
    """Train by coupled learning until the accuracy is reached; return also two parts of the training."""
    one, x = learner("digits", bench, seed, None), bench.data.inputs
    one.outputs(x[:8])
    one.outputs(x[:1])
    order, clock, found, parts = np.random.default_rng(seed), Clock(), 0.0, []
    for epoch in range(1, EPOCHS + 1):
        turn = order.permutation(rows["train"])
        if epoch in (1, LATER):
            with clock.stopped():
                parts.append(part_of(bench, f"epoch {epoch}", one.gates.copy(), turn[:PART]))
        one.epoch(x, turn)
        with clock.stopped():
            found = accuracy(bench, one.outputs(x[rows["test"]]), rows["test"])
        if found >= TARGET:
            break
    points = one.counts.free + one.counts.clamped
    return Reached("coupled learning", found >= TARGET, epoch, clock.seconds, found, points), parts


def seconds_here(bench: hl.Bench, part: Part, repeats: int = 3) -> float:
    """Return the processor seconds of the engine for a part."""
    used = []
    for _ in range(repeats):
        one = learner("digits", bench, 0, None)
        one.gates = part.gates.copy()
        clock = Clock()
        one.epoch(bench.data.inputs, part.order)
        used.append(clock.seconds)
    return float(np.median(used))


def netlist(bench: hl.Bench, part: Part, copies: int) -> str:
    """Return a netlist of the network with its clamps, once or twice."""
    text = spice_text(bench.topology, part.gates, bench.data.inputs[part.order[0]])
    text = re.sub(r"\.options reltol=.*", OPTIONS, text, count=1)
    nodes = [bench.topology.names[n] for n in bench.topology.outputs]
    own: list[str] = []
    for k, node in enumerate(nodes):
        own += [f"rclamp{k} {node} goal{k} {FREE_OHM:g}", f"vclamp{k} goal{k} 0 dc 0"]
    head, end = text.split(".control", 1)
    body = head + "\n".join(own) + "\n"
    return body + (second_copy(body) if copies == 2 else "") + ".control" + end


def second_copy(body: str) -> str:
    """Return the elements of a netlist once more, with names and nodes of their own; models are shared."""
    lines = []
    for line in body.splitlines()[1:]:
        words = line.split()
        if not words or words[0][0] in ".*+":
            continue
        count = {"m": 4, "r": 2, "v": 2}[words[0][0].lower()]
        nodes = [word if word == "0" else word + "_b" for word in words[1 : count + 1]]
        lines.append(" ".join([words[0] + "_b", *nodes, *words[count + 1 :]]))
    return "\n".join(lines) + "\n"


def commands(bench: hl.Bench, part: Part, copies: int) -> list[list[str]]:
    """Return what ngspice is given for each operating point of a part."""
    ends = [""] if copies == 1 else ["", "_b"]
    clamped = ends[-1]
    top, points, waiting = bench.topology, [], list[str]()
    for sample, (goals, after) in zip(part.order, part.steps, strict=True):
        volts = bench.data.inputs[sample].tolist()
        free = [f"alter v{n}{end} dc = {v:.8f}" for end in ends for n, v in enumerate(volts)]
        if copies == 1:
            free += [f"alter rclamp{k} {FREE_OHM:g}" for k in range(top.n_outputs)]
        points.append(waiting + free)
        waiting = []
        if not goals:
            continue
        clamp = []
        for k in range(top.n_outputs):
            if k in goals:
                clamp += [f"alter rclamp{k}{clamped} {CLAMPED_OHM:g}"]
                clamp += [f"alter vclamp{k}{clamped} dc = {goals[k]:.10f}"]
            else:
                clamp.append(f"alter rclamp{k}{clamped} {FREE_OHM:g}")
        points.append(clamp)
        moved = np.flatnonzero(np.isin(top.edges[:, 1], top.outputs[list(goals)]))
        waiting = [f"alter vg{e}{end} dc = {after[e]:.10f}" for end in ends for e in moved]
    return points


def seconds_there(bench: hl.Bench, part: Part, copies: int) -> tuple[float, float]:
    """Return the processor seconds of ngspice for a part, and the largest difference of an output at its end."""
    text = netlist(bench, part, copies)
    alone, _ = spent(text, [])
    used, found = spent(text, commands(bench, part, copies))
    top, expected = bench.topology, part.outputs.copy()
    if copies == 1:  # the last operating point may be a clamped one
        for output, volts in part.steps[-1][0].items():
            expected[output] = volts
    return used - alone, max(abs(found[top.names[n]] - expected[k]) for k, n in enumerate(top.outputs))


def measure(splits: list[int]) -> None:
    """Print the tables of some splits."""
    with hl.open_bench("digits-nmos") as bench:
        labels = np.asarray(bench.data.targets)
        for split in splits:
            rows = own_split(labels, split)
            print(f"split {split}", flush=True)
            exact = exactly(bench, rows, split)
            print(f"  {exact}", flush=True)
            contrast, parts = coupled(bench, rows, split)
            print(f"  {contrast}", flush=True)
            compare(bench, exact, contrast, parts)


def compare(bench: hl.Bench, exact: Reached, contrast: Reached, parts: list[Part]) -> None:
    """Print ratios to ngspice, measured in turn on parts of the training."""
    for copies in (2, 1):
        name = f"{'two copies' if copies == 2 else 'one copy'}"
        each = []
        for part in parts:
            ratios = []
            for _ in range(TURNS):
                here = seconds_here(bench, part)
                there, off = seconds_there(bench, part, copies)
                if off > AGREES_V:
                    raise AssertionError(f"ngspice differs by {off:.4g} V from the engine")
                ratios.append(there / here)
                each.append(there / part.points)
            print(
                f"  {name}, {len(part.order)} samples of {part.name}, {part.points} operating points: ngspice "
                f"{1e3 * each[-1]:.0f} ms a point, outputs within {1e3 * off:.2f} mV; ratios for the same updates "
                f"{', '.join(f'{ratio:.0f}' for ratio in ratios)}",
                flush=True,
            )
        one = float(np.median(each))
        print(f"  {name}, median: {1e3 * one:.0f} ms for an operating point with its alterations")
        for what, points, seconds in (
            ("coupled learning in both", contrast.points, contrast.seconds),
            ("exact gradient, ngspice for coupled learning", contrast.points, exact.seconds),
            ("exact gradient, ngspice for its free phases alone", exact.points, exact.seconds),
        ):
            print(
                f"    {what}: ngspice {points * one:.0f} s (extrapolated), here {seconds:.1f} s, "
                f"ratio {points * one / seconds:.0f}",
                flush=True,
            )
