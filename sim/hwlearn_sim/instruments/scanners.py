"""Table of the virtual scanning voltmeters by model number, and their construction."""

from __future__ import annotations

import numpy as np

from hwlearn.errors import SetupError
from hwlearn_sim.instruments.capability import Meters
from hwlearn_sim.instruments.instrument import Clock, VirtualInstrument
from hwlearn_sim.instruments.scanning_voltmeter import ScanningVoltmeter
from hwlearn_sim.instruments.scpi.keysight_daq import models as keysight
from hwlearn_sim.instruments.scpi.keysight_daq.channels import Channels
from hwlearn_sim.instruments.scpi.keysight_daq.instrument import VirtualKeysightDaq
from hwlearn_sim.placed import PlacedScanner
from hwlearn_sim.plane.plane import AnalogPlane


def make_scanner(
    placed: PlacedScanner,
    plane: AnalogPlane,
    rng: np.random.Generator,
    meters: Meters | None,
    clock: Clock,
    unit: int,
) -> VirtualInstrument:
    """Return a scanning voltmeter whose channels are connected to nodes of the plane.

    Parameters
    ----------
    placed : PlacedScanner
    plane : AnalogPlane
    rng : numpy.random.Generator
        Source of its noise and converter errors.
    meters : Meters or None
        Noise and errors of its converter.
    clock : Clock
    unit : int
        Last digits of its serial number.

    Raises
    ------
    SetupError
        If there is no such model or card, or a channel is not on a card.
    """
    if placed.model not in keysight.MODELS:
        raise SetupError(
            f"there is no virtual scanner {placed.model!r}; the models are: {', '.join(keysight.MODELS)}"
        )
    model = keysight.MODELS[placed.model]
    for slot, card in placed.cards.items():
        if not 1 <= slot <= model.slots or card not in model.cards:
            raise SetupError(
                f"{placed.name}: slot {slot} of a {placed.model} with a {card}; the slots are 1 to {model.slots}, "
                f"the cards {', '.join(model.cards)}"
            )
    channels = Channels(model, placed.cards)
    for channel in placed.nodes:
        if channels.card_of(channel) is None:
            raise SetupError(f"{placed.name}: channel {channel} is on no card that reads voltages")
    slowest = min((model.cards[card].per_second for card in placed.cards.values()), default=1.0)
    voltmeter = ScanningVoltmeter(
        plane,
        placed.name,
        placed.nodes,
        rng,
        Meters() if meters is None else meters,
        clock,
        keysight.FARADS,
        1 / slowest,
        keysight.ZERO_V,
    )
    identity = model.identity.format(serial=f"MY4900{unit:04d}")
    return VirtualKeysightDaq(identity, channels, voltmeter, clock)
