"""Sections of a calibration record: the result of each calibration step, checked at construction."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import Field, dataclass, field, fields
from typing import Any, ClassVar, Final

import numpy as np

from hwlearn.arrays import FloatArray
from hwlearn.circuit.topology import Topology
from hwlearn.circuit.wires import Wires
from hwlearn.errors import SetupError
from hwlearn.units import format_quantity

_LENGTHS: Final[Mapping[str, Callable[[Topology], int]]] = {
    "inputs": lambda topology: topology.n_inputs,
    "outputs": lambda topology: topology.n_outputs,
    "edges": lambda topology: topology.n_edges,
    "segments": lambda topology: len(topology.fixed_edges),
}


def _each(of: str, *, positive: bool = False, optional: bool = False) -> Mapping[str, Any]:
    """Return the declaration of a list of numbers, one for each input, output or edge."""
    return {"kind": "numbers", "each": of, "positive": positive, "optional": optional}


def _number(least: float = -math.inf, *, optional: bool = False) -> Mapping[str, Any]:
    return {"kind": "number", "least": least, "optional": optional}


_INPUTS, _OUTPUTS, _EDGES = _each("inputs"), _each("outputs"), _each("edges")
_MAYBE_OUTPUTS = _each("outputs", optional=True)
_SIZE = _number(0.0)
_WHOLE: Final = {"kind": "whole", "optional": False}
_MEMBERS: Final = {"kind": "members", "each": "edges", "optional": False}
_FLAG: Final = {"kind": "flag", "optional": False}


@dataclass(frozen=True, eq=False, kw_only=True)
class RecordSection:
    """Base class of the sections. Two sections are equal if all values are equal."""

    def __post_init__(self) -> None:
        for item in fields(self):
            object.__setattr__(self, item.name, _checked(item, getattr(self, item.name)))

    def __eq__(self, other: object) -> bool:
        if type(self) is not type(other):
            return NotImplemented
        return all(np.array_equal(getattr(self, f.name), getattr(other, f.name)) for f in fields(self))

    __hash__: ClassVar[None] = None  # type: ignore[assignment]  # holds arrays

    def check(self, topology: Topology) -> None:
        """Refuse lists whose length is not the network's number of inputs, outputs or edges."""
        for item in fields(self):
            value = getattr(self, item.name)
            if value is None or item.metadata["kind"] not in ("numbers", "members"):
                continue
            of = item.metadata["each"]
            # "devices": the length of the section's own list
            due = len(getattr(self, of)) if of not in _LENGTHS else _LENGTHS[of](topology)
            if item.metadata["kind"] == "members":
                if max(value, default=0) >= due:
                    raise SetupError(f"{item.name} names edge {max(value)}, the edges are 0 to {due - 1}")
                continue
            if len(value) != due:
                raise SetupError(
                    f"{item.name} has {len(value)} values, "
                    + (f"the network has {due} {of}" if of in _LENGTHS else f"for {due} {of}")
                )

    def table(self) -> dict[str, object]:
        """Return the known values as TOML types."""
        found = {item.name: getattr(self, item.name) for item in fields(self)}
        return {
            name: value.tolist() if isinstance(value, np.ndarray) else value
            for name, value in found.items()
            if value is not None
        }

    def summary(self) -> str:
        """Return the known values in one line: of lists the smallest and the largest, without uncertainties."""
        found = []
        for item in fields(self):
            value = getattr(self, item.name)
            if value is None or isinstance(value, bool) or "sigma" in item.name.split("_")[1:]:
                continue
            stem, _, unit = item.name.rpartition("_")
            name, unit = (stem, unit) if unit in ("V", "S", "s", "ohm") else (item.name, "")
            text = f"{len(value)} edges" if isinstance(value, tuple) else _ends_text(np.asarray(value), unit)
            found.append(f"{name.replace('_', ' ')} {text}")
        return "; ".join(found)


def _ends_text(values: np.ndarray, unit: str) -> str:
    """Return a number, or the smallest and the largest of several."""
    if not values.size:
        return "none"
    ends = dict.fromkeys((float(values.min()), float(values.max())))
    return " to ".join(format_quantity(end, unit) if unit else f"{end:.4g}" for end in ends)


