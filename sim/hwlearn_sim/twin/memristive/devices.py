"""Memristive devices of a simulated network: their law, their faults and how they are programmed."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Final, Literal

import numpy as np

from hwlearn.circuit.topology import Topology
from hwlearn.device_access import PulseLimits
from hwlearn.errors import SetupError, closest
from hwlearn.network.simulation import State
from hwlearn_sim.devices.array import DeviceArray, DeviceReadout, Scheme
from hwlearn_sim.devices.failing import Failing
from hwlearn_sim.devices.model import DeviceModel
from hwlearn_sim.devices.soft_bounds import SoftBounds, SoftBoundsLaw
from hwlearn_sim.devices.vteam import Vteam, VteamLaw

_LIMITS: Final = PulseLimits(voltage=1.3, current=1e-3, width=(1e-6, 1e-4), pulses=1_000_000, read_voltage=0.2)


@dataclass(frozen=True)
class Memristors:
    """Parameters of the memristive edges of a network and of their programming.

    Parameters
    ----------
    model : {"soft-bounds", "vteam"}
        Model of the devices.
    law : mapping
        Parameters of the typical device, named as in `SoftBoundsLaw` or `VteamLaw`; the defaults otherwise.
    device_spread, cycle_spread : float
        Device-to-device and pulse-to-pulse variation; see `SoftBounds` and `Vteam`.
    read_noise : float
        Relative standard deviation of reading a single device.
    stuck_fraction : float
        Fraction of devices whose conductance never changes.
    endurance : float
        Median number of pulses after which a device no longer changes.
    retention_s : float
        Time constant of state loss.
    read_width_s : float
        Duration of the read voltage at a device, which causes read disturb.
    scheme : {"V/2", "V/3", "isolated"}
        Voltage at the other devices during a pulse; schemes other than isolated need a crossbar.
    limits : PulseLimits
        Hard limits of pulses and readings.
    tolerance : float
        Relative tolerance of write-verify.
    most_pulses : int
        Maximum number of pulses for a device in one programming.

    Raises
    ------
    SetupError
        If the law has no such parameter, or a value is out of range.
    """

    model: Literal["soft-bounds", "vteam"] = "soft-bounds"
    law: Mapping[str, Any] = field(default_factory=dict)
    device_spread: float = 0.0
    cycle_spread: float = 0.0
    read_noise: float = 0.0
    stuck_fraction: float = 0.0
    endurance: float = math.inf
    retention_s: float = math.inf
    read_width_s: float = 0.0
    scheme: Scheme = "isolated"
    limits: PulseLimits = _LIMITS
    tolerance: float = 0.01
    most_pulses: int = 200

    def __post_init__(self) -> None:
        _ = self.typical
        if not 0 < self.tolerance < 1:
            raise SetupError(f"tolerance of memristors is {self.tolerance}; it must lie between 0 and 1")
        if self.most_pulses < 1:
            raise SetupError(f"most_pulses of memristors is {self.most_pulses}; it must be at least 1")

    @property
    def typical(self) -> SoftBoundsLaw | VteamLaw:
        """The law of the typical device."""
        kind = SoftBoundsLaw if self.model == "soft-bounds" else VteamLaw
        known = [item.name for item in fields(kind)]
        for name in self.law:
            if name not in known:
                raise SetupError(
                    f"the law of {self.model!r} memristors has no parameter {name!r}{closest(name, known)}; "
                    f"the parameters are: {', '.join(known)}"
                )
        try:
            return kind(**self.law)
        except TypeError as error:
            raise SetupError(f"law of memristors with model {self.model!r}: {error}") from None

    def array(self, topology: Topology, seed: int) -> MemristorArray:
        """Return the devices of a network, one per edge, which can be read and pulsed."""
        reading = np.random.default_rng([seed, 5]).spawn(4)[3]
        readout = DeviceReadout(self.read_noise, width_s=self.read_width_s)
        shape = _shape(topology, self.scheme)
        devices = self.devices(topology.n_edges, seed)
        return MemristorArray(devices, shape, self.limits, reading, scheme=self.scheme, readout=readout)

    def devices(self, n: int, seed: int) -> DeviceModel:
        """Return n devices; with equal seeds, equal ones."""
        drawn, cycles, failing, _ = np.random.default_rng([seed, 5]).spawn(4)
        law = self.typical
        spreads: dict[str, float] = {
            "device_spread": self.device_spread,
            "cycle_spread": self.cycle_spread,
            "retention_s": self.retention_s,
        }
        devices: DeviceModel
        if isinstance(law, SoftBoundsLaw):
            devices = SoftBounds(law, n, drawn, cycles, **spreads)
            between = float(law.g_min), float(law.g_max)
        else:
            devices = Vteam(law, n, drawn, cycles, **spreads)
            between = 1 / float(law.r_off), 1 / float(law.r_on)
        return Failing(
            devices,
            failing,
            stuck_fraction=self.stuck_fraction,
            between=(max(between[0], 1e-9), between[1]),
            endurance=self.endurance,
            counting_V=0.5 * self.limits.voltage,
        )


class MemristorArray(DeviceArray):
    """Device array with simulated time. Its state is lost when the process ends."""

    volatile = True
    _now_s = 0.0

    def now(self) -> float:
        """Return the total rest time in seconds."""
        return self._now_s

    def state(self) -> dict[str, np.ndarray]:
        """Return the devices, their readings and the time."""
        return {**super().state(), "now": np.array(self._now_s)}

    def restore(self, state: State) -> None:
        """Continue from a state."""
        super().restore(state)
        self._now_s = float(state["now"])

    def _rest(self, seconds: float) -> None:
        self._now_s += seconds
        super()._rest(seconds)


def _shape(topology: Topology, scheme: Scheme) -> tuple[int, int]:
    """Return rows and columns of the device array; one row if the devices are isolated."""
    if scheme == "isolated":
        return 1, topology.n_edges
    size = topology.crossbar_size
    if size is None:
        raise SetupError(f"scheme {scheme!r} needs a crossbar, and this network is not one; use 'isolated'")
    return size
