"""SPSA: the gradient by perturbing all edges at once; needs no model and no nudge."""

from __future__ import annotations

import numpy as np

from hwlearn.arrays import BoolArray, FloatArray, IntArray
from hwlearn.circuit.kirchhoff import Kirchhoff
from hwlearn.errors import SetupError
from hwlearn.learning.costs import Cost
from hwlearn.learning.rules.rule import Gradient, Rule, named_readings
from hwlearn.network.network import Network


class SPSA(Rule):
    """Simultaneous perturbation: programs the edges up and down at random and compares the costs.

    Parameters
    ----------
    perturbation : float
        Size of the step as a fraction of the conductance range.
    repeats : int
        Random directions averaged in one gradient.
    seed : int
        The directions follow from it and from the number of gradients asked before.

    Notes
    -----
    Source: J. C. Spall, IEEE Trans. Automatic Control 37, 332 (1992). At the edge of the range the step is
    one-sided; the divisor is the difference that the hardware says it reached.
    """

    def __init__(self, perturbation: float = 0.02, repeats: int = 1, seed: int = 0) -> None:
        if not 0 < perturbation <= 0.5:
            raise SetupError(f"SPSA perturbation is {perturbation}; it is a fraction of the range, above 0 to 0.5")
        if repeats < 1:
            raise SetupError(f"SPSA repeats is {repeats}; it must be at least 1")
        self.perturbation, self.repeats = perturbation, repeats
        self.seed, self._asked = seed, 0

    def resume(self, gradients: int) -> None:
        """Take the directions that follow after so many gradients."""
        self._asked = gradients

    def gradient(
        self,
        network: Network,
        model: Kirchhoff,
        inputs: FloatArray,
        targets: FloatArray | IntArray,
        cost: Cost,
        trainable: BoolArray | None = None,
    ) -> Gradient:
        """Program up and down, measure both, and put the edges back; see `Rule.gradient`."""
        rng = np.random.default_rng([self.seed, self._asked])
        self._asked += 1
        low, high = network.limits.conductance
        centre = np.clip(model.conductances, low, high)
        free = network.measure(inputs)
        values = np.zeros(len(centre))
        readings = named_readings("free", free)
        try:
            for k in range(self.repeats):
                step = self.perturbation * (high - low) * rng.choice((-1.0, 1.0), len(centre))
                if trainable is not None:
                    step[~trainable] = 0.0
                costs, reached = [], []
                for sign, name in ((1, "up"), (-1, "down")):
                    reached.append(network.program(np.clip(centre + sign * step, low, high)).reached)
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
            values / self.repeats, free.voltages, cost.values(free.voltages, targets), readings=readings
        )
