"""Single devices whose pulses and readings go through a journal."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np

from hwlearn.arrays import FloatArray
from hwlearn.device_access import DeviceAccess
from hwlearn.lab.calibration.journal import Journal

_SLICE_S: Final = 1.0  # of a wait, so that it can be interrupted


class JournaledDevices(DeviceAccess):
    """Devices whose pulses are on disk before they are given, and whose readings before they are used.

    A procedure that is run again gets the kept readings, and no device a pulse that it had: a pulse is kept
    before it is given, so one during which the program died counts as given. Devices that forget (a simulation)
    are brought to where they were by doing all of it again.

    Parameters
    ----------
    devices : DeviceAccess
    journal : Journal
    answered : callable
        Called after each answer, and told whether it came from the journal.
    number : callable
        Returns the number of the next entry of the journal, which others may share.
    """

    def __init__(
        self,
        devices: DeviceAccess,
        journal: Journal,
        answered: Callable[[bool], None],
        number: Callable[[], int],
    ) -> None:
        super().__init__(devices.n_edges, devices.limits)
        self.volatile = devices.volatile
        self._devices, self._journal = devices, journal
        self._answered, self._number = answered, number
        self._time = 0.0
        self._read_inside = np.zeros(devices.n_edges, dtype=bool)  # since its last pulse there

    def edge_name(self, edge: int) -> str:
        """Return how messages call a device."""
        return self._devices.edge_name(edge)

    def now(self) -> float:
        """Return the time at which the last answer came, by the clock of the devices inside."""
        return self._time

    def expected_current(self, edge: int, amplitude: float) -> float:
        """Return the amperes that a pulse would drive, from the last reading; NaN if there is none."""
        if self._read_inside[edge]:
            return self._devices.expected_current(edge, amplitude)
        return super().expected_current(edge, amplitude)  # the reading came from the journal

    def rest(self, seconds: float) -> None:
        """Let time pass without any voltage, in slices between which Ctrl-C is heard."""
        left = seconds
        while left > 0:
            part = left if self.volatile else min(left, _SLICE_S)
            self._step({"kind": "rest", "seconds": part}, lambda part=part: self._rested(part))  # type: ignore[misc]
            left -= part

    def _rested(self, seconds: float) -> FloatArray:
        self._devices.rest(seconds)
        return np.zeros(0)

    def readings(self, edge: int, voltage: float, times: int) -> FloatArray:
        """Read one device several times: siemens (times,); raises as `read`."""
        k = self.checked_edge(edge)
        self.limits.check_read(self.edge_name(k), voltage)
        request = {"kind": "read", "edge": k, "voltage": voltage, "times": times}
        values = self._step(request, lambda: self._devices.readings(k, voltage, times), k)
        self._last_read[k] = values[-1]
        return values

    def _read(self, edge: int, voltage: float) -> float:
        return float(self.readings(edge, voltage, 1)[0])

    def _read_all(self, voltage: float) -> FloatArray:
        request = {"kind": "read all", "voltage": voltage}
        return self._step(request, lambda: self._devices.read_all(voltage), slice(None))

    def _pulse(self, edge: int, amplitude: float, width: float) -> None:
        number = self._number()
        request = {"kind": "pulse", "edge": edge, "amplitude": amplitude, "width": width}
        kept = self._journal.answer(number, request)
        if kept is None:
            self._journal.keep(number, request, {"at": np.array(self._devices.now())})
        if kept is None or self.volatile:
            if not self._read_inside[edge]:
                self._devices.read(edge, self.limits.read_voltage)  # the reading before came from the journal
            self._read_inside[edge] = False
            self._devices.pulse(edge, amplitude, width)
        self._answered(kept is not None)

    def _step(
        self, request: dict[str, object], ask: Callable[[], FloatArray], read: int | slice | None = None
    ) -> FloatArray:
        number = self._number()
        kept = self._journal.answer(number, request)
        if kept is None or self.volatile:
            value = np.asarray(ask())
            if read is not None:
                self._read_inside[read] = True
            at = self._devices.now()
        if kept is not None:
            value, at = kept["value"], float(kept["at"])
        else:
            self._journal.keep(number, request, {"value": value, "at": np.array(at)})
        self._time = at
        self._answered(kept is not None)
        return value
