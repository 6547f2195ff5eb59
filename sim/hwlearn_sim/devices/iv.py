"""Nonlinear current-voltage law of a device, which makes its apparent conductance depend on the read voltage."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hwlearn.arrays import FloatArray
from hwlearn_sim.devices.model import Parameter, check_positive


@dataclass(frozen=True, slots=True)
class SinhIV:
    """Current ``g v0 sinh(v / v0)``: ohmic with conductance g at small voltages, steeper at large ones.

    Parameters
    ----------
    v0 : float
        Voltage scale of the nonlinearity.

    Raises
    ------
    SetupError
        If v0 is not positive.

    Examples
    --------
    >>> float(SinhIV(0.5).apparent(1e-5, 0.5))  # at v0 the apparent conductance is sinh(1) times larger
    1.1752011936438016e-05
    """

    v0: float

    def __post_init__(self) -> None:
        check_positive("a sinh I-V", {"v0": self.v0})

    def current(self, conductance: Parameter, volts: Parameter) -> FloatArray:
        """Return the current in amperes of devices with a small-signal conductance, at a voltage."""
        return np.asarray(np.asarray(conductance) * self.v0 * np.sinh(np.asarray(volts) / self.v0))

    def apparent(self, conductance: Parameter, volts: float) -> FloatArray:
        """Return the apparent conductance in siemens, current over voltage, at a read voltage."""
        return self.current(conductance, volts) / volts

    def small_signal(self, apparent: Parameter, volts: float) -> FloatArray:
        """Return the small-signal conductance in siemens from the apparent one at a read voltage."""
        return np.asarray(np.asarray(apparent) * volts / (self.v0 * np.sinh(volts / self.v0)))
