"""Figures of health that come from readings: setpoints, midpoint, balance of power, and the model's free outputs.

On resistors the middle of two phases nudged by equal amounts is the free phase (superposition), and both phases
take the same power: ``P+ - P- = x (I+ - I-) + V+ J+ - V- J- = 0`` (reciprocity). The last one is the sum over all
edges of ``g (D+^2 - D-^2)``, by Tellegen's theorem: scale invariance, measured at the terminals without a model.
"""

from __future__ import annotations

import math

import numpy as np

from hwlearn.arrays import FloatArray
from hwlearn.circuit.kirchhoff import Kirchhoff
from hwlearn.learning.health.figure import (
    GAIN,
    NOT_APPLICABLE,
    NOT_MEASURED,
    OFFSET_V,
    SIGMAS,
    Figure,
    hypot,
    rms_bound,
)
from hwlearn.learning.health.sample import HealthSample, StatedErrors, both_sides

SETPOINT, MIDPOINT, POWER, RESIDUAL = "setpoint_error_V", "midpoint_error_V", "power_balance", "model_residual_V"


def nudge_figures(sample: HealthSample) -> list[Figure]:
    """Return what the readings of the nudged phases say."""
    if sample.rule.nudged == "computed":
        return Figure.missing(SETPOINT, MIDPOINT, POWER)
    return [_setpoint(sample), _midpoint(sample), _power(sample)]


def _setpoint(sample: HealthSample) -> Figure:
    """Compare clamped outputs with their setpoints."""
    if sample.rule.nudge.kind != "clamp":
        return Figure(SETPOINT, NOT_APPLICABLE)
    phases, nudge = sample.phases, sample.nudge
    free, t = phases.free.voltages, phases.strength
    off = [phases.plus.voltages - nudge.drive(free, phases.error, t).values]
    if phases.minus is not None:
        off.append(phases.minus.voltages - nudge.drive(free, phases.error, -t).values)
    return _volts(SETPOINT, np.concatenate(off), np.full(free.shape[1], sample.sigma_V), free)


def _midpoint(sample: HealthSample) -> Figure:
    """Compare the middle of both nudged phases with the free phase, in volts of the free outputs."""
    phases, sides = sample.phases, both_sides(sample.phases)
    if sides is None or not sample.is_ohmic or sample.bench.is_pair:
        return Figure(MIDPOINT, NOT_APPLICABLE)
    plus, minus = sides
    free = phases.free.voltages
    if sample.rule.nudge.kind != "clamp":
        sigma = np.full(free.shape[1], math.sqrt(1.5) * sample.sigma_V)
        return _volts(MIDPOINT, 0.5 * (plus.voltages + minus.voltages) - free, sigma, free)
    if plus.output_currents is None or minus.output_currents is None:
        return Figure(MIDPOINT, NOT_APPLICABLE)
    # a clamp sets the middle to the reading of the free phase; an error of it draws a current there
    Z = sample.model.output_impedance()
    off = 0.5 * (plus.output_currents + minus.output_currents) @ Z
    noise = plus.current_sigma * np.sqrt(0.5 * (Z**2).sum(axis=0))
    sigma = np.hypot(noise, math.sqrt(1.5) * sample.sigma_V) * (1 + sample.bench.device_error)
    return _volts(MIDPOINT, off, sigma, free)


