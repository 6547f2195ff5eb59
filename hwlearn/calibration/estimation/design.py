"""Design of measurements: the configuration and patterns to measure next, random or most informative.

Readings with Jacobian J (in units of their uncertainty) are expected to give ``log det(1 + J C J^T) / 2`` nats of
information about unknowns of covariance C. Patterns are chosen one by one, the most informative first.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Final, Literal

import numpy as np

from hwlearn.arrays import FloatArray, IntArray
from hwlearn.calibration.estimation.excitation import Excitation, Phase, PhaseKind
from hwlearn.calibration.estimation.response import EdgeModel
from hwlearn.calibration.estimation.terminals import TerminalSet
from hwlearn.calibration.estimation.whitening import whitened
from hwlearn.circuit.kirchhoff import Kirchhoff
from hwlearn.errors import LimitError
from hwlearn.network.limits import Limits
from hwlearn.network.nudges import MODEL_HEADROOM
from hwlearn.units import ROUNDING

_MOST_PATTERNS: Final = 32
"""Number of different input patterns considered in one configuration."""

_MARGIN: Final = 0.95
"""Part of a voltage limit that is used: a converter may output a little more than its setpoint."""

_HIGH: Final = 0.3
"""Smallest conductance of a high configuration, relative to the largest."""

_LEAST_PATTERN: Final = 0.9
"""Smallest amplitude of a pattern, relative to the largest."""

_LEAST_REPEAT: Final = 0.95
"""Smallest amplitude of a chosen pattern, relative to the candidate."""

_OUTPUT_MARGIN: Final = 0.9
"""Part of the voltage limit that an output may reach under a current drive, by the model with headroom."""

Design = Literal["information", "random"]


@dataclass(frozen=True, eq=False)
class Knowledge:
    """Knowledge before a configuration is measured.

    Attributes
    ----------
    unknowns, covariance : ndarray, shapes (P,), (P, P)
        Estimate so far.
    volts_sigma : float
        Uncertainty of a voltage reading.
    amperes_sigma : float or None
        Uncertainty of a current reading; None: currents are not read.
    """

    unknowns: FloatArray
    covariance: FloatArray
    volts_sigma: float
    amperes_sigma: float | None = None


def random_configuration(limits: Limits, n_edges: int, rng: np.random.Generator) -> FloatArray:
    """Return conductances (E,) in siemens, log-uniform over ``limits.conductance``."""
    low, high = np.log(limits.conductance)
    return np.clip(np.exp(rng.uniform(low, high, n_edges)), *limits.conductance)


def high_configuration(limits: Limits, n_edges: int, rng: np.random.Generator) -> FloatArray:
    """Return conductances (E,) in siemens near the upper end of the limits: wires carry large currents."""
    low, high = np.log(limits.conductance)
    return np.exp(rng.uniform(max(low, high + np.log(_HIGH)), high, n_edges)).clip(*limits.conductance)


def input_patterns(terminals: TerminalSet, rng: np.random.Generator) -> FloatArray:
    """Return input patterns (S, n_in) in volts: zero, then every input near one end of its range.

    Two of them have equal inputs. With all driven terminals at one voltage every output has the same voltage,
    for any conductances, so differences between the readings come from the converters only.
    """
    n, limits = terminals.topology.n_inputs, terminals.limits
    reach = _MARGIN * min(limits.voltage, limits.drop / 2)
    if 2**n <= _MOST_PATTERNS:
        signs = np.array(list(product((-1.0, 1.0), repeat=n)))
    else:
        signs = np.concatenate(
            [-np.ones((1, n)), np.ones((1, n)), rng.choice([-1.0, 1.0], (_MOST_PATTERNS - 2, n))]
        )
    # different amplitudes, so that the rounding errors of a DAC do not all have the same sign
    height = rng.uniform(_LEAST_PATTERN, 1.0, (len(signs), 1))
    return terminals.settable(reach * np.concatenate([np.zeros((1, n)), height * signs]))


def candidate_phases(terminals: TerminalSet, circuit: Kirchhoff, rng: np.random.Generator) -> list[Phase]:
    """Return the candidate patterns of one configuration, within the limits as the model predicts.

    Parameters
    ----------
    terminals : TerminalSet
    circuit : Kirchhoff
        The network in that configuration as estimated so far; its predictions keep `MODEL_HEADROOM` to the limits.
    rng : numpy.random.Generator
    """
    x = input_patterns(terminals, rng)
    V = circuit.solve(x)
    most = float(np.abs(circuit.source_currents(V)).max(initial=0.0)) * MODEL_HEADROOM
    if most > terminals.limits.current:
        x = terminals.settable(x * (terminals.limits.current / most))
        V = circuit.solve(x)
    free = V[:, terminals.topology.outputs]
    phases = [Phase("free", x, np.full(free.shape, np.nan))]
    for kind in terminals.kinds[1:]:
        inputs, values = _driven(terminals, kind, x, free, circuit, rng)
        phase = Phase(kind, inputs, values, terminals.nudge_siemens if kind == "resistor" else None)
        phases.append(phase.rows(_allowed(terminals, phase, circuit)))
    return [phase for phase in phases if len(phase.inputs)]


def choose(jacobians: Sequence[FloatArray], covariance: FloatArray, patterns: int) -> tuple[IntArray, float]:
    """Choose the most informative patterns one by one; a pattern may be chosen more than once.

    Parameters
    ----------
    jacobians : sequence of ndarray, shape (R, P)
        Jacobian of each pattern's readings, in units of their uncertainty.
    covariance : ndarray, shape (P, P)
        Current covariance of the unknowns.
    patterns : int
        Number of patterns to choose.

    Returns
    -------
    (ndarray of int (patterns,), float)
        Indices of the chosen patterns, and their expected information in nats.
    """
    ends = np.cumsum([0, *(len(J) for J in jacobians)])
    J = np.concatenate(list(jacobians))
    spread = J @ covariance @ J.T
    height = int(np.diff(ends).max())
    # blocks padded to equal height with rows of zero information can be evaluated at once
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
    terminals: TerminalSet, phases: Sequence[Phase], chosen: IntArray, rng: np.random.Generator
) -> tuple[Phase, ...]:
    """Return the chosen patterns, counted through all phases in order, as one phase of each kind.

    Each terminal is scaled down by a random amount of up to 5 %, so that the DACs do not round repeated patterns,
    or two terminals of one pattern, in the same way.
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
                    inputs=terminals.settable(one.inputs * height),
                    values=values if phase.kind == "current" else terminals.on_grid(values),
                )
            )
    return tuple(parts)


