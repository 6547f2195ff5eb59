"""Finds the driver of an SMU, by model number or by its reply to ``*IDN?``, and opens it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from hwlearn.errors import SetupError, closest
from hwlearn_drivers.errors import HaltedError, LinkError, UnknownInstrumentError
from hwlearn_drivers.instrument.instrument import Identity
from hwlearn_drivers.smu.dry_answers import DryAnswers
from hwlearn_drivers.smu.models.keithley2400 import Keithley2400
from hwlearn_drivers.smu.models.keithley2450 import Keithley2450
from hwlearn_drivers.smu.models.keithley2600 import Keithley2600
from hwlearn_drivers.smu.models.keysight_b2900 import KeysightB2900
from hwlearn_drivers.smu.operating_range import ChannelLimit
from hwlearn_drivers.smu.smu import Smu
from hwlearn_drivers.transport.addresses import DEFAULT_BAUD, is_serial
from hwlearn_drivers.transport.connector import Connector, reads_connection
from hwlearn_drivers.transport.transport import Transport

FAMILIES: Final[tuple[type[Smu], ...]] = (Keithley2400, Keithley2450, Keithley2600, KeysightB2900)

AUTO: Final = "auto"


_AUTO_BAUD: Final = 9600
_ANY: Final = " FAMILY"


def models() -> list[str]:
    """Return every supported model number."""
    return [model for family in FAMILIES for model in family.operating_ranges]


def model_name(model: str) -> str:
    """Return a model as the bench file may spell it, in its one spelling: ``2612B``, ``2600 family`` or ``auto``.

    Raises
    ------
    SetupError
        If the model is not supported.
    """
    if model.strip().lower() == AUTO:
        return AUTO
    family, number = family_of(model), _number(model)
    return number if number in family.operating_ranges else f"{family.series} family"


def family_of(model: str) -> type[Smu]:
    """Return the driver class of a model number, or of a family such as ``2600 family``.

    Raises
    ------
    SetupError
        If the model is not supported.
    """
    for family in FAMILIES:
        if _number(model) in family.operating_ranges or _number(model) == family.series + _ANY:
            return family
        if _number(model) in family.refused:
            raise SetupError(
                f"the SMU model {_number(model)} is refused: {family.refused[_number(model)]}; supported of its "
                f"family: {', '.join(family.operating_ranges)}"
            )
    hint = closest(_number(model), models())
    families = ", ".join(f"'{family.series} family'" for family in FAMILIES)
    raise SetupError(
        f"there is no driver for the SMU model {model!r}{hint}; supported: {', '.join(models())}, {families}, or "
        f"'{AUTO}'"
    )


def check_model(address: str, model: str, identity: Identity) -> None:
    """Refuse an instrument that is not exactly the model of the bench file, or not of its family.

    The letter at the end counts: a 2612A is no 2612B.

    Raises
    ------
    UnknownInstrumentError
    """
    family = family_of(model)
    try:
        found = family.model_of(identity)
    except UnknownInstrumentError:
        found = ""
    if found and _number(model) in (found, family.series + _ANY):
        return
    remedy = f', or set model = "{found}", or "{family.series} family" if any of them will do' if found else ""
    raise UnknownInstrumentError(
        f"at {address} the bench expects a {model_name(model)}, but {identity} answers; check the address{remedy}"
    )


def serial_connector(address: str, model: str, connector: Connector) -> Connector:
    """Return how to connect to a model at an address: on a serial port with its baud rate and line ends.

    Parameters
    ----------
    address : str
    model : str
        As `open_smu` takes it; ``"auto"`` stands for any of the supported series.
    connector : Connector
        Without a baud rate, the one that is set at the factory is used.

    Raises
    ------
    SetupError
        If the model does not have this baud rate.
    """
    baud = connector.options.baud
    if not is_serial(address):
        return connector
    if model == AUTO:
        return connector.on_serial_line(_AUTO_BAUD if baud is None else baud, any_line_end=True)
    line = family_of(model).serial_line
    if line is None:  # through an adapter, which has its own rate
        return connector
    return connector.on_serial_line(line.checked(model, address, baud), line.any_line_end)


def _serial_advice(model: str, connector: Connector) -> str:
    """Return what to try on a serial port if nothing answers; empty if no model of this kind has RS-232."""
    families = FAMILIES if model == AUTO else (family_of(model),)
    baud = DEFAULT_BAUD if connector.options.baud is None else connector.options.baud
    return "; ".join(
        family.serial_line.advice(family.series if model == AUTO else model, baud)
        for family in families
        if family.serial_line is not None
    )


def channel_count(model: str) -> int:
    """Return the number of channels of a model; of a family or of ``"auto"``, the most that one of them has."""
    families = FAMILIES if model == AUTO else (family_of(model),)
    return max(_channels(family, model) for family in families)


def _channels(family: type[Smu], model: str) -> int:
    known = family.operating_ranges.get(_number(model))
    return max(one.channels for one in family.operating_ranges.values()) if known is None else known.channels


def _off_commands(family: type[Smu], model: str) -> list[str]:
    """Return OFF for every channel of a model, or for as many as any model of its family has."""
    return [family.off_command(n) for n in range(1, _channels(family, model) + 1)]


def family_by_identity(identity: Identity) -> type[Smu]:
    """Return the driver class for a reply to ``*IDN?``.

    Raises
    ------
    UnknownInstrumentError
        If the instrument is not supported.
    """
    for family in FAMILIES:
        if identity.model_number in {*family.operating_ranges, *family.refused}:
            family.model_of(identity)  # raises with the reason, if it is refused
            return family
    raise UnknownInstrumentError(f"there is no driver for {identity}; supported: {', '.join(models())}")


def open_smu(
    address: str,
    limits: Mapping[int, ChannelLimit],
    *,
    model: str = AUTO,
    connector: Connector | None = None,
) -> Smu:
    """Open an SMU and reset it; if the model is given, its outputs are switched off before the first query.

    Parameters
    ----------
    address : str
        As `hwlearn_drivers.transport.addresses.open_link` takes it.
    limits : mapping of int to ChannelLimit
        Limit of each channel in use, by channel number.
    model : str
        Model number, or ``"2600 family"`` for any model of a family, or ``"auto"`` to find it by ``*IDN?``.
    connector : Connector, optional
        Without a baud rate, serial ports have the one that is set at the factory. A dry run requires a model
        number.

    Raises
    ------
    SetupError
        If the address, the model, its baud rate or a channel does not exist.
    InUseError
        If another process, or another network of this one, uses the instrument.
    LinkError
        If the instrument does not answer.
    UnknownInstrumentError
        If a different instrument answers; see `check_model`. Nothing but OFF was sent to it.
    """
    model = model_name(model)
    named = None if model == AUTO else family_of(model)
    connector = serial_connector(address, model, Connector() if connector is None else connector)
    transport = _transport(address, model, connector)
    try:
        if named is not None:
            transport.fence = named.fence
            transport.write(*_off_commands(named, model))
        identity = _identity(transport, _serial_advice(model, connector) if is_serial(address) else "")
        if named is not None:
            check_model(transport.name, model, identity)
        family = family_by_identity(identity)
        smu = family(transport, identity, limits)
    except BaseException:
        transport.close()
        raise
    try:
        transport.claim.check()
    except BaseException:
        smu.close()
        raise
    return smu


def _identity(transport: Transport, advice: str) -> Identity:
    """Return the identity of an instrument; with advice, an error says what to try."""
    try:
        return Identity.parse(transport.query("*IDN?"))
    except (LinkError, UnknownInstrumentError) as error:
        if not advice or isinstance(error, HaltedError):
            raise
        raise type(error)(f"{error}; {advice}") from error


def write_off(address: str, model: str, connector: Connector) -> None:
    """Send OFF to every channel of the SMU at an address, without any query, whoever uses the SMU.

    If the model is ``"auto"``, OFF is sent in the command language of every supported family.

    Raises
    ------
    LinkError
        If it cannot be sent.
    """
    write_off_and_check(address, model, connector, check=False)


def write_off_and_check(address: str, model: str, connector: Connector, check: bool) -> bool:
    """Send OFF as `write_off`; then, if ``check`` is true, return whether the SMU reads this connection.

    Raises
    ------
    LinkError
        If it cannot be sent.
    """
    model = model_name(model)
    families = FAMILIES if model == AUTO else (family_of(model),)
    off = list(dict.fromkeys(command for family in families for command in _off_commands(family, model)))
    # an instrument that waits for a trigger executes OFF only when the wait has ended
    commands = [*off, *(command for family in families for command in family.abort_commands()), *off]
    if model == AUTO:
        commands.append("*CLS")  # removes the errors that the commands of the other families caused
    try:
        connector = serial_connector(address, model, connector)
    except SetupError:  # OFF is never refused
        connector = serial_connector(address, model, connector.with_baud(None))
    transport = _transport(address, model, connector.for_off())
    if model != AUTO:
        transport.fence = family_of(model).fence
    try:
        transport.halt(*commands)
        return check and reads_connection(transport)
    finally:
        transport.close()


def _transport(address: str, model: str, connector: Connector) -> Transport:
    if connector.dry_run and _number(model) not in models():
        raise SetupError(
            f"a dry run contacts no instrument; give the model of the SMU at {address}: {', '.join(models())}"
        )
    return connector.transport(address, lambda: DryAnswers(_number(model)))


def _number(model: str) -> str:
    return model.strip().upper()
