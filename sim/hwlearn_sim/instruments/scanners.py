"""Table of the virtual scanning voltmeters by model number, and their construction."""

from __future__ import annotations

import numpy as np

from hwlearn.errors import SetupError
from hwlearn_sim.instruments.capability import Meters
from hwlearn_sim.instruments.instrument import Clock, VirtualInstrument
from hwlearn_sim.instruments.scanner_channels import Channels, ScannedChannel, ScannerModel
from hwlearn_sim.instruments.scanning_voltmeter import ScanningVoltmeter
from hwlearn_sim.instruments.scpi.scanners.daq6510 import models as daq6510
from hwlearn_sim.instruments.scpi.scanners.daq6510.instrument import VirtualDaq6510
from hwlearn_sim.instruments.scpi.scanners.keithley2700 import models as keithley
from hwlearn_sim.instruments.scpi.scanners.keithley2700.instrument import VirtualKeithley2700
from hwlearn_sim.instruments.scpi.scanners.keysight_daq import models as keysight
from hwlearn_sim.instruments.scpi.scanners.keysight_daq.instrument import VirtualKeysightDaq
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
    if placed.model in keysight.MODELS:
        figures, initial = keysight.MODELS[placed.model], keysight.INITIAL
        channels = _channels(placed, figures, initial)
        voltmeter = _voltmeter(placed, channels, (keysight.FARADS, keysight.ZERO_V), plane, rng, meters, clock)
        identity = figures.identity.format(serial=f"MY4900{unit:04d}")
        return VirtualKeysightDaq(identity, figures, channels, voltmeter, clock)
    if placed.model in keithley.MODELS:
        model = keithley.MODELS[placed.model]
        channels = _channels(placed, model, keithley.INITIAL)
        voltmeter = _voltmeter(placed, channels, (keithley.FARADS, keithley.ZERO_V), plane, rng, meters, clock)
        return VirtualKeithley2700(model.identity.format(serial=f"140{unit:04d}"), channels, voltmeter, clock)
    if placed.model in daq6510.MODELS:
        model = daq6510.MODELS[placed.model]
        channels = _channels(placed, model, daq6510.INITIAL)
        voltmeter = _voltmeter(placed, channels, (keithley.FARADS, keithley.ZERO_V), plane, rng, meters, clock)
        return VirtualDaq6510(model.identity.format(serial=f"0450{unit:04d}"), channels, voltmeter, clock)
    known = ", ".join([*keysight.MODELS, *keithley.MODELS, *daq6510.MODELS])
    raise SetupError(f"there is no virtual scanner {placed.model!r}; the models are: {known}")


def _channels(placed: PlacedScanner, model: ScannerModel, initial: ScannedChannel) -> Channels:
    """Return the modules of a scanner; refuse those that do not fit, and channels that no module has.

    Raises
    ------
    SetupError
    """
    for slot, card in placed.cards.items():
        if not 1 <= slot <= model.slots or card not in model.cards:
            raise SetupError(
                f"{placed.name}: slot {slot} of a {placed.model} with a {card}; the slots are 1 to {model.slots}, "
                f"the cards {', '.join(model.cards)}"
            )
    channels = Channels(model, placed.cards, initial)
    for channel in placed.nodes:
        if channels.card_of(channel) is None:
            raise SetupError(f"{placed.name}: channel {channel} is on no card that reads voltages")
    return channels


def _voltmeter(
    placed: PlacedScanner,
    channels: Channels,
    figures: tuple[float, float],
    plane: AnalogPlane,
    rng: np.random.Generator,
    meters: Meters | None,
    clock: Clock,
) -> ScanningVoltmeter:
    """Return the voltmeter with its capacitance in farads and its offset in volts."""
    farads, zero_V = figures
    cards = channels.model.cards
    slowest = min((cards[card].per_second for card in placed.cards.values()), default=1.0)
    used = Meters() if meters is None else meters
    return ScanningVoltmeter(plane, placed.name, placed.nodes, rng, used, clock, farads, 1 / slowest, zero_V)
