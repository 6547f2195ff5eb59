"""Headroom: by how much limits and inputs allow outputs and nudge DACs to move."""

from __future__ import annotations

import numpy as np

from hwlearn.arrays import FloatArray
from hwlearn.circuit.terminal_conductance import terminal_conductances
from hwlearn.circuit.topology import Topology
from hwlearn.network.limits import Limits


class Headroom:
    """Voltages by which outputs and nudge DACs may move from the free outputs within the limits.

    Parameters
    ----------
    topology : Topology
    limits : Limits
    inputs : ndarray, shape (S, n_in)
        Input volts of each sample.
    """

    def __init__(self, topology: Topology, limits: Limits, inputs: FloatArray) -> None:
        self.topology: Topology = topology
        self.limits: Limits = limits
        self._low, self._high = driven_range(topology, inputs)

    def outputs(self, free: FloatArray) -> FloatArray:
        """Return the volts (S, n_out) by which each output may move up and down within voltage and drop."""
        # a window as wide as the drop limit, centred on the inputs, bounds every pair of terminals at once
        centre, half = 0.5 * (self._low + self._high), 0.5 * self.limits.drop
        low = np.maximum(centre - half, -self.limits.voltage)
        high = np.minimum(centre + half, self.limits.voltage)
        return np.minimum(free - low, high - free)

    def dacs(self, free: FloatArray, kappa: float) -> FloatArray:
        """Return the volts (S, n_out) by which a DAC behind kappa may move either way within the current limit."""
        # the current limit bounds the voltage between the DAC and every driven terminal
        kappas = np.full(self.topology.n_outputs, kappa)
        most = self.limits.current / series_conductance(self.topology, self.limits, kappas)
        return np.minimum(free - (self._high - most), (self._low + most) - free)


def driven_range(topology: Topology, inputs: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the lowest and the highest driven voltage of each sample, (S, 1) each, ground included.

    Elements of three terminals conduct to ground, also without a ground node.
    """
    low, high = inputs.min(axis=1, keepdims=True), inputs.max(axis=1, keepdims=True)
    if topology.ground is not None or topology.has_three_terminals:
        low, high = np.minimum(low, 0.0), np.maximum(high, 0.0)
    return low, high


def series_conductance(topology: Topology, limits: Limits, kappa: FloatArray) -> FloatArray:
    """Return kappa (n_out,) in series with the maximum conductance of the network at each output, in siemens.

    The conductance of a transistor is not bounded by the limits: kappa itself is the bound.
    """
    if topology.has_three_terminals:
        return kappa
    at_node = terminal_conductances(topology, limits.conductance[1])[topology.n_inputs :]
    return np.asarray(kappa * at_node / (kappa + at_node))
