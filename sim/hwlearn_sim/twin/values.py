"""Values of a twin that are no conductances, such as gate voltages: their write noise, steps and range."""

from __future__ import annotations

import numpy as np

from hwlearn.arrays import FloatArray
from hwlearn.circuit.elements.three_terminal import CONDUCTANCE
from hwlearn.circuit.topology import Topology
from hwlearn.errors import SetupError
from hwlearn.network.limits import Limits
from hwlearn_sim.devices.imperfections import Imperfections


def check_values(topology: Topology, flaws: Imperfections, has_edge_law: bool) -> None:
    """Refuse imperfections that the values of the network do not have.

    Raises
    ------
    SetupError
        Naming the imperfection.
    """
    names = {parameter.name for parameter, _ in topology.parameters}
    for what, given in (("write_noise", flaws.write_noise), ("value_bits", flaws.value_bits)):
        for name in given if not isinstance(given, float | int) else ():
            if name not in names:
                has = " and ".join(sorted(names))
                raise SetupError(f"{what} names a {name!r}, but the edges of this network have a {has}")
    if CONDUCTANCE.name in flaws.value_bits:
        raise SetupError("value_bits of the conductance is conductance_bits; use that key")
    if names == {CONDUCTANCE.name}:
        return
    if has_edge_law:
        raise SetupError("edge_law is of conductances only, and this network has other values")
    if flaws.drift_per_sqrt_hour:
        raise SetupError("drift_per_sqrt_hour is of conductances only, and this network has other values")
    if CONDUCTANCE.name not in names:
        for what, used in (
            ("conductance_bits", flaws.conductance_bits is not None),
            ("write_noise", flaws.conductance_write_noise > 0),
            ("device_spread", flaws.conductance_spread > 0),
        ):
            if used:
                raise SetupError(
                    f"{what} as one number is of conductances, and this network has none; name what it is of, "
                    'such as {"gate voltage": ...} or, for device_spread, {"vto": ..., "kp": ...}'
                )


def value_noise(topology: Topology, flaws: Imperfections) -> FloatArray:
    """Return the write noise (E,) of values in their unit; NaN for conductances."""
    noise = np.full(topology.n_edges, np.nan)
    for parameter, edges in topology.parameters:
        if parameter.name != CONDUCTANCE.name:
            noise[edges] = flaws.value_write_noise(parameter.name)
    return noise


def value_steps(topology: Topology, limits: Limits, flaws: Imperfections) -> FloatArray:
    """Return the step (E,) of each value in its unit; 0 for one that is continuous."""
    steps = np.zeros(topology.n_edges)
    for parameter, edges in topology.parameters:
        bits = flaws.value_bits.get(parameter.name)
        bits = flaws.conductance_bits if parameter.name == CONDUCTANCE.name else bits
        if bits is not None:
            low, high = limits.range_of(parameter)
            steps[edges] = (high - low) / (2**bits - 1)
    return steps


def within_elements(topology: Topology, values: FloatArray) -> FloatArray:
    """Return values (E,) as the drivers of gates make them: noise cannot move them beyond what elements accept."""
    if not topology.has_three_terminals:
        return values
    for parameter, edges in topology.parameters:
        if parameter != CONDUCTANCE:
            values[edges] = np.clip(values[edges], parameter.low, parameter.high)
    return values
