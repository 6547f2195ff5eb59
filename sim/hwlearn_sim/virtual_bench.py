"""A virtual bench: one circuit, several instruments on it, each on a wire of its own."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import ArrayLike

from hwlearn.circuit.kirchhoff import Kirchhoff
from hwlearn.circuit.topology import FloatArray, Topology
from hwlearn.errors import SetupError
from hwlearn_sim import serve
from hwlearn_sim.devices import Devices
from hwlearn_sim.faults import Faults
from hwlearn_sim.imperfections import Imperfections
from hwlearn_sim.instruments.capability import Meters
from hwlearn_sim.instruments.edge_card import CodeLaw, VirtualEdgeCard
from hwlearn_sim.instruments.instrument import Clock, Instrument
from hwlearn_sim.instruments.models import make_smu
from hwlearn_sim.plane import AnalogPlane

Wire = Literal["tcp", "pty"]


@dataclass(frozen=True)
class PlacedSmu:
    """A source-measure unit of a bench.

    Attributes
    ----------
    name : str
        How the bench calls it.
    model : str
        ``"2400"``, ``"2450"``, ``"2612B"`` or ``"B2902A"``.
    nodes : tuple of int
        Where its channels hang, in order; a second channel may be left unwired.
    wire : {"tcp", "pty"}
        Socket or pseudo-terminal (the latter on Linux and macOS alone).
    port : int
        TCP port; 0 takes a free one.
    faults : Faults
        What goes wrong on its wire.
    """

    name: str
    model: str
    nodes: tuple[int, ...]
    wire: Wire = "tcp"
    port: int = 0
    faults: Faults = field(default_factory=Faults)


@dataclass(frozen=True)
class PlacedCard:
    """An edge card of a bench.

    Attributes
    ----------
    name : str
        How the bench calls it.
    law : CodeLaw
        What a code means.
    edges : tuple of int, optional
        The edge at each of its places; all, in order, unless given.
    codes : tuple of int, optional
        Where they stand at first; the middle unless given.
    wire, port, faults
        As `PlacedSmu` has them.
    """

    name: str
    law: CodeLaw
    edges: tuple[int, ...] | None = None
    codes: tuple[int, ...] | None = None
    wire: Wire = "tcp"
    port: int = 0
    faults: Faults = field(default_factory=Faults)


class VirtualBench:
    """Serves its instruments from the moment it is entered until it is left.

    Parameters
    ----------
    topology : Topology
        The graph.
    instruments : sequence of PlacedSmu or PlacedCard
        What hangs on it.
    conductances : array_like, shape (E,), or float
        Nominal siemens of the edges that no card programs.
    conductance : (float, float)
        Least and most siemens, between which stuck devices lie.
    imperfections : Imperfections, optional
        Devices alone: their spread, write noise, stuck ones. With the same seed they are the devices of a
        `KirchhoffTwin`. Converters and readings are the instruments' own business (``meters``).
    meters : Meters, optional
        Noise and converter errors of the source-measure units.
    seed : int
        Everything random follows from it.
    real_time : bool
        Let readings take as long as they would; else only the instruments' clocks advance.

    Raises
    ------
    SetupError
        If two instruments have one name, a model is unknown, a wire cannot be had, or an edge has two cards.
    CircuitError
        If a node does not exist or a conductance makes no sense.

    Examples
    --------
    >>> divider = Topology(3, [(0, 1), (1, 2)], inputs=[0], outputs=[1], ground=2)
    >>> with VirtualBench(divider, [PlacedSmu("source", "2400", (0,))], conductances=1e-3) as bench:
    ...     bench.instruments[0]["model"], bench.instruments[0]["node"]
    ('2400', 0)
    """

    def __init__(
        self,
        topology: Topology,
        instruments: Sequence[PlacedSmu | PlacedCard],
        *,
        conductances: ArrayLike,
        conductance: tuple[float, float] = (1e-6, 1e-4),
        imperfections: Imperfections | None = None,
        meters: Meters | None = None,
        seed: int = 0,
        real_time: bool = False,
    ) -> None:
        names = [placed.name for placed in instruments]
        if len(set(names)) != len(names):
            raise SetupError(f"two instruments of the virtual bench have one name: {', '.join(sorted(names))}")
        self.topology = topology
        flaws = Imperfections() if imperfections is None else imperfections
        # the streams that a twin of the same seed draws its devices from
        drawn, _, writes, *_ = np.random.default_rng(seed).spawn(5)
        devices = Devices(topology.n_edges, conductance, flaws, drawn, writes)
        nominal = np.broadcast_to(np.asarray(conductances, dtype=np.float64), (topology.n_edges,))
        self.plane = AnalogPlane(topology, devices.written(nominal))
        self._placed = {placed.name: placed for placed in instruments}
        self._instruments: dict[str, Instrument] = {}
        # one stream an instrument, so that a further one leaves the others' noise as it was
        streams = np.random.default_rng([seed, 2]).spawn(len(names))
        programmed: list[int] = []
        for placed, rng in zip(instruments, streams, strict=True):
            clock = Clock(real_time)
            if isinstance(placed, PlacedSmu):
                self._instruments[placed.name] = make_smu(
                    placed.model,
                    self.plane,
                    placed.nodes,
                    name=placed.name,
                    meters=meters,
                    rng=rng,
                    clock=clock,
                    unit=len(self._instruments) + 1,
                )
                continue
            edges = range(topology.n_edges) if placed.edges is None else placed.edges
            if set(edges) & set(programmed):
                raise SetupError(f"edge card {placed.name} programs an edge that another card programs already")
            programmed += edges
            self._instruments[placed.name] = VirtualEdgeCard(
                self.plane, placed.law, devices, placed.edges, placed.codes
            )
        self._servers: dict[str, serve.Server] = {}
        self._open = ExitStack()

    # --- serving ------------------------------------------------------------------------------------

    def start(self) -> Self:
        """Serve every instrument."""
        with ExitStack() as stack:
            for name, placed in self._placed.items():
                self._servers[name] = stack.enter_context(_server(self._instruments[name], placed))
            self._open = stack.pop_all()
        return self

    def close(self) -> None:
        """Stop serving; closing twice is harmless. The circuit and the instruments keep their state."""
        self._open.close()
        self._servers.clear()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def instruments(self) -> list[dict[str, Any]]:
        """Name, model, VISA address and node (a list for several channels, None for a card) of each."""
        return [
            {
                "name": name,
                "model": placed.model if isinstance(placed, PlacedSmu) else "edge card",
                "address": self.address(name),
                "node": _nodes(placed),
            }
            for name, placed in self._placed.items()
        ]

    def address(self, name: str) -> str:
        """Return the VISA address of an instrument.

        Raises
        ------
        SetupError
            If there is no such instrument, or the bench is not being served.
        """
        if name not in self._servers:
            known = ", ".join(self._servers) or "none, for it is not being served"
            raise SetupError(f"the virtual bench has no instrument {name!r} on a wire; it has: {known}")
        return self._servers[name].address

    def instrument(self, name: str) -> Instrument:
        """Return an instrument itself, behind its wire: for tests."""
        return self._instruments[name]

    def faults(self, name: str) -> Faults:
        """Return what goes wrong on an instrument's wire, to inject more."""
        return self._placed[name].faults

    # --- what a lab cannot know ---------------------------------------------------------------------

    @property
    def true_conductances(self) -> FloatArray:
        """The conductances (E,) that are really there, in siemens: for reports and tests alone."""
        return self.plane.conductances

    def true_outputs(self, inputs: ArrayLike) -> FloatArray:
        """Return the output volts (S, n_out) that ideal sources at the inputs would make: for reports."""
        g = self.plane.conductances
        model = Kirchhoff(self.topology, g, allow_open=bool((g == 0).any()))
        return model.solve(inputs)[:, self.topology.outputs]


def _server(instrument: Instrument, placed: PlacedSmu | PlacedCard) -> serve.Server:
    if placed.wire == "tcp":
        return serve.TcpServer(instrument, placed.port, placed.faults)
    if not hasattr(serve, "PtyServer"):
        raise SetupError(f"{placed.name} asks for a pseudo-terminal, which this system has not; use wire 'tcp'")
    return serve.PtyServer(instrument, placed.faults)


def _nodes(placed: PlacedSmu | PlacedCard) -> int | list[int] | None:
    if isinstance(placed, PlacedCard):
        return None
    return placed.nodes[0] if len(placed.nodes) == 1 else list(placed.nodes)
