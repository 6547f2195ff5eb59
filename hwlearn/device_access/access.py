"""`DeviceAccess`: single devices read and pulsed, whatever stands behind, within limits that nothing passes."""

from __future__ import annotations

import math
import time
from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np

from hwlearn.arrays import FloatArray, IntArray
from hwlearn.errors import HwlearnError, LimitError
from hwlearn.units import ROUNDING, format_quantity


class DeviceError(HwlearnError, RuntimeError):
    """A device, or what reads it, does something that programming cannot go on with."""


@dataclass(frozen=True, slots=True)
class PulseLimits:
    """What no pulse and no reading of a single device may exceed.

    Parameters
    ----------
    voltage : float
        Most volts of a pulse, either sign.
    current : float
        Most amperes that a pulse may be expected to drive through its device.
    width : (float, float)
        Least and most seconds of a pulse.
    pulses : int
        Most pulses that any one device is given through one access.
    read_voltage : float
        Most volts of a reading, either sign.

    Raises
    ------
    LimitError
        If a limit is not positive and finite, or the range of widths is empty.
    """

    voltage: float
    current: float
    width: tuple[float, float]
    pulses: int
    read_voltage: float

    def __post_init__(self) -> None:
        for name in ("voltage", "current", "read_voltage"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value > 0):
                raise LimitError(f"pulse limit {name} is {value}; it must be positive and finite")
        low, high = (float(value) for value in self.width)
        if not (math.isfinite(high) and 0 < low <= high):
            raise LimitError(f"pulse limit width is [{low}, {high}]; it must be two positive times, rising")
        object.__setattr__(self, "width", (low, high))
        if int(self.pulses) != self.pulses or self.pulses < 1:
            raise LimitError(f"pulse limit pulses is {self.pulses}; it must be a whole number of at least 1")

    def check_pulse(self, name: str, amplitude: float, width: float, current: float, given: int) -> None:
        """Refuse a pulse that leaves the limits.

        Parameters
        ----------
        name : str
            The device, as the message shall call it.
        amplitude, width : float
            Volts, with the polarity as sign, and seconds.
        current : float
            Amperes expected through the device.
        given : int
            Pulses that it had before.

        Raises
        ------
        LimitError
            If any of them is no number or beyond its limit; nothing was applied.
        """
        _refuse(name, "pulse", amplitude, self.voltage, "V", "voltage")
        low, high = self.width
        if not low * (1 - ROUNDING) <= width <= high * (1 + ROUNDING):
            raise LimitError(
                f"pulse of {format_quantity(width, 's')} at {name} is outside the pulse limit width = "
                f"{format_quantity(low, 's')} to {format_quantity(high, 's')}; nothing was applied"
            )
        _refuse(name, "expected current", current, self.current, "A", "current")
        if given >= self.pulses:
            raise LimitError(
                f"{name} has had {given} pulses, the most that the pulse limit pulses = {self.pulses} allows; "
                "nothing was applied"
            )

    def check_read(self, name: str, voltage: float) -> None:
        """Refuse a read voltage that is zero, no number, or beyond ``read_voltage``.

        Raises
        ------
        LimitError
            If so; nothing was applied.
        """
        _refuse(name, "read voltage", voltage, self.read_voltage, "V", "read_voltage")
        if voltage == 0:
            raise LimitError(f"read voltage at {name} is 0 V; a conductance shows only under a voltage")


