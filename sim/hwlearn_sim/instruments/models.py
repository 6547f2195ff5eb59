"""The virtual models by name, and how each is put together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from hwlearn.errors import SetupError
from hwlearn_sim.instruments import keithley2400, keithley2450, keithley2612b, keysightb2902
from hwlearn_sim.instruments.capability import Capability, Meters
from hwlearn_sim.instruments.channel import SmuChannel
from hwlearn_sim.instruments.instrument import Clock, Instrument
from hwlearn_sim.plane import AnalogPlane


@dataclass(frozen=True, slots=True)
class Model:
    """One model of source-measure unit.

    Attributes
    ----------
    channels : int
        How many it has.
    capability : Capability
        What each can do.
    make : callable
        Takes channels and clock, returns the instrument.
    """

    channels: int
    capability: Capability
    make: Callable[[Sequence[SmuChannel], Clock], Instrument]


MODELS: Final = {
    "2400": Model(1, keithley2400.CAPABILITY, lambda each, clock: keithley2400.Keithley2400(each[0], clock)),
    "2450": Model(1, keithley2450.CAPABILITY, lambda each, clock: keithley2450.Keithley2450(each[0], clock)),
    "2612B": Model(2, keithley2612b.CAPABILITY, keithley2612b.Keithley2612B),
    "B2902A": Model(2, keysightb2902.CAPABILITY, keysightb2902.KeysightB2902),
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
) -> Instrument:
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

    Raises
    ------
    SetupError
        If there is no such model, or it has fewer channels than nodes are given.
    """
    if model not in MODELS:
        raise SetupError(f"there is no virtual {model!r}; the models are: {', '.join(MODELS)}")
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
        SmuChannel(
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
    return kind.make(channels, clock)