@dataclass(frozen=True, eq=False, kw_only=True)
class ConverterRecord(RecordSection):
    """Errors of the converters: true volts = gain x setpoint or reading + offset.

    Attributes
    ----------
    input_gain, input_offset_V : ndarray, shape (n_in,)
        Errors of the input DACs, with their standard uncertainties ``..._sigma``.
    reading_gain, reading_offset_V : ndarray, shape (n_out,)
        Errors of the output ADCs.
    drive_gain, drive_offset_V : ndarray, shape (n_out,), optional
        Errors of the DACs that clamp or nudge the outputs, if they were measured.
    common_gain_sigma : float
        Relative standard uncertainty of the factor common to all gains. It is not part of the other uncertainties,
        because the common factor is a convention unless there is a voltage reference.
    """

    input_gain: FloatArray = field(metadata=_each("inputs", positive=True))
    input_gain_sigma: FloatArray = field(metadata=_INPUTS)
    input_offset_V: FloatArray = field(metadata=_INPUTS)
    input_offset_sigma_V: FloatArray = field(metadata=_INPUTS)
    reading_gain: FloatArray = field(metadata=_each("outputs", positive=True))
    reading_gain_sigma: FloatArray = field(metadata=_OUTPUTS)
    reading_offset_V: FloatArray = field(metadata=_OUTPUTS)
    reading_offset_sigma_V: FloatArray = field(metadata=_OUTPUTS)
    common_gain_sigma: float = field(metadata=_SIZE)
    drive_gain: FloatArray | None = field(default=None, metadata=_each("outputs", positive=True, optional=True))
    drive_gain_sigma: FloatArray | None = field(default=None, metadata=_MAYBE_OUTPUTS)
    drive_offset_V: FloatArray | None = field(default=None, metadata=_MAYBE_OUTPUTS)
    drive_offset_sigma_V: FloatArray | None = field(default=None, metadata=_MAYBE_OUTPUTS)


@dataclass(frozen=True, eq=False, kw_only=True)
class NoiseRecord(RecordSection):
    """Noise of the readings with the settings of the bench, and recommended settings.

    Attributes
    ----------
    reading_sigma_V : ndarray, shape (n_out,)
        Standard deviation of one reading of each output.
    stated_sigma_V : float
        Standard uncertainty of one reading as specified by the bench; zero if it is not specified.
    floor_V : float
        Lower bound of the noise that averaging reached: standard deviation of the mean at the longest averaging.
    averages : int
        Recommended number of readings to average, as a multiple of the present setting.
    lag : float
        Fraction of a voltage step that is missing in the first reading after it. It is not significant below
        3 times its sigma.
    lag_sigma : float
        Standard uncertainty of the lag.
    settle_s : float, optional
        Settling time in seconds after which the lag is below the noise. None if the present settling time is
        unknown or the lag is not significant.
    """

    reading_sigma_V: FloatArray = field(metadata=_OUTPUTS)
    stated_sigma_V: float = field(metadata=_SIZE)
    floor_V: float = field(metadata=_SIZE)
    averages: int = field(metadata=_WHOLE)
    lag: float = field(metadata=_number())
    lag_sigma: float = field(metadata=_SIZE)
    settle_s: float | None = field(default=None, metadata=_number(0.0, optional=True))


