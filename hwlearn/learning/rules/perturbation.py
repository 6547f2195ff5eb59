"""SPSA: the gradient from perturbing all edges at once; it needs no model and no nudge."""

from __future__ import annotations

import numpy as np

from hwlearn.errors import SetupError
from hwlearn.learning.rules.rule import Gradient, GradientRequest, Rule, named_readings
from hwlearn.units import is_count, is_number


class SPSA(Rule):
    """Simultaneous perturbation: program the edges up and down at random and compare the costs.

    Parameters
    ----------
    perturbation : float
        Size of the step as a fraction of the range of each value.
    repeats : int
        Random directions averaged in one gradient.
    seed : int
        The directions depend on it and on the number of gradients before.

    Notes
    -----
    Source: J. C. Spall, IEEE Trans. Automatic Control 37, 332 (1992). At a limit of the range the step is
    one-sided. The divisor is the difference of the values that the hardware reports as reached.
    """

    def __init__(self, perturbation: float = 0.02, repeats: int = 1, seed: int = 0) -> None:
        if not (is_number(perturbation) and 0 < perturbation <= 0.5):
            raise SetupError(
                f"SPSA perturbation is {perturbation!r}; it is a fraction of the range, above 0 to 0.5"
            )
        if not is_count(repeats, 1):
            raise SetupError(f"SPSA repeats is {repeats!r}; it must be a whole number of at least 1")
        if not is_count(seed, 0):
            raise SetupError(f"SPSA seed is {seed!r}; it must be a whole number of at least 0")
        self.perturbation: float = perturbation
        self.repeats: int = repeats
        self.seed: int = seed
        self._drawn = 0

    def resume(self, gradients: int) -> None:
        """Continue the sequence of directions after this many gradients."""
        self._drawn = gradients

    def gradient(self, request: GradientRequest) -> Gradient:
        """Program the edges up and down, measure both, and restore the edges; see `Rule.gradient`."""
        network, model, inputs = request.network, request.model, request.inputs
        targets, cost, trainable = request.targets, request.cost, request.trainable
        rng = np.random.default_rng([self.seed, self._drawn])
        self._drawn += 1
        ranges = network.limits.ranges(network.topology)
        centre = ranges.clipped(model.values)
        free = network.measure(inputs)
        values = np.zeros(len(centre))
        readings = named_readings("free", free)
        try:
            for k in range(self.repeats):
                step = self.perturbation * ranges.span * rng.choice((-1.0, 1.0), len(centre))
                if trainable is not None:
                    step[~trainable] = 0.0
                costs, reached = [], []
                for sign, name in ((1, "up"), (-1, "down")):
                    reached.append(network.program(ranges.clipped(centre + sign * step)).reached)
                    readout = network.measure(inputs)
                    costs.append(cost.values(readout.voltages, targets).mean())
                    readings |= named_readings(f"{name}{k}", readout)
                apart = reached[0] - reached[1]
                moved = apart != 0
                values[moved] += (costs[0] - costs[1]) / apart[moved]
        finally:
            if not network.closed:
                network.program(centre)
        return Gradient(
            values / self.repeats,
            free.voltages,
            cost.values(free.voltages, targets),
            readings=readings,
            free=free,
        )
