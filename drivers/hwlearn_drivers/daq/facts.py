"""`DeviceFacts`: what a device reports of itself, and which range holds a voltage."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final

from hwlearn.units import ROUNDING, format_quantity
from hwlearn_drivers.daq.errors import daq_errors
from hwlearn_drivers.daq.library import DaqLibrary
from hwlearn_drivers.errors import LinkError

Range = tuple[float, float]
"""Lowest and highest voltage."""

_NOISE: Final[dict[str, dict[float, float]]] = {
    "6225": {10.0: 244e-6, 5.0: 122e-6, 1.0: 30e-6, 0.2: 13e-6},
}
"""Random noise (standard deviation of one sample, V) by number of the model and end of the range.

6225: "AI Absolute Accuracy Table" of its specifications, column "Random Noise, sigma"."""


@dataclass(frozen=True, slots=True)
class DeviceFacts:
    """What a device reports of itself.

    Attributes
    ----------
    product : str
        Product type, such as ``"USB-6211"``.
    serial : str
        Serial number in hexadecimal digits, as on its label.
    simulated : bool
        Whether NI-DAQmx only simulates it.
    outputs, inputs, lines : tuple of str
        Names of analog outputs, analog inputs and digital output lines, without the name of the device.
    output_ranges, input_ranges : tuple of (float, float)
        In volts.
    configurations : dict of str to tuple of str
        Terminal configurations of each analog input: ``RSE``, ``NRSE``, ``DIFF``, ``PSEUDO_DIFF``.
    input_rate_Hz : float
        Largest number of conversions per second over all channels; of each channel if ``simultaneous``.
    simultaneous : bool
        Whether each input has a converter of its own.
    """

    product: str
    serial: str
    simulated: bool = False
    outputs: tuple[str, ...] = ()
    inputs: tuple[str, ...] = ()
    lines: tuple[str, ...] = ()
    output_ranges: tuple[Range, ...] = ()
    input_ranges: tuple[Range, ...] = ()
    configurations: dict[str, tuple[str, ...]] = field(default_factory=dict)
    input_rate_Hz: float = 0.0
    simultaneous: bool = False

    @classmethod
    def of(cls, found: Mapping[str, Any]) -> DeviceFacts:
        """Return the facts with these fields, of the types of JSON."""
        pairs = {key: tuple((low, high) for low, high in found[key]) for key in ("output_ranges", "input_ranges")}
        names = {key: tuple(found[key]) for key in ("outputs", "inputs", "lines")}
        configurations = {name: tuple(each) for name, each in found["configurations"].items()}
        return cls(**{**found, **pairs, **names, "configurations": configurations})

    def noise_V(self, chosen: Range) -> float | None:
        """Return the random noise of one sample in a range, of the data sheet; None if it is not known."""
        number = re.search(r"\d{4}", self.product)
        table = {} if number is None else _NOISE.get(number[0], {})
        return next(
            (noise for end, noise in table.items() if _same(end, chosen[1]) and _same(-end, chosen[0])), None
        )


def ask_facts(library: DaqLibrary, name: str, device: str) -> DeviceFacts:
    """Return what a device reports of itself; nothing is set or measured.

    Raises
    ------
    LinkError
        If there is no such device; names those that there are.
    SetupError, InstrumentError
        As `daq_errors`.
    """
    try:
        with daq_errors(library, name, "asking for its product type"):
            found = library.system.Device(device)
            product, serial = str(found.product_type), int(found.serial_num)
            simulated = bool(found.is_simulated)
    except LinkError as error:
        known = _known(library)
        raise LinkError(f"{error}; NI-DAQmx knows: {', '.join(known)}" if known else str(error)) from error
    with daq_errors(library, name, "asking for its channels"):
        outputs = _names(found.ao_physical_chans)
        inputs = _names(found.ai_physical_chans)
        lines = _names(found.do_lines)
        configurations = {
            _short(channel.name): tuple(one.name for one in channel.ai_term_cfgs)
            for channel in found.ai_physical_chans
        }
    with daq_errors(library, name, "asking for its ranges"):
        simultaneous = bool(inputs) and bool(found.ai_simultaneous_sampling_supported)
        return DeviceFacts(
            product,
            f"{serial:X}",
            simulated,
            outputs,
            inputs,
            lines,
            _pairs(found.ao_voltage_rngs) if outputs else (),
            _pairs(found.ai_voltage_rngs) if inputs else (),
            configurations,
            float(found.ai_max_multi_chan_rate) if inputs else 0.0,
            simultaneous,
        )


def _known(library: DaqLibrary) -> list[str]:
    """Return the names of the devices of this computer, also of some that are not connected now."""
    with suppress(library.errors.Error):
        return [str(name) for name in library.system.System.local().devices.device_names]
    return []


def narrowest(ranges: Sequence[Range], volts: float) -> Range | None:
    """Return the narrowest range that holds plus and minus some volts; None if none does.

    Examples
    --------
    >>> narrowest([(-10.0, 10.0), (-1.0, 1.0), (0.0, 5.0)], 0.5)
    (-1.0, 1.0)
    """
    room = volts * (1 - ROUNDING)
    holding = [one for one in ranges if one[0] <= -room and room <= one[1]]
    return min(holding, key=_width, default=None)


def overlapping(ranges: Sequence[Range], volts: float) -> Range | None:
    """Return the range with 0 V that holds most of plus and minus some volts, and of these the narrowest."""
    holding = [one for one in ranges if one[0] <= 0.0 <= one[1]]
    return max(holding, key=lambda one: (min(one[1], volts) - max(one[0], -volts), -_width(one)), default=None)


def range_text(chosen: Range) -> str:
    """Return a range as text, such as ``±10 V`` or ``0 V to 5 V``."""
    low, high = chosen
    if _same(-low, high):
        return f"±{format_quantity(high, 'V')}"
    return f"{format_quantity(low, 'V')} to {format_quantity(high, 'V')}"


def _pairs(values: Sequence[float]) -> tuple[Range, ...]:
    numbers = [float(value) for value in values]
    return tuple(zip(numbers[::2], numbers[1::2], strict=True))


def _names(channels: Any) -> tuple[str, ...]:
    return tuple(_short(channel.name) for channel in channels)


def _short(name: str) -> str:
    return str(name).partition("/")[2]


def _width(one: Range) -> float:
    return one[1] - one[0]


def _same(a: float, b: float) -> bool:
    return math.isclose(a, b, rel_tol=1e-6)
