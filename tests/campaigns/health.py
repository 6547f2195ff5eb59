"""Campaign: which faults of a bench the health of the gradient sees, and how often it warns of a healthy bench.

Each run trains a random network of 24 nodes and 55 edges on 8 samples x 3 outputs for 30 epochs, on a twin with
1 mV read noise, 10 nA current noise, 12-bit converters and a device error that is stated to the rule. A fault is
there from the first measurement. It is detected if any epoch has an alarm::

    python tests/campaigns/health.py --runs 20 --healthy 34

``--healthy`` runs without a fault are made of each rule, readout and device error, ``--runs`` with each fault.
Limits were derived, and their standard deviations chosen on seeds from 100000 (``--first 100000``); those from 0
are reported.

| fault | size |
|---|---|
| offset | 20 mV on the readings of one output |
| gain | 10 % on the readings of one output |
| slipped phase | the readings of nudged phases are those of the sample before |
| swapped channel | the readings of two outputs are exchanged |
| one-sided | one sign of the nudge, with the largest strength within the limits; a fault of the rule |
"""

from __future__ import annotations

import argparse
import itertools
import logging
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

import hwlearn as hl
from hwlearn.errors import ComplianceError
from hwlearn.learning.health import HealthSettings
from hwlearn.learning.records import Callback, Epoch, Schedule
from hwlearn.network.nudges import OutputDrive
from hwlearn.network.readings import Readout
from hwlearn_sim import Imperfections, KirchhoffTwin

LIMITS = hl.Limits("500 mV", "1 V", "200 mV", "1 mA", ("1 uS", "100 uS"))
EPOCHS = 30
OFFSET_V, GAIN = 0.02, 0.1
FAULTS = ("offset", "gain", "slipped phase", "swapped channel", "one-sided")
RULES = ("EP", "resistor", "CL", "Analytic")
READOUTS = ("outputs", "nodes")
DEVICE_ERRORS = (0.0, 0.02, 0.2)


class FaultyTwin(KirchhoffTwin):
    """A twin whose readings have a fault."""

    fault = ""

    def _measure(self, inputs: np.ndarray, drive: OutputDrive | None) -> Readout:
        read = super()._measure(inputs, drive)
        out = self.topology.outputs
        volts = read.voltages.copy()
        if self.fault == "offset":
            volts[:, 0] += OFFSET_V
        elif self.fault == "gain":
            volts[:, 0] *= 1 + GAIN
        elif self.fault == "swapped channel":
            volts[:, [0, 1]] = volts[:, [1, 0]]
        elif self.fault == "slipped phase" and drive is not None:
            return read.rows(np.roll(np.arange(len(volts)), 1))
        nodes = None if read.nodes is None else read.nodes.copy()
        if nodes is not None:
            nodes[:, out] = volts
        return replace(read, voltages=volts, nodes=nodes)


class Alarms(Callback):
    """Collects the alarms of each epoch."""

    def __init__(self) -> None:
        self.epochs: list[list[str]] = []

    def on_epoch(self, epoch: Epoch) -> None:
        """Keep the alarms of an epoch."""
        self.epochs.append(list(epoch.health["alarms"]))


@dataclass(frozen=True)
class Case:
    """One kind of run."""

    rule: str
    readout: str
    device_error: float
    fault: str = ""
    currents: bool = True

    @property
    def is_possible(self) -> bool:
        """Whether there is such a run: `Analytic` reads outputs and does not nudge."""
        if self.rule != "Analytic":
            return True
        return self.readout == "outputs" and self.fault not in ("slipped phase", "one-sided")

    def make_rule(self) -> hl.Analytic | hl.GEP:
        """Return the rule."""
        if self.rule == "Analytic":
            return hl.Analytic()
        nudge = {"EP": "current", "CL": "clamp", "resistor": "resistor"}[self.rule]
        sides = self.fault != "one-sided"
        return hl.GEP(nudge, symmetric=sides, readout=self.readout, model_error=self.device_error)


