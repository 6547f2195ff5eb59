"""`InstrumentSettings`: one table of ``[[backend.instruments]]``; each kind of instrument has its own class."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping
from typing import Annotated, Any, ClassVar

from pydantic import Field

from hwlearn.network.limits import Limits
from hwlearn.network.nudges import DriveKind
from hwlearn.network.reports import InstrumentReport
from hwlearn.quantities import Section
from hwlearn_drivers.roles.instrument import BenchInstrument
from hwlearn_drivers.roles.values import ChannelUse, Role
from hwlearn_drivers.transport.connector import Connector

InstrumentName = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_-]*$")]


class InstrumentSettings(Section, ABC):
    """One instrument of a bench file, before it is opened: its roles, and how to open it and switch it off.

    To add a kind of instrument, derive a class with its keys, and name it in `hwlearn_drivers.bench.registry`.

    Attributes
    ----------
    name : str
        By which the terminals call it.
    model : str
        One of `models`.
    """

    kind: ClassVar[str]
    """Unique name of this class of instruments in the registry."""

    name: InstrumentName
    model: str

    @classmethod
    @abstractmethod
    def models(cls) -> Collection[str]:
        """Return the model numbers, in capitals, that tables of this class may name."""

    @classmethod
    def variant(cls, table: Mapping[str, Any]) -> type[Section]:
        """Return the class whose models include that of a table; this class if there is none."""
        wanted = str(table.get("model", "")).strip().upper()
        for derived in cls.__subclasses__():
            if wanted in {model.upper() for model in derived.models()}:
                return derived
        return cls

    @property
    @abstractmethod
    def addresses(self) -> tuple[str, ...]:
        """The addresses that it is reached at, to claim them and to look them up; empty if it has none."""

    @abstractmethod
    def channel_roles(self, channel: str) -> frozenset[Role]:
        """Return the roles that a channel can play; nothing is contacted.

        Raises
        ------
        SetupError
            If there is no such channel; names those that there are.
        """

    @property
    def drive_kinds(self) -> frozenset[DriveKind]:
        """Drives that its channels with the role `Role.NUDGE` can make: ``"clamp"``, ``"current"``."""
        return frozenset()

    @property
    def edge_unit(self) -> str | None:
        """Unit of the values of edges that it can set (`Role.EDGES`), ``"S"`` or ``"V"``; None if it sets none."""
        return None

    @property
    def connects_crosspoints(self) -> bool:
        """Whether it is a switch matrix: it connects rows to columns."""
        return False

    @property
    def confirms_levels(self) -> bool:
        """Whether it answers something after a level was set, from which follows that it has set it."""
        return True

    @property
    def has_outputs(self) -> bool:
        """Whether OFF means anything to it; False for an instrument that only reads or programs."""
        return True

    def pin(self, role: Role, channel: str) -> str:
        """Return which connector a channel is in a role; one connector must not be wired to two nodes."""
        return channel

    def check_use(self, use: ChannelUse, limits: Limits) -> None:
        """Refuse a use that the instrument cannot serve as a whole; nothing is contacted.

        Raises
        ------
        SetupError, LimitError
        """
        return

    @abstractmethod
    def open(self, use: ChannelUse, limits: Limits, connector: Connector) -> BenchInstrument:
        """Open the instrument, with OFF before any query where the model is stated, and set it up.

        Raises
        ------
        InUseError, LinkError, UnknownInstrumentError, InstrumentError
            The instrument is then off and closed.
        """

    def inspect(self, nodes: Mapping[str, str], connector: Connector) -> InstrumentReport:
        """Return the state of its outputs, read with queries that change nothing; nothing is sent by default.

        Parameters
        ----------
        nodes : mapping of str to str
            Node at each channel in use.
        connector : Connector

        Raises
        ------
        InUseError, LinkError, UnknownInstrumentError
        """
        name = self.addresses[0] if self.addresses else self.name
        return InstrumentReport(name, "none", note=f"{self.name} is not read: no query is known to change nothing")

    def prepare_off(self, connector: Connector) -> None:
        """Import and look up what `write_off` needs; nothing is contacted."""
        return

    @abstractmethod
    def write_off(self, connector: Connector, check: bool) -> bool:
        """Send OFF to every output, without any query before it, whoever uses the instrument; close the link.

        Parameters
        ----------
        connector : Connector
        check : bool
            Also find out, after OFF, whether the instrument answers on this link.

        Returns
        -------
        bool
            Whether it does; False if it was not asked.

        Raises
        ------
        LinkError
            If OFF cannot be sent.
        """
