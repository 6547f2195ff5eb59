"""Curved current-voltage laws: what a reading of a device depends on besides its state."""

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
        Volts at which the curve bends.

    Raises
    ------
    SetupError
        If v0 is not positive.

    Examples
    --------
    >>> float(SinhIV(0.5).seen(1e-5, 0.5))  # read at v0, a device looks sinh(1) times better than it is
    1.1752011936438016e-05
    """

    v0: float

    def __post_init__(self) -> None:
        check_positive("a sinh I-V", {"v0": self.v0})

    def current(self, conductance: Parameter, volts: Parameter) -> FloatArray:
        """Return amperes at a voltage, of devices with a small-signal conductance in siemens."""
        return np.asarray(np.asarray(conductance) * self.v0 * np.sinh(np.asarray(volts) / self.v0))

    def seen(self, conductance: Parameter, volts: float) -> FloatArray:
        """Return current over voltage, the conductance that a reading at a voltage shows, in siemens."""
        return self.current(conductance, volts) / volts

    def small_signal(self, seen: Parameter, volts: float) -> FloatArray:
        """Return the small-signal conductance behind one that was seen at a voltage, in siemens."""
        return np.asarray(np.asarray(seen) * volts / (self.v0 * np.sinh(volts / self.v0)))
