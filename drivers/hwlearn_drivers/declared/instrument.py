"""`DeclaredInstrument`: the table of a board with a text protocol in ``[[backend.instruments]]``."""

from __future__ import annotations

from collections.abc import Collection
from functools import cached_property
from typing import Annotated, ClassVar, Self

from pydantic import AfterValidator, Field, model_validator

from hwlearn.errors import SetupError, closest
from hwlearn.network.limits import Limits
from hwlearn.quantities import FROM_LIST, Count
from hwlearn_drivers.address import spelled_once
from hwlearn_drivers.declared.board import DeclaredBoard
from hwlearn_drivers.declared.declaration import Declaration, load_declaration
from hwlearn_drivers.declared.edges import check_reach
from hwlearn_drivers.declared.interpreter import DryBoardAnswers
from hwlearn_drivers.declared.roles import DeclaredOnBench
from hwlearn_drivers.errors import LinkError
from hwlearn_drivers.roles.settings import InstrumentSettings
from hwlearn_drivers.roles.values import ChannelUse, Role
from hwlearn_drivers.transport.addresses import prepare_link
from hwlearn_drivers.transport.connector import Connector
from hwlearn_drivers.transport.transport import Transport

_ANSWER_S = 0.5


class DeclaredInstrument(InstrumentSettings):
    """Keys of a board with a text protocol; ``model = "declared"``.

    Attributes
    ----------
    address : str
    protocol : str
        The file that declares the protocol, or the name of one that comes with the package.
    places : tuple of int, optional
        Number on the board of each edge, in edge order.
    baud : int, optional
        Instead of the one in the file.
    """

    kind: ClassVar[str] = "declared"

    address: Annotated[str, AfterValidator(spelled_once)]
    protocol: str
    places: Annotated[tuple[Annotated[int, Field(ge=0)], ...], FROM_LIST] | None = None
    baud: Count | None = None

    @model_validator(mode="after")
    def _checked(self) -> Self:
        self.declaration  # noqa: B018  read and checked now
        return self

    @cached_property
    def declaration(self) -> Declaration:
        """The protocol.

        Raises
        ------
        SetupError
            With file, line and key.
        """
        return load_declaration(self.protocol)

    @classmethod
    def models(cls) -> Collection[str]:
        """Return ``declared``."""
        return ("declared",)

    @property
    def addresses(self) -> tuple[str, ...]:
        """The address."""
        return (self.address,)

    @property
    def confirms_levels(self) -> bool:
        """Whether the protocol acknowledges levels, or has a query that is answered after them."""
        own = self.declaration
        acknowledged = own.source is not None and own.acknowledgement(own.source.acknowledged) is not None
        asked = own.source is not None and own.source.ask is not None
        return acknowledged or asked or own.error.ask is not None or own.identity is not None

    @property
    def has_outputs(self) -> bool:
        """Whether the protocol has an ``[off]``."""
        return self.declaration.off is not None

    @property
    def edge_unit(self) -> str | None:
        """S if the protocol has an ``[edge]``."""
        return None if self.declaration.edge is None else "S"

    def channel_roles(self, channel: str) -> frozenset[Role]:
        """Return the tables of the protocol that list a channel of this name."""
        own = self.declaration
        listed = {
            Role.SOURCE: () if own.source is None else own.source.names,
            Role.READ: () if own.read is None else own.read.names,
            Role.SWITCH: () if own.switch is None else own.switch.names,
        }
        found = frozenset(role for role, names in listed.items() if channel in names)
        if not found:
            known = "; ".join(f"[{role}] {', '.join(names)}" for role, names in listed.items() if names)
            every = [name for names in listed.values() for name in names]
            raise SetupError(
                f"the protocol of {self.name} has no channel {channel!r}{closest(channel, every)}; it has: {known}"
            )
        return found

    def pin(self, role: Role, channel: str) -> str:
        """Return role and channel: DAC 0 and ADC 0 are two connectors."""
        return f"{role} {channel}"

    def check_use(self, use: ChannelUse, limits: Limits) -> None:
        """Refuse a network with more edges than the protocol has, and limits that its edges cannot cover."""
        edge = self.declaration.edge
        if not use.edges or edge is None:
            return
        if edge.count < use.edges:
            raise SetupError(f"the network has {use.edges} edges, the protocol of {self.name} has {edge.count}")
        check_reach(edge, limits, self.name)

    def open(self, use: ChannelUse, limits: Limits, connector: Connector) -> DeclaredOnBench:
        """Open the board, send OFF, and check its identity."""
        own = self._connector(connector)
        transport = own.transport(self.address, lambda: DryBoardAnswers(self.declaration))
        try:
            board = DeclaredBoard(
                transport, self.declaration, self.name, connector.dry_run, waits=not connector.is_rehearsal
            )
        except BaseException:
            transport.close()
            raise
        try:
            transport.claim.check()
            return DeclaredOnBench(self.name, board, use, limits, self.places)
        except BaseException:
            board.close()
            raise

    def prepare_off(self, connector: Connector) -> None:
        """Import and look up what `write_off` needs."""
        prepare_link(self.address, connector.options)

    def write_off(self, connector: Connector, check: bool) -> bool:
        """Send the commands of ``[off]``, without a query before them."""
        own = self._connector(connector).for_off()
        transport = own.transport(self.address, lambda: DryBoardAnswers(self.declaration))
        checksum = self.declaration.line_checksum
        lines = self.declaration.off_lines
        try:
            transport.halt(*(line if checksum is None else checksum.add(line) for line in lines))
            return check and self._answers(transport)
        finally:
            transport.close()

    def _answers(self, transport: Transport) -> bool:
        """Return, after OFF, whether the board answers on this link."""
        identity, checksum = self.declaration.identity, self.declaration.line_checksum
        if identity is None:
            return False
        transport.rearm()
        try:
            return bool(
                transport.query(identity.ask if checksum is None else checksum.add(identity.ask), _ANSWER_S)
            )
        except LinkError:
            return False

    def _connector(self, connector: Connector) -> Connector:
        link = self.declaration.link
        baud = connector.options.baud if self.baud is None else self.baud
        ends = {"lf": b"\n", "crlf": b"\r\n", "cr": b"\r"}
        return connector.for_lines(
            link.baud if baud is None else baud, link.timeout, ends[link.terminator], link.ignore or ""
        )