@dataclass(frozen=True, eq=False, kw_only=True)
class LineRecord(RecordSection):
    """Resistance between each input source and its node, and wires of a crossbar that has any.

    Attributes
    ----------
    source_ohm, source_sigma_ohm : ndarray, shape (n_in,)
        Resistances of wire, switch and source of each input, and their standard uncertainties in ohm. For a
        crossbar with row segments: without the first segment.
    chi : float
        Residual of the fit in units of its noise.
    row_ohm, column_ohm : float, optional
        Mean resistance of a wire segment of the rows and of the columns, with their standard uncertainties
        ``row_sigma_ohm`` and ``column_sigma_ohm``; None for ideal lines.
    spread : float, optional
        Standard deviation of the logarithm of the resistance from segment to segment.
    segment_ohm : ndarray, shape (F,), optional
        Resistance of each wire segment, in the order of the topology's fixed edges, if they are not all equal. The
        first segment of a row includes its source.
    """

    source_ohm: FloatArray = field(metadata=_INPUTS)
    source_sigma_ohm: FloatArray = field(metadata=_INPUTS)
    chi: float = field(metadata=_SIZE)
    row_ohm: float | None = field(default=None, metadata=_number(0.0, optional=True))
    row_sigma_ohm: float | None = field(default=None, metadata=_number(0.0, optional=True))
    column_ohm: float | None = field(default=None, metadata=_number(0.0, optional=True))
    column_sigma_ohm: float | None = field(default=None, metadata=_number(0.0, optional=True))
    spread: float | None = field(default=None, metadata=_number(0.0, optional=True))
    segment_ohm: FloatArray | None = field(default=None, metadata=_each("segments", positive=True, optional=True))

    def check(self, topology: Topology) -> None:
        """Refuse lists of the wrong length, and wires that the network does not have."""
        super().check(topology)
        wires = topology.wires
        for line in ("row", "column"):
            found = getattr(self, f"{line}_ohm")
            if found is not None and (wires is None or not getattr(wires, f"{line}_ohms")):
                raise SetupError(f"{line}_ohm is {found:g}, but the network has no {line} segments")
            if found is not None and not found > 0:
                raise SetupError(f"{line}_ohm is {found:g}; it must be positive")
        if self.segment_ohm is not None and wires is None:
            raise SetupError("segment_ohm is given, but the network is no crossbar with wires")

    @property
    def has_wires(self) -> bool:
        """Whether the section has resistances of wire segments."""
        return self.row_ohm is not None or self.column_ohm is not None

    def with_wires(self, topology: Topology) -> Topology:
        """Return the network's topology with the wires of this section; itself if there are none.

        Parameters
        ----------
        topology : Topology
            As the bench declares it.
        """
        wires = topology.wires
        if wires is None or not self.has_wires:
            return topology
        if self.segment_ohm is not None:
            return topology.with_fixed_conductances(1.0 / self.segment_ohm)
        ohms = self.row_ohm or wires.row_ohms, self.column_ohm or wires.column_ohms
        return topology.with_fixed_conductances(Wires(wires.rows, wires.columns, *ohms).siemens())


@dataclass(frozen=True, eq=False, kw_only=True)
class EdgeRecord(RecordSection):
    """Gain of each edge: true conductance = gain x conductance reported by the hardware.

    Attributes
    ----------
    gain : ndarray, shape (E,)
        Gain of each edge.
    gain_sigma : ndarray, shape (E,)
        Relative standard uncertainty, without that of the common scale if `scale_known` is false.
    scale_sigma : float
        Relative standard uncertainty of the common scale of all gains, including the common gain of the
        converters.
    scale_known : bool
        Whether a measured current determines the common scale of all conductances. Voltages alone do not.
    chi : float
        Residual of the readings in units of their noise.
    configurations : int
        Number of programmed configurations that were measured.
    stuck : tuple of int
        Edges that never move. Their conductance is gain x the geometric mean of ``limits.conductance``.
    programming_sigma : float, optional
        Standard deviation of ln(conductance) of one edge from programming to programming, with its standard
        uncertainty ``programming_sigma_error``. None in records of earlier versions.
    """

    gain: FloatArray = field(metadata=_each("edges", positive=True))
    gain_sigma: FloatArray = field(metadata=_EDGES)
    scale_sigma: float = field(metadata=_SIZE)
    scale_known: bool = field(metadata=_FLAG)
    chi: float = field(metadata=_SIZE)
    configurations: int = field(metadata=_WHOLE)
    stuck: tuple[int, ...] = field(default=(), metadata=_MEMBERS)
    programming_sigma: float | None = field(default=None, metadata=_number(0.0, optional=True))
    programming_sigma_error: float | None = field(default=None, metadata=_number(0.0, optional=True))


@dataclass(frozen=True, eq=False, kw_only=True)
class VerifyRecord(RecordSection):
    """Comparison of prediction and measurement on new random configurations and patterns.

    Attributes
    ----------
    chi : float
        Root mean square of (measured - predicted), in units of the expected joint uncertainty.
    most_chi : float, optional
        Largest chi that chance explains. None in records of earlier versions.
    rms_V, nominal_rms_V : float
        Root mean square in volts, for the calibrated prediction and for the prediction from nominal values.
    noise_V : float
        Expected uncertainty of the compared readings in volts.
    configurations, readings : int
        Number of configurations and of readings.
    """

    chi: float = field(metadata=_SIZE)
    rms_V: float = field(metadata=_SIZE)
    nominal_rms_V: float = field(metadata=_SIZE)
    noise_V: float = field(metadata=_SIZE)
    configurations: int = field(metadata=_WHOLE)
    readings: int = field(metadata=_WHOLE)
    most_chi: float | None = field(default=None, metadata=_number(0.0, optional=True))


