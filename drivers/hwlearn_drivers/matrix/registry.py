"""Finds the driver of a switch matrix by its model, and opens it, reads its state and switches it off."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from hwlearn.errors import SetupError, closest
from hwlearn.network.reports import InstrumentReport, OutputReport
from hwlearn_drivers.errors import UnknownInstrumentError
from hwlearn_drivers.instrument.instrument import Identity
from hwlearn_drivers.matrix.dry_answers import DryMatrix
from hwlearn_drivers.matrix.matrix import OUTPUT, MatrixUse, SwitchMatrix
from hwlearn_drivers.matrix.models.keithley7001 import Keithley7001
from hwlearn_drivers.matrix.models.keithley_tsp import Keithley707B, Keithley3706A
from hwlearn_drivers.matrix.models.keysight_b2200 import KeysightB2200
from hwlearn_drivers.transport.connector import Connector, reads_connection
from hwlearn_drivers.transport.transport import Transport

FAMILIES: Final[tuple[type[SwitchMatrix], ...]] = (Keithley707B, Keithley3706A, Keithley7001, KeysightB2200)

_REFUSED: Final = ("707", "707A", "708", "708A")
"""Their letter commands are known, the format of what they send is not."""


def matrix_models() -> list[str]:
    """Return every supported model."""
    return [model for family in FAMILIES for model in family.mainframes]


def matrix_model(model: str) -> str:
    """Return a model as the bench file may spell it, in its one spelling.

    Raises
    ------
    SetupError
        If the model is not supported.
    """
    wanted = model.strip().upper()
    known = matrix_models()
    if wanted in _REFUSED:
        raise SetupError(
            f"the switch matrix {wanted} is refused: no public source confirmed its replies; use a 707B or 708B, "
            "or write a driver with the manual at hand (docs/benches.md)"
        )
    if wanted not in known:
        raise SetupError(
            f"there is no driver for the switch matrix {model!r}{closest(wanted, known)}; supported: "
            f"{', '.join(known)}"
        )
    return wanted


def check_settle(model: str, settle_s: float) -> None:
    """Refuse no settling time for a model that does not say when its relays have settled.

    Raises
    ------
    SetupError
    """
    if not (settle_s or matrix_family(model).says_settled):
        raise SetupError(
            f"settle is missing: a {matrix_model(model)} does not say when its relays have settled; take it from "
            "the data sheet of its cards"
        )


def matrix_family(model: str) -> type[SwitchMatrix]:
    """Return the driver class of a model; raises as `matrix_model`."""
    wanted = matrix_model(model)
    return next(family for family in FAMILIES if wanted in family.mainframes)


def open_matrix(address: str, model: str, use: MatrixUse, connector: Connector | None = None) -> SwitchMatrix:
    """Open a switch matrix: every relay is opened before the first query, and that is checked.

    Parameters
    ----------
    address : str
        As `hwlearn_drivers.transport.addresses.open_link` takes it.
    model : str
    use : MatrixUse
    connector : Connector, optional

    Raises
    ------
    SetupError
        If address, model, slot or card do not exist.
    InUseError
        If another process, or another network of this one, uses the matrix.
    LinkError
        If it does not answer.
    UnknownInstrumentError
        If another instrument answers, or it has other cards. Nothing but OFF was sent to another instrument.
    OutputStateError
        If a relay is closed after all were opened.
    """
    family = matrix_family(model)
    family.grid_of(matrix_model(model), use.cards)
    connector = Connector() if connector is None else connector
    if not connector.is_rehearsal:
        check_settle(model, use.settle_s)
    transport = _transport(address, model, use.cards, connector)
    try:
        transport.fence = family.fence
        transport.write(*family.open_all())
        identity = Identity.parse(transport.query("*IDN?"))
        _check_model(transport.name, model, identity)
        matrix = family(transport, identity, use)
    except BaseException:
        transport.close()
        raise
    try:
        transport.claim.check()
    except BaseException:
        matrix.close()
        raise
    return matrix


def write_open_all(address: str, model: str, connector: Connector, check: bool) -> bool:
    """Open every relay of a matrix without any query before it, whoever uses it.

    Returns
    -------
    bool
        Whether it reads this connection; False if ``check`` is false.

    Raises
    ------
    LinkError
        If it cannot be sent.
    """
    family = matrix_family(model)
    transport = _transport(address, model, {}, connector.for_off())
    transport.fence = family.fence
    off = family.open_all()
    try:
        transport.halt(*off, *family.abort_commands(), *off)
        return check and reads_connection(transport)
    finally:
        transport.close()


def inspect_matrix(
    address: str, model: str, cards: Mapping[int, str], nodes: Mapping[str, str], connector: Connector
) -> InstrumentReport:
    """Return the closed relays of a matrix, with queries that change nothing.

    Parameters
    ----------
    address, model : str
        If another model answers, nothing more is sent to it.
    cards : mapping of int to str
        Card in each slot.
    nodes : mapping of str to str
        What is connected to rows and columns, by ``"row A"`` and ``"column 3"``.
    connector : Connector

    Raises
    ------
    InUseError
        If another process uses the matrix.
    LinkError, UnknownInstrumentError
        If it does not answer, or is another instrument.
    """
    with connector.query_only(address) as link:
        line = link.query("*IDN?")
        identity = Identity.parse(line)
        _check_model(link.name, model, identity)
        family = matrix_family(model)
        closed = family.read_status(link, cards)
        if link.query("*IDN?") != line:  # a late reply to somebody else was taken for ours
            link.garbled("*IDN?", "another reply than before")
    facts = {"relays closed": ", ".join(closed) or "none"}
    facts |= {name: f"connected to {what}" for name, what in nodes.items()}
    return InstrumentReport(link.name, "instrument", str(identity), (OutputReport(OUTPUT, bool(closed)),), facts)


def _check_model(address: str, model: str, identity: Identity) -> None:
    """Refuse an instrument that is not the model of the bench file."""
    try:
        found = matrix_family(model).model_of(identity)
    except UnknownInstrumentError:
        found = ""
    if found == matrix_model(model):
        return
    remedy = f', or set model = "{found}"' if found else ""
    raise UnknownInstrumentError(
        f"at {address} the bench expects a {matrix_model(model)}, but {identity} answers; check the "
        f"address{remedy}"
    )


def _transport(address: str, model: str, cards: Mapping[int, str], connector: Connector) -> Transport:
    return connector.transport(address, lambda: DryMatrix(matrix_model(model), cards))
