"""DAQ devices of NI on a virtual bench: their server hands the calls of `nidaqmx` to the virtual device."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from contextlib import ExitStack
from typing import Any, Final, Self

from hwlearn.circuit.topology import Topology
from hwlearn.errors import SetupError
from hwlearn_drivers.bench.terminals import Behind
from hwlearn_drivers.daq.instrument import DaqInstrument
from hwlearn_drivers.daq.library import provided
from hwlearn_drivers.roles.values import Role
from hwlearn_sim.bench.kinds.kind import PlacedKind, Site, Surroundings, in_order
from hwlearn_sim.instruments.daq.device import PlacedDaq, VirtualDaq
from hwlearn_sim.instruments.daq.library import VirtualDaqmx
from hwlearn_sim.instruments.daq.models import model_of
from hwlearn_sim.instruments.declared_board import with_resistors
from hwlearn_sim.placed import PlacedResistor
from hwlearn_sim.plane.contacts import node_number

_numbers: Final = itertools.count(1)


class DaqServer:
    """Makes a virtual device known to the driver of this process; no other process can reach it.

    Parameters
    ----------
    device : VirtualDaq
    """

    def __init__(self, device: VirtualDaq) -> None:
        self.address: str = f"virtualDev{next(_numbers)}"
        device.device = self.address
        self._library, self._open = VirtualDaqmx(device), ExitStack()

    def __enter__(self) -> Self:
        self._open.enter_context(provided([self.address], self._library))
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def check(self) -> None:
        """Do nothing: an exception of the device reaches the driver."""


class DaqKind(PlacedKind):
    """DAQ devices."""

    placed = PlacedDaq
    settings = DaqInstrument

    def place(self, settings: Any, site: Site) -> PlacedDaq:
        """Return the device with its channels at the nodes of the terminals; see `PlacedKind.place`."""
        if not settings.product:
            raise SetupError(
                f"{settings.name}: a virtual DAQ device needs its product, such as product = 'PCI-6225'"
            )
        nudges = []
        for terminal in site.wiring.outputs:
            nudge = terminal.nudge
            if isinstance(nudge, Behind) and settings.name in (nudge.source.instrument, nudge.switch.instrument):
                if nudge.source.instrument != nudge.switch.instrument:
                    raise SetupError(
                        f"the nudge of {terminal.name} has source and switch on two devices, which no virtual "
                        "bench has"
                    )
                nudges.append(
                    PlacedResistor(nudge.source.channel, nudge.switch.channel, terminal.node, 1 / nudge.ohm)
                )
        return PlacedDaq(
            settings.name,
            model_of(settings.product),
            site.nodes(settings.name, Role.SOURCE),
            site.nodes(settings.name, Role.READ),
            tuple(nudges),
            settings.switch_closed == "high",
            site.gain,
            site.offset_V,
            site.noise_V,
            wire=site.wire,
        )

    def extend(self, placed: PlacedDaq, topology: Topology, seed: int) -> tuple[Topology, Mapping[str, int]]:
        """Return the graph with the resistors at its outputs, and the node of each source."""
        own = tuple(
            PlacedResistor(name, "", node_number(topology, node), 1 / placed.model.output_ohm)
            for name, node in placed.sources.items()
        )
        whole, sources = with_resistors(topology, own, "source of")
        whole, nudges = with_resistors(whole, placed.nudges)
        return whole, {**sources, **nudges}

    def make(self, placed: PlacedDaq, added: Mapping[str, int], around: Surroundings) -> VirtualDaq:
        """Return the device; see `PlacedKind.make`."""
        noise = 1.0 if around.meters is None else around.meters.noise
        return VirtualDaq(placed, added, around.plane, around.rng, noise, around.clock, around.unit)

    def server(self, placed: Any, served: Any) -> Any:
        """Return what makes the device known to the driver."""
        return DaqServer(served)

    def model(self, placed: PlacedDaq) -> str:
        """Return the product type."""
        return placed.model.product

    def nodes(self, placed: PlacedDaq) -> list[int | str]:
        """Return the nodes of its channels."""
        return in_order([*placed.sources.values(), *placed.reads.values()])
