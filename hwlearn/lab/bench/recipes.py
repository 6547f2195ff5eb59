"""Build the learning objects that the ``[train]`` table of a bench file describes."""

from __future__ import annotations

from hwlearn.lab.bench_file.sections import TrainSection
from hwlearn.learning.costs import MSE, Cost, CrossEntropy, Hinge
from hwlearn.learning.optimizers import SGD, Adam, Momentum, Optimizer, Sign
from hwlearn.learning.rules import GEP, SPSA, Analytic, Rule
from hwlearn.learning.subsets import ListedEdges, MostSensitive, RandomEdges, Subset
from hwlearn.network.nudges import ClampNudge, CurrentNudge, Nudge, ResistorNudge


def make_nudge(train: TrainSection) -> Nudge:
    """Return the nudge of ``[train]``."""
    if train.nudge == "clamp":
        return ClampNudge(train.strength, train.metric)
    if train.nudge == "current":
        return CurrentNudge(train.strength)
    return ResistorNudge(train.strength, train.kappa)


def make_rule(train: TrainSection) -> Rule:
    """Return the learning rule of ``[train]``."""
    if train.rule == "analytic":
        return Analytic()
    if train.rule == "spsa":
        return SPSA(train.perturbation, train.repeats, train.seed)
    return GEP(make_nudge(train), train.symmetric, train.readout, train.nudged, train.model_error)


def make_cost(train: TrainSection, classifies: bool) -> Cost:
    """Return the cost of ``[train]``; ``auto`` is cross-entropy for classes and mean squared error for volts."""
    kind = train.cost if train.cost != "auto" else "cross-entropy" if classifies else "mse"
    if kind == "cross-entropy":
        return CrossEntropy(train.temperature)
    return Hinge(train.margin) if kind == "hinge" else MSE()


def make_optimizer(train: TrainSection) -> Optimizer:
    """Return the optimizer of ``[train]``."""
    if train.optimizer == "momentum":
        return Momentum(train.rate, train.momentum, scale=train.scale)
    if train.optimizer == "adam":
        return Adam(train.rate, scale=train.scale)
    return (SGD if train.optimizer == "sgd" else Sign)(train.rate, scale=train.scale)


def make_subset(train: TrainSection) -> Subset | None:
    """Return the trainable edges of ``[train]``; None means all of them."""
    if train.subset is None:
        return None
    if isinstance(train.subset, list):
        return ListedEdges(train.subset)
    if train.subset_kind == "random":
        return RandomEdges(train.subset, train.seed)
    return MostSensitive(train.subset)
