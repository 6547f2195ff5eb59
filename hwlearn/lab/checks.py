"""Is this bench fit to train? Checks that need nothing but the abstract network."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np

from hwlearn.circuit.topology import FloatArray
from hwlearn.errors import HwlearnError
from hwlearn.network import Network
from hwlearn.nudges import OutputDrive
from hwlearn.units import format_quantity

REPEATS = 32
"""Readings of one state from which noise is estimated."""

_SIGMAS = 5.0
"""How many standard errors a law of physics may be missed by; one check in a million fails by chance."""


@dataclass(frozen=True)
class Check:
    """One check and what came of it.

    Attributes
    ----------
    name : str
    result : "pass", "fail" or "not applicable"
    found : str
        The figure that was measured.
    advice : str
        What to do about a failure; empty otherwise.
    """

    name: str
    result: Literal["pass", "fail", "not applicable"]
    found: str
    advice: str = ""


def check_network(network: Network, seed: int = 0) -> Iterator[Check]:
    """Program, read and compare with what Kirchhoff's laws allow; yields each check as it is done.

    Parameters
    ----------
    network : Network
        Open; it is left programmed at the middle of its range.
    seed : int
        Of the random patterns.

    Notes
    -----
    Input patterns stay within half of the voltage and drop limits.
    """
    rng = np.random.default_rng(seed)
    for step in (_programming, _zero_and_noise, _superposition, _reciprocity):
        try:
            yield from step(network, rng)
        except HwlearnError as error:
            name = step.__name__.strip("_").replace("_", " ")
            yield Check(name, "fail", str(error), "mend this first; later checks may depend on it")


def _programming(network: Network, rng: np.random.Generator) -> Iterator[Check]:
    low, high = network.limits.conductance
    done = network.program(np.full(network.topology.n_edges, 0.5 * (low + high)))
    failed = np.flatnonzero(done.failed)
    off = np.abs(done.reached / done.asked - 1).max()
    found = f"{len(failed)} of {len(done.asked)} edges failed; the rest are within {off:.2%} of their target"
    if failed.size:
        names = ", ".join(network.topology.edge_name(k) for k in failed[:4])
        yield Check("programming", "fail", found, f"these edges do not move and are left out of training: {names}")
    else:
        yield Check("programming", "pass", found)


def _zero_and_noise(network: Network, rng: np.random.Generator) -> Iterator[Check]:
    readout = network.measure(np.zeros((REPEATS, network.topology.n_inputs)))
    offset, noise = readout.voltages.mean(axis=0), readout.voltages.std(axis=0, ddof=1)
    worst = int(np.abs(offset).argmax())
    name = network.topology.names[network.topology.outputs[worst]]
    found = f"largest {format_quantity(float(offset[worst]), 'V')}, at {name}"
    # an offset does not cancel in the error: a few times the noise is already worth calibrating
    allowed = max(2e-3, _SIGMAS * readout.voltage_sigma / np.sqrt(REPEATS))
    if abs(offset[worst]) > allowed:
        advice = f"more than {format_quantity(allowed, 'V')} with all inputs at 0 V: calibrate the converters"
        yield Check("zero reading", "fail", found, advice)
    else:
        yield Check("zero reading", "pass", found)
    stated = readout.voltage_sigma
    found = f"largest {format_quantity(float(noise.max()), 'V')} rms, stated {format_quantity(stated, 'V')}"
    # the spread of a standard deviation from REPEATS readings, over all outputs
    if noise.max() > stated * (1 + _SIGMAS / np.sqrt(2 * (REPEATS - 1))) + network.resolution:
        advice = "noisier than stated: check cables and grounding, or average more"
        yield Check("noise floor", "fail", found, advice)
    else:
        yield Check("noise floor", "pass", found)
    if readout.saturated is not None and readout.saturated.any():
        yield Check("range", "fail", "a reading saturates with all inputs at 0 V", "check wiring and ADC range")


def _superposition(network: Network, rng: np.random.Generator) -> Iterator[Check]:
    """An ohmic network's answer to the sum of two patterns is the sum of its answers."""
    a, b = (_pattern(network, rng) for _ in range(2))
    read = network.measure(np.repeat([a, b, a + b, 0 * a], REPEATS, axis=0))
    V = read.voltages.reshape(4, REPEATS, -1)
    mean = V.mean(axis=1)
    missed = np.abs(mean[2] + mean[3] - mean[0] - mean[1]).max()
    yield _law(
        "superposition", network, missed, read.voltage_sigma, V, "an element is not ohmic, or a source sags"
    )


def _reciprocity(network: Network, rng: np.random.Generator) -> Iterator[Check]:
    """A clamp at one output draws from another what that one would draw from it."""
    top = network.topology
    if top.n_outputs < 2 or "clamp" not in network.nudges:
        yield Check("reciprocity", "not applicable", "needs two outputs that can be clamped")
        return
    step = 0.5 * min(network.limits.nudge, network.limits.voltage, 0.5 * network.limits.drop)
    zero = np.zeros((REPEATS, top.n_inputs))
    answers, spread = np.zeros((2, 2)), np.zeros((2, 2))
    for j in range(2):
        volts = np.full((REPEATS, top.n_outputs), np.nan)
        volts[:, j] = step
        on = network.measure(zero, OutputDrive.clamp(volts))
        off = network.measure(zero, OutputDrive.clamp(-volts))
        if on.output_currents is None or off.output_currents is None:
            yield Check("reciprocity", "not applicable", "this bench does not measure its clamp currents")
            return
        # transfer resistance: volts at the other output per ampere into this one
        current = on.output_currents[:, j] - off.output_currents[:, j]
        moved = on.voltages[:, 1 - j] - off.voltages[:, 1 - j]
        answers[j] = moved.mean(), current.mean()
        spread[j] = moved.std(ddof=1), current.std(ddof=1)
    ohms = answers[:, 0] / answers[:, 1]
    relative = np.hypot(spread[:, 0] / np.abs(answers[:, 1]), np.abs(ohms) * spread[:, 1] / np.abs(answers[:, 1]))
    floor = network.resolution / np.abs(answers[:, 1])
    allowed = _SIGMAS * np.hypot(*relative) / np.sqrt(REPEATS) + floor.max() + 1e-6 * np.abs(ohms).max()
    missed = abs(ohms[0] - ohms[1])
    found = f"transfer resistances {format_quantity(ohms[0], 'ohm')} and {format_quantity(ohms[1], 'ohm')}"
    if missed > allowed:
        advice = (
            f"they differ by more than {format_quantity(float(allowed), 'ohm')}: check the wiring of these outputs"
        )
        yield Check("reciprocity", "fail", found, advice)
    else:
        yield Check("reciprocity", "pass", found)


def _law(name: str, network: Network, missed: float, sigma: float, readings: FloatArray, advice: str) -> Check:
    # four means enter; each pattern's own converter steps add up to two resolutions
    spread = max(sigma, float(readings.std(axis=1, ddof=1).max()))
    allowed = _SIGMAS * 2 * spread / np.sqrt(REPEATS) + 2 * network.resolution
    found = f"missed by {format_quantity(float(missed), 'V')}, noise allows {format_quantity(float(allowed), 'V')}"
    if missed > allowed:
        return Check(name, "fail", found, advice)
    return Check(name, "pass", found)


def _pattern(network: Network, rng: np.random.Generator) -> FloatArray:
    """Return random input volts (n_in,) of which even the sum of two stays within the limits."""
    size = 0.5 * min(network.limits.voltage, 0.5 * network.limits.drop)
    return rng.uniform(-size, size, network.topology.n_inputs)
