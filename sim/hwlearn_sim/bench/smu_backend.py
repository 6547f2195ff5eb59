"""The backend ``virtual-smu``: a virtual bench in this process, opened over sockets with the real drivers."""

from __future__ import annotations

import itertools
import math
from typing import Annotated, Any, Literal

from pydantic import Field

from hwlearn.circuit.elements.three_terminal import CONDUCTANCE, Parameter
from hwlearn.circuit.topology import Topology
from hwlearn.errors import SetupError
from hwlearn.network.edge_codes import EvenSteps, Rheostat
from hwlearn.network.limits import Limits
from hwlearn.network.network import Network
from hwlearn.network.reports import InstrumentReport
from hwlearn.quantities import FilePath, NonNegative, PositiveSiemens, Section, Seed, Share
from hwlearn.units import ROUNDING
from hwlearn_sim.bench.bench import VirtualBench
from hwlearn_sim.bench.network import check_driver_table, open_served
from hwlearn_sim.devices.imperfections import Imperfections
from hwlearn_sim.instruments.capability import Meters
from hwlearn_sim.instruments.models import MODELS
from hwlearn_sim.placed import PlacedCard, PlacedSmu, Wire
from hwlearn_sim.twin.spread_tables import DeviceSpreads, WriteNoises, by_name

CARD = "edges"
"""Name of the edge card on a bench made from settings."""


class VirtualSmuSettings(Section):
    """Keys of ``[backend]`` with ``kind = "virtual-smu"``.

    Every input and output is connected to a channel of a virtual source-measure unit. Instruments with two
    channels are connected to two terminals each, inputs first.

    Attributes
    ----------
    model : str or list of str
        Model of the instruments, or a list of models that are used in turn: ``"2400"``, ``"2450"``,
        ``"2612B"``, ``"B2902A"``.
    wire : {"tcp", "pty"}
        Connection to the instruments.
    edges : "card" or quantity
        An edge card that covers the range of the limits (of transistors: DACs at their gates), or fixed
        resistors of one conductance.
    positions : int
        Number of codes of the edge card. Its resistance, or the gate voltage, rises with the code.
    seed, device_spread, write_noise, stuck_fraction
        As in the backend ``sim``: equal values give equal devices.
    noise : float
        Factor on the specified noise of the instruments; 0 disables noise.
    gain, offset : float
        Standard deviations of the converters' gain errors, and of their offsets as a fraction of the range.
    real_time : bool
        Readings take as long as on real instruments.
    wire_log : path, optional
        Log file of all bytes to and from the instruments.
    driver : table
        Keys of the backend ``smu`` that opens the instruments, such as ``nplc``.
    """

    model: str | list[str] = "2450"
    wire: Wire = "tcp"
    edges: Literal["card"] | PositiveSiemens = "card"
    positions: Annotated[int, Field(ge=2, le=65536)] = 1024
    seed: Seed = 0
    device_spread: NonNegative | DeviceSpreads = 0.0
    write_noise: NonNegative | WriteNoises = 0.0
    stuck_fraction: Share = 0.0
    noise: NonNegative = 1.0
    gain: NonNegative = 0.0
    offset: NonNegative = 0.0
    real_time: bool = False
    wire_log: FilePath | None = None
    driver: dict[str, Any] = Field(default_factory=dict)

    def bench(self, topology: Topology, limits: Limits) -> VirtualBench:
        """Return the bench; it is not served yet."""
        parameter = _parameter(topology)
        low, high = limits.range_of(parameter)
        middle = math.sqrt(low * high) if parameter.scale == "log" else 0.5 * (low + high)
        cards = []
        if self.edges == "card":
            law = self.law(topology, limits)
            codes = (int(law.nearest(middle)),) * topology.n_edges
            cards.append(PlacedCard(CARD, law, codes=codes, wire=self.wire))
        return VirtualBench(
            topology,
            [*self._smus(topology), *cards],
            conductances=middle if self.edges == "card" else self.edges,
            conductance=(low, high),
            imperfections=Imperfections(
                device_spread=by_name(self.device_spread),
                write_noise=by_name(self.write_noise),
                stuck_fraction=self.stuck_fraction,
            ),
            meters=Meters(self.noise, self.gain, self.offset),
            seed=self.seed,
            real_time=self.real_time,
        )

    def law(self, topology: Topology, limits: Limits) -> Rheostat | EvenSteps:
        """Return the law of an edge card that covers the range of the limits: potentiometers, or DACs at gates."""
        parameter = _parameter(topology)
        low, high = limits.range_of(parameter)
        if parameter != CONDUCTANCE:
            return EvenSteps(low, high, self.positions, "V")
        # widened by the rounding tolerance, so that both ends are covered
        most, least = (1 + ROUNDING) / low, (1 - ROUNDING) / high
        return Rheostat((most - least) * self.positions / (self.positions - 1), least, self.positions)

    def driver_settings(self, bench: VirtualBench, limits: Limits) -> dict[str, Any]:
        """Return the ``[backend]`` table with which the drivers open the instruments of a served bench."""
        channels = [
            {"address": bench.address(smu.name), "node": node, "model": smu.model, "channel": k + 1}
            for smu in self._smus(bench.topology)
            for k, node in enumerate(smu.nodes)
        ]
        edges: Any = self.edges
        if self.edges == "card":
            law = self.law(bench.topology, limits)
            edges = {"address": bench.address(CARD), "positions": law.positions}
            if isinstance(law, Rheostat):
                edges |= {"full": law.full_ohm, "wiper": law.wiper_ohm}
            else:
                edges |= {"gate": [law.low, law.high]}
        voltage_sigma, current_sigma = self._sigmas(limits)
        return {
            "channels": channels,
            "edges": edges,
            "settle": 0.0,  # the plane settles immediately, and steps cannot damage it
            "slew_V_per_s": 1e6,
            "ramp_step": limits.voltage,
            "voltage_sigma": voltage_sigma,
            "current_sigma": current_sigma,
            **({} if self.wire_log is None else {"wire_log": self.wire_log}),
            **self.driver,
        }

    def _smus(self, topology: Topology) -> list[PlacedSmu]:
        terminals = [*topology.inputs.tolist(), *topology.outputs.tolist()]
        models = itertools.cycle([self.model] if isinstance(self.model, str) else self.model)
        smus: list[PlacedSmu] = []
        while terminals:
            model = next(models)
            count = MODELS[model].channels
            smus.append(PlacedSmu(f"smu{len(smus) + 1}", model, tuple(terminals[:count]), wire=self.wire))
            terminals = terminals[count:]
        return smus

    def _sigmas(self, limits: Limits) -> tuple[float, float]:
        """Return the standard deviations (V, A) of a reading at the limits, for the model with the largest."""
        models = [self.model] if isinstance(self.model, str) else self.model
        cycles = float(self.driver.get("nplc", 1.0))
        sigmas: list[list[float]] = [[], []]
        for model, (k, limit) in itertools.product(models, enumerate((limits.voltage, limits.current))):
            used = MODELS[model].capability.measures["current" if k else "voltage"].covering(limit)
            sigmas[k].append(math.hypot(self.noise * used.noise / math.sqrt(cycles), used.step / math.sqrt(12)))
        return max(sigmas[0]), max(sigmas[1])


