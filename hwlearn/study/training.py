"""Train one network of the study, and return its true error: the computation behind most points."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from hwlearn.arrays import FloatArray
from hwlearn.circuit.kirchhoff import Kirchhoff
from hwlearn.circuit.topology import Topology
from hwlearn.errors import SetupError
from hwlearn.learning.costs import MSE
from hwlearn.learning.health import HealthSettings
from hwlearn.learning.optimizers import Adam
from hwlearn.learning.records import Schedule
from hwlearn.learning.rules import GEP, SPSA, Analytic, CoupledLearning, EquilibriumPropagation, Rule
from hwlearn.learning.subsets import ListedEdges, MostSensitive, RandomEdges, Subset
from hwlearn.learning.training import Trainer
from hwlearn.network.network import Network
from hwlearn.network.nudges import ResistorNudge
from hwlearn.study.circuits import StudyTask
from hwlearn.study.study import Point
from hwlearn.study.twins import open_twin

STEPS = 400
RATE, ANNEAL = 0.08, 0.02
GATE_RATE = 0.03
KAPPA_S = 1e-4

LAB = {
    "device_spread": 0.2,
    "read_noise": 1e-3,
    "current_noise": 1e-8,
    "adc_bits": 12,
    "adc_range": 1.0,
    "dac_bits": 12,
    "dac_range": 1.0,
    "conductance_bits": 10,
}
"""Imperfections of the reference experiment, as keys of ``[backend]``."""

RULES = ("analytic", "ep", "cl", "resistor", "spsa")


def make_rule(point: Point) -> Rule:
    """Return the rule that a point names by ``rule``, ``readout``, ``nudged`` and ``symmetric``.

    Raises
    ------
    SetupError
        If there is no such rule.
    """
    name = point.get("rule", "analytic")
    options: dict[str, Any] = {
        "readout": point.get("readout", "outputs"),
        "nudged": point.get("nudged", "measured"),
        "symmetric": point.get("symmetric", True),
    }
    if name in ("analytic", "model"):
        return Analytic()
    if name == "ep":
        return EquilibriumPropagation(**options)
    if name == "cl":
        return CoupledLearning(**options)
    if name == "resistor":
        return GEP(ResistorNudge(kappa=KAPPA_S), **options)
    if name == "spsa":
        return SPSA(seed=int(point["seed"]))
    raise SetupError(f"the study knows no rule {name!r}; known are: model, {', '.join(RULES)}")


def backend_keys(point: Point, kind: str = "ohmic") -> dict[str, Any]:
    """Return the keys of ``[backend]`` of a point: those of `LAB`, with its own device error, noise and converter.

    The device error of transistors is ``device_error`` times 50 mV in the threshold and 2.5 % in the strength: at
    20 %, the 10 mV and 0.5 % of a published chip.
    """
    keys: dict[str, Any] = dict(LAB)
    error = float(point.get("device_error", LAB["device_spread"]))
    keys["device_spread"] = error
    if kind == "transistor":
        keys["device_spread"] = {"vto": 0.05 * error, "kp": 0.025 * error} if error else 0.0
        del keys["conductance_bits"]
        keys["value_bits"] = {"gate_voltage": 12}
    if "noise_V" in point:
        keys["read_noise"] = float(point["noise_V"])
    if "adc_bits" in point:
        keys["adc_bits"] = int(point["adc_bits"])
    if point.get("readout") == "nodes":
        keys["node_readout"] = True
    return keys


def train(
    task: StudyTask,
    point: Point,
    network: Network,
    *,
    subset: Subset | None = None,
    model: Kirchhoff | None = None,
) -> tuple[float, Trainer]:
    """Train a network on a task; return its true rms error in volts and the trainer."""
    gates = "gate voltage" in {one.name for one, _ in task.topology.parameters}
    optimizer = Adam(GATE_RATE) if gates else Adam(RATE, scale="log")
    watch = HealthSettings("off")  # the study looks at the result alone
    trainer = Trainer(
        network, make_rule(point), MSE(), optimizer, subset, model, seed=int(point["seed"]), health=watch
    )
    trainer.fit(task.inputs, task.targets, Schedule(int(point.get("steps", STEPS)), anneal=ANNEAL))
    return true_rms_V(network, task), trainer


def trained_error(task: StudyTask, point: Point, kind: str = "ohmic") -> dict[str, float]:
    """Return the true error of a training in volts; of rule ``model``, of a result that was only programmed."""
    if point.get("rule") == "model":
        return programmed_error(task, modelled_values(task, int(point["seed"])), point, kind)
    with open_twin(task.topology, task.limits, seed=point["seed"], **backend_keys(point, kind)) as network:
        error, _ = train(task, point, network, subset=make_subset(point, task.topology))
    return {"error_V": error}


def modelled_values(task: StudyTask, seed: int) -> FloatArray:
    """Return the values (E,) that a training of the ideal model ends with."""
    with open_twin(task.topology, task.limits, seed=0) as network:
        _, trainer = train(task, {"rule": "model", "seed": seed}, network)
        return trainer.model.values


def programmed_error(task: StudyTask, values: FloatArray, point: Point, kind: str = "ohmic") -> dict[str, float]:
    """Return the true error in volts of values (E,) that are only programmed into the network of a point."""
    with open_twin(task.topology, task.limits, seed=point["seed"], **backend_keys(point, kind)) as network:
        network.program(values)
        return {"error_V": true_rms_V(network, task)}


def make_subset(point: Point, topology: Topology) -> Subset | None:
    """Return the trainable edges that a point names by ``fraction`` and ``choice``; None for all."""
    fraction = float(point.get("fraction", 1.0))
    if fraction >= 1.0:
        return None
    if point.get("choice") == "sensitive":
        return MostSensitive(fraction)
    if point.get("choice") == "nearest":
        return ListedEdges(nearest_edges(topology, fraction, int(point["seed"])))
    return RandomEdges(fraction, seed=int(point["seed"]))


def nearest_edges(topology: Topology, fraction: float, seed: int) -> list[int]:
    """Return a fraction of the edges, at least one: the layers of edges nearest to the outputs, in random order.

    The first layer are the edges at an output, the second those at their other nodes, and so on.
    """
    ends = np.asarray(topology.edges)
    hops = np.full(topology.n_nodes, np.inf)
    hops[list(topology.outputs)] = 0
    for _ in range(topology.n_nodes):
        near = hops[ends].min(axis=1) + 1
        np.minimum.at(hops, ends[:, 0], near)
        np.minimum.at(hops, ends[:, 1], near)
    shuffled = np.random.default_rng(seed).permutation(topology.n_edges)
    order = shuffled[np.argsort(hops[ends].min(axis=1)[shuffled], kind="stable")]
    return [int(edge) for edge in order[: max(1, round(fraction * topology.n_edges))]]


def true_rms_V(network: Network, task: StudyTask) -> float:
    """Return the rms difference of the true outputs from the targets in volts.

    Raises
    ------
    SetupError
        If the network is no simulation.
    """
    true = network.true_outputs(task.inputs)
    if true is None:
        raise SetupError("the study needs a simulated network, which knows its true outputs")
    return float(np.sqrt(((true - task.targets) ** 2).mean()))


def seeded(points: list[dict[str, Any]], seeds: int) -> list[Point]:
    """Return each point with the seeds 0 to ``seeds`` - 1."""
    return [{**point, "seed": seed} for point in points for seed in range(seeds)]


def unique(points: list[Mapping[str, Any]]) -> list[Point]:
    """Return the points without repetitions, in their order."""
    found: dict[tuple[tuple[str, Any], ...], Point] = {}
    for point in points:
        found.setdefault(tuple(sorted(point.items())), point)
    return list(found.values())
