"""`VirtualBench`: several virtual instruments on one simulated circuit, each served on its own address."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike

from hwlearn.arrays import FloatArray
from hwlearn.circuit.elements.three_terminal import CONDUCTANCE
from hwlearn.circuit.elements.value_ranges import ValueRanges
from hwlearn.circuit.kirchhoff import Kirchhoff
from hwlearn.circuit.topology import Topology
from hwlearn.errors import CircuitError, SetupError
from hwlearn.network.simulation import State, part, prefixed
from hwlearn_sim.bench.gpib import adapter_servers, gpib_address
from hwlearn_sim.bench.kinds.kind import Surroundings
from hwlearn_sim.bench.kinds.registry import kind_of_placed
from hwlearn_sim.board.board import VirtualBoard
from hwlearn_sim.devices.faults import EdgeFault
from hwlearn_sim.devices.imperfections import Imperfections
from hwlearn_sim.devices.model import DeviceModel
from hwlearn_sim.devices.programmed import Devices
from hwlearn_sim.devices.state import generator_states, restore_generators, restored
from hwlearn_sim.instruments.capability import Meters
from hwlearn_sim.instruments.instrument import Clock, VirtualInstrument
from hwlearn_sim.placed import Placed, PlacedSmu, Wire
from hwlearn_sim.plane.plane import AnalogPlane
from hwlearn_sim.plane.pulsed import PulsedEdges
from hwlearn_sim.twin.true_circuit import with_spread_parameters
from hwlearn_sim.twin.values import value_noise
from hwlearn_sim.wire import serve
from hwlearn_sim.wire.faults import Faults
from hwlearn_sim.wire.session import Served


class VirtualBench:
    """Virtual instruments on one simulated circuit. A context manager that serves them.

    Parameters
    ----------
    topology : Topology
        The graph and its elements, of any kind.
    instruments : sequence of Placed
        The instruments; at most one reference board.
    conductances : array_like, shape (E,), or float
        Nominal conductances in siemens of the edges that no card programs; the thetas of elements that are not
        resistors.
    conductance : (float, float)
        Smallest and largest conductance of stuck devices in siemens.
    imperfections : Imperfections, optional
        Imperfections of the devices: device spread, write noise, stuck devices. With the same seed, the devices
        are those of a `KirchhoffTwin`. Errors of converters and readings are set with ``meters``.
    meters : Meters, optional
        Noise and converter errors of the source-measure units.
    seed : int
        Seed of all random numbers.
    real_time : bool
        Readings take as long as on real instruments. Otherwise only the instruments' clocks advance.
    memristors : DeviceModel, optional
        Devices that every voltage across them changes, as the edges instead of resistors; see `PulsedEdges`.
    first_is_positive : bool
        Whether the first node of an edge is positive when its memristor is SET.

    Raises
    ------
    SetupError
        If two instruments have the same name, a model is unknown, a connection is not available, or two cards
        program the same edge.
    CircuitError
        If a node does not exist or a conductance is invalid.

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
        instruments: Sequence[Placed],
        *,
        conductances: ArrayLike,
        conductance: tuple[float, float] = (1e-6, 1e-4),
        imperfections: Imperfections | None = None,
        meters: Meters | None = None,
        seed: int = 0,
        real_time: bool = False,
        memristors: DeviceModel | None = None,
        first_is_positive: bool = True,
    ) -> None:
        names = [placed.name for placed in instruments]
        if len(set(names)) != len(names):
            raise SetupError(f"the names of instruments must be different, got {', '.join(sorted(names))}")
        self.topology = topology
        flaws = Imperfections() if imperfections is None else imperfections
        # the random streams from which a twin with the same seed draws its devices
        drawn, _, writes, *_, transistors = np.random.default_rng(seed).spawn(7)
        self._true_topology = with_spread_parameters(topology, flaws.parameter_spreads, transistors)
        noise = value_noise(topology, flaws) if topology.has_three_terminals else None
        devices = self._devices = Devices(_ranges(topology, conductance), flaws, drawn, writes, noise)
        nominal = np.broadcast_to(np.asarray(conductances, dtype=np.float64), (topology.n_edges,))
        kinds = [kind_of_placed(placed) for placed in instruments]
        whole, added = self._true_topology, []
        programmed: set[int] = set()
        for kind, placed in zip(kinds, instruments, strict=True):
            edges = set(kind.edges(placed, topology))
            if edges & programmed:
                raise SetupError(f"{placed.name} programs an edge that another instrument already programs")
            programmed |= edges
            whole, own = kind.extend(placed, whole, seed)
            added.append(own)
        self.plane: AnalogPlane = AnalogPlane(whole, devices.written(nominal))
        self._pulsed: PulsedEdges | None = None
        if memristors is not None:
            self._pulsed = PulsedEdges(self.plane, topology.edges, memristors, first_is_positive)
        self._placed = {placed.name: (kind, placed) for kind, placed in zip(kinds, instruments, strict=True)}
        self._instruments: dict[str, VirtualInstrument] = {}
        self._boards: dict[str, VirtualBoard] = {}
        # one random stream per instrument, so that adding one does not change the noise of the others
        streams = np.random.default_rng([seed, 2]).spawn(len(names))
        for (kind, placed), own, rng in zip(self._placed.values(), added, streams, strict=True):
            unit = len(self._instruments) + 1
            around = Surroundings(self.plane, devices, meters, Clock(real_time), rng, seed, unit)
            made = kind.make(placed, own, around)
            if isinstance(made, VirtualBoard):
                self._boards[placed.name] = made
            else:
                self._instruments[placed.name] = made
        self._servers: dict[str, serve.Server] = {}
        self._open = ExitStack()

    @classmethod
    def of(
        cls,
        model: str,
        *,
        ohms: float | Sequence[float] = 1e3,
        wire: Wire = "tcp",
        noise: float = 1.0,
        seed: int = 0,
        real_time: bool = False,
    ) -> Self:
        """Return a bench with one source-measure unit, named ``"smu"``, and a resistor at each of its channels.

        Parameters
        ----------
        model : str
            Model number.
        ohms : float or sequence of float
            Resistances to ground in ohm, one for each channel that is connected. One number: of the first channel.
        wire : {"tcp", "pty"}
            A TCP socket, or a serial port (Linux and macOS only).
        noise : float
            Factor on the noise of the readings; 0 disables it.
        seed, real_time
            See `VirtualBench`.

        Raises
        ------
        SetupError
            If the model is unknown, or has fewer channels than resistances are given.
        CircuitError
            If a resistance is not positive and finite.

        Examples
        --------
        >>> with VirtualBench.of("B2902A", ohms=(1e3, 2e3)) as bench:
        ...     bench.instruments[0]["node"]
        [1, 2]
        """
        each = np.atleast_1d(np.asarray(ohms, dtype=np.float64))
        if not (np.isfinite(each).all() and (each > 0).all() and each.size):
            raise CircuitError(f"resistances must be positive and finite, got {ohms}")
        n = len(each)
        # a circuit needs an output; it is an open end of the first resistor, where no current flows
        edges = [*((0, k) for k in range(1, n + 1)), (1, n + 1)]
        topology = Topology(n + 2, edges, inputs=[1], outputs=[n + 1], ground=0)
        return cls(
            topology,
            [PlacedSmu("smu", model, tuple(range(1, n + 1)), wire=wire)],
            conductances=[*(1 / each), 1e-3],
            meters=Meters(noise=noise),
            seed=seed,
            real_time=real_time,
        )

    # --- serving ------------------------------------------------------------------------------------

    def start(self) -> Self:
        """Start serving all instruments."""
        with ExitStack() as stack:
            shared = adapter_servers({name: one for name, (_, one) in self._placed.items()}, self._instruments)
            for server in dict.fromkeys(shared.values()):
                stack.enter_context(server)
            for name, (kind, placed) in self._placed.items():
                served: Served = self._boards[name] if name in self._boards else self._instruments[name]
                alone = name not in shared
                self._servers[name] = stack.enter_context(kind.server(placed, served)) if alone else shared[name]
            self._open = stack.pop_all()
        return self

    def close(self) -> None:
        """Stop serving; closing twice is allowed. The circuit and the instruments keep their state."""
        self._open.close()
        self._servers.clear()

    def check_served(self) -> None:
        """Check that every instrument is still being served.

        Raises
        ------
        HwlearnError
            Naming the address of an instrument that failed; the exception that it raised is the cause.
        """
        for server in self._servers.values():
            server.check()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def instruments(self) -> list[dict[str, Any]]:
        """Name, model, VISA address and node of each instrument.

        The node is a list for several channels, and None for a card or a board.
        """
        return [
            {
                "name": name,
                "model": kind.model(placed),
                "address": self.address(name),
                "node": kind.nodes(placed),
            }
            for name, (kind, placed) in self._placed.items()
        ]

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the instruments."""
        return tuple(self._placed)

    def placed(self, name: str) -> Placed:
        """Return how an instrument was placed."""
        return self._placed[name][1]

    @property
    def edge_laws(self) -> dict[str, str]:
        """The law of the edges of each card and board, as keys of the table ``edges`` of a bench file."""
        laws = {name: kind.edge_law(placed) for name, (kind, placed) in self._placed.items()}
        return {name: law for name, law in laws.items() if law}

    def address(self, name: str) -> str:
        """Return the VISA address of an instrument.

        Raises
        ------
        SetupError
            If there is no such instrument, or the bench is not being served.
        """
        if name not in self._servers:
            known = ", ".join(self._servers) or "none, because the bench is not being served"
            raise SetupError(f"the virtual bench serves no instrument {name!r}; it serves: {known}")
        place = self._placed[name][1].gpib
        return self._servers[name].address if place is None else gpib_address(self._servers[name], place.address)

    def settle(self, name: str) -> None:
        """Wait until an instrument has executed everything that clients have sent so far."""
        if name in self._servers:
            self._servers[name].settle()

    def instrument(self, name: str) -> VirtualInstrument:
        """Return an instrument, bypassing its connection; for tests."""
        return self._instruments[name]

    def board(self, name: str) -> VirtualBoard:
        """Return a board, bypassing its connection; for tests."""
        return self._boards[name]

    def faults(self, name: str) -> Faults:
        """Return the faults of an instrument's connection, for injecting more."""
        return self._placed[name][1].faults

    def fail_edges(self, fault: EdgeFault) -> None:
        """Let edges fail now, whatever ``fault.at_step`` is; for tests of what happens then.

        Raises
        ------
        SetupError
            If an edge does not exist or has no conductance, or the edges are memristors.
        """
        if self._pulsed is not None:
            raise SetupError(
                "memristors cannot be made to fail; choose stuck_fraction or endurance of the devices"
            )
        self.plane.set_conductances(self._devices.fail(fault, self.plane.conductances))

    # --- state --------------------------------------------------------------------------------------

    def state(self) -> dict[str, np.ndarray]:
        """Return noise, write noise, true conductances and clocks; see `hwlearn.network.simulation`.

        What a client has set (levels, codes of edges) is not part of it.
        """
        return {
            "conductances": self.plane.conductances.copy(),
            "generators": generator_states(self._generators()),
            "clocks": np.array([instrument.clock.seconds for instrument in self._instruments.values()]),
            "boards": np.array([board.noise_state() for board in self._boards.values()], dtype=np.uint64),
            **prefixed("devices", self._devices.state()),
            **({} if self._pulsed is None else prefixed("memristors", self._pulsed.state())),
        }

    def restore(self, state: State) -> None:
        """Continue from a state, after the edges were programmed as they were; raises ValueError or KeyError."""
        true = restored(self.plane.conductances, state["conductances"])
        restore_generators(self._generators(), state["generators"])
        self._devices.restore(part("devices", state))
        for board, words in zip(self._boards.values(), state["boards"], strict=True):
            board.restore_noise(words)
        for instrument, seconds in zip(self._instruments.values(), state["clocks"].tolist(), strict=True):
            instrument.clock.seconds = seconds
        self.plane.set_conductances(true)
        if self._pulsed is not None:
            self._pulsed.restore(part("memristors", state))

    @property
    def stays_driven(self) -> bool:
        """Whether sources keep their levels after a measurement; a board ends every sequence with safe outputs."""
        return not self._boards

    def _generators(self) -> list[np.random.Generator]:
        return [generator for instrument in self._instruments.values() for generator in instrument.generators]

    # --- true values --------------------------------------------------------------------------------

    @property
    def true_conductances(self) -> FloatArray:
        """True conductances (E,) in siemens, for reports and tests only."""
        return self.plane.conductances

    def true_outputs(self, inputs: ArrayLike) -> FloatArray:
        """Return the output voltages (S, n_out) with ideal sources at the inputs, for reports only."""
        g = self.plane.conductances
        model = Kirchhoff(self._true_topology, g, allow_open=bool((g == 0).any()))
        return model.solve(inputs)[:, self.topology.outputs]


def _ranges(topology: Topology, conductance: tuple[float, float]) -> ValueRanges:
    """Return the ranges of stuck edges: of conductances as given, of other values as their elements accept."""
    if not topology.has_three_terminals:
        return ValueRanges.of_conductances(*conductance, n_edges=topology.n_edges)
    ends = np.empty((2, topology.n_edges))
    is_log = np.zeros(topology.n_edges, dtype=np.bool_)
    for parameter, edges in topology.parameters:
        own = conductance if parameter == CONDUCTANCE else (parameter.low, parameter.high)
        ends[:, edges] = np.array(own)[:, None]
        is_log[edges] = parameter.scale == "log"
    return ValueRanges(ends[0], ends[1], is_log, topology.n_edges)
