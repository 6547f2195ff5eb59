"""The virtual models by name, and how each is put together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from hwlearn.errors import SetupError
from hwlearn_sim.instruments.capability import ChannelCapability, Meters
from hwlearn_sim.instruments.channel import VirtualChannel
from hwlearn_sim.instruments.instrument import Clock, VirtualInstrument
from hwlearn_sim.instruments.scpi import keithley2400, keithley2450, keysightb2902
from hwlearn_sim.instruments.tsp import keithley2612b
from hwlearn_sim.plane.plane import AnalogPlane


@dataclass(frozen=True, slots=True)
class Model:
    """One model of source-measure unit.

    Attributes
    ----------
    channels : int
        How many it has.
    capability : ChannelCapability
        What each can do.
    make : callable
        Takes channels, clock and serial number, returns the instrument.
    serial : str
        How its serial numbers begin; four digits follow.
    """

    channels: int
    capability: ChannelCapability
    make: Callable[[Sequence[VirtualChannel], Clock, str], VirtualInstrument]
    serial: str


def _single(make: Callable[[VirtualChannel, Clock, str], VirtualInstrument]) -> Callable[..., VirtualInstrument]:
    """Return how to make an instrument of one channel, taking a list of channels as the others do."""
    return lambda channels, clock, serial: make(channels[0], clock, serial)


MODELS: Final = {
    "2400": Model(1, keithley2400.CAPABILITY, _single(keithley2400.VirtualKeithley2400), "100"),
    "2450": Model(1, keithley2450.CAPABILITY, _single(keithley2450.VirtualKeithley2450), "0400"),
    "2612B": Model(2, keithley2612b.CAPABILITY, keithley2612b.VirtualKeithley2612B, "400"),
    "B2902A": Model(2, keysightb2902.CAPABILITY, keysightb2902.VirtualKeysightB2902, "MY5114"),
}
"""Source-measure units by model number."""


def make_smu(
    model: str,
    plane: AnalogPlane,
    nodes: Sequence[int],
    *,
    name: str = "smu",
    meters: Meters | None = None,
    rng: np.random.Generator | None = None,
    clock: Clock | None = None,
    unit: int = 1,
) -> VirtualInstrument:
    """Return a source-measure unit whose channels hang on nodes of the plane.

    Parameters
    ----------
    model : str
        A key of `MODELS`.
    plane : AnalogPlane
        The circuit.
    nodes : sequence of int
        One a channel; a channel beyond them hangs on nothing and is left out of the circuit.
    name : str
        Name of the instrument on the plane.
    meters : Meters, optional
        How good its converters are.
    rng : numpy.random.Generator, optional
        Its noise and converter errors.
    clock : Clock, optional
        Its time.
    unit : int
        Last digits of its serial number, so that two on one bench can be told apart.

    Raises
    ------
    SetupError
        If there is no such model, or it has fewer channels than nodes are given.
    """
    if model not in MODELS:
        raise SetupError(f"there is no virtual model {model!r}; the models are: {', '.join(MODELS)}")
    kind = MODELS[model]
    if not 1 <= len(nodes) <= kind.channels:
        raise SetupError(
            f"a {model} has {kind.channels} channel(s), but {name} is to hang on {len(nodes)} node(s)"
        )
    rng = np.random.default_rng() if rng is None else rng
    clock = Clock() if clock is None else clock
    meters = Meters() if meters is None else meters
    letters = "ab"
    channels = [
        VirtualChannel(
            plane,
            nodes[k] if k < len(nodes) else None,
            kind.capability,
            clock,
            rng.spawn(1)[0],
            meters,
            name if kind.channels == 1 else f"{name} {letters[k]}",
        )
        for k in range(kind.channels)
    ]
    return kind.make(channels, clock, f"{kind.serial}{unit:04d}")
