"""The backend ``sim``: opens a `KirchhoffTwin`, or a pair, from the ``[backend]`` table of a bench file."""

from __future__ import annotations

from typing import Annotated, Literal, Self, get_args

import numpy as np
from pydantic import Field, model_validator

from hwlearn.circuit.topology import Topology
from hwlearn.errors import SetupError
from hwlearn.network.edge_codes import Rheostat
from hwlearn.network.limits import Limits
from hwlearn.network.network import Network
from hwlearn.network.nudges import DriveKind
from hwlearn.network.paired import PairedNetwork
from hwlearn.network.reports import InstrumentReport
from hwlearn.quantities import (
    Count,
    NonNegative,
    NonNegativeAmperes,
    NonNegativeOhms,
    NonNegativeSeconds,
    NonNegativeVolts,
    PositiveOhms,
    PositiveSiemens,
    Section,
    Seed,
    Share,
)
from hwlearn_sim.devices.faults import EdgeFault
from hwlearn_sim.devices.imperfections import Imperfections
from hwlearn_sim.twin.memristive import MemristiveTwin
from hwlearn_sim.twin.memristive.settings import MemristorSettings
from hwlearn_sim.twin.spread_tables import DeviceSpreads, NamedValues, WriteNoises, by_name
from hwlearn_sim.twin.twin import KirchhoffTwin, TwinOptions

Copy = Literal["free", "clamped"]
"""One of the two twins of a pair."""

OhmsOfLines = Annotated[list[NonNegativeOhms], Field(min_length=2, max_length=2)]
"""Ohms of one row segment and of one column segment."""


class RheostatSettings(Section):
    """The key ``rheostat``: the edges are digital potentiometers with equal steps in resistance."""

    full: PositiveOhms
    wiper: PositiveOhms
    positions: Annotated[int, Field(ge=2, le=65536)] = 256

    def law(self) -> Rheostat:
        """Return the conductance of each code."""
        return Rheostat(self.full, self.wiper, self.positions)


class ValueBits(NamedValues):
    """``value_bits = { gate_voltage = 12 }``: resolution of programming of values that are no conductances."""

    gate_voltage: Annotated[int, Field(ge=1, le=32)]


class FaultSettings(Section):
    """One table of the key ``faults``: edges that open or stick after a number of updates."""

    at_step: Annotated[int, Field(ge=0)]
    edges: Annotated[list[Annotated[int, Field(ge=0)]], Field(min_length=1)]
    kind: Literal["open", "stuck"] = "open"
    conductance: PositiveSiemens | None = None
    copies: Literal["both", "free", "clamped"] = "both"

    def fault(self) -> EdgeFault:
        """Return the fault."""
        return EdgeFault(self.at_step, tuple(self.edges), self.kind, self.conductance)


