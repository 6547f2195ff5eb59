"""`DeviceEdges`: edges that are single devices, programmed by write-verify."""

from __future__ import annotations

import numpy as np

from hwlearn.arrays import FloatArray
from hwlearn.device_access import DeviceAccess
from hwlearn.network.network import Programmed
from hwlearn_drivers.edges.edges import Edges
from hwlearn_drivers.edges.write_verifier import WriteVerifier

DEVICE_TOLERANCE = 0.01
"""Relative error of a device that counts as programmed, where no pulses are allowed."""


class DeviceEdges(Edges):
    """Edges that are read and pulsed one at a time.

    Parameters
    ----------
    tolerance : float
        Largest relative error of a device that counts as programmed.
    read_V : float
        Read voltage in volts where nothing is programmed.
    pulsed : bool
        Whether pulses are allowed; without them, programming only reads.

    Attributes
    ----------
    access : DeviceAccess or None
        Set by the network that reaches the devices.
    """

    def __init__(self, tolerance: float, read_V: float, pulsed: bool) -> None:
        self._tolerance, self._read_V = tolerance, read_V
        self._programmer = WriteVerifier(tolerance) if pulsed else None
        self.fixed = not pulsed
        self.access: DeviceAccess | None = None

    def program(self, conductances: FloatArray) -> Programmed:
        """Program the devices by write-verify; without pulses, read them and report those that are off."""
        assert self.access is not None, "no network reaches the devices yet"
        if self._programmer is not None:
            return self._programmer(self.access, conductances)
        reached = self.access.read_all(self._read_V)
        off = np.abs(reached - conductances) > self._tolerance * np.abs(conductances)
        return Programmed(conductances, np.maximum(reached, 0.0), off)

    def check(self) -> None:
        """Do nothing: the devices have no link of their own."""

    def reconnect(self) -> None:
        """Do nothing: there is no link of their own."""

    def close(self) -> None:
        """Do nothing: there is no link of their own."""
