"""`DeviceArray`: a simulated crossbar of pulsed devices, where pulsing one crosspoint disturbs others."""

from __future__ import annotations

from typing import Literal

import numpy as np

from hwlearn.arrays import FloatArray, IntArray
from hwlearn.device_access import DeviceAccess, PulseLimits
from hwlearn.errors import SetupError
from hwlearn_sim.devices.iv import SinhIV
from hwlearn_sim.devices.model import DeviceModel, check_spreads

Scheme = Literal["V/2", "V/3", "isolated"]


class DeviceArray(DeviceAccess):
    """Devices at the crosspoints of rows and columns, read and pulsed one at a time.

    Parameters
    ----------
    devices : DeviceModel
        The rows x columns devices; device ``r * columns + c`` joins row r and column c, as
        `hwlearn.Topology.crossbar` counts its edges.
    rows, columns : int
        Size of the array.
    limits : PulseLimits
        What nobody may exceed.
    rng : numpy.random.Generator
        What read noise follows from.
    scheme : {"V/2", "V/3", "isolated"}
        What a pulse of V leaves at the other devices. V/2: half of it along the row and the column. V/3: a third
        along both, and minus a third everywhere else. Isolated (a transistor at every crosspoint): nothing.
    read_noise : float
        Relative standard deviation of a reading.
    read_noise_S : float
        Absolute one in siemens, added in quadrature.
    iv : SinhIV, optional
        Curved current-voltage law; ohmic unless given.
    read_width_s : float
        Time for which a reading holds its device at the read voltage: what read disturb follows from.

    Raises
    ------
    SetupError
        If the devices do not fill the array or a noise is negative.

    Notes
    -----
    Lines are ideal and a reading has no sneak paths, as with every other line held at the sense amplifiers'
    ground. `true_conductances` is for reports and tests.
    """

    def __init__(
        self,
        devices: DeviceModel,
        rows: int,
        columns: int,
        limits: PulseLimits,
        rng: np.random.Generator,
        *,
        scheme: Scheme = "V/2",
        read_noise: float = 0.0,
        read_noise_S: float = 0.0,
        iv: SinhIV | None = None,
        read_width_s: float = 0.0,
    ) -> None:
        n = len(devices.conductance)
        if rows < 1 or columns < 1 or rows * columns != n:
            raise SetupError(f"{n} devices do not fill an array of {rows} x {columns}")
        if scheme not in ("V/2", "V/3", "isolated"):
            raise SetupError(f"scheme is {scheme!r}; known are V/2, V/3 and isolated")
        check_spreads(
            "a device array",
            {"read_noise": read_noise, "read_noise_S": read_noise_S, "read_width_s": read_width_s},
        )
        super().__init__(n, limits)
        self.rows, self.columns, self.scheme = rows, columns, scheme
        self._devices, self._rng, self._iv = devices, rng, iv
        self._read_noise, self._read_noise_S, self._read_width_s = read_noise, read_noise_S, read_width_s
        self._read_voltage = 0.0
        self._everyone = np.arange(n)

    @property
    def true_conductances(self) -> FloatArray:
        """The small-signal siemens (E,) that are really there: for reports and tests alone."""
        return self._devices.conductance

    def true_seen(self, voltage: float) -> FloatArray:
        """Return the siemens (E,) that noiseless readings would show at a voltage: for reports alone."""
        g = self._devices.conductance
        return g if self._iv is None else self._iv.seen(g, voltage)

    def edge_name(self, edge: int) -> str:
        """Return how messages call a device."""
        return f"device {edge} (row{edge // self.columns}-col{edge % self.columns})"

    def expected_current(self, edge: int, amplitude: float) -> float:
        """Return the amperes that a pulse would drive, by the I-V law, from the last reading."""
        if self._iv is None or self._read_voltage == 0:
            return super().expected_current(edge, amplitude)
        g = self._iv.small_signal(self._last_read[edge], self._read_voltage)
        return abs(float(self._iv.current(g, amplitude)))

    def rest(self, seconds: float) -> None:
        """Let time pass without any voltage."""
        self._devices.rest(seconds)

    # --- behind the limits --------------------------------------------------------------------------

    def _read(self, edge: int, voltage: float) -> float:
        return float(self._seen(np.array([edge]), voltage)[0])

    def _read_all(self, voltage: float) -> FloatArray:
        return self._seen(self._everyone, voltage)

    def _seen(self, chosen: IntArray, voltage: float) -> FloatArray:
        self._read_voltage = voltage
        if self._read_width_s:
            self._devices.pulse(chosen, np.full(len(chosen), voltage), self._read_width_s)
        g = self.true_seen(voltage)[chosen]
        noise = np.hypot(self._read_noise * g, self._read_noise_S)
        return np.asarray(g + noise * self._rng.standard_normal(len(chosen)))

    def _pulse(self, edge: int, amplitude: float, width: float) -> None:
        chosen, volts = self._disturbed(edge, amplitude)
        self._devices.pulse(chosen, volts, width)

    def _disturbed(self, edge: int, amplitude: float) -> tuple[IntArray, FloatArray]:
        """Return the devices that see a voltage, the pulsed one first, and the volts at each."""
        if self.scheme == "isolated":
            return np.array([edge]), np.array([amplitude])
        row, column = divmod(edge, self.columns)
        along_row = row * self.columns + np.arange(self.columns)
        along_column = np.arange(self.rows) * self.columns + column
        if self.scheme == "V/3":
            volts = np.full(self.n_edges, -amplitude / 3)
            volts[along_row] = volts[along_column] = amplitude / 3
            volts[edge] = amplitude
            return self._everyone, volts
        half = np.concatenate([along_row[along_row != edge], along_column[along_column != edge]])
        return np.concatenate([[edge], half]), np.concatenate([[amplitude], np.full(len(half), amplitude / 2)])
