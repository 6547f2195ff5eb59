"""The backend ``virtual-bench``: virtual instruments of any kind in this process, opened with the real drivers."""

from __future__ import annotations

from typing import Annotated, Any, Final

import numpy as np
from pydantic import Field

from hwlearn.circuit.elements.three_terminal import CONDUCTANCE
from hwlearn.circuit.topology import Topology
from hwlearn.errors import SetupError
from hwlearn.network.limits import Limits
from hwlearn.network.network import Network
from hwlearn.network.nudges import DriveKind
from hwlearn.quantities import (
    FROM_LIST,
    Count,
    FilePath,
    NonNegative,
    NonNegativeSeconds,
    NonNegativeVolts,
    Positive,
    PositiveSeconds,
    PositiveVolts,
    Section,
    Seed,
    Share,
)
from hwlearn_drivers.bench.backend import BenchBackend
from hwlearn_drivers.bench.settings import BenchSettings
from hwlearn_drivers.bench.wiring import make_wiring, programmed_edges
from hwlearn_sim.bench.bench import VirtualBench
from hwlearn_sim.bench.kinds.kind import Site
from hwlearn_sim.bench.kinds.registry import place
from hwlearn_sim.bench.network import check_driver_table, open_with
from hwlearn_sim.devices.imperfections import Imperfections
from hwlearn_sim.devices.model import DeviceModel
from hwlearn_sim.instruments.capability import Meters
from hwlearn_sim.placed import Wire
from hwlearn_sim.twin.memristive.settings import MemristorSettings
from hwlearn_sim.twin.spread_tables import DeviceSpreads, WriteNoises, by_name

_NO_CONDUCTANCES: Final = (1e-6, 1e-4)
"""Range of stuck conductances of a bench that has none."""

_OF_DEVICES: Final = frozenset(
    ("model", "law", "device_spread", "cycle_spread", "stuck_fraction", "endurance", "retention")
)
"""Keys of a memristor that say what the devices are, not how they are reached."""

_PACE: Final = ("settle", "slew_V_per_s", "ramp_step", "input_tolerance", "timeout")
"""Keys of the backend ``bench`` that hold for a rehearsal too."""

_NOWHERE = "TCPIP::127.0.0.1::{port}::SOCKET"


