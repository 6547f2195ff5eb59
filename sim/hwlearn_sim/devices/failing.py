"""Devices that fail: stuck from the beginning, or worn out after a number of pulses."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from hwlearn.arrays import BoolArray, FloatArray, IntArray
from hwlearn.errors import SetupError
from hwlearn.network.simulation import State, part, prefixed
from hwlearn_sim.devices.model import DeviceModel, check_spreads, spread
from hwlearn_sim.devices.state import restored


class Failing(DeviceModel):
    """Wraps devices and makes some of them stuck or worn.

    Parameters
    ----------
    devices : DeviceModel
        The devices while they work.
    rng : numpy.random.Generator
        Source of the choice of stuck devices and of each device's endurance.
    stuck_fraction : float
        Fraction of devices that never change. Their conductances are log-uniform over ``between``.
    between : (float, float)
        Smallest and largest conductance of stuck devices in siemens.
    stuck : mapping of int to float
        Devices stuck at a given conductance in siemens; zero is an open device.
    endurance : float
        Median number of pulses after which a device no longer changes.
    endurance_spread : float
        Log-normal device-to-device spread of that number.
    counting_V : float
        Smallest amplitude of pulses that count. It can exclude half-select pulses.

    Raises
    ------
    SetupError
        If a fraction, a device, a conductance or the endurance is invalid.
    """

    def __init__(
        self,
        devices: DeviceModel,
        rng: np.random.Generator,
        *,
        stuck_fraction: float = 0.0,
        between: tuple[float, float] = (1e-6, 1e-4),
        stuck: Mapping[int, float] | None = None,
        endurance: float = math.inf,
        endurance_spread: float = 0.0,
        counting_V: float = 0.0,
    ) -> None:
        check_spreads("failing devices", {"endurance_spread": endurance_spread, "counting_V": counting_V})
        if not 0 <= stuck_fraction <= 1:
            raise SetupError(f"stuck_fraction is {stuck_fraction}; it must lie between 0 and 1")
        if not 0 < between[0] <= between[1] < math.inf:
            raise SetupError(f"between is {between} S; it must be two positive values, the smaller one first")
        if not endurance > 0:
            raise SetupError(f"endurance is {endurance} pulses; it must be positive")
        self._inner = devices
        n = len(devices.conductance)
        place = np.exp(rng.uniform(math.log(between[0]), math.log(between[1]), n))
        chosen = rng.permutation(n)[: round(stuck_fraction * n)]
        self._endurance = spread(rng, endurance, endurance_spread, n)
        self._count = np.zeros(n, dtype=np.int64)
        self._counting_V = counting_V
        self._held: FloatArray = np.full(n, np.nan)
        self._held[chosen] = place[chosen]
        for k, siemens in (stuck or {}).items():
            if not 0 <= k < n:
                raise SetupError(f"stuck device {k} does not exist; the devices are 0 to {n - 1}")
            if not (math.isfinite(siemens) and siemens >= 0):
                raise SetupError(f"device {k} is stuck at {siemens} S; it must be zero or a positive number")
            self._held[k] = siemens
        self._stuck = ~np.isnan(self._held)

    @property
    def stuck(self) -> BoolArray:
        """Which devices (n,) never change."""
        return self._stuck.copy()

    @property
    def worn(self) -> BoolArray:
        """Which devices (n,) are worn out."""
        return ~np.isnan(self._held) & ~self._stuck

    @property
    def conductance(self) -> FloatArray:
        """Present true small-signal conductances (n,) in siemens."""
        return np.where(np.isnan(self._held), self._inner.conductance, self._held)

    def pulse(self, devices: IntArray, volts: FloatArray, width_s: float) -> None:
        """Apply a pulse of given voltages (m,) and width to the chosen devices (m,), each listed once."""
        alive = np.isnan(self._held[devices])
        self._inner.pulse(devices[alive], volts[alive], width_s)
        counted = devices[np.abs(volts) >= self._counting_V]
        self._count[counted] += 1
        ended = counted[(self._count[counted] >= self._endurance[counted]) & np.isnan(self._held[counted])]
        if ended.size:
            self._held[ended] = self._inner.conductance[ended]

    def rest(self, seconds: float) -> None:
        """Let time pass for the working devices."""
        self._inner.rest(seconds)

    def state(self) -> dict[str, np.ndarray]:
        """Return the counted pulses, the conductances of devices that do not change, and the working devices."""
        return {"count": self._count.copy(), "held": self._held.copy(), **prefixed("devices", self._inner.state())}

    def restore(self, state: State) -> None:
        """Continue from a state."""
        self._inner.restore(part("devices", state))
        self._count = restored(self._count, state["count"])
        self._held = restored(self._held, state["held"])
