"""`PulsedEdges`: edges of an analog plane whose conductance changes with the voltage across them."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

import numpy as np

from hwlearn.arrays import IntArray
from hwlearn.network.simulation import State
from hwlearn_sim.devices.model import DeviceModel
from hwlearn_sim.plane.plane import AnalogPlane

_LEAST_V: Final = 1e-3
"""Contacts have thermal voltages below it, which change nothing."""

_SAME: Final = 1e-9
"""Relative change of a conductance that is not worth a new solution of the circuit."""


class PulsedEdges:
    """Memristive devices as the edges of a plane.

    Whatever drives the circuit acts on every device: between two changes of sources or contacts, and until each
    reading, a device gets its own voltage for the time that has passed. So a pulse disturbs other devices as much
    as the wiring lets it. The drop at the beginning of an interval counts for the whole interval.

    Parameters
    ----------
    plane : AnalogPlane
        Its conductances are those of the devices from now on.
    edges : ndarray of int, shape (E, 2)
        Nodes of each device.
    devices : DeviceModel
        A positive voltage raises the conductance.
    first_is_positive : bool
        Whether the first node of an edge is positive then.
    clock : callable, optional
        Returns seconds. Default: those of this computer, which times the pulses.
    """

    def __init__(
        self,
        plane: AnalogPlane,
        edges: IntArray,
        devices: DeviceModel,
        first_is_positive: bool = True,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._plane, self._devices, self._clock = plane, devices, clock
        self._positive, self._negative = edges.T if first_is_positive else edges[:, ::-1].T
        self._since = clock()
        plane.set_conductances(devices.conductance)
        plane.before_changes(self._pass)

    def _pass(self) -> None:
        """Let the time since the last change act on the devices."""
        now = self._clock()
        seconds, self._since = now - self._since, now
        if seconds <= 0:
            return
        volts = self._plane.node_voltages()
        drops = volts[self._positive] - volts[self._negative]
        seen = np.flatnonzero(np.abs(drops) > _LEAST_V)
        if seen.size:
            self._devices.pulse(seen, drops[seen], seconds)
        self._devices.rest(seconds)
        found, before = self._devices.conductance, self._plane.conductances
        if (np.abs(found - before) > _SAME * np.abs(before)).any():
            self._plane.set_conductances(found)

    def state(self) -> dict[str, np.ndarray]:
        """Return the state of the devices; see `Simulation`."""
        return self._devices.state()

    def restore(self, state: State) -> None:
        """Continue from a state."""
        self._devices.restore(state)
        self._since = self._clock()
        self._plane.set_conductances(self._devices.conductance)
