"""Finds the driver of a scanning voltmeter by its model, opens it, and switches it off."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from hwlearn.errors import SetupError, closest
from hwlearn_drivers.errors import UnknownInstrumentError
from hwlearn_drivers.instrument.instrument import Identity
from hwlearn_drivers.scanner.capability import ScanSettings
from hwlearn_drivers.scanner.dry_answers import DryScannerAnswers
from hwlearn_drivers.scanner.models.daq6510 import KeithleyDaq6510
from hwlearn_drivers.scanner.models.keithley_2700 import Keithley2700
from hwlearn_drivers.scanner.models.keysight_daq import Keysight34970A, Keysight34980A, KeysightDaq970A
from hwlearn_drivers.scanner.scanner import Scanner, reported_model
from hwlearn_drivers.transport.connector import Connector, reads_connection

FAMILIES: Final[tuple[type[Scanner], ...]] = (
    Keysight34970A,
    Keysight34980A,
    KeysightDaq970A,
    Keithley2700,
    KeithleyDaq6510,
)

UNCONFIRMED: Final = ("3706A",)
"""Models whose commands or figures are not confirmed yet: they are refused by name."""


def models() -> list[str]:
    """Return every model number that a table may name; those of `UNCONFIRMED` are then refused."""
    return [*(model for family in FAMILIES for model in family.capabilities), *UNCONFIRMED]


def model_name(model: str) -> str:
    """Return a model number in its one spelling.

    Raises
    ------
    SetupError
        If there is no driver for it.
    """
    wanted = model.strip().upper()
    family_of(wanted)
    return wanted


def family_of(model: str) -> type[Scanner]:
    """Return the driver class of a model number.

    Raises
    ------
    SetupError
        If there is none, or its figures are not confirmed.
    """
    supported = [one for family in FAMILIES for one in family.capabilities]
    for family in FAMILIES:
        if model in family.capabilities:
            return family
    if model in UNCONFIRMED:
        raise SetupError(
            f"the {model} is not supported yet: its commands and figures are not confirmed; supported: "
            f"{', '.join(supported)}"
        )
    raise SetupError(
        f"there is no driver for the scanner model {model!r}{closest(model, supported)}; supported: "
        f"{', '.join(supported)}"
    )


def open_scanner(
    address: str, model: str, channels: Mapping[str, str], settings: ScanSettings, connector: Connector
) -> Scanner:
    """Open a scanner with OFF before the first query, and set it up.

    Parameters
    ----------
    address : str
        As `hwlearn_drivers.transport.addresses.open_link` takes it.
    model : str
        Model number.
    channels : mapping of str to str
        Channels in use, each with its node.
    settings : ScanSettings
    connector : Connector

    Raises
    ------
    InUseError, LinkError, InstrumentError, SetupError
        As `Scanner`.
    UnknownInstrumentError
        If another model answers. Nothing but OFF was sent to it.
    """
    family = family_of(model)
    transport = connector.transport(address, lambda: _dry_answers(model))
    try:
        transport.fence = family.fence
        transport.write(*family.off_lines())
        identity = Identity.parse(transport.query("*IDN?"))
        if reported_model(identity) != model:
            raise UnknownInstrumentError(
                f"at {transport.name} the bench expects a {model}, but {identity} answers; check address and model"
            )
        scanner = family(transport, identity, channels, settings)
    except BaseException:
        transport.close()
        raise
    try:
        transport.claim.check()
    except BaseException:
        scanner.close()
        raise
    return scanner


def write_off_and_check(address: str, model: str, connector: Connector, check: bool) -> bool:
    """Send OFF without any query before it, whoever uses the scanner.

    Parameters
    ----------
    address, model, connector
        As `open_scanner`.
    check : bool
        Also return, after OFF, whether the scanner reads this connection.

    Raises
    ------
    LinkError
        If it cannot be sent.
    """
    family = family_of(model)
    transport = connector.for_off().transport(address, lambda: _dry_answers(model))
    transport.fence = family.fence
    try:
        transport.halt(*family.off_lines())
        return check and reads_connection(transport)
    finally:
        transport.close()


def _dry_answers(model: str) -> DryScannerAnswers:
    """Return the replies of a dry run, in which every slot has the largest card."""
    family = family_of(model)
    capability = family.capabilities[model]
    card = max(capability.cards, key=capability.cards.__getitem__)
    return DryScannerAnswers(model, card, len(capability.slots), list_in_block=family.list_in_block)
