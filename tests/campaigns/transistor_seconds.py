"""Processor seconds until `digits-nmos` has an accuracy of 0.96, beside ngspice; see `transistor_tasks.py
seconds`.

Three times for split 0: the exact gradient through the public loop, coupled learning in the engine, and ngspice
for the operating points of that coupled learning: their number times the time of one, measured on some of them
after ``alter`` of the inputs, with the published tolerances. The published program solves both copies in one
netlist at each of them; here ngspice solves one copy. Evaluations are not counted.
"""

from __future__ import annotations

import re
import time

import campaign  # noqa: F401  # finds the folders of shared test modules
import numpy as np
from transistor_grids import spent
from transistor_tasks import Engine, learner, own_split

import hwlearn as hl
from hwlearn.circuit.spice.netlist import spice_text

TARGET = 0.96
POINTS = 20
EPOCHS = 12
OPTIONS = ".options gmin=1e-8 reltol=5e-3 abstol=1e-8 vntol=1e-5 klu"


def accuracy(bench: hl.Bench, outputs: np.ndarray, rows: np.ndarray) -> float:
    """Return the share of rows whose class has the largest difference."""
    scores = bench.data.pairs.differences(outputs)
    return float((scores.argmax(axis=1) == bench.data.targets[rows]).mean())


class Watch(hl.Callback):
    """Counts processor time of a training without that of its own evaluations."""

    def __init__(self, bench: hl.Bench, network: hl.Network) -> None:
        self._bench, self._network = bench, network
        self.used, self.last = 0.0, 0.0
        self.reached: float | None = None
        self._since = time.process_time()

    def on_epoch(self, epoch: object) -> None:
        """Evaluate the test rows."""
        self.used += time.process_time() - self._since
        data = self._bench.data
        outputs = self._network.measure(data.inputs[data.test]).voltages
        self.last = accuracy(self._bench, outputs, data.test)
        if self.reached is None and self.last >= TARGET:
            self.reached = self.used
        self._since = time.process_time()


def seconds_exact() -> tuple[float | None, float]:
    """Return processor seconds until the accuracy is reached (None: never), and the last accuracy."""
    with hl.open_bench("digits-nmos") as bench:
        data, trainer = bench.data, bench.trainer()
        trainer.model.gradient(data.inputs[:32], np.ones((32, 20)))  # compiled functions are loaded here
        network = Engine(bench)
        watch = Watch(bench, network)
        trainer = hl.Trainer(network, trainer.rule, trainer.cost, trainer.optimizer, model=trainer.model, seed=0)
        schedule = hl.Schedule(EPOCHS, bench.file.train.batch, bench.file.train.anneal)
        trainer.fit(data.inputs[data.train], data.targets[data.train], schedule, callbacks=[watch])
    return watch.reached, watch.last


def seconds_coupled(epochs: int) -> tuple[float | None, float, int]:
    """Return the same for coupled learning, and the operating points until then."""
    with hl.open_bench("digits-nmos") as bench:
        rows = own_split(np.asarray(bench.data.targets), 0)
        one, x = learner("digits", bench, 0, None), bench.data.inputs
        one.outputs(x[:2])
        order, used, last = np.random.default_rng(0), 0.0, 0.0
        for _ in range(epochs):
            began = time.process_time()
            one.epoch(x, order.permutation(rows["train"]))
            used += time.process_time() - began
            last = accuracy(bench, one.outputs(x[rows["test"]]), rows["test"])
            if last >= TARGET:
                return used, last, one.counts.free + one.counts.clamped
    return None, last, one.counts.free + one.counts.clamped


def seconds_of_ngspice() -> float:
    """Return the processor seconds of ngspice for one operating point, all inputs altered."""
    with hl.open_bench("digits-nmos") as bench:
        x = bench.data.inputs
        gates = np.random.default_rng(0).uniform(0.5, 4.5, bench.topology.n_edges)
        netlist = spice_text(bench.topology, gates, x[0])
    netlist = re.sub(r"\.options reltol=.*", OPTIONS, netlist, count=1)
    points = [[f"alter v{n} dc = {volts!r}" for n, volts in enumerate(row)] for row in x[1 : POINTS + 1].tolist()]
    alone, _ = spent(netlist, [])
    several, _ = spent(netlist, points)
    return (several - alone) / POINTS


def measure() -> None:
    """Print the three times."""
    one = seconds_of_ngspice()
    print(f"ngspice, one operating point of 1280 transistors: {1e3 * one:.1f} ms ({POINTS} points)", flush=True)
    reached, last = seconds_exact()
    shown = "not reached" if reached is None else f"{reached:.1f} s"
    print(f"exact gradient to {TARGET}: {shown} (accuracy at the end {last:.4f})", flush=True)
    used, last, points = seconds_coupled(15)
    shown = "not reached" if used is None else f"{used:.1f} s"
    print(f"coupled learning in the engine to {TARGET}: {shown}, {points} operating points, accuracy {last:.4f}")
    print(f"ngspice for these operating points, extrapolated: {points * one:.0f} s")
    for name, seconds in (("coupled learning", used), ("exact gradient", reached)):
        if seconds:
            print(f"ngspice divided by {name}: {points * one / seconds:.0f}")