def excitation(
    terminals: TerminalSet,
    model: EdgeModel,
    known: Knowledge,
    patterns: int,
    rng: np.random.Generator,
    design: Design,
) -> Excitation:
    """Return the excitation of one configuration.

    Parameters
    ----------
    terminals : TerminalSet
    model : EdgeModel
        Model of this configuration; its base holds the targets.
    known : Knowledge
    patterns : int
        Number of patterns to measure.
    rng : numpy.random.Generator
    design : "information" or "random"
        Choose the most informative patterns, or random ones.
    """
    circuit = model.circuit(known.unknowns)
    phases = candidate_phases(terminals, circuit, rng)
    if design == "random":
        number = sum(len(p.inputs) for p in phases)
        return Excitation(model.base, gathered(terminals, phases, rng.integers(0, number, patterns), rng))
    blocks = [J for phase in phases for J in _jacobians(terminals, model, known, phase)]
    chosen, information = choose(blocks, known.covariance, patterns)
    return Excitation(model.base, gathered(terminals, phases, chosen, rng), information)


def _jacobians(terminals: TerminalSet, model: EdgeModel, known: Knowledge, phase: Phase) -> FloatArray:
    """Return the Jacobian (S, R, P) of a phase's readings in units of their uncertainty."""
    reads_currents = known.amperes_sigma is not None
    response = model.respond(known.unknowns, phase, reads_currents)
    currents = None
    if reads_currents:
        currents = (
            np.concatenate([response.sources, response.clamps], axis=1),
            np.concatenate([response.d_sources, response.d_clamps], axis=1),
        )
    sigma = (known.volts_sigma, 1.0 if known.amperes_sigma is None else known.amperes_sigma)
    volts = (response.volts, response.d_volts)
    return whitened(volts, currents, sigma, terminals.applied_sigma, model.layout.terminals)[1]


def _driven(
    terminals: TerminalSet,
    kind: PhaseKind,
    x: FloatArray,
    free: FloatArray,
    circuit: Kirchhoff,
    rng: np.random.Generator,
) -> tuple[FloatArray, FloatArray]:
    """Return inputs and drives that push one output at a time up and down as far as the limits allow."""
    limits, ground = terminals.limits, terminals.topology.ground
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
                drive[:, output] = terminals.on_grid(
                    np.clip(free[rows, output] + side * reach, low[rows], high[rows])
                )
            inputs.append(x[rows])
            values.append(drive)
    return np.concatenate(inputs), np.concatenate(values)


def _allowed(terminals: TerminalSet, phase: Phase, circuit: Kirchhoff) -> IntArray:
    """Return the patterns of a driven phase within all limits; predicted values keep headroom."""
    limits, outputs = terminals.limits, terminals.topology.outputs
    within = np.array([k for k in range(len(phase.inputs)) if _is_within(terminals, phase, k)], dtype=np.int64)
    if not len(within):
        return within
    rows = phase.rows(within)
    free = circuit.solve(rows.inputs)
    if phase.kind == "clamp":
        V = circuit.solve(rows.inputs, clamped=rows.values)
    else:
        # an upper bound: the output moves towards the drive, which reduces the current
        amperes = rows.values
        if phase.siemens is not None:
            amperes = (rows.values - free[:, outputs]) * phase.siemens
        V = circuit.solve(rows.inputs, injected=amperes)
    driven = np.concatenate([circuit.source_currents(V), circuit.output_currents(V)], axis=1)
    fits = np.abs(driven).max(axis=1) * MODEL_HEADROOM <= limits.current * (1 + ROUNDING)
    if phase.kind == "current":
        reached = np.abs(free) + MODEL_HEADROOM * np.abs(V - free)
        fits &= reached[:, outputs].max(axis=1) <= _OUTPUT_MARGIN * limits.voltage
    return np.asarray(within[fits])


def _is_within(terminals: TerminalSet, phase: Phase, row: int) -> bool:
    """Return whether one pattern respects the limits of its setpoints."""
    one = phase.rows(np.array([row]))
    try:
        if one.drive is not None:
            one.drive.check(terminals.topology, terminals.limits, one.inputs)
    except LimitError:
        return False
    return True
