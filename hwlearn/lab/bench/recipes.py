"""Build the objects that the ``[train]`` table of a bench file describes: rule, cost, optimizer, targets, ..."""

from __future__ import annotations

import numpy as np

from hwlearn.arrays import FloatArray, IntArray
from hwlearn.circuit.kirchhoff import Kirchhoff
from hwlearn.circuit.topology import Topology
from hwlearn.errors import SetupError
from hwlearn.lab.bench_file.file import BenchFile
from hwlearn.lab.bench_file.sections import TrainSection
from hwlearn.lab.data.loading import Data
from hwlearn.learning.costs import MSE, Cost, CrossEntropy, Hinge
from hwlearn.learning.differential import Differential
from hwlearn.learning.health import HealthSettings
from hwlearn.learning.optimizers import SGD, Adam, Momentum, Optimizer, Potentiometer, Sign
from hwlearn.learning.output_pairs import OutputPairs
from hwlearn.learning.rules import GEP, SPSA, Analytic, Rule
from hwlearn.learning.rules.gep import overclamped
from hwlearn.learning.subsets import ListedEdges, MostSensitive, RandomEdges, Subset
from hwlearn.network.limits import Limits
from hwlearn.network.nudges import ClampNudge, CurrentNudge, Nudge, ResistorNudge


def make_nudge(train: TrainSection) -> Nudge:
    """Return the nudge of ``[train]``."""
    if train.nudge == "clamp":
        return ClampNudge(overclamped(train.strength, train.overclamp), train.metric)
    if train.overclamp != 1:
        raise SetupError(f"train.overclamp = {train.overclamp:g} needs train.nudge = 'clamp', not {train.nudge!r}")
    if train.nudge == "current":
        return CurrentNudge(train.strength)
    return ResistorNudge(train.strength, train.kappa)


def make_rule(train: TrainSection) -> Rule:
    """Return the learning rule of ``[train]``."""
    if train.rule == "analytic":
        return Analytic()
    if train.rule == "spsa":
        return SPSA(train.perturbation, train.repeats, train.seed)
    order = train.order
    return GEP(make_nudge(train), train.symmetric, train.readout, train.nudged, train.model_error, order)


def make_health(train: TrainSection) -> HealthSettings:
    """Return what ``[train]`` does about the gradient's health; ``model_error`` is the stated device error."""
    return HealthSettings(train.health, train.model_error, train.health_every)


def make_cost(train: TrainSection, classifies: bool, pairs: OutputPairs | None = None) -> Cost:
    """Return the cost of ``[train]``, with pairs of outputs that of their differences.

    ``auto`` is cross-entropy for classes and mean squared error for volts.
    """
    if pairs is not None:
        return Differential(make_cost(train, classifies), pairs)
    kind = train.cost if train.cost != "auto" else "cross-entropy" if classifies else "mse"
    weight = train.power_weight
    if kind == "cross-entropy":
        return CrossEntropy(train.temperature, power_weight=weight)
    return Hinge(train.margin, power_weight=weight) if kind == "hinge" else MSE(power_weight=weight)


def make_optimizer(train: TrainSection) -> Optimizer:
    """Return the optimizer of ``[train]``."""
    if train.optimizer == "momentum":
        return Momentum(train.rate, train.momentum, scale=train.scale, decay=train.decay)
    if train.optimizer == "adam":
        return Adam(train.rate, scale=train.scale, decay=train.decay)
    if train.optimizer == "potentiometer":
        if train.decay:
            raise SetupError("train.decay is not for train.optimizer = 'potentiometer', which moves by steps")
        return Potentiometer(train.positions)
    return (SGD if train.optimizer == "sgd" else Sign)(train.rate, scale=train.scale, decay=train.decay)


def make_subset(train: TrainSection) -> Subset | None:
    """Return the trainable edges of ``[train]``; None means all of them."""
    if train.subset is None:
        return None
    if isinstance(train.subset, list):
        return ListedEdges(train.subset)
    if train.subset_kind == "random":
        return RandomEdges(train.subset, train.seed)
    return MostSensitive(train.subset)