class SimSettings(Section):
    """Keys of ``[backend]`` with ``kind = "sim"``; `Imperfections` and `KirchhoffTwin` describe them."""

    seed: Seed = 0
    paired: bool = False
    contrast_bias: NonNegative = 0.0
    faults: list[FaultSettings] = Field(default_factory=list)
    device_spread: NonNegative | DeviceSpreads = 0.0
    conductance_bits: int | None = None
    value_bits: ValueBits | None = None
    rheostat: RheostatSettings | None = None
    memristor: MemristorSettings | None = None
    write_noise: NonNegative | WriteNoises = 0.0
    stuck_fraction: Share = 0.0
    read_noise: NonNegativeVolts = 0.0
    current_noise: NonNegativeAmperes = 0.0
    adc_bits: int | None = None
    adc_range: NonNegativeVolts | None = None
    adc_gain: NonNegative = 0.0
    adc_offset: NonNegativeVolts = 0.0
    dac_bits: int | None = None
    dac_range: NonNegativeVolts | None = None
    dac_gain: NonNegative = 0.0
    dac_offset: NonNegativeVolts = 0.0
    drift_per_sqrt_hour: NonNegative = 0.0
    settle_tau: NonNegativeSeconds = 0.0
    settle: NonNegativeSeconds = 50e-6
    reading: NonNegativeSeconds = 10e-6
    source_resistance: NonNegativeOhms = 0.0
    wire_resistance: NonNegativeOhms | OhmsOfLines | None = None
    wire_spread: NonNegative = 0.0
    averages: Count = 1
    nudges: list[DriveKind] = Field(default_factory=lambda: list(get_args(DriveKind)))
    node_readout: bool = False
    current_readout: bool = True

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        for copy in ("free", "clamped"):
            self.imperfections(copy)
        if self.contrast_bias and not self.paired:
            raise SetupError("contrast_bias is the offset of circuits between two copies; it needs paired = true")
        alone = [fault.copies for fault in self.faults if fault.copies != "both"]
        if alone and not self.paired:
            raise SetupError(f"copies = {alone[0]!r} of a fault needs paired = true; this bench has one network")
        return self

    def imperfections(self, copy: Copy = "free") -> Imperfections:
        """Return the imperfections of the twin, or of one copy of a pair.

        Raises
        ------
        SetupError
            If settings contradict each other.
        """
        return Imperfections(
            device_spread=by_name(self.device_spread),
            conductance_bits=self.conductance_bits,
            value_bits={} if self.value_bits is None else {"gate voltage": self.value_bits.gate_voltage},
            write_noise=by_name(self.write_noise),
            stuck_fraction=self.stuck_fraction,
            faults=tuple(each.fault() for each in self.faults if each.copies in ("both", copy)),
            read_noise_V=self.read_noise,
            current_noise_A=self.current_noise,
            adc_bits=self.adc_bits,
            adc_range_V=float("inf") if self.adc_range is None else self.adc_range,
            adc_gain=self.adc_gain,
            adc_offset_V=self.adc_offset,
            dac_bits=self.dac_bits,
            dac_range_V=float("inf") if self.dac_range is None else self.dac_range,
            dac_gain=self.dac_gain,
            dac_offset_V=self.dac_offset,
            drift_per_sqrt_hour=self.drift_per_sqrt_hour,
            settle_tau_s=self.settle_tau,
            source_resistance_ohm=self.source_resistance,
            wire_resistance_ohm=self._true_wires(),
            wire_spread=self.wire_spread,
        )

    def _true_wires(self) -> tuple[float, float] | None:
        ohms = self.wire_resistance
        if ohms is None:
            return None
        row, column = ohms if isinstance(ohms, list) else (ohms, ohms)
        return row, column


class SimBackend:
    """Opens a `KirchhoffTwin`, or a pair of them; registered as ``sim`` in the group ``hwlearn.backends``."""

    Settings = SimSettings
    seed_key = "seed"
    simulated = True

    def open(self, settings: SimSettings, topology: Topology, limits: Limits) -> Network:
        """Return a twin with the imperfections of the settings; with ``paired``, two of one design.

        The free copy of a pair is the twin that the same settings give without ``paired``. The clamped copy has
        devices, converters and noise of its own.

        Raises
        ------
        SetupError
            If the settings contradict each other or the limits.
        """
        free = _twin(settings, topology, limits, "free", settings.seed)
        if not settings.paired:
            return free
        other, offsets = np.random.SeedSequence([settings.seed, 1]).spawn(2)
        seed = int(other.generate_state(1, np.uint64)[0])
        bias = settings.contrast_bias * np.random.default_rng(offsets).standard_normal(topology.n_edges)
        return PairedNetwork(free, _twin(settings, topology, limits, "clamped", seed), contrast_bias=bias)

    @staticmethod
    def status(settings: SimSettings) -> list[InstrumentReport]:
        """Return that there is nothing to read, for each copy."""
        note = "it is calculated: there is no instrument and no output"
        names = ("sim, free copy", "sim, clamped copy") if settings.paired else ("sim",)
        return [InstrumentReport(name, "simulation", note=note) for name in names]


def _twin(settings: SimSettings, topology: Topology, limits: Limits, copy: Copy, seed: int) -> KirchhoffTwin:
    options: TwinOptions = {
        "settle_s": settings.settle,
        "reading_s": settings.reading,
        "averages": settings.averages,
        "nudges": settings.nudges,
        "node_readout": settings.node_readout,
        "current_readout": settings.current_readout,
        "edge_law": None if settings.rheostat is None else settings.rheostat.law(),
    }
    flaws = settings.imperfections(copy)
    if settings.memristor is not None:
        return MemristiveTwin(topology, limits, settings.memristor.memristors(), flaws, seed=seed, **options)
    return KirchhoffTwin(topology, limits, flaws, seed=seed, **options)