class VirtualMixedSettings(Section):
    """Keys of ``[backend]`` with ``kind = "virtual-bench"``.

    Attributes
    ----------
    instruments, terminals, matrix, superpose, superposition, edges, devices
        As in the backend ``bench``. An address is not used: with this ``kind`` a bench file of real instruments is
        rehearsed.
    wire : {"tcp", "pty"}
    seed, device_spread, write_noise, stuck_fraction
        As in the backend ``sim``: equal values give equal devices.
    memristor : MemristorSettings, optional
        With ``edges = "devices"``: the devices change with the voltages across them, so that they can be pulsed.
        Only the keys that describe devices; limits and scheme of the pulses are those of ``devices``.
    noise : float
        Factor on the specified noise of source-measure units.
    read_noise : quantity
        Standard deviation of one reading of a board.
    gain, offset
        Standard deviations of the gain errors and of the offsets (V) of the converters of boards.
    settle, slew_V_per_s, ramp_step, input_tolerance, timeout
        As in the backend ``bench``, if they are stated; by default sources move at once and nothing is waited for.
    visa_library, baud
        Of real links; accepted, so that their bench file can be rehearsed, and not used.
    wire_log : path, optional
    driver : table
        Further keys of the backend ``bench``, such as ``replay``.
    """

    instruments: Annotated[tuple[dict[str, Any], ...], FROM_LIST, Field(min_length=1)]
    terminals: Annotated[tuple[dict[str, Any], ...], FROM_LIST] = ()
    matrix: dict[str, Any] | None = None
    superpose: bool = False
    superposition: FilePath | None = None
    edges: Any
    devices: dict[str, Any] | None = None
    wire: Wire = "tcp"
    seed: Seed = 0
    device_spread: NonNegative | DeviceSpreads = 0.0
    write_noise: NonNegative | WriteNoises = 0.0
    stuck_fraction: Share = 0.0
    memristor: MemristorSettings | None = None
    noise: NonNegative = 1.0
    read_noise: NonNegativeVolts = 0.0
    gain: NonNegative = 0.0
    offset: NonNegativeVolts = 0.0
    settle: NonNegativeSeconds | None = None
    slew_V_per_s: Positive | None = None
    ramp_step: PositiveVolts | None = None
    input_tolerance: PositiveVolts | None = None
    timeout: PositiveSeconds | None = None
    visa_library: str | None = None
    baud: Count | None = None
    wire_log: FilePath | None = None
    driver: dict[str, Any] = Field(default_factory=dict)

    def table(self, limits: Limits | None = None, addresses: dict[str, str] | None = None) -> dict[str, Any]:
        """Return the ``[backend]`` table of the drivers; without addresses, those are placeholders."""
        fast = {} if limits is None else {"settle": 0.0, "slew_V_per_s": 1e6, "ramp_step": 2 * limits.voltage}
        listed = []
        for k, one in enumerate(self.instruments):
            nowhere = _NOWHERE.format(port=k + 1)
            listed.append({**one, "address": (addresses or {}).get(str(one.get("name")), nowhere)})
        return {
            "instruments": listed,
            "terminals": list(self.terminals),
            **({} if self.matrix is None else {"matrix": self.matrix}),
            "edges": self.edges,
            **({} if self.devices is None else {"devices": self.devices}),
            **fast,
            **{name: getattr(self, name) for name in _PACE if getattr(self, name) is not None},
            **({} if self.superposition is None else {"superposition": self.superposition}),
            "superpose": self.superpose,
            **({} if self.wire_log is None else {"wire_log": self.wire_log}),
            **self.driver,
        }

    def bench(self, topology: Topology, limits: Limits) -> VirtualBench:
        """Return the bench; it is not served yet.

        Raises
        ------
        SetupError
            If the wiring is not complete, or an instrument has no virtual counterpart.
        """
        drivers = BenchSettings(**self.table(limits))
        wiring = make_wiring(drivers, topology, limits)
        programmed = {name: tuple(edges.tolist()) for name, edges in programmed_edges(drivers, topology).items()}
        site = Site(topology, wiring, programmed, self.wire, self.gain, self.offset, self.read_noise)
        ranges = limits.ranges(topology)
        memristors = self._memristors(drivers, topology)
        middle = ranges.at(np.full(topology.n_edges, 0.5), ranges.is_log)
        fixed: Any = drivers.edges if isinstance(drivers.edges, float | tuple) else middle
        return VirtualBench(
            topology,
            [place(one, site) for one in drivers.instruments],
            conductances=fixed,
            conductance=dict(limits.values).get(CONDUCTANCE.name, _NO_CONDUCTANCES),
            imperfections=Imperfections(
                device_spread=by_name(self.device_spread),
                write_noise=by_name(self.write_noise),
                stuck_fraction=self.stuck_fraction,
            ),
            meters=Meters(self.noise),
            seed=self.seed,
            memristors=memristors,
            first_is_positive=drivers.devices is None or drivers.devices.positive == "first",
        )

    def _memristors(self, drivers: BenchSettings, topology: Topology) -> DeviceModel | None:
        """Return the devices that can be pulsed; None if the edges are resistors.

        Raises
        ------
        SetupError
            If they do not fit the other keys.
        """
        table, devices = self.memristor, drivers.devices
        if table is None:
            if devices is not None and devices.pulses is not None:
                raise SetupError(
                    "backend.devices.pulses needs devices that change with pulses: add backend.memristor, such as "
                    '{ model = "soft-bounds" }, or leave the pulses out'
                )
            return None
        if devices is None:
            raise SetupError("backend.memristor is for edges = 'devices', which a matrix reaches; remove it")
        others = sorted(table.model_fields_set - _OF_DEVICES)
        if others:
            raise SetupError(
                f"backend.memristor.{others[0]} does not apply here: limits and scheme of pulses are keys of "
                "backend.devices, and noise is that of the instruments"
            )
        for name in ("device_spread", "write_noise", "stuck_fraction"):
            if getattr(self, name):
                raise SetupError(f"backend.{name} does not apply to memristors; use the keys of backend.memristor")
        return table.memristors().devices(topology.n_edges, self.seed)

    def driver_settings(self, bench: VirtualBench, limits: Limits) -> dict[str, Any]:
        """Return the ``[backend]`` table with which the drivers open the instruments of a served bench."""
        addresses = {str(one["name"]): bench.address(str(one["name"])) for one in self.instruments}
        return self.table(limits, addresses)


class VirtualMixedBackend:
    """Serves a virtual bench and opens it with the backend ``bench``; entry point ``virtual-bench``."""

    Settings = VirtualMixedSettings
    seed_key = "seed"
    simulated = True

    def check(self, settings: VirtualMixedSettings) -> None:
        """Refuse keys that the drivers do not accept.

        Raises
        ------
        SetupError
            With key, value and allowed values.
        """
        check_driver_table("bench", settings.table(), {}, "backend.")

    def check_wiring(
        self, settings: VirtualMixedSettings, topology: Topology, limits: Limits, nudge: DriveKind | None
    ) -> None:
        """Refuse a wiring that misses a role; see `BenchBackend.check_wiring`."""
        BenchBackend.check_wiring(BenchSettings(**settings.table(limits)), topology, limits, nudge)

    def open(self, settings: VirtualMixedSettings, topology: Topology, limits: Limits) -> Network:
        """Return the network on the virtual instruments; closing it stops them.

        Raises
        ------
        SetupError
            If a setting is wrong.
        HwlearnError
            Other errors of the drivers.
        """
        bench = settings.bench(topology, limits)
        return open_with(BenchBackend, bench, lambda served: settings.driver_settings(served, limits), limits)
