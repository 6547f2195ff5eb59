"""Devices that fail: stuck from the beginning, or worn out after so many pulses."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from hwlearn.arrays import BoolArray, FloatArray, IntArray
from hwlearn.errors import SetupError
from hwlearn_sim.devices.model import DeviceModel, check_spreads, spread


class Failing(DeviceModel):
    """Any devices, some of which do not move, or no more.

    Parameters
    ----------
    devices : DeviceModel
        The devices as they are while they work.
    rng : numpy.random.Generator
        What chooses the stuck ones and draws each one's endurance.
    stuck_fraction : float
        Fraction that never move; each sticks at the conductance of some device of its kind, drawn
        log-uniformly over ``between``.
    between : (float, float)
        Siemens between which stuck devices lie.
    stuck : mapping of int to float
        Devices stuck at a given conductance in siemens; zero is an open device.
    endurance : float
        Median number of pulses after which a device stays where it is.
    endurance_spread : float
        Log-normal spread of that number over devices.
    counting_V : float
        Pulses of at least this magnitude count; half-selected ones need not.

    Raises
    ------
    SetupError
        If a fraction, a device, a conductance or the endurance makes no sense.
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
            raise SetupError(f"stuck devices lie between {between} S; give two positive values, rising")
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
                raise SetupError(f"stuck names device {k}, but the devices are 0 to {n - 1}")
            if not (math.isfinite(siemens) and siemens >= 0):
                raise SetupError(f"device {k} is stuck at {siemens} S; it must be zero or a positive number")
            self._held[k] = siemens
        self._stuck = ~np.isnan(self._held)

    @property
    def stuck(self) -> BoolArray:
        """Which devices (n,) never moved."""
        return self._stuck.copy()

    @property
    def worn(self) -> BoolArray:
        """Which devices (n,) moved once and do so no more."""
        return ~np.isnan(self._held) & ~self._stuck

    @property
    def conductance(self) -> FloatArray:
        """True small-signal siemens (n,) now."""
        return np.where(np.isnan(self._held), self._inner.conductance, self._held)

    def pulse(self, devices: IntArray, volts: FloatArray, width_s: float) -> None:
        """Hold the chosen devices (m,), each once, at volts (m,) for a time."""
        alive = np.isnan(self._held[devices])
        self._inner.pulse(devices[alive], volts[alive], width_s)
        counted = devices[np.abs(volts) >= self._counting_V]
        self._count[counted] += 1
        ended = counted[(self._count[counted] >= self._endurance[counted]) & np.isnan(self._held[counted])]
        if ended.size:
            self._held[ended] = self._inner.conductance[ended]

    def rest(self, seconds: float) -> None:
        """Let time pass for the devices that work."""
        self._inner.rest(seconds)
