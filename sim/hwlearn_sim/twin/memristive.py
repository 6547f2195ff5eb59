"""`MemristiveTwin`: a twin whose edges are memristive devices, programmed by pulses with write-verify."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import ArrayLike

from hwlearn.arrays import FloatArray
from hwlearn.circuit.kirchhoff import Kirchhoff
from hwlearn.circuit.topology import Topology
from hwlearn.device_access import DeviceAccess, PulseLimits, PulseSchedule, WriteReport, write_verify
from hwlearn.errors import SetupError
from hwlearn.network.limits import Limits
from hwlearn.network.network import Programmed, Readout
from hwlearn.network.nudges import OutputDrive
from hwlearn_sim.devices.array import DeviceArray, Scheme
from hwlearn_sim.devices.failing import Failing
from hwlearn_sim.devices.imperfections import Imperfections
from hwlearn_sim.devices.model import DeviceModel
from hwlearn_sim.devices.soft_bounds import SoftBounds, SoftBoundsLaw
from hwlearn_sim.devices.vteam import Vteam, VteamLaw
from hwlearn_sim.twin.twin import KirchhoffTwin, renewed

_NOT_THESE = ("device_spread", "conductance_bits", "write_noise", "stuck_fraction", "stuck", "drift_per_sqrt_hour")

_LIMITS: Final = PulseLimits(voltage=1.3, current=1e-3, width=(1e-6, 1e-4), pulses=1_000_000, read_voltage=0.2)


@dataclass(frozen=True)
class Memristors:
    """What the edges are, and how they are programmed.

    Parameters
    ----------
    model : {"soft-bounds", "vteam"}
        The law of the devices.
    law : mapping
        Parameters of the typical device, as `SoftBoundsLaw` or `VteamLaw` names them; its defaults otherwise.
    device_spread, cycle_spread : float
        Over devices, and from pulse to pulse; see `SoftBounds` and `Vteam`.
    read_noise : float
        Relative standard deviation of reading a single device.
    stuck_fraction : float
        Fraction of devices that never move.
    endurance : float
        Median number of pulses after which a device stays where it is.
    retention_s : float
        Time constant with which the state is lost.
    read_width_s : float
        How long a reading holds a device at the read voltage: what read disturb follows from.
    scheme : {"V/2", "V/3", "isolated"}
        What a pulse leaves at the other devices; other than isolated needs a crossbar.
    limits : PulseLimits
        What no pulse and no reading may exceed.
    tolerance : float
        Relative, of write-verify.
    most_pulses : int
        Most pulses for a device in one programming.

    Raises
    ------
    SetupError
        If the law has no such parameter, or a value makes no sense.
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
        """The typical device."""
        kind = SoftBoundsLaw if self.model == "soft-bounds" else VteamLaw
        try:
            return kind(**self.law)
        except TypeError as error:
            raise SetupError(f"law of memristors with model {self.model!r}: {error}") from None

    def array(self, topology: Topology, seed: int) -> MemristorArray:
        """Return the devices of a network, one an edge."""
        drawn, cycles, failing, reading = np.random.default_rng([seed, 5]).spawn(4)
        n, law = topology.n_edges, self.typical
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
        devices = Failing(
            devices,
            failing,
            stuck_fraction=self.stuck_fraction,
            between=(max(between[0], 1e-9), between[1]),
            endurance=self.endurance,
            counting_V=0.5 * self.limits.voltage,
        )
        rows, columns = _shape(topology, self.scheme)
        return MemristorArray(
            devices,
            rows,
            columns,
            self.limits,
            reading,
            scheme=self.scheme,
            read_noise=self.read_noise,
            read_width_s=self.read_width_s,
        )


class MemristorArray(DeviceArray):
    """Devices of a simulation: their time is simulated, and they forget when it ends."""

    volatile = True
    _now_s = 0.0

    def rest(self, seconds: float) -> None:
        """Let time pass without any voltage."""
        self._now_s += seconds
        super().rest(seconds)

    def now(self) -> float:
        """Return the seconds for which the devices rested."""
        return self._now_s


