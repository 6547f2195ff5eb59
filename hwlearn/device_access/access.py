"""`DeviceAccess`: interface for reading and pulsing single devices within `PulseLimits`."""

from __future__ import annotations

import math
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np

from hwlearn.arrays import FloatArray, IntArray
from hwlearn.device_access.limits import PulseLimits
from hwlearn.errors import HwlearnError, LimitError
from hwlearn.exclusive import ExclusiveUse

_MOST_CURRENT = 100.0
"""Largest plausible current of a reading, in units of the current limit; a shorted device is below it."""


class DeviceError(HwlearnError, RuntimeError):
    """A device or its reading is faulty, so that programming cannot continue."""


class DeviceAccess(ABC):
    """Devices that can be read and pulsed one at a time.

    Subclasses implement `_read` and `_pulse`, and `_read_all` if the hardware reads all devices at once. Every
    request is checked against the limits before it reaches a subclass, and every reading before it is returned.

    Devices are used by one thread at a time and only by the process that opened them; those of a network share
    this with the network, and are refused when it is closed.

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
    pulse_J, pulse_s : float
        Joules (volts times expected amperes times seconds) and seconds of all of them.
    volatile : bool
        Whether the devices lose their state when the program ends, as simulated devices do.

    Notes
    -----
    A positive amplitude SETs (raises the conductance) and a negative amplitude RESETs. A backend whose devices
    have the opposite polarity inverts the sign. The current of a pulse is predicted from the last reading, so a
    device must be read between two pulses.
    """

    volatile: bool = False
    _is_backend: bool = True
    """Whether errors that are none of this package come from hardware or a simulator, not from code around one."""

    def __init__(self, n_edges: int, limits: PulseLimits) -> None:
        self.limits = limits
        self.pulses: IntArray = np.zeros(n_edges, dtype=np.int64)
        self.pulse_J = self.pulse_s = 0.0
        self._last_read: FloatArray = np.full(n_edges, np.nan)
        self._use, self._check_open = ExclusiveUse(), _always_open

    def bind(self, use: ExclusiveUse, check_open: Callable[[], None]) -> None:
        """Share the exclusive use of a network, and raise what ``check_open`` raises; for `Network.devices`."""
        self._use, self._check_open = use, check_open

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
            If the reading is no finite number or not plausible, or the backend fails. A reading is plausible if
            its current is at most 100 times ``limits.current``, plus 1 uA.
        NetworkError
            If the network is closed, in use by another thread, or of another process; nothing was applied.
        """
        with self._in_use():
            k = self.checked_edge(edge)
            self.limits.check_read(self.edge_name(k), voltage)
            value = self._siemens(k, self._read(k, voltage), voltage)
            self._last_read[k] = value
            return value

    def readings(self, edge: int, voltage: float, times: int) -> FloatArray:
        """Read one device several times: siemens (times,); raises as `read`."""
        return np.array([self.read(edge, voltage) for _ in range(times)])

    def read_all(self, voltage: float) -> FloatArray:
        """Read every device once: siemens (E,); raises as `read`."""
        with self._in_use():
            self.limits.check_read("every device", voltage)
            found = np.asarray(self._read_all(voltage))
            if found.shape != self.pulses.shape or found.dtype.kind not in "fiu":
                raise DeviceError(
                    f"got readings of shape {found.shape} and type {found.dtype} from {self.n_edges} devices; "
                    "correct the backend"
                )
            values = found.astype(np.float64)
            wrong = np.flatnonzero(~(np.abs(values) <= self._most_siemens(voltage)))
            if wrong.size:
                self._siemens(int(wrong[0]), values[wrong[0]], voltage)
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
        NetworkError
            As `read`.
        """
        with self._in_use():
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
            self.pulse_J += abs(amplitude) * current * width
            self.pulse_s += width
            self._last_read[k] = np.nan
            self._pulse(k, amplitude, width)

    def rest(self, seconds: float) -> None:
        """Wait with no voltage applied."""
        with self._in_use():
            self._rest(seconds)

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

    def _rest(self, seconds: float) -> None:
        """Wait with no voltage applied."""
        time.sleep(seconds)

    # --- checks -------------------------------------------------------------------------------------

    @contextmanager
    def _in_use(self) -> Iterator[None]:
        """Refuse a second thread, a forked child and a closed network, and name the backend that fails."""
        with self._use:
            self._check_open()
            try:
                yield
            except HwlearnError:
                raise
            except Exception as error:  # a backend may raise anything
                if not self._is_backend:
                    raise
                kind = type(self)
                raise DeviceError(
                    f"{kind.__module__}.{kind.__qualname__} failed: {type(error).__name__}: {error}; "
                    "correct the backend"
                ) from error

    def _siemens(self, edge: int, value: object, voltage: float) -> float:
        """Return a reading in siemens at a read voltage; refuse anything but a plausible number."""
        if not isinstance(value, float | int | np.floating | np.integer) or isinstance(value, bool):
            raise DeviceError(
                f"{self.edge_name(edge)} reads {value!r:.80}, which is no number; correct the backend"
            )
        siemens, most = float(value), self._most_siemens(voltage)
        if not math.isfinite(siemens):
            raise DeviceError(_not_finite(self.edge_name(edge), siemens))
        if abs(siemens) > most:
            raise DeviceError(
                f"{self.edge_name(edge)} reads {siemens:g} S at {voltage:g} V, which is not plausible: with the "
                f"pulse limit current = {self.limits.current:g} A at most {most:.3g} S is; check its contact and "
                "the range, then start again"
            )
        return siemens

    def _most_siemens(self, voltage: float) -> float:
        return (_MOST_CURRENT * self.limits.current + 1e-6) / abs(voltage)


def _always_open() -> None:
    pass


def _not_finite(name: str, value: float) -> str:
    return f"{name} reads {value} S, which is not a conductance; check its contact and the range, then start again"
