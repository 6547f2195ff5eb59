"""Coupled learning of transistor networks as PyCLLN publishes it, in the engine of this package.

One sample after the other: the free phase is solved, outputs that miss a margin are clamped a little closer to
their goal, and each gate voltage moves by ``-gamma (V_DS,clamped^2 - V_DS,free^2)``. Every node is read. On
chips the free and the clamped phase have different devices, and every reading has noise.

Source of the rule and its numbers: the trainers of https://github.com/Ma-Lab-Cal/pyclln (2026), read, not
copied.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

import hwlearn as hl

Clamp = Callable[[np.ndarray, int], dict[int, float] | None]
"""Takes output volts (n_out,) and a sample's number; returns volts by output, None where nothing is missed."""

SIDE_BY_SIDE = 8


@dataclass(frozen=True)
class Published:
    """Numbers of a published training: step, ends of the gates, epochs, and standard deviation of a reading."""

    gamma: float
    epochs: int
    read_noise_V: float = 0.0
    low: float = 0.4
    high: float = 8.0


@dataclass
class Counts:
    """Operating points that one sample after the other needs."""

    free: int = 0
    clamped: int = 0


def chip(topology: hl.Topology, seed: int | None) -> hl.Topology:
    """Return a circuit with the mismatch of a chip, 10 mV and 0.5 %; the declared circuit for None."""
    if seed is None:
        return topology
    rng, count = np.random.default_rng([seed, 77]), topology.n_edges
    vto, kp = 0.01 * rng.standard_normal(count), 1 + 0.005 * rng.standard_normal(count)
    one = topology.edge_elements[0]
    return topology.with_elements([one.varied({"vto": v, "kp": k}) for v, k in zip(vto, kp, strict=True)])


def hinge(labels: np.ndarray, plus: np.ndarray, minus: np.ndarray | None, margin: float, delta: float) -> Clamp:
    """Return the clamp of a multi-class hinge: the class and its closest rival move apart by ``delta``.

    ``plus`` and ``minus`` (C,) are the outputs of each class; without ``minus`` the score is one voltage.
    """

    def clamp(outputs: np.ndarray, sample: int) -> dict[int, float] | None:
        label = int(labels[sample])
        score = outputs[plus] - (0.0 if minus is None else outputs[minus])
        others = score.copy()
        others[label] = -np.inf
        rival = int(others.argmax())
        if score[label] - score[rival] >= margin:
            return None
        goals: dict[int, float] = {}
        for one, sign in ((label, 1.0), (rival, -1.0)):
            goals[int(plus[one])] = outputs[plus[one]] + sign * delta / 2
            if minus is not None:
                goals[int(minus[one])] = outputs[minus[one]] - sign * delta / 2
        return goals

    return clamp


def squared(targets: np.ndarray, eta: float) -> Clamp:
    """Return the clamp that moves the difference of outputs 0 and 1 towards its target by the share ``eta``."""

    def clamp(outputs: np.ndarray, sample: int) -> dict[int, float]:
        step = eta * (targets[sample] - (outputs[0] - outputs[1]))
        return {0: outputs[0] + step / 2, 1: outputs[1] - step / 2}

    return clamp


@dataclass(eq=False)
class CoupledLearner:
    """A training, epoch by epoch.

    Parameters
    ----------
    topology : Topology
        The declared circuit.
    gates : ndarray, shape (E,)
        Initial volts; changed in place.
    published : Published
    clamp : Clamp
    only_clamped : bool
        Whether only edges at clamped outputs are updated.
    chip_seed : int, optional
        Number of the chip; its free and clamped copies have different devices.
    """

    topology: hl.Topology
    gates: np.ndarray
    published: Published
    clamp: Clamp
    only_clamped: bool = False
    chip_seed: int | None = None

    def __post_init__(self) -> None:
        seed = self.chip_seed
        self._free = hl.Kirchhoff(chip(self.topology, seed), self.gates)
        self._clamped = self._free if seed is None else hl.Kirchhoff(chip(self.topology, 1000 + seed), self.gates)
        self._noise = np.random.default_rng([0 if seed is None else seed, 10_000])
        self.counts = Counts()

    def outputs(self, x: np.ndarray) -> np.ndarray:
        """Return output volts (S, n_out) of the free network as they are read."""
        return self._read(self._free.with_conductances(self.gates).solve(x))[:, self.topology.outputs]

    def _read(self, V: np.ndarray) -> np.ndarray:
        sigma = self.published.read_noise_V
        return V + sigma * self._noise.standard_normal(V.shape) if sigma else V

    def epoch(self, x: np.ndarray, order: np.ndarray) -> int:
        """Present samples in order; return the number of updates.

        Samples are solved side by side, `SIDE_BY_SIDE` at a time, or one at a time while most of them update.
        After an update all of them are solved again, from where they were, so that the result is the one of a
        strict sequence. `counts` counts what that sequence solves.
        """
        updates, first, recently = 0, 0, 0.0
        while first < len(order):
            rows = order[first : first + (1 if recently > 0.5 else SIDE_BY_SIDE)].tolist()
            first += len(rows)
            free, done = self._free.with_conductances(self.gates).with_warm_starts(), 0
            while done < len(rows):
                if done:
                    free = free.with_conductances(self.gates)
                true = free.solve(x[rows])
                V = self._read(true)
                for k in range(done, len(rows)):
                    done = k + 1
                    goals = self.clamp(V[k, self.topology.outputs], rows[k])
                    recently += ((goals is not None) - recently) / SIDE_BY_SIDE
                    if goals is not None:
                        self._update(x[rows[k]], V[k], true[k], goals)
                        updates += 1
                        break
            self.counts.free += len(rows)
        return updates

    def _update(self, x: np.ndarray, free: np.ndarray, true: np.ndarray, goals: dict[int, float]) -> None:
        held = np.full((1, self.topology.n_outputs), np.nan)
        if self.only_clamped:  # lines that do not influence each other: the others stay where they are
            held[0] = true[self.topology.outputs]
        for output, volts in goals.items():
            held[0, output] = volts
        clamped = self._read(self._clamped.with_conductances(self.gates).solve(x[None], clamped=held))[0]
        self.counts.clamped += 1
        a, b = self.topology.edges.T
        move = -self.published.gamma * ((clamped[a] - clamped[b]) ** 2 - (free[a] - free[b]) ** 2)
        if self.only_clamped:
            move = np.where(np.isin(b, self.topology.outputs[list(goals)]), move, 0.0)
        self.gates = np.clip(self.gates + move, self.published.low, self.published.high)