class MemristiveTwin(KirchhoffTwin):
    """A twin whose edges are memristive devices.

    Parameters
    ----------
    topology : Topology
        The graph.
    limits : Limits
        What nobody may exceed; pulses have limits of their own.
    memristors : Memristors
        What the edges are.
    imperfections : Imperfections
        Of everything but the devices.
    seed : int
        Everything random follows from it.
    **more
        As `KirchhoffTwin` takes them.

    Raises
    ------
    SetupError
        If the imperfections are of devices too, or half-selection needs a crossbar and this is none.

    Notes
    -----
    The devices are pristine until they are programmed. Programming runs `write_verify`; stuck, worn and otherwise
    unreached devices are `Programmed.failed`. What is learned of a device is kept for the next programming.
    Measuring the network moves no device: select transistors, or voltages far below the thresholds.
    """

    def __init__(
        self,
        topology: Topology,
        limits: Limits,
        memristors: Memristors,
        imperfections: Imperfections | None = None,
        *,
        seed: int = 0,
        **more: Any,
    ) -> None:
        flaws = Imperfections() if imperfections is None else imperfections
        for name in _NOT_THESE:
            if getattr(flaws, name):
                raise SetupError(f"{name} is of edges that take what they are told; memristors have their own")
        if more.get("edge_law") is not None:
            raise SetupError("edges are memristors or take the codes of a law, not both; leave one")
        self.memristors = memristors
        self._array = memristors.array(topology, seed)
        self._report: WriteReport | None = None
        super().__init__(topology, limits, flaws, seed=seed, **more)

    @property
    def devices(self) -> DeviceAccess:
        """The edges as single devices."""
        return self._array

    @property
    def write_report(self) -> WriteReport | None:
        """What came of the last programming."""
        return self._report

    @property
    def true_conductances(self) -> FloatArray:
        """The conductances (E,) that are really there, in siemens: for reports and tests alone."""
        return self._array.true_conductances

    def true_outputs(self, inputs: ArrayLike) -> FloatArray:
        """Return the output volts (S, n_out) that are really there, free of read noise: for reports alone."""
        self._look()
        return super().true_outputs(inputs)

    def _measure(self, inputs: FloatArray, drive: OutputDrive | None) -> Readout:
        self._look()
        return super()._measure(inputs, drive)

    def _program(self, conductances: FloatArray) -> Programmed:
        known = self._report
        self._report = write_verify(
            self._array,
            conductances,
            tolerance=self.memristors.tolerance,
            schedule=PulseSchedule.within(self._array.limits),
            most_pulses=self.memristors.most_pulses,
            # each programming has its pulses, towards the same targets too
            resume=None if known is None else replace(known, pulses=np.zeros_like(known.pulses)),
        )
        return self._report.programmed

    def _age(self, samples: int) -> None:
        self._array.rest(samples * self._settle_s * self.averages)
        self._look()

    def _look(self) -> None:
        """Let the circuit have what the devices conduct now."""
        true = self._array.true_conductances
        if not np.array_equal(true, self._truth.conductances):
            self._truth = self._true_model(true)

    def _true_model(self, reached: FloatArray) -> Kirchhoff:
        true = self._array.true_conductances
        return renewed(getattr(self, "_truth", None), self._circuit, true)


def _shape(topology: Topology, scheme: Scheme) -> tuple[int, int]:
    """Return rows and columns of a network's devices; one row if none shares a line with another."""
    if scheme == "isolated":
        return 1, topology.n_edges
    ends = np.asarray(topology.edges)
    rows = int(ends[:, 1].min())
    columns = topology.n_nodes - rows
    r, c = np.divmod(np.arange(topology.n_edges), columns)
    if rows * columns != topology.n_edges or not np.array_equal(ends, np.stack([r, rows + c], axis=1)):
        raise SetupError(f"scheme {scheme!r} is of lines of a crossbar, and this network is none; use 'isolated'")
    return rows, columns
