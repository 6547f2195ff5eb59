"""From an address to the right driver: by the model that was named, or by what ``*IDN?`` says."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from hwlearn.errors import SetupError
from hwlearn_drivers.errors import UnknownInstrumentError
from hwlearn_drivers.instrument.instrument import Identity
from hwlearn_drivers.smu.dry_answers import DryAnswers
from hwlearn_drivers.smu.models.keithley2400 import Keithley2400
from hwlearn_drivers.smu.models.keithley2450 import Keithley2450
from hwlearn_drivers.smu.models.keithley2600 import Keithley2600
from hwlearn_drivers.smu.models.keysight_b2900 import KeysightB2900
from hwlearn_drivers.smu.operating_range import ChannelLimit
from hwlearn_drivers.smu.smu import Smu
from hwlearn_drivers.transport.addresses import LinkOptions, open_link
from hwlearn_drivers.transport.links.dry_run import DryLink
from hwlearn_drivers.transport.transport import Transport
from hwlearn_drivers.transport.wire_log import WireLog

FAMILIES: Final[tuple[type[Smu], ...]] = (Keithley2400, Keithley2450, Keithley2600, KeysightB2900)

AUTO: Final = "auto"


def models() -> list[str]:
    """Return every model number that there is a driver for."""
    return [model for family in FAMILIES for model in family.operating_ranges]


def family_of(model: str) -> type[Smu]:
    """Return the driver of a model number.

    Raises
    ------
    SetupError
        If there is none.
    """
    for family in FAMILIES:
        if model.strip().upper() in family.operating_ranges:
            return family
    raise SetupError(
        f"there is no driver for the SMU model {model!r}; there are: {', '.join(models())}, or '{AUTO}'"
    )


def family_by_identity(identity: Identity) -> type[Smu]:
    """Return the driver of an instrument that has said who it is.

    Raises
    ------
    UnknownInstrumentError
        If there is none.
    """
    for family in FAMILIES:
        try:
            family.model_of(identity)
        except UnknownInstrumentError:
            continue
        return family
    raise UnknownInstrumentError(f"there is no driver for {identity}; there are: {', '.join(models())}")


def open_smu(
    address: str,
    channel_limits: Mapping[int, ChannelLimit],
    *,
    model: str = AUTO,
    options: LinkOptions | None = None,
    wire_log: WireLog | None = None,
    dry_run: bool = False,
) -> Smu:
    """Open an SMU: outputs off first where the model is named, then make sure who answers, then reset it.

    Parameters
    ----------
    address : str
        As `hwlearn_drivers.transport.addresses.open_link` takes it.
    channel_limits : mapping of int to ChannelLimit
        The most that each channel in use may ever be told, by channel number.
    model : str
        Model number, or ``"auto"`` to ask.
    options : LinkOptions, optional
    wire_log : WireLog, optional
    dry_run : bool
        Print commands instead of sending them; the model must then be named.

    Raises
    ------
    SetupError
        If the address, the model or a channel does not exist.
    LinkError
        If nothing answers there.
    UnknownInstrumentError
        If something else answers than expected.
    """
    how = LinkOptions() if options is None else options
    named = None if model == AUTO else family_of(model)
    transport = smu_transport(address, model, how, wire_log, dry_run)
    try:
        if named is not None:
            transport.fence = named.fence
            number_of_channels = named.operating_ranges[model.strip().upper()].channels
            transport.write(*(named.off_command(n) for n in range(1, number_of_channels + 1)))
        identity = Identity.parse(transport.query("*IDN?"))
        family = family_by_identity(identity)
        if named is not None and family is not named:
            raise UnknownInstrumentError(f"at {address} the bench expects a {model}, but {identity} answers")
        return family(transport, identity, channel_limits)
    except BaseException:
        transport.close()
        raise


def smu_transport(
    address: str, model: str, how: LinkOptions, wire_log: WireLog | None, dry_run: bool = False
) -> Transport:
    """Open the transport to an SMU, or a dry one.

    Raises
    ------
    SetupError
        If a dry run is asked for without naming the model: nobody answers who it is.
    """
    if dry_run and model == AUTO:
        raise SetupError(f"a dry run asks nobody; name the model of the SMU at {address}: {', '.join(models())}")

    def connect() -> DryLink:
        return DryLink(address, DryAnswers(model.strip().upper()))

    return Transport(
        address,
        connect if dry_run else lambda: open_link(address, how),
        timeout_s=how.timeout_s,
        wire_log=wire_log,
    )


def write_off(
    address: str, model: str, how: LinkOptions, wire_log: WireLog | None = None, dry_run: bool = False
) -> None:
    """Send OFF to every channel of the SMU at an address, write-only, asking nothing.

    If the model is not named, OFF goes out in every language that a driver here speaks.

    Raises
    ------
    LinkError
        If it cannot be sent.
    """
    families = FAMILIES if model == AUTO else (family_of(model),)
    commands: dict[str, None] = {}
    for family in families:
        most = max(one.channels for one in family.operating_ranges.values())
        channels = most if model == AUTO else family.operating_ranges[model.strip().upper()].channels
        commands.update((family.off_command(n), None) for n in range(1, channels + 1))
    transport = smu_transport(address, model, how, wire_log, dry_run)
    try:
        transport.halt(*commands)
    finally:
        transport.close()