def run(case: Case, seed: int) -> list[list[str]]:
    """Train a network of a seed and return the alarms of each epoch."""
    top, rng = hl.Topology.random(24, 55, 5, 3, seed=seed), np.random.default_rng([seed, 1])
    x = rng.uniform(-0.5, 0.5, (8, 5))
    y = hl.Kirchhoff(top, np.exp(rng.uniform(np.log(2e-6), np.log(8e-5), 55))).solve(x)[:, top.outputs]
    flaws = Imperfections(
        device_spread=case.device_error,
        conductance_bits=10,
        read_noise_V=1e-3,
        current_noise_A=1e-8,
        adc_bits=12,
        adc_range_V=1.0,
        dac_bits=12,
        dac_range_V=1.0,
    )
    twin = FaultyTwin(
        top, LIMITS, flaws, seed=seed, node_readout=case.readout == "nodes", current_readout=case.currents
    )
    twin.fault = case.fault
    health = HealthSettings(device_error=case.device_error)
    trainer = hl.Trainer(twin, case.make_rule(), hl.MSE(), hl.Adam(0.08, scale="log"), health=health)
    alarms = Alarms()
    try:
        trainer.fit(x, y, Schedule(EPOCHS, anneal=0.1), callbacks=[alarms])
    except hl.HwlearnError as error:  # a fault may push a source into compliance
        if not isinstance(error, ComplianceError):
            raise
    return alarms.epochs or [[]]


def cases(faults: tuple[str, ...], currents: bool = True) -> Iterator[Case]:
    """Yield each possible case."""
    for fault, rule, readout, error in itertools.product(faults, RULES, READOUTS, DEVICE_ERRORS):
        case = Case(rule, readout, error, fault, currents)
        if case.is_possible:
            yield case


def shares(case: Case, seeds: range) -> tuple[float, Counter[str], float]:
    """Return the share of runs with an alarm, runs by alarm, and the share with one in the first epoch."""
    found = [run(case, seed) for seed in seeds]
    names = Counter(name for epochs in found for name in set(itertools.chain(*epochs)))
    return float(np.mean([any(epochs) for epochs in found])), names, float(np.mean([bool(e[0]) for e in found]))


def main() -> None:
    """Print a row for each case."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=20, help="runs with each fault of each case")
    parser.add_argument("--healthy", type=int, default=48, help="runs without a fault of each case")
    parser.add_argument("--first", type=int, default=0, help="first seed")
    parser.add_argument("--without-currents", action="store_true", help="sources that measure no currents")
    parser.add_argument("--fault", action="append", choices=("none", *FAULTS), help="only this one; repeatable")
    parser.add_argument("--rule", action="append", choices=RULES, help="only this one; repeatable")
    given = parser.parse_args()
    faults = [name for name in ("none", *FAULTS) if name in (given.fault or ("none", *FAULTS))]
    logging.getLogger("hwlearn").setLevel(logging.ERROR)
    began = time.monotonic()
    print("| fault | rule | readout | device error | runs | detected | in the first epoch | by |")
    print("|---|---|---|---|---|---|---|---|")
    alarms = healthy = 0.0
    for fault in ("" if name == "none" else name for name in faults):
        count = given.runs if fault else given.healthy
        for case in cases((fault,), not given.without_currents) if count else ():
            if case.rule not in (given.rule or RULES):
                continue
            share, names, at_once = shares(case, range(given.first, given.first + count))
            if not fault:
                alarms, healthy = alarms + share * count, healthy + count
            by = ", ".join(f"{name} {n}" for name, n in names.most_common())
            print(
                f"| {fault or 'none'} | {case.rule} | {case.readout} | {case.device_error:.0%} | {count} "
                f"| {share:.0%} | {at_once:.0%} | {by} |",
                flush=True,
            )
    print(f"false alarms: {alarms:.0f} of {healthy:.0f} healthy runs")
    print(f"{time.monotonic() - began:.0f} s")
    sys.exit(1 if healthy and alarms > 0.01 * healthy else 0)


if __name__ == "__main__":
    main()