def _parameter(topology: Topology) -> Parameter:
    """Return what is programmed at every edge.

    Raises
    ------
    SetupError
        If edges have different values, which one card cannot set.
    """
    (parameter, _), *others = topology.parameters
    if others:
        names = " and ".join([parameter.name, *(one.name for one, _ in others)])
        raise SetupError(
            f"virtual-smu has one edge card, but the edges have a {names}; use the backend 'sim', "
            "or 'virtual-bench' with a card for each"
        )
    return parameter


class VirtualSmuBackend:
    """Serves a virtual bench and opens it with the backend ``smu``; entry point ``virtual-smu``."""

    Settings = VirtualSmuSettings
    seed_key = "seed"
    simulated = True

    def check(self, settings: VirtualSmuSettings) -> None:
        """Refuse an unknown model, and keys of ``driver`` that the drivers do not accept.

        Raises
        ------
        SetupError
            With key, value and allowed values.
        """
        models = [settings.model] if isinstance(settings.model, str) else settings.model
        unknown = next((name for name in models if name not in MODELS), None if models else "")
        if unknown is not None:
            raise SetupError(
                f"backend.model = {settings.model!r}: there is no virtual model {unknown!r}; "
                f"the models are: {', '.join(MODELS)}"
            )
        check_driver_table("smu", settings.driver, {"channels": [{"address": "loop://", "node": 0}], "edges": 1.0})

    def open(
        self,
        settings: VirtualSmuSettings,
        topology: Topology,
        limits: Limits,
    ) -> Network:
        """Return the network on the virtual instruments; closing it stops them.

        Raises
        ------
        SetupError
            If the backend ``smu`` is not installed, or a setting is wrong.
        HwlearnError
            Other errors of the drivers.
        """
        self.check(settings)
        bench = settings.bench(topology, limits)
        return open_served("smu", bench, lambda served: settings.driver_settings(served, limits), limits)

    @staticmethod
    def status(settings: VirtualSmuSettings) -> list[InstrumentReport]:
        """Return that there is nothing to read."""
        note = "virtual instruments exist only inside the process that opens them"
        return [InstrumentReport("virtual-smu", "simulation", note=note)]
