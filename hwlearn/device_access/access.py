"""`DeviceAccess`: interface for reading and pulsing single devices within `PulseLimits`."""

from __future__ import annotations

import math
import time
from abc import ABC, abstractmethod

import numpy as np

from hwlearn.arrays import FloatArray, IntArray
from hwlearn.device_access.limits import PulseLimits
from hwlearn.errors import HwlearnError, LimitError


class DeviceError(HwlearnError, RuntimeError):
    """A device or its reading is faulty, so that programming cannot continue."""


class DeviceAccess(ABC):
    """Devices that can be read and pulsed one at a time.

    Subclasses implement `_read` and `_pulse`, and `_read_all` if the hardware reads all devices at once. Every
    request is checked against the limits before it reaches a subclass.

    Parameters
    ----------
    n_edges : int
        Number of devices E.
    limits : PulseLimits
        Hard limits of pulses and readings.

    Attributes
    ----------
    pulses : ndarray of int, shape (E,)
        Number of pulses applied to each device through this access.
    volatile : bool
        Whether the devices lose their state when the program ends, as simulated devices do.

    Notes
    -----
    A positive amplitude SETs (raises the conductance) and a negative amplitude RESETs. A backend whose devices
    have the opposite polarity inverts the sign. The current of a pulse is predicted from the last reading, so a
    device must be read between two pulses.
    """

    volatile: bool = False

    def __init__(self, n_edges: int, limits: PulseLimits) -> None:
        self.limits = limits
        self.pulses: IntArray = np.zeros(n_edges, dtype=np.int64)
        self._last_read: FloatArray = np.full(n_edges, np.nan)

    @property
    def n_edges(self) -> int:
        """Number of devices E."""
        return len(self.pulses)

    def edge_name(self, edge: int) -> str:
        """Return the name of a device for messages."""
        return f"device {edge}"

    def read(self, edge: int, voltage: float) -> float:
        """Read the conductance of one device.

        Parameters
        ----------
        edge : int
            Index of the device.
        voltage : float
            Read voltage in volts. With a nonlinear I-V curve, the result is current / voltage at this voltage.

        Returns
        -------
        float
            Siemens as measured: with noise, possibly negative for an open device.

        Raises
        ------
        LimitError
            If the device does not exist or the voltage exceeds its limit; nothing was applied.
        DeviceError
            If the reading is not a finite number.
        """
        k = self.checked_edge(edge)
        self.limits.check_read(self.edge_name(k), voltage)
        value = float(self._read(k, voltage))
        if not math.isfinite(value):
            raise DeviceError(_not_finite(self.edge_name(k), value))
        self._last_read[k] = value
        return value

    def readings(self, edge: int, voltage: float, times: int) -> FloatArray:
        """Read one device several times: siemens (times,); raises as `read`."""
        return np.array([self.read(edge, voltage) for _ in range(times)])

    def read_all(self, voltage: float) -> FloatArray:
        """Read every device once: siemens (E,); raises as `read`."""
        self.limits.check_read("every device", voltage)
        values = np.array(self._read_all(voltage), dtype=np.float64)
        if values.shape != self.pulses.shape:
            raise DeviceError(f"got readings of shape {values.shape} from {self.n_edges} devices; fix the backend")
        wrong = np.flatnonzero(~np.isfinite(values))
        if wrong.size:
            raise DeviceError(_not_finite(self.edge_name(int(wrong[0])), float(values[wrong[0]])))
        self._last_read[:] = values
        return values

    def pulse(self, edge: int, amplitude: float, width: float) -> None:
        """Apply one pulse to one device.

        Parameters
        ----------
        edge : int
            Index of the device.
        amplitude : float
            Volts; positive SETs, negative RESETs.
        width : float
            Seconds.

        Raises
        ------
        LimitError
            If the pulse or its expected current exceeds a limit, or the device was not read since its last
            pulse; nothing was applied.
        """
        k = self.checked_edge(edge)
        name = self.edge_name(k)
        if math.isnan(self._last_read[k]):
            raise LimitError(
                f"{name} was not read since its last pulse, so the current of the next pulse is unknown; "
                "read it first"
            )
        current = self.expected_current(k, amplitude)
        self.limits.check_pulse(name, amplitude, width, current, int(self.pulses[k]))
        # counted before it is sent: a pulse whose transfer fails may have been applied
        self.pulses[k] += 1
        self._last_read[k] = np.nan
        self._pulse(k, amplitude, width)

    def rest(self, seconds: float) -> None:
        """Wait with no voltage applied."""
        time.sleep(seconds)

    def now(self) -> float:
        """Return the time in seconds; for volatile devices the clock restarts with the program."""
        return time.time()

    def expected_current(self, edge: int, amplitude: float) -> float:
        """Return the expected current of a pulse in amperes, from the last reading; NaN if there is none.

        Uses Ohm's law. Override it for devices whose I-V curve is known to be steeper.
        """
        return abs(amplitude * float(self._last_read[edge]))

    def checked_edge(self, edge: int) -> int:
        """Return the index of a device as an int.

        Raises
        ------
        LimitError
            If there is no such device.
        """
        if int(edge) != edge or not 0 <= edge < self.n_edges:
            raise LimitError(f"there is no device {edge}; valid devices are 0 to {self.n_edges - 1}")
        return int(edge)

    # --- implemented by a backend -------------------------------------------------------------------

    @abstractmethod
    def _read(self, edge: int, voltage: float) -> float:
        """Return the measured conductance in siemens."""

    @abstractmethod
    def _pulse(self, edge: int, amplitude: float, width: float) -> None:
        """Apply a checked pulse."""

    def _read_all(self, voltage: float) -> FloatArray:
        """Return all measured conductances (E,) in siemens."""
        return np.array([self._read(k, voltage) for k in range(self.n_edges)])


def _not_finite(name: str, value: float) -> str:
    return f"{name} reads {value} S, which is not a conductance; check its contact and the range, then start again"
