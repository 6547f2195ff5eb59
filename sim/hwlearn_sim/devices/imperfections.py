"""Imperfections of a simulated bench: devices, converters, noise and drift."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Final

from hwlearn.circuit.elements.numbers import real_number
from hwlearn.circuit.elements.three_terminal import CONDUCTANCE
from hwlearn.errors import SetupError
from hwlearn.units import is_count
from hwlearn_sim.devices.faults import EdgeFault

_BY_NAME: Final = ("device_spread", "write_noise")
_CHECKED_APART: Final = (
    "stuck", "faults", "wire_resistance_ohm", "value_bits", "adc_bits", "dac_bits", "conductance_bits"
)  # fmt: skip
_LOG_SPREADS: Final = ("device_spread", "wire_spread")
_MOST_SPREAD: Final = 10.0
"""Largest spread: a factor of 22,000 for one standard deviation. Far beyond it, exponentials overflow."""


@dataclass(frozen=True)
class Imperfections:
    """Deviations of a simulated bench from an ideal one. All defaults are ideal.

    Spreads are standard deviations over devices or channels. The values are drawn once from the seed of the twin.

    Parameters
    ----------
    device_spread : float or mapping of str to float
        Log-normal device-to-device error: the ratio of true to programmed conductance of an edge is
        ``exp(device_spread * N(0, 1))``. A mapping gives several by name: ``conductance`` is this one, the others
        are parameters of elements of three terminals (`ThreeTerminal.spreads`): ``{"vto": 10e-3, "kp": 0.005}`` is
        a spread of 10 mV of the threshold and of 0.5 % of the strength of transistors.
    conductance_bits : int, optional
        Programming resolution: ``2**bits`` equal steps over the conductance range of the limits.
    value_bits : mapping of str to int
        The same for other values, by the name of the parameter: ``{"gate voltage": 12}``.
    write_noise : float or mapping of str to float
        Relative error of each conductance, drawn again for each programming. A mapping gives several by the name
        of what is programmed: ``conductance`` is this one, those of other values are in their unit, such as
        ``{"gate voltage": 1e-3}`` in volts.
    stuck_fraction : float
        Fraction of edges that never change; their conductances are random within the range of the limits.
    stuck : mapping of int to float
        Edges stuck at a given conductance in siemens; zero is an open device.
    faults : tuple of EdgeFault
        Edges that open or stick after a number of updates.
    read_noise_V, current_noise_A : float
        Standard deviation of one voltage and one current reading.
    adc_bits, dac_bits : int, optional
        Converter resolution over the bipolar range.
    adc_range_V, dac_range_V : float
        Converter ranges. A reading beyond the range saturates, a setpoint beyond it is rejected.
    adc_gain, adc_offset_V, dac_gain, dac_offset_V : float
        Spread of relative gain errors and of offsets over the channels.
    drift_per_sqrt_hour : float
        Relative random walk of each conductance in one hour of bench time.
    settle_tau_s : float
        Settling time constant of the nodes: a reading after ``settle_s`` is not fully settled.
    source_resistance_ohm : float
        Resistance between each input source and its node.
    wire_resistance_ohm : (float, float), optional
        True resistance of a row segment and of a column segment of a crossbar. Default: as its topology declares.
    wire_spread : float
        Log-normal error from segment to segment of a crossbar's wires.

    Raises
    ------
    SetupError
        If a value is no number, negative or not finite, a spread exceeds 10, a fraction exceeds one, or a number
        of bits is out of range.
    """

    device_spread: float | Mapping[str, float] = 0.0
    conductance_bits: int | None = None
    value_bits: Mapping[str, int] = field(default_factory=dict)
    write_noise: float | Mapping[str, float] = 0.0
    stuck_fraction: float = 0.0
    stuck: Mapping[int, float] = field(default_factory=dict)
    faults: tuple[EdgeFault, ...] = ()
    read_noise_V: float = 0.0
    current_noise_A: float = 0.0
    adc_bits: int | None = None
    adc_range_V: float = math.inf
    adc_gain: float = 0.0
    adc_offset_V: float = 0.0
    dac_bits: int | None = None
    dac_range_V: float = math.inf
    dac_gain: float = 0.0
    dac_offset_V: float = 0.0
    drift_per_sqrt_hour: float = 0.0
    settle_tau_s: float = 0.0
    source_resistance_ohm: float = 0.0
    wire_resistance_ohm: tuple[float, float] | None = None
    wire_spread: float = 0.0

    def __post_init__(self) -> None:
        for item in fields(self):
            if item.name not in _CHECKED_APART:
                _check_amounts(item.name, getattr(self, item.name))
        if self.stuck_fraction > 1:
            raise SetupError(f"stuck_fraction is {self.stuck_fraction}; it must lie between 0 and 1")
        self._check_bits()
        for kind in ("adc", "dac"):
            if getattr(self, f"{kind}_range_V") == 0:
                raise SetupError(f"{kind}_range_V is 0; it must be positive")
            if getattr(self, f"{kind}_bits") is not None and math.isinf(getattr(self, f"{kind}_range_V")):
                raise SetupError(f"{kind}_bits needs a finite {kind}_range_V")
        if self.wire_resistance_ohm is not None:
            _check_wires(self.wire_resistance_ohm)
        for edge, siemens in _pairs("stuck", self.stuck):
            if not is_count(edge, 0):
                raise SetupError(f"stuck names the edge {edge!r}; it must be a whole number from 0")
            if not _is_amount(siemens):
                raise SetupError(f"edge {edge} is stuck at {siemens!r} S; it must be zero or a positive number")
        given: object = self.faults
        listed = tuple(given) if isinstance(given, Iterable) else (given,)
        wrong = next((one for one in listed if not isinstance(one, EdgeFault)), None)
        if wrong is not None or not isinstance(given, Iterable):
            raise SetupError(f"faults are {given!r:.80}; they must be a tuple of EdgeFault")
        object.__setattr__(self, "faults", listed)

    def _check_bits(self) -> None:
        numbers = {name: getattr(self, name) for name in ("adc_bits", "dac_bits", "conductance_bits")}
        given = [(name, bits) for name, bits in numbers.items() if bits is not None]
        given += [(f"value_bits of {name}", bits) for name, bits in _pairs("value_bits", self.value_bits)]
        for name, bits in given:
            number = real_number(bits)
            if not (1 <= number <= 32 and number.is_integer()):
                raise SetupError(f"{name} is {bits!r}; it must be a whole number from 1 to 32")

    @property
    def conductance_spread(self) -> float:
        """Log-normal device-to-device error of conductances."""
        return _of_conductances(self.device_spread)

    @property
    def parameter_spreads(self) -> dict[str, float]:
        """Spreads of parameters of elements of three terminals, by name."""
        spread = self.device_spread
        given = spread if isinstance(spread, Mapping) else {}
        return {name: value for name, value in given.items() if name != CONDUCTANCE.name}

    @property
    def conductance_write_noise(self) -> float:
        """Relative error of conductances, drawn for each programming."""
        return _of_conductances(self.write_noise)

    def value_write_noise(self, name: str) -> float:
        """Return the error of a value by name, drawn for each programming, in its unit."""
        noise = self.write_noise
        return noise.get(name, 0.0) if isinstance(noise, Mapping) else 0.0


def _of_conductances(given: float | Mapping[str, float]) -> float:
    return given.get(CONDUCTANCE.name, 0.0) if isinstance(given, Mapping) else given


def _is_amount(value: object) -> bool:
    """Return whether a value is a finite number of at least 0."""
    number = real_number(value)
    return math.isfinite(number) and number >= 0


def _check_amounts(name: str, given: object) -> None:
    """Refuse what is neither zero nor a positive number, or has such a value by name."""
    for value in given.values() if isinstance(given, Mapping) and name in _BY_NAME else (given,):
        endless = name.endswith("range_V") and real_number(value) == math.inf
        if not (endless or _is_amount(value)):
            raise SetupError(f"{name} is {given!r}; it must be zero or a positive number")
        if name in _LOG_SPREADS and real_number(value) > _MOST_SPREAD:
            raise SetupError(
                f"{name} is {given!r}; a spread must be at most {_MOST_SPREAD:g}, such as 0.01 for 1 %"
            )
    noise = given.get(CONDUCTANCE.name, 0.0) if isinstance(given, Mapping) else given
    if name == "write_noise" and real_number(noise) > _MOST_SPREAD:
        raise SetupError(f"{name} is {given!r}; that of conductances must be at most {_MOST_SPREAD:g}")


def _check_wires(ohms: object) -> None:
    listed = list(ohms) if isinstance(ohms, Iterable) and not isinstance(ohms, str | bytes | Mapping) else []
    if len(listed) != 2:
        raise SetupError(
            f"wire_resistance_ohm is {ohms!r}; it must be two numbers, the ohms of a row segment and of a column "
            "segment"
        )
    for ohm in listed:
        if not _is_amount(ohm):
            raise SetupError(f"wire_resistance_ohm contains {ohm!r}; it must be zero or a positive number")


def _pairs(name: str, given: object) -> list[tuple[Any, Any]]:
    """Return the items of a mapping; refuse anything else."""
    if not isinstance(given, Mapping):
        raise SetupError(f"{name} is {given!r:.80}; it must be a mapping, such as {{}}")
    return list(given.items())