def _power(sample: HealthSample) -> Figure:
    """Compare the power of both nudged phases, relative to the power of the nudges."""
    sides = both_sides(sample.phases)
    if sides is None or not sample.is_ohmic:
        return Figure(POWER, NOT_APPLICABLE)
    plus, minus = sides
    delivered, other = plus.source_currents, minus.source_currents
    if delivered is None or other is None or plus.output_currents is None or minus.output_currents is None:
        return Figure(POWER, NOT_APPLICABLE)
    J = plus.output_currents, minus.output_currents
    w, x, V = sample.weights[:, None], sample.inputs, [each.voltages for each in sides]
    fed = delivered - other
    difference = float((w * (x * fed)).sum() + (w * (V[0] * J[0] - V[1] * J[1])).sum())
    scale = float((w * (np.abs(V[0] * J[0]) + np.abs(V[1] * J[1]))).sum())
    if not scale:
        return Figure(POWER, NOT_MEASURED)
    sigma_I, sigma_V = max(plus.current_sigma, _noise_of_sources(sample)), sample.sigma_V
    noise = hypot(
        sigma_V * float(np.sqrt((w**2 * (J[0] ** 2 + J[1] ** 2)).sum())),
        # setpoints are equally far from a reading of the free phase, not from the free phase itself
        2 * sigma_V * float(np.sqrt((w**2 * (J[0] - J[1]) ** 2).sum())),
        sigma_I * float(np.sqrt((w**2 * (V[0] ** 2 + V[1] ** 2)).sum())),
        sigma_I * float(np.sqrt((2 * w**2 * x**2).sum())),
        sample.bench.dac_V * float(np.sqrt((w**2 * fed**2).sum())),
    )
    moved = [np.abs((w * each).sum(axis=0)).sum() for each in (x * fed, V[0] * J[0] - V[1] * J[1])]
    shifted = [np.abs((w * each).sum(axis=0)).sum() for each in (fed, J[0] - J[1])]
    fixed = float(GAIN * sum(moved) + OFFSET_V * (shifted[0] + 3 * shifted[1]))
    return Figure(POWER, abs(difference) / scale, (SIGMAS * noise + fixed) / scale)


def _noise_of_sources(sample: HealthSample) -> float:
    """Return the standard deviation in amperes of a current of a source, which no readout states.

    On resistors the middle of both nudged phases is the free phase: what differs is noise of three readings.
    """
    phases, sides = sample.phases, both_sides(sample.phases)
    currents = [phases.free.source_currents, *(each.source_currents for each in sides or ())]
    if len(currents) < 3 or any(each is None for each in currents):
        return 0.0
    free, plus, minus = (np.asarray(each) for each in currents)
    return float(np.sqrt(((0.5 * (plus + minus) - free) ** 2).mean() / 1.5))


def residual_figure(
    model: Kirchhoff, V: FloatArray, free: FloatArray, sigma_V: float, bench: StatedErrors
) -> Figure:
    """Compare measured free outputs (S, n_out) with those of the model's node voltages V (S, N).

    Independent errors of the devices move output o by the root of the sum over edges of ``(d g dV_o/dg)^2``.
    """
    if model.topology.elements is not None:
        return Figure(RESIDUAL, NOT_APPLICABLE)
    sigma = bench.device_error * np.sqrt((moves(model, V, model.values) ** 2).mean(axis=0))
    off = free - V[:, model.topology.outputs]
    rms = np.sqrt((off**2).mean(axis=0))
    noise = hypot(sigma_V, bench.dac_V) * rms_bound(len(off))
    limits = SIGMAS * sigma + noise + OFFSET_V + GAIN * np.abs(free).max(axis=0)
    worst = int(np.argmax(rms / limits))
    return Figure(RESIDUAL, float(rms[worst]), float(limits[worst]))


def moves(model: Kirchhoff, V: FloatArray, steps: FloatArray) -> FloatArray:
    """Return the root of the sum over edges of ``(step dV_o/dg)^2`` (S, n_out) in volts, of resistors.

    Node voltages V (S, N), steps (E,) in siemens.
    """
    back = steps * model.drops(model.adjoint(np.eye(model.topology.n_outputs)))
    return np.asarray(np.sqrt(model.drops(V) ** 2 @ (back**2).T))


def _volts(name: str, off: FloatArray, sigma: FloatArray, volts: FloatArray) -> Figure:
    """Return the figure of the output whose rms deviation (S, n_out) is largest relative to its limit."""
    rms = np.sqrt((off**2).mean(axis=0))
    limits = sigma * rms_bound(len(off)) + OFFSET_V + 2 * GAIN * np.abs(volts).max(axis=0)
    worst = int(np.argmax(rms / limits))
    return Figure(name, float(rms[worst]), float(limits[worst]))
