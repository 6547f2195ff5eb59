"""Which configuration and which patterns to measure next: random ones, or those expected to tell most.

The information that readings with Jacobian J (in units of their uncertainty) are expected to bring, to unknowns of
covariance C, is ``log det(1 + J C J^T) / 2`` nats; patterns are taken one by one, the most telling first.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Final, Literal

import numpy as np

from hwlearn.arrays import FloatArray, IntArray
from hwlearn.calibration.estimation.excitation import Excitation, Phase, PhaseKind
from hwlearn.calibration.estimation.posterior import whitened
from hwlearn.calibration.estimation.response import EdgeModel
from hwlearn.circuit.kirchhoff import Kirchhoff
from hwlearn.circuit.topology import Topology
from hwlearn.errors import LimitError
from hwlearn.network.limits import Limits
from hwlearn.network.nudges import MODEL_HEADROOM, DriveKind
from hwlearn.units import ROUNDING

_MOST_PATTERNS: Final = 32
"""Different input patterns that are considered in one configuration."""

_MARGIN: Final = 0.95
"""Part of a voltage limit that is used: a converter may give a little more than it is told."""

_LEAST_PATTERN: Final = 0.9
"""Least height of a pattern, as part of the largest."""

_LEAST_REPEAT: Final = 0.95
"""Least height of a chosen pattern, as part of the one that was considered."""

_OUTPUT_MARGIN: Final = 0.9
"""Part of the voltage limit to which a current may bring an output as the model sees it, with headroom."""

Design = Literal["information", "random"]


@dataclass(frozen=True, eq=False)
class Bench:
    """What a design must respect.

    Attributes
    ----------
    topology : Topology
    limits : Limits
    nudges : frozenset of str
        Drives that the hardware makes.
    nudge_siemens : float or None
        The known conductance of resistor drives; without, they are not used.
    dac_step_V : float or None
        Step of the DACs in volts; patterns are then made of whole steps. Unknown, it is taken to be the readers'.
    resolution : float
        Step of the readers in volts.
    """

    topology: Topology
    limits: Limits
    nudges: frozenset[DriveKind]
    nudge_siemens: float | None = None
    dac_step_V: float | None = None
    resolution: float = 0.0

    def on_grid(self, volts: FloatArray) -> FloatArray:
        """Return the nearest volts that the DACs make exactly; the same where their step is not known."""
        return volts if self.dac_step_V is None else np.rint(volts / self.dac_step_V) * self.dac_step_V

    @property
    def applied_sigma(self) -> float:
        """Standard uncertainty in volts of what a source makes beside gain and offset: rounding to its steps."""
        return 0.0 if self.dac_step_V is not None else self.resolution / math.sqrt(12)

    @property
    def kinds(self) -> tuple[PhaseKind, ...]:
        """The phases that can be measured, the free one first."""
        able: list[PhaseKind] = ["free"]
        able += [kind for kind in ("clamp", "current") if kind in self.nudges]
        return (*able, "resistor") if "resistor" in self.nudges and self.nudge_siemens is not None else (*able,)


def random_configuration(limits: Limits, n_edges: int, rng: np.random.Generator) -> FloatArray:
    """Return conductances (E,) in siemens, log-uniform over the range that may be programmed."""
    low, high = np.log(limits.conductance)
    return np.clip(np.exp(rng.uniform(low, high, n_edges)), *limits.conductance)


def input_patterns(bench: Bench, rng: np.random.Generator) -> FloatArray:
    """Return input patterns (S, n_in) in volts: zero, then every input at one end of its range.

    Among them are the two with all inputs alike. With all driven terminals at one voltage every output has it too,
    whatever the conductances: what differs then is the converters' doing alone.
    """
    n, limits = bench.topology.n_inputs, bench.limits
    reach = _MARGIN * min(limits.voltage, limits.drop / 2)
    if 2**n <= _MOST_PATTERNS:
        signs = np.array(list(product((-1.0, 1.0), repeat=n)))
    else:
        signs = np.concatenate(
            [-np.ones((1, n)), np.ones((1, n)), rng.choice([-1.0, 1.0], (_MOST_PATTERNS - 2, n))]
        )
    # never twice the same voltages, so that steps of a DAC do not always err to the same side
    height = rng.uniform(_LEAST_PATTERN, 1.0, (len(signs), 1))
    return bench.on_grid(reach * np.concatenate([np.zeros((1, n)), height * signs]))


def candidate_phases(bench: Bench, circuit: Kirchhoff, rng: np.random.Generator) -> list[Phase]:
    """Return all patterns that are considered in one configuration, within the limits as the model sees them.

    Parameters
    ----------
    bench : Bench
    circuit : Kirchhoff
        The network in that configuration as it is known so far; what it predicts keeps `MODEL_HEADROOM` from the
        limits.
    rng : numpy.random.Generator
    """
    x = input_patterns(bench, rng)
    V = circuit.solve(x)
    most = float(np.abs(circuit.source_currents(V)).max(initial=0.0)) * MODEL_HEADROOM
    if most > bench.limits.current:
        x = bench.on_grid(x * (bench.limits.current / most))
        V = circuit.solve(x)
    free = V[:, bench.topology.outputs]
    phases = [Phase("free", x, np.full(free.shape, np.nan))]
    for kind in bench.kinds[1:]:
        inputs, values = _driven(bench, kind, x, free, circuit, rng)
        phase = Phase(kind, inputs, values, bench.nudge_siemens if kind == "resistor" else None)
        phases.append(phase.rows(_allowed(bench, phase, circuit)))
    return [phase for phase in phases if len(phase.inputs)]


def choose(jacobians: Sequence[FloatArray], covariance: FloatArray, patterns: int) -> tuple[IntArray, float]:
    """Choose the patterns that are expected to tell most, one by one; a pattern may be chosen again.

    Parameters
    ----------
    jacobians : sequence of ndarray, shape (R, P)
        Of each pattern's readings, in units of their uncertainty.
    covariance : ndarray, shape (P, P)
        Of the unknowns now.
    patterns : int
        How many to choose.

    Returns
    -------
    (ndarray of int (patterns,), float)
        Their numbers, and the information in nats that they are expected to bring together.
    """
    ends = np.cumsum([0, *(len(J) for J in jacobians)])
    J = np.concatenate(list(jacobians))
    spread = J @ covariance @ J.T
    height = int(np.diff(ends).max())
    # blocks of equal height, filled up with rows that tell nothing, can be taken all at once
    places = np.full((len(jacobians), height), -1)
    for k in range(len(jacobians)):
        places[k, : ends[k + 1] - ends[k]] = np.arange(ends[k], ends[k + 1])
    filled = (places >= 0)[:, :, None] & (places >= 0)[:, None, :]
    chosen, total = [], 0.0
    for _ in range(patterns):
        blocks = np.where(filled, spread[places[:, :, None], places[:, None, :]], 0.0) + np.eye(height)
        gains = 0.5 * np.linalg.slogdet(blocks)[1]
        best = int(np.argmax(gains))
        chosen.append(best)
        total += float(gains[best])
        rows = np.arange(ends[best], ends[best + 1])
        across = spread[:, rows]
        spread = spread - across @ np.linalg.solve(spread[np.ix_(rows, rows)] + np.eye(len(rows)), across.T)
    return np.array(chosen), total


def gathered(
    bench: Bench, phases: Sequence[Phase], chosen: IntArray, rng: np.random.Generator
) -> tuple[Phase, ...]:
    """Return the chosen patterns, counted through all phases in order, kind by kind, each a little smaller.

    Each terminal is lowered by another bit, so that neither a pattern that was chosen twice nor two terminals of
    one pattern are rounded to the same steps of a DAC.
    """
    ends = np.cumsum([0, *(len(p.inputs) for p in phases)])
    parts = []
    for phase, first, end in zip(phases, ends[:-1], ends[1:], strict=True):
        mine = np.sort(chosen[(chosen >= first) & (chosen < end)]) - first
        if mine.size:
            one = phase.rows(mine)
            height = rng.uniform(_LEAST_REPEAT, 1.0, one.inputs.shape)
            values = one.values * rng.uniform(_LEAST_REPEAT, 1.0, one.values.shape)
            parts.append(
                replace(
                    one,
                    inputs=bench.on_grid(one.inputs * height),
                    values=values if phase.kind == "current" else bench.on_grid(values),
                )
            )
    return tuple(parts)


def excitation(
    bench: Bench,
    model: EdgeModel,
    unknowns: FloatArray,
    covariance: FloatArray,
    sigma: tuple[float, float | None],
    patterns: int,
    rng: np.random.Generator,
    design: Design,
) -> Excitation:
    """Return one configuration's excitation.

    Parameters
    ----------
    bench : Bench
    model : EdgeModel
        Of the configuration that is considered; its base is what is programmed.
    unknowns, covariance : ndarray, shapes (P,), (P, P)
        What is known so far.
    sigma : (float, float or None)
        Uncertainty of a voltage and of a current reading; None: currents are not read.
    patterns : int
        How many to measure.
    rng : numpy.random.Generator
    design : "information" or "random"
        Take the most telling patterns, or any.
    """
    phases = candidate_phases(bench, Kirchhoff(bench.topology, model.conductances(unknowns)), rng)
    if design == "random":
        number = sum(len(p.inputs) for p in phases)
        return Excitation(model.base, gathered(bench, phases, rng.integers(0, number, patterns), rng))
    blocks: list[FloatArray] = []
    amperes = 1.0 if sigma[1] is None else sigma[1]
    for phase in phases:
        response = model.respond(unknowns, phase, sigma[1] is not None)
        currents = None
        if sigma[1] is not None:
            currents = (
                np.concatenate([response.sources, response.clamps], axis=1),
                np.concatenate([response.d_sources, response.d_clamps], axis=1),
            )
        volts = (response.volts, response.d_volts)
        blocks += list(
            whitened(volts, currents, (sigma[0], amperes), bench.applied_sigma, model.layout.terminals)[1]
        )
    chosen, information = choose(blocks, covariance, patterns)
    return Excitation(model.base, gathered(bench, phases, chosen, rng), information)


def _driven(
    bench: Bench, kind: PhaseKind, x: FloatArray, free: FloatArray, circuit: Kirchhoff, rng: np.random.Generator
) -> tuple[FloatArray, FloatArray]:
    """Return inputs and drives that push one output at a time to either side as far as the limits let them."""
    limits, ground = bench.limits, bench.topology.ground
    reach = limits.nudge / MODEL_HEADROOM
    ohm = np.diagonal(circuit.output_impedance())
    ends = x if ground is None else np.concatenate([x, np.zeros((len(x), 1))], axis=1)
    low = np.maximum(-_MARGIN * limits.voltage, ends.max(axis=1) - limits.drop)
    high = np.minimum(_MARGIN * limits.voltage, ends.min(axis=1) + limits.drop)
    inputs, values = [], []
    for output in range(free.shape[1]):
        for side in (-1.0, 1.0):
            rows = rng.permutation(len(x))[:2]
            drive = np.full((len(rows), free.shape[1]), np.nan)
            if kind == "current":
                drive[:, output] = side * min(reach / ohm[output], limits.current / MODEL_HEADROOM)
            else:
                drive[:, output] = bench.on_grid(np.clip(free[rows, output] + side * reach, low[rows], high[rows]))
            inputs.append(x[rows])
            values.append(drive)
    return np.concatenate(inputs), np.concatenate(values)


def _allowed(bench: Bench, phase: Phase, circuit: Kirchhoff) -> IntArray:
    """Return the patterns of a driven phase that leave no limit, with headroom where the model is asked."""
    limits, top = bench.limits, bench.topology
    good = []
    for k in range(len(phase.inputs)):
        one = phase.rows(np.array([k]))
        drive = one.drive
        try:
            if drive is not None:
                drive.check(top, limits, one.inputs)
        except LimitError:
            continue
        if phase.kind == "clamp":
            V = circuit.solve(one.inputs, clamped=one.values)
        else:
            # a resistor pushes less than its volts over its own resistance
            amperes = one.values
            if phase.siemens is not None:
                amperes = (one.values - circuit.solve(one.inputs)[:, top.outputs]) * phase.siemens
            V = circuit.solve(one.inputs, injected=amperes)
        driven = np.concatenate([circuit.source_currents(V), circuit.output_currents(V)], axis=1)
        volts_fit = True
        if phase.kind == "current":
            free = circuit.solve(one.inputs)[:, top.outputs]
            reached = np.abs(free) + MODEL_HEADROOM * np.abs(V[:, top.outputs] - free)
            volts_fit = bool(reached.max() <= _OUTPUT_MARGIN * limits.voltage)
        if np.abs(driven).max() * MODEL_HEADROOM <= limits.current * (1 + ROUNDING) and volts_fit:
            good.append(k)
    return np.array(good, dtype=np.int64)
