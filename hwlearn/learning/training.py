"""The training loop: measure, find the gradient, step, program; it can stop between any two measurements."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Concatenate, ParamSpec, TypeVar

import numpy as np
from numpy.typing import ArrayLike

from hwlearn.arrays import BoolArray, FloatArray, IntArray
from hwlearn.circuit.batches import batch
from hwlearn.circuit.kirchhoff import Kirchhoff
from hwlearn.circuit.topology import Topology
from hwlearn.errors import DataError, NetworkError, SetupError
from hwlearn.learning.costs import Cost
from hwlearn.learning.course import Course
from hwlearn.learning.energy import EnergyLedger, power_gradient, training_energy
from hwlearn.learning.health import HealthSettings, HealthWatch, alarm_text
from hwlearn.learning.instances import check_instance
from hwlearn.learning.interrupt import Interrupted, stop_on_interrupt
from hwlearn.learning.optimizers import Optimizer
from hwlearn.learning.records import Callback, Epoch, History, Progress, Schedule, Step
from hwlearn.learning.rules.gep import GEP
from hwlearn.learning.rules.rule import Gradient, GradientRequest, Rule
from hwlearn.learning.sample_order import Batch, Batches
from hwlearn.learning.scoring import Score, score_outputs
from hwlearn.learning.subsets import ListedEdges, Subset
from hwlearn.network.network import Network, Programmed
from hwlearn.network.simulation import restore_simulation
from hwlearn.units import is_count

log = logging.getLogger("hwlearn")

_Trainer = TypeVar("_Trainer", bound="Trainer")
_Request = ParamSpec("_Request")

__all__ = ["Callback", "Epoch", "History", "Progress", "Schedule", "Score", "Step", "Trainer"]


def _reserves_network(
    train: Callable[Concatenate[_Trainer, _Request], History],
) -> Callable[Concatenate[_Trainer, _Request], History]:
    """Keep other threads from using the network between two measurements of a training, and its listeners."""

    @functools.wraps(train)
    def reserved(self: _Trainer, /, *request: _Request.args, **named: _Request.kwargs) -> History:
        network = self.network
        with network.reserved():
            listeners = network.on_phase, network.on_programmed
            try:
                return train(self, *request, **named)
            finally:
                network.on_phase, network.on_programmed = listeners

    return reserved


class Trainer:
    """Trains a network by a rule; an update uses only measurements and the model.

    Parameters
    ----------
    network : Network
    rule : Rule
    cost : Cost
    optimizer : Optimizer
    subset : Subset or list of edge numbers, optional
        Edges that may change; all unless given.
    model : Kirchhoff, optional
        Model of the network. Training starts from its values; unless given, from the middle of the range on
        every edge.
    seed : int
        Seed of the sample order and of the random numbers for ``vary``.
    vary : callable, optional
        ``(inputs, rng) -> inputs`` (S, n_in) in volts: the inputs to apply in one step, for data augmentation.
    health : HealthSettings, optional
        What to do about the health of the gradient; warn of a bias unless given. Its ``device_error`` is that of
        the rule (``model_error`` of `GEP`), else 20 %.

    Raises
    ------
    SetupError
        If an argument is a class or a name instead of an object, such as ``GEP`` for ``GEP()``.
    """

    def __init__(
        self,
        network: Network,
        rule: Rule,
        cost: Cost,
        optimizer: Optimizer,
        subset: Subset | Iterable[int] | None = None,
        model: Kirchhoff | None = None,
        *,
        seed: int = 0,
        vary: Callable[[FloatArray, np.random.Generator], FloatArray] | None = None,
        health: HealthSettings | None = None,
    ) -> None:
        check_instance(network, Network, "network")
        check_instance(rule, Rule, "rule")
        check_instance(cost, Cost, "cost")
        check_instance(optimizer, Optimizer, "optimizer")
        if model is None:
            model = Kirchhoff(network.topology, network.limits.ranges(network.topology).middle())
        check_instance(model, Kirchhoff, "model")
        _check_model(model.topology, network.topology)
        self.network: Network = network
        self.rule: Rule = rule
        self.cost: Cost = cost
        self.optimizer: Optimizer = optimizer
        self.subset: Subset | None = _subset(subset)
        if not is_count(seed, 0):
            raise SetupError(f"seed is {seed!r}; it must be a whole number of at least 0")
        if vary is not None and not callable(vary):
            raise SetupError(f"vary must be a function of inputs and a random generator, got {vary!r}")
        self.seed: int = seed
        self.vary = vary
        if cost.power_weight and model.topology.has_three_terminals:
            raise SetupError("power_weight is for networks without transistors; remove it")
        if cost.power_weight and not rule.follows_cost:
            raise SetupError(
                "power_weight adds watts to the cost, and this rule descends another cost, in other units; nudge "
                "with order 1 (a current, or a clamp with metric 'impedance'), or take the rule analytic"
            )
        if health is None:
            health = HealthSettings(device_error=rule.model_error if isinstance(rule, GEP) else 0.2)
        check_instance(health, HealthSettings, "health")
        self.health = health
        self.model: Kirchhoff = model
        """Model of the network, with the values last reached."""

    @_reserves_network
    def fit(
        self,
        inputs: ArrayLike,
        targets: ArrayLike,
        schedule: Schedule | int,
        *,
        validation: tuple[ArrayLike, ArrayLike] | None = None,
        callbacks: Sequence[Callback] = (),
        start: Progress | None = None,
    ) -> History:
        """Train, and leave the network with the last (or best) values.

        Ctrl-C ends the training after the current measurement. Every output is switched off, the results so far
        are kept, and the method returns normally. A second Ctrl-C raises KeyboardInterrupt immediately.

        Parameters
        ----------
        inputs : array_like, shape (S, n_in)
            Volts.
        targets : array_like
            As the cost takes them: volts (S, n_out), or class numbers (S,).
        schedule : Schedule or int
            Number of epochs, or a schedule with batch size, annealing, patience and which epoch to keep.
        validation : (array_like, array_like), optional
            Held-out inputs and targets, measured after each epoch.
        callbacks : sequence of Callback
        start : Progress, optional
            State from which to continue an earlier training.

        Returns
        -------
        History

        Raises
        ------
        DataError
            If inputs or targets do not fit network or cost.
        LimitError, ComplianceError, NetworkError
            From the network, or a NetworkError if every edge that may be trained has failed. Results reported to
            callbacks before the error stay valid.
        """
        schedule = schedule if isinstance(schedule, Schedule) else Schedule(schedule)
        given: object = callbacks
        if not isinstance(given, Sequence):
            raise SetupError(f"callbacks must be a list of Callback objects, got {callbacks!r}")
        for callback in callbacks:
            check_instance(callback, Callback, "each callback")
        if start is not None:
            check_instance(start, Progress, "start")
        x, y = self._data(inputs, targets)
        held_out = None if validation is None else self._data(*validation)
        self.network.limits.check_terminals(self.network.topology, x)
        batches = Batches(len(x), schedule, self.seed)
        known = Progress(0, {}) if start is None else start
        watch = None if self.health.action == "off" else HealthWatch(self.rule, self.health)
        energy = EnergyLedger(self.network, self.model)
        self.network.on_phase, self.network.on_programmed = energy.add_phase, energy.add_programming
        course = Course(self.network, known, energy, watch)
        trainable = self._begin(x, known, course, callbacks)
        history = History(course.epochs, parameters=self.network.topology.parameters)
        first = known.steps // batches.per_epoch if known.epochs is None else len(known.epochs)
        if course.is_out_of(schedule.patience):
            history.stopped, first = "no improvement", schedule.epochs
        with stop_on_interrupt(self.network):
            try:
                for number in range(first, schedule.epochs):
                    course.begin_epoch()
                    for chosen in batches.of_epoch(number):
                        if chosen.number >= known.steps:
                            is_first = chosen.number % batches.per_epoch == 0
                            self._step(x, y, chosen, trainable, course, callbacks, is_first)
                    score = score_outputs(self.cost, course.outputs, y[course.rows])
                    checked = None if held_out is None else self.evaluate(*held_out)
                    epoch = course.add_epoch(number, score, checked, self.optimizer.shadow)
                    self._report_progress(course, callbacks)
                    for callback in callbacks:
                        callback.on_epoch(epoch)
                    if course.is_out_of(schedule.patience):
                        history.stopped = "no improvement"
                        break
                    if epoch.health.get("alarms") and not self._goes_on(epoch, course):
                        history.stopped = "unhealthy"
                        self.network.switch_off()
                        break
            except Interrupted:
                history.stopped = "interrupted"
                self.network.switch_off()
        if course.best is not None:
            history.best_epoch = course.best[1]
            if schedule.keep == "best":
                self._program(course.best[2])
                history.values = course.best[2]
        if schedule.keep == "last" or course.best is None:
            history.values = self.optimizer.shadow
        history.measurements = course.measurements
        history.energy = training_energy([*(one.energy for one in course.epochs), energy.record()])
        for callback in callbacks:
            callback.on_end(history)
        return history

    def _goes_on(self, epoch: Epoch, course: Course) -> bool:
        """Warn at the first epoch with an alarm; return whether the training goes on."""
        stops = self.health.action == "stop"
        if stops or not any(one.health.get("alarms") for one in course.epochs[:-1]):
            end = "; the training ends here" if stops else ""
            log.warning("%s%s", alarm_text(epoch.number, epoch.health), end)
        return not stops

    def evaluate(self, inputs: ArrayLike, targets: ArrayLike) -> Score:
        """Measure the free phase and score it."""
        x, y = self._data(inputs, targets)
        return score_outputs(self.cost, self.network.measure(x).voltages, y)

    # --- steps --------------------------------------------------------------------------------------

    def _begin(self, x: FloatArray, known: Progress, course: Course, callbacks: Sequence[Callback]) -> BoolArray:
        """Program the initial values, or restore a simulation, and return the trainable edges."""
        # the starting model determines the subset, so that a resumed training uses the same edges
        n = self.network.topology.n_edges
        chosen = np.ones(n, dtype=bool) if self.subset is None else self.subset.mask(self.model, x)
        self.optimizer.start(self.model.values, self.network.limits.ranges(self.network.topology))
        if known.optimizer_state:
            self.optimizer.restore(known.optimizer_state)
        self.rule.resume(known.steps)
        before = known.network
        if before is not None and before.simulation is not None:
            restore_simulation(self.network.simulation, before.simulation)
            top, reached = self.model.topology, before.reached
            self.model = Kirchhoff(top, reached, allow_open=self.model.allow_open).with_history(before.history)
            programmed = Programmed(self.optimizer.shadow, reached, before.failed)
        else:
            programmed = self._program(self.optimizer.shadow)
        course.failed |= programmed.failed
        self._report_progress(course, callbacks)
        for callback in callbacks:
            callback.on_start(programmed)
        trainable = chosen & ~course.failed
        if self.network.has_fixed_edges:
            log.warning("the edges of this network are fixed: the training measures, but changes nothing")
        self._check_trainable(trainable)
        return trainable

    def _step(
        self,
        x: FloatArray,
        y: FloatArray | IntArray,
        chosen: Batch,
        trainable: BoolArray,
        course: Course,
        callbacks: Sequence[Callback],
        is_first: bool,
    ) -> None:
        """Measure one batch and program the update; edges that fail are removed from ``trainable``."""
        inputs = x[chosen.rows]
        if self.vary is not None:
            # the random numbers depend on seed and step alone, so that a resumed training repeats them
            inputs = self.vary(inputs, np.random.default_rng([self.seed, chosen.number, 2]))
        request = GradientRequest(self.network, self.model, inputs, y[chosen.rows], self.cost, trainable)
        course.energy.follow(self.model)
        course.energy.is_updating = True
        gradient = self.rule.gradient(request)
        course.energy.is_updating = False
        course.examine(request, gradient, chosen, is_first)
        gradient = self._with_power(gradient, inputs)
        for callback in callbacks:
            callback.on_gradient(chosen.epoch, chosen.number, chosen.rows, gradient)
        requested = self.optimizer.step(gradient.values, trainable, chosen.pace)
        course.energy.is_updating = True
        programmed = self._program(requested)
        course.energy.is_updating = False
        course.energy.follow(self.model)
        trainable &= ~programmed.failed
        course.add_step(chosen.rows, gradient, programmed.failed)
        self._report_progress(course, callbacks)
        state = self.optimizer.state()
        step = Step(chosen.epoch, chosen.number, chosen.rows, gradient, requested, programmed, state)
        for callback in callbacks:
            callback.on_step(step)
        self._check_trainable(trainable)

    def _with_power(self, gradient: Gradient, inputs: FloatArray) -> Gradient:
        """Add the weighted gradient of the power that the free phase dissipates, if the cost has a weight."""
        weight = self.cost.power_weight
        if not weight:
            return gradient
        of_power = power_gradient(self.model, self.model.observe(inputs, gradient.outputs))
        return replace(gradient, values=gradient.values + weight * of_power)

    def _check_trainable(self, trainable: BoolArray) -> None:
        """Refuse to train on nothing, unless the network says that its edges are fixed."""
        if not (trainable.any() or self.network.has_fixed_edges):
            raise NetworkError(
                "every edge that may be trained has failed: none took its target value; check the supply and the "
                "connections of the edges, and whether they reach the limits"
            )

    def _report_progress(self, course: Course, callbacks: Sequence[Callback]) -> None:
        listeners = [each for each in callbacks if type(each).on_progress is not Callback.on_progress]
        if listeners:
            progress = course.progress(self.optimizer.state(), self.model)
            for callback in listeners:
                callback.on_progress(progress)

    def _program(self, values: FloatArray) -> Programmed:
        programmed = self.network.program(values)
        self.model = self.model.with_values(programmed.reached)
        return programmed

    def _data(self, inputs: ArrayLike, targets: ArrayLike) -> tuple[FloatArray, FloatArray | IntArray]:
        top = self.network.topology
        x = batch(inputs, top.n_inputs, "inputs")
        if not len(x):
            raise DataError("the data set is empty")
        return x, self.cost.checked_targets(targets, len(x), top.n_outputs)


def _check_model(model: Topology, network: Topology) -> None:
    """Refuse a model with other numbers of edges, inputs or outputs than the network."""
    sizes = [(top.n_edges, top.n_inputs, top.n_outputs) for top in (model, network)]
    if sizes[0] != sizes[1]:
        ours, theirs = ("{} edges, {} inputs and {} outputs".format(*size) for size in sizes)
        raise SetupError(f"the model has {ours}, the network has {theirs}; make the model for the same network")


def _subset(subset: Subset | Iterable[int] | None) -> Subset | None:
    if subset is None or isinstance(subset, Subset):
        return subset
    try:
        edges = list(subset)
    except TypeError:
        check_instance(subset, Subset, "subset")
        raise
    return ListedEdges(edges)
