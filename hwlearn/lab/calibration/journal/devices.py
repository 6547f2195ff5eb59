"""`JournaledDevices`: single devices whose pulses and readings are kept in a journal."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np

from hwlearn.arrays import FloatArray
from hwlearn.device_access import DeviceAccess
from hwlearn.lab.calibration.journal.journal import Journal
from hwlearn.network.simulation import Simulation

_SLICE_S: Final = 1.0  # longest uninterrupted wait


class JournaledDevices(DeviceAccess):
    """Devices whose pulses are on disk before they are applied, and whose readings before they are returned.

    A procedure that is run again gets the stored readings, and no device gets the same pulse twice. A pulse is
    stored before it is applied, so a pulse during which the program ended counts as applied.

    A simulation is restored to its state after the last stored answer. Other volatile devices, which lose their
    state when the program ends, get all pulses and readings again.

    Parameters
    ----------
    devices : DeviceAccess
    journal : Journal
    on_answer : callable
        Called after each answer with whether it came from the journal.
    number : callable
        Returns the number of the next entry of the journal, which the network shares.
    simulation : Simulation, optional
        State of the network of the devices.
    """

    _is_backend = False

    def __init__(
        self,
        devices: DeviceAccess,
        journal: Journal,
        on_answer: Callable[[bool], None],
        number: Callable[[], int],
        simulation: Simulation | None = None,
    ) -> None:
        super().__init__(devices.n_edges, devices.limits)
        self.volatile = devices.volatile
        self._devices, self._journal = devices, journal
        self._on_answer, self._number = on_answer, number
        self._simulation = simulation
        self._repeats = devices.volatile and simulation is None  # all pulses and readings of the journal
        self._time = 0.0
        self._read_inside = np.zeros(devices.n_edges, dtype=bool)  # by the inner devices, since their last pulse

    def edge_name(self, edge: int) -> str:
        """Return the name of a device in messages."""
        return self._devices.edge_name(edge)

    def now(self) -> float:
        """Return the time of the last answer in seconds, by the clock of the inner devices."""
        return self._time

    def expected_current(self, edge: int, amplitude: float) -> float:
        """Return the current in amperes expected from a pulse, from the last reading; NaN without a reading."""
        if self._read_inside[edge] and not self._journal.is_behind:
            return self._devices.expected_current(edge, amplitude)
        return super().expected_current(edge, amplitude)  # the reading came from the journal

    def rest(self, seconds: float) -> None:
        """Wait without any voltage applied, in slices between which Ctrl-C acts."""
        left = seconds
        while left > 0:
            part = left if self.volatile else min(left, _SLICE_S)
            self._step({"kind": "rest", "seconds": part}, lambda part=part: self._wait(part))  # type: ignore[misc]
            left -= part

    def _wait(self, seconds: float) -> FloatArray:
        self._devices.rest(seconds)
        return np.zeros(0)

    def readings(self, edge: int, voltage: float, times: int) -> FloatArray:
        """Return several readings of one device in siemens (times,); raises as `read`."""
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
        if kept is None and self._simulation is None:
            self._journal.keep(number, request, {"at": np.array(self._devices.now())})
        if kept is None or self._repeats:
            self._journal.catch_up(self._simulation)
            if not self._read_inside[edge]:
                self._devices.read(edge, self.limits.read_voltage)  # its last reading came from the journal
            self._devices.pulse(edge, amplitude, width)
        self._read_inside[edge] = False
        if kept is None and self._simulation is not None:  # with the state after the pulse
            self._journal.keep(number, request, {"at": np.array(self._devices.now())}, self._simulation)
        self._on_answer(kept is not None)

    def _step(
        self, request: dict[str, object], measure: Callable[[], FloatArray], read: int | slice | None = None
    ) -> FloatArray:
        number = self._number()
        kept = self._journal.answer(number, request)
        if kept is None or self._repeats:
            self._journal.catch_up(self._simulation)
            value = np.asarray(measure())
            at = self._devices.now()
        if read is not None and (kept is None or self._repeats or self._simulation is not None):
            self._read_inside[read] = True
        if kept is not None:
            value, at = kept["value"], float(kept["at"])
        else:
            self._journal.keep(number, request, {"value": value, "at": np.array(at)}, self._simulation)
        self._time = at
        self._on_answer(kept is not None)
        return value