@dataclass(frozen=True, eq=False, kw_only=True)
class PulseRecord(RecordSection):
    """Response of a sample of memristive devices to pulses, readings and time; see `hwlearn.calibration.pulses`.

    Attributes
    ----------
    devices : tuple of int
        Edges with a measured threshold; all arrays are in this order.
    silent, beyond : tuple of int
        Edges that did not respond to pulses of full strength, and edges whose threshold exceeds the pulse limits.
    low_S, high_S : ndarray, shape (n,)
        Conductances after RESET and SET pulses of full strength.
    set_V, reset_V : ndarray, shape (n,)
        Magnitude at which one pulse of ``width_s`` moves ``ln(g)`` by ``share`` of its range, with the standard
        uncertainties ``..._sigma_V``.
    read_noise : ndarray, shape (n,)
        Relative standard deviation of one reading at ``read_voltage_V``.
    disturb : ndarray, shape (n,)
        Relative change after 1000 readings, with its standard uncertainty ``disturb_sigma``.
    retention : ndarray, shape (n,)
        Relative change per decade of time up to ``retention_s``, with its uncertainty ``retention_sigma``.
    """

    devices: tuple[int, ...] = field(metadata=_MEMBERS)
    silent: tuple[int, ...] = field(metadata=_MEMBERS)
    beyond: tuple[int, ...] = field(metadata=_MEMBERS)
    share: float = field(metadata=_SIZE)
    width_s: float = field(metadata=_SIZE)
    read_voltage_V: float = field(metadata=_SIZE)
    retention_s: float = field(metadata=_SIZE)
    low_S: FloatArray = field(metadata=_each("devices", positive=True))
    high_S: FloatArray = field(metadata=_each("devices", positive=True))
    set_V: FloatArray = field(metadata=_each("devices", positive=True))
    set_sigma_V: FloatArray = field(metadata=_each("devices"))
    reset_V: FloatArray = field(metadata=_each("devices", positive=True))
    reset_sigma_V: FloatArray = field(metadata=_each("devices"))
    read_noise: FloatArray = field(metadata=_each("devices"))
    disturb: FloatArray = field(metadata=_each("devices"))
    disturb_sigma: FloatArray = field(metadata=_each("devices"))
    retention: FloatArray = field(metadata=_each("devices"))
    retention_sigma: FloatArray = field(metadata=_each("devices"))


def _checked(item: Field[Any], value: Any) -> Any:
    """Return a value in the declared type, or refuse it."""
    kind, name = item.metadata["kind"], item.name
    if value is None and item.metadata["optional"]:
        return None
    if kind == "flag":
        if not isinstance(value, bool | np.bool_):
            raise SetupError(f"{name} = {value!r} must be true or false")
        return bool(value)
    if kind == "whole":
        if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 0:
            raise SetupError(f"{name} = {value!r} must be a whole number, zero or more")
        return int(value)
    if kind == "members":
        if not isinstance(value, list | tuple) or not all(type(v) is int and v >= 0 for v in value):
            raise SetupError(f"{name} must be a list of whole numbers, zero or more")
        return tuple(value)
    if kind == "number":
        if isinstance(value, bool) or not isinstance(value, int | float | np.number) or not math.isfinite(value):
            raise SetupError(f"{name} = {value!r} must be a number")
        if value < item.metadata["least"]:
            raise SetupError(f"{name} = {value!r} must be at least {item.metadata['least']:g}")
        return float(value)
    if isinstance(value, list) and any(isinstance(v, bool) or not isinstance(v, int | float) for v in value):
        raise SetupError(f"{name} must be a list of numbers")
    try:
        array = np.array(value, dtype=np.float64)
    except (TypeError, ValueError):
        raise SetupError(f"{name} must be a list of numbers") from None
    if array.ndim != 1 or not np.isfinite(array).all():
        raise SetupError(f"{name} must be a list of finite numbers")
    if item.metadata["positive"] and not (array > 0).all():
        raise SetupError(f"{name} must be positive")
    if "sigma" in name and not (array >= 0).all():
        raise SetupError(f"{name} must not be negative")
    array.flags.writeable = False
    return array
