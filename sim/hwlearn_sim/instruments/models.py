"""Table of the virtual source-measure units by model number, and their construction."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Final

import numpy as np

from hwlearn.errors import SetupError
from hwlearn_sim.instruments.capability import ChannelCapability, Meters
from hwlearn_sim.instruments.channel import Connection, VirtualChannel
from hwlearn_sim.instruments.instrument import Clock, VirtualInstrument
from hwlearn_sim.instruments.scpi.keithley2400.instrument import VirtualKeithley2400
from hwlearn_sim.instruments.scpi.keithley2400.models import MODELS as _SERIES_2400
from hwlearn_sim.instruments.scpi.keithley2450.instrument import VirtualKeithley2450
from hwlearn_sim.instruments.scpi.keithley2450.models import MODELS as _FAMILY_2450
from hwlearn_sim.instruments.scpi.keysightb2900.instrument import VirtualKeysightB2900
from hwlearn_sim.instruments.scpi.keysightb2900.models import MODELS as _FAMILY_B2900
from hwlearn_sim.instruments.tsp.capabilities import SERIES, ModelRow
from hwlearn_sim.instruments.tsp.keithley2600 import VirtualKeithley2600
from hwlearn_sim.placed import PlacedSmu
from hwlearn_sim.plane.plane import AnalogPlane


@dataclass(frozen=True, slots=True)
class Model:
    """One model of source-measure unit.

    Attributes
    ----------
    channels : int
        Number of channels.
    capability : ChannelCapability
        Specifications of each channel.
    make : callable
        Returns the instrument for channels, clock and serial number.
    serial : str
        First characters of the serial number; four digits follow.
    """

    channels: int
    capability: ChannelCapability
    make: Callable[[Sequence[VirtualChannel], Clock, str], VirtualInstrument]
    serial: str


Make = Callable[[Sequence[VirtualChannel], Clock, str], VirtualInstrument]


def _2400(number: str) -> Make:
    model = _SERIES_2400[number]
    return lambda channels, clock, serial: VirtualKeithley2400(channels[0], clock, serial, model)


def _2450(number: str) -> Make:
    model = _FAMILY_2450[number]
    return lambda channels, clock, serial: VirtualKeithley2450(channels[0], clock, serial, model)


def _b2900(number: str) -> Make:
    model = _FAMILY_B2900[number]
    return lambda channels, clock, serial: VirtualKeysightB2900(channels, clock, serial, model)


def _of_series(row: ModelRow) -> Callable[..., VirtualInstrument]:
    """Return a constructor of a Keithley 2600."""
    return lambda channels, clock, serial: VirtualKeithley2600(row, channels, clock, serial)


MODELS: Final = {
    **{number: Model(1, one.capability, _2400(number), "100") for number, one in _SERIES_2400.items()},
    **{number: Model(1, one.capability, _2450(number), "0400") for number, one in _FAMILY_2450.items()},
    **{row.model: Model(row.channels, row.capability, _of_series(row), "400") for row in SERIES.values()},
    **{
        number: Model(one.channels, one.capability, _b2900(number), "MY5114")
        for number, one in _FAMILY_B2900.items()
    },
}
"""Source-measure units by model number."""


def make_smu(
    placed: PlacedSmu,
    plane: AnalogPlane,
    rng: np.random.Generator,
    *,
    meters: Meters | None = None,
    clock: Clock | None = None,
    unit: int = 1,
) -> VirtualInstrument:
    """Return a source-measure unit whose channels are connected to nodes of the plane.

    Parameters
    ----------
    placed : PlacedSmu
        Name, model and nodes. Channels without a node are not connected.
    plane : AnalogPlane
        The circuit.
    rng : numpy.random.Generator
        Source of its noise and converter errors.
    meters : Meters, optional
        Noise and errors of its converters.
    clock : Clock, optional
        Its clock.
    unit : int
        Last digits of its serial number, which must differ between the units of a bench.

    Raises
    ------
    SetupError
        If there is no such model, or it has fewer channels than nodes are given.
    """
    if placed.model not in MODELS:
        raise SetupError(f"there is no virtual model {placed.model!r}; the models are: {', '.join(MODELS)}")
    model, nodes = MODELS[placed.model], placed.nodes
    if not 1 <= len(nodes) <= model.channels:
        raise SetupError(
            f"a {placed.model} has {model.channels} channel(s), but {placed.name} is connected to "
            f"{len(nodes)} node(s)"
        )
    clock = Clock() if clock is None else clock
    meters = Meters() if meters is None else meters
    labels = [placed.name] if model.channels == 1 else [f"{placed.name} a", f"{placed.name} b"]
    channels = [
        VirtualChannel(Connection(plane, node, label), model.capability, clock, rng.spawn(1)[0], meters)
        for label, node in zip_longest(labels, nodes)
    ]
    return model.make(channels, clock, f"{model.serial}{unit:04d}")