class DeviceAccess(ABC):
    """Devices that can be read and pulsed one at a time.

    Subclasses implement `_read` and `_pulse`, and `_read_all` where all can be read at once; every request
    passes the limits here first, so that nothing outside them reaches a backend.

    Parameters
    ----------
    n_edges : int
        Number of devices E.
    limits : PulseLimits
        What nobody may exceed.

    Attributes
    ----------
    pulses : ndarray of int, shape (E,)
        Pulses that each device was given through this access.
    volatile : bool
        Whether the devices forget their state when the access ends: those of a simulation do.

    Notes
    -----
    A positive amplitude SETs (raises the conductance), a negative one RESETs; a backend whose devices stand
    the other way round turns the sign. The current that a pulse may drive is foreseen from the conductance
    that was last read, so a device must be read after each of its pulses before it may have another.
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
        """Return how messages call a device."""
        return f"device {edge}"

    def read(self, edge: int, voltage: float) -> float:
        """Read the conductance of one device.

        Parameters
        ----------
        edge : int
            Which device.
        voltage : float
            Volts at which it is read: a device with a curved I-V shows current over voltage there.

        Returns
        -------
        float
            Siemens, as read: with noise, possibly negative at an open device.

        Raises
        ------
        LimitError
            If there is no such device or the voltage is beyond its limit; nothing was applied.
        DeviceError
            If the reading is no finite number.
        """
        k = self._checked_edge(edge)
        self.limits.check_read(self.edge_name(k), voltage)
        value = float(self._read(k, voltage))
        if not math.isfinite(value):
            raise DeviceError(_no_number(self.edge_name(k), value))
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
            raise DeviceError(f"{values.shape} readings came from {self.n_edges} devices; the access is broken")
        wrong = np.flatnonzero(~np.isfinite(values))
        if wrong.size:
            raise DeviceError(_no_number(self.edge_name(int(wrong[0])), float(values[wrong[0]])))
        self._last_read[:] = values
        return values

    def pulse(self, edge: int, amplitude: float, width: float) -> None:
        """Give one device one pulse.

        Parameters
        ----------
        edge : int
            Which device.
        amplitude : float
            Volts; positive SETs, negative RESETs.
        width : float
            Seconds.

        Raises
        ------
        LimitError
            If anything asked, or the current foreseen, lies outside the limits, or the device was not read
            since its last pulse; nothing was applied.
        """
        k = self._checked_edge(edge)
        name = self.edge_name(k)
        if math.isnan(self._last_read[k]):
            raise LimitError(
                f"{name} was not read since its last pulse, so the current of another cannot be foreseen; "
                "read it first"
            )
        current = self.foreseen_current(k, amplitude)
        self.limits.check_pulse(name, amplitude, width, current, int(self.pulses[k]))
        # counted first: a pulse that fails on its way may have been applied
        self.pulses[k] += 1
        self._last_read[k] = np.nan
        self._pulse(k, amplitude, width)

    def rest(self, seconds: float) -> None:
        """Let time pass without any voltage."""
        time.sleep(seconds)

    def now(self) -> float:
        """Return the time in seconds; the clock goes on when a program ends, but for volatile devices."""
        return time.time()

    def foreseen_current(self, edge: int, amplitude: float) -> float:
        """Return the amperes that a pulse would drive, from the last reading; NaN if there is none.

        Ohm's law; an access that knows its devices' I-V curve to be steeper overrides it.
        """
        return abs(amplitude * float(self._last_read[edge]))

    def _checked_edge(self, edge: int) -> int:
        if int(edge) != edge or not 0 <= edge < self.n_edges:
            raise LimitError(f"there is no device {edge}; they are 0 to {self.n_edges - 1}")
        return int(edge)

    # --- what a backend does ------------------------------------------------------------------------

    @abstractmethod
    def _read(self, edge: int, voltage: float) -> float:
        """Return the conductance read in siemens."""

    @abstractmethod
    def _pulse(self, edge: int, amplitude: float, width: float) -> None:
        """Apply a pulse whose limits were checked."""

    def _read_all(self, voltage: float) -> FloatArray:
        """Return all conductances read (E,) in siemens."""
        return np.array([self._read(k, voltage) for k in range(self.n_edges)])


def _refuse(name: str, what: str, value: float, limit: float, unit: str, limit_name: str) -> None:
    # written so that NaN is refused
    if not abs(value) <= limit * (1 + ROUNDING):
        raise LimitError(
            f"{what} {format_quantity(value, unit)} at {name} exceeds the pulse limit {limit_name} = "
            f"{format_quantity(limit, unit)}; nothing was applied"
        )


def _no_number(name: str, value: float) -> str:
    return f"{name} reads {value} S, which is no conductance; check its contact and the range, then start again"
