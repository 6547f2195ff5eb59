"""`DeviceArray`: a simulated crossbar of pulsed devices with half-select disturb."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from hwlearn.arrays import FloatArray, IntArray
from hwlearn.device_access import DeviceAccess, PulseLimits
from hwlearn.errors import SetupError
from hwlearn.network.simulation import State, part, prefixed
from hwlearn_sim.devices.iv import SinhIV
from hwlearn_sim.devices.model import DeviceModel, check_spreads
from hwlearn_sim.devices.state import generator_states, restore_generators, restored

Scheme = Literal["V/2", "V/3", "isolated"]


@dataclass(frozen=True, slots=True)
class DeviceReadout:
    """Properties of the readings of single devices in a simulated array.

    Attributes
    ----------
    noise : float
        Relative standard deviation of a reading.
    noise_S : float
        Absolute standard deviation in siemens, added in quadrature.
    iv : SinhIV or None
        Nonlinear current-voltage law of the devices; None is ohmic.
    width_s : float
        Duration of the read voltage at a device, which causes read disturb.

    Raises
    ------
    SetupError
        If a noise or the duration is negative or not finite.
    """

    noise: float = 0.0
    noise_S: float = 0.0
    iv: SinhIV | None = None
    width_s: float = 0.0

    def __post_init__(self) -> None:
        check_spreads("device readout", {"noise": self.noise, "noise_S": self.noise_S, "width_s": self.width_s})


class DeviceArray(DeviceAccess):
    """Devices at the crosspoints of rows and columns, read and pulsed one at a time.

    Parameters
    ----------
    devices : DeviceModel
        The rows x columns devices; device ``r * columns + c`` joins row r and column c, as
        `hwlearn.Topology.crossbar` counts its edges.
    shape : (int, int)
        Number of rows and of columns.
    limits : PulseLimits
        Hard limits of pulses and readings.
    rng : numpy.random.Generator
        Source of the read noise.
    scheme : {"V/2", "V/3", "isolated"}
        Voltage at the other devices during a pulse of V. V/2: V/2 along the row and the column. V/3: V/3 along
        both, and -V/3 at all other devices. Isolated (a transistor at every crosspoint): 0 V.
    readout : DeviceReadout, optional
        Noise, nonlinearity and duration of the readings. Default: ideal.

    Raises
    ------
    SetupError
        If the number of devices is not rows x columns, or a noise is negative.

    Notes
    -----
    The lines are ideal. Readings have no sneak paths, as if all other lines were held at the sense amplifiers'
    ground. `true_conductances` is for reports and tests.
    """

    def __init__(
        self,
        devices: DeviceModel,
        shape: tuple[int, int],
        limits: PulseLimits,
        rng: np.random.Generator,
        *,
        scheme: Scheme = "V/2",
        readout: DeviceReadout | None = None,
    ) -> None:
        n, (rows, columns) = len(devices.conductance), shape
        if rows < 1 or columns < 1 or rows * columns != n:
            raise SetupError(f"an array of {rows} x {columns} needs {rows * columns} devices, got {n}")
        if scheme not in ("V/2", "V/3", "isolated"):
            raise SetupError(f"scheme is {scheme!r}; known are V/2, V/3 and isolated")
        super().__init__(n, limits)
        self.rows: int = rows
        self.columns: int = columns
        self.scheme = scheme
        self.readout: DeviceReadout = DeviceReadout() if readout is None else readout
        self._devices, self._rng = devices, rng
        self._read_voltage = 0.0
        self._all = np.arange(n)

    @property
    def true_conductances(self) -> FloatArray:
        """True small-signal conductances (E,) in siemens, for reports and tests only."""
        return self._devices.conductance

    def true_apparent(self, voltage: float) -> FloatArray:
        """Return the apparent conductances (E,) in siemens at a voltage, without noise, for reports only."""
        g = self._devices.conductance
        return g if self.readout.iv is None else self.readout.iv.apparent(g, voltage)

    def edge_name(self, edge: int) -> str:
        """Return the name of a device in messages."""
        return f"device {edge} (row{edge // self.columns}-col{edge % self.columns})"

    def expected_current(self, edge: int, amplitude: float) -> float:
        """Return the expected current of a pulse in amperes, from the I-V law and the last reading."""
        if self.readout.iv is None or self._read_voltage == 0:
            return super().expected_current(edge, amplitude)
        g = self.readout.iv.small_signal(self._last_read[edge], self._read_voltage)
        return abs(float(self.readout.iv.current(g, amplitude)))

    def state(self) -> dict[str, np.ndarray]:
        """Return the devices, the pulses and readings so far, and the generator of the read noise."""
        return {
            "reading": generator_states([self._rng]),
            "read_voltage": np.array(self._read_voltage),
            "pulses": self.pulses.copy(),
            "last_read": self._last_read.copy(),
            **prefixed("devices", self._devices.state()),
        }

    def restore(self, state: State) -> None:
        """Continue from a state."""
        self._devices.restore(part("devices", state))
        restore_generators([self._rng], state["reading"])
        self._read_voltage = float(state["read_voltage"])
        self.pulses = restored(self.pulses, state["pulses"])
        self._last_read = restored(self._last_read, state["last_read"])

    # --- after the limit checks ---------------------------------------------------------------------

    def _rest(self, seconds: float) -> None:
        self._devices.rest(seconds)

    def _read(self, edge: int, voltage: float) -> float:
        return float(self._readings(np.array([edge]), voltage)[0])

    def _read_all(self, voltage: float) -> FloatArray:
        return self._readings(self._all, voltage)

    def _readings(self, chosen: IntArray, voltage: float) -> FloatArray:
        self._read_voltage = voltage
        if self.readout.width_s:
            self._devices.pulse(chosen, np.full(len(chosen), voltage), self.readout.width_s)
        g = self.true_apparent(voltage)[chosen]
        noise = np.hypot(self.readout.noise * g, self.readout.noise_S)
        return np.asarray(g + noise * self._rng.standard_normal(len(chosen)))

    def _pulse(self, edge: int, amplitude: float, width: float) -> None:
        chosen, volts = self._disturbed(edge, amplitude)
        self._devices.pulse(chosen, volts, width)

    def _disturbed(self, edge: int, amplitude: float) -> tuple[IntArray, FloatArray]:
        """Return the devices with a voltage during a pulse, and their voltages."""
        if self.scheme == "isolated":
            return np.array([edge]), np.array([amplitude])
        row, column = divmod(edge, self.columns)
        along_row = row * self.columns + np.arange(self.columns)
        along_column = np.arange(self.rows) * self.columns + column
        if self.scheme == "V/3":
            volts = np.full(self.n_edges, -amplitude / 3)
            volts[along_row] = volts[along_column] = amplitude / 3
            volts[edge] = amplitude
            return self._all, volts
        half = np.concatenate([along_row[along_row != edge], along_column[along_column != edge]])
        return np.concatenate([[edge], half]), np.concatenate([[amplitude], np.full(len(half), amplitude / 2)])
