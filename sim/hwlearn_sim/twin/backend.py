"""The backend ``sim``: a bench file's ``[backend]`` table becomes a twin."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from hwlearn.circuit.topology import Topology
from hwlearn.errors import SetupError
from hwlearn.network.limits import Limits
from hwlearn.network.network import Network
from hwlearn.units import parse_quantity
from hwlearn_sim.code_laws import RheostatLaw
from hwlearn_sim.devices.imperfections import Imperfections
from hwlearn_sim.twin.memristive import MemristiveTwin
from hwlearn_sim.twin.memristor_settings import MemristorSettings
from hwlearn_sim.twin.twin import KirchhoffTwin


def _in(unit: str) -> Any:
    return BeforeValidator(lambda value: parse_quantity(value, unit))


_Volts = Annotated[float, _in("V"), Field(ge=0)]
_Positive = Annotated[float, Field(ge=0)]


_Ohms = Annotated[float, _in("ohm"), Field(gt=0)]


class RheostatSettings(BaseModel):
    """The key ``rheostat``: edges are digital potentiometers, which take steps in resistance."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    full: _Ohms
    wiper: _Ohms
    positions: Annotated[int, Field(ge=2, le=65536)] = 256

    def law(self) -> RheostatLaw:
        """Return what a code means."""
        return RheostatLaw(self.full, self.wiper, self.positions)


class SimSettings(BaseModel):
    """Keys of ``[backend]`` with ``kind = "sim"``; see `Imperfections` and `KirchhoffTwin` for their meaning."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    seed: Annotated[int, Field(ge=0)] = 0
    device_spread: _Positive = 0.0
    conductance_bits: int | None = None
    rheostat: RheostatSettings | None = None
    memristor: MemristorSettings | None = None
    write_noise: _Positive = 0.0
    stuck_fraction: Annotated[float, Field(ge=0, le=1)] = 0.0
    read_noise: _Volts = 0.0
    current_noise: Annotated[float, _in("A"), Field(ge=0)] = 0.0
    adc_bits: int | None = None
    adc_range: _Volts | None = None
    adc_gain: _Positive = 0.0
    adc_offset: _Volts = 0.0
    dac_bits: int | None = None
    dac_range: _Volts | None = None
    dac_gain: _Positive = 0.0
    dac_offset: _Volts = 0.0
    drift_per_sqrt_hour: _Positive = 0.0
    settle_tau: Annotated[float, _in("s"), Field(ge=0)] = 0.0
    settle: Annotated[float, _in("s"), Field(ge=0)] = 50e-6
    source_resistance: Annotated[float, _in("ohm"), Field(ge=0)] = 0.0
    averages: Annotated[int, Field(ge=1)] = 1
    nudges: list[Literal["clamp", "current", "resistor"]] = ["clamp", "current", "resistor"]
    node_readout: bool = False
    current_readout: bool = True

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        self.imperfections()
        return self

    def imperfections(self) -> Imperfections:
        """Return them as the twin takes them.

        Raises
        ------
        SetupError
            If they contradict each other.
        """
        return Imperfections(
            device_spread=self.device_spread,
            conductance_bits=self.conductance_bits,
            write_noise=self.write_noise,
            stuck_fraction=self.stuck_fraction,
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
        )


class SimBackend:
    """Opens a `KirchhoffTwin`; registered as ``sim`` in the entry-point group ``hwlearn.backends``."""

    Settings = SimSettings

    def open(
        self, settings: SimSettings, topology: Topology, limits: Limits, calibration: object | None = None
    ) -> Network:
        """Return a twin with the settings' imperfections.

        Raises
        ------
        SetupError
            If the settings contradict each other or the limits, or a calibration is given.
        """
        if calibration is not None:
            raise SetupError("the twin takes no calibration: its readings are what a calibrated bench would give")
        common: dict[str, Any] = {
            "seed": settings.seed,
            "settle_s": settings.settle,
            "averages": settings.averages,
            "nudges": settings.nudges,
            "node_readout": settings.node_readout,
            "current_readout": settings.current_readout,
            "edge_law": None if settings.rheostat is None else settings.rheostat.law(),
        }
        if settings.memristor is not None:
            memristors = settings.memristor.memristors()
            return MemristiveTwin(topology, limits, memristors, settings.imperfections(), **common)
        return KirchhoffTwin(topology, limits, settings.imperfections(), **common)