def make_model(file: BenchFile, topology: Topology, limits: Limits) -> Kirchhoff:
    """Return the model of the training with its initial values.

    Raises
    ------
    SetupError
        As `make_model_topology`.
    """
    initial = make_values(file.train, limits, topology)
    model = Kirchhoff(make_model_topology(file, topology), initial)
    # CHOLMOD would hold up the signs of life; circuits with an empty history are factored without it
    return model.with_history({}) if file.safety.guardian else model


def make_model_topology(file: BenchFile, topology: Topology) -> Topology:
    """Return the topology of the model: that of the bench, or without the wires of its crossbar.

    Raises
    ------
    SetupError
        If there are no wires to leave out, or if all nodes are to be read, which such a model does not have.
    """
    train = file.train
    if train.model == "declared":
        return topology
    if topology.wires is None:
        raise SetupError(
            f"{file.where}: train.model = 'without-wires', but the network has no wires; give a crossbar "
            "network.wire_resistance, or remove the key"
        )
    if train.rule == "gep" and train.readout == "nodes":
        raise SetupError(
            f"{file.where}: train.model = 'without-wires' has no nodes inside the lines, but train.readout = "
            "'nodes' reads them; use 'outputs'"
        )
    return topology.without_wires()


def make_values(train: TrainSection, limits: Limits, topology: Topology) -> FloatArray:
    """Return the initial values (E,) of ``[train]``: siemens, or volts for gates."""
    ranges = limits.ranges(topology)
    if train.initial == "middle":
        return ranges.middle()
    rng = np.random.default_rng([train.seed, 1])
    if train.initial == "random":
        return ranges.drawn(rng)
    low, high = train.initial
    if not low <= high:
        raise SetupError(f"train.initial = [{low:g}, {high:g}]: give the smaller voltage first")
    other = next((one.name for one, _ in topology.parameters if one.name != "gate voltage"), None)
    if other is not None:
        raise SetupError(f"train.initial = [{low:g}, {high:g}] is of gate voltages, but an edge has a {other}")
    return rng.uniform(low, high, topology.n_edges)


def make_targets(file: BenchFile, data: Data, cost: Cost, n_outputs: int) -> FloatArray | IntArray:
    """Return the targets of all rows in the form that the cost takes.

    Raises
    ------
    SetupError
        If the cost needs classes and the data has none, the network has fewer outputs than the data classes, or
        the number of pairs of outputs is not that of classes.
    DataError
        If a target is not finite, or the number of target columns is not the number of outputs, or of their pairs.
    """
    targets = data.targets
    if cost.classifies and not data.classifies:
        raise SetupError(
            f"{file.where}: train.cost = {file.train.cost!r} needs classes, but the data has target volts; "
            "use 'mse' or 'auto'"
        )
    if data.classifies:
        _check_classes(file, data, n_outputs)
    if data.classifies and not cost.classifies:
        targets = np.asarray(file.train.target * np.eye(cost.n_scored(n_outputs))[targets.astype(np.int64)])
    cost.checked_targets(targets, len(targets), n_outputs)
    return targets


def _check_classes(file: BenchFile, data: Data, n_outputs: int) -> None:
    """Refuse fewer outputs than classes, and pairs of outputs that are not one for each class."""
    n = len(data.classes)
    if data.pairs is not None and len(data.pairs) != n:
        names = ", ".join(data.classes[:12]) + (", ..." if n > 12 else "")
        raise SetupError(
            f"{file.where}: the data has {n} classes ({names}), but data.output_pairs gives {len(data.pairs)}; "
            "give one pair for each class, in this order"
        )
    if n > n_outputs and data.pairs is None:
        raise SetupError(f"{file.where}: the data has {n} classes, but the network has only {n_outputs} outputs")
