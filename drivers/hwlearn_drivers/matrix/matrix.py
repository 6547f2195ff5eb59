"""`SwitchMatrix`: a mainframe with relays at the crosspoints of rows and columns."""

from __future__ import annotations

import time
from abc import abstractmethod
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar, Final, NoReturn

from hwlearn.errors import SetupError
from hwlearn.network.reports import InstrumentReport, OutputReport
from hwlearn_drivers.claims.shutdown import SOURCES_OFF_S
from hwlearn_drivers.errors import OutputStateError, UnknownInstrumentError
from hwlearn_drivers.instrument.instrument import Identity
from hwlearn_drivers.instrument.source import Source
from hwlearn_drivers.matrix.cards import Grid
from hwlearn_drivers.roles.values import ChannelUse, Crosspoint
from hwlearn_drivers.transport.query_only import QueryOnly
from hwlearn_drivers.transport.transport import Transport

OUTPUT: Final = "every relay"
_AT_ONCE: Final = 40  # crosspoints in one command: about 200 characters
_RELAY_S: Final = 0.05  # no relay of these instruments needs longer to move and to settle
_MOST_NAMED: Final = 6


@dataclass(frozen=True, slots=True)
class MatrixUse:
    """How a bench uses a switch matrix.

    Attributes
    ----------
    cards : mapping of int to str
        Model of the card in each slot in use.
    most_V : float
        Largest voltage that the cards may carry, as their data sheet states it.
    settle_s : float
        Waiting time after relays have moved, beyond that of the instrument itself.
    channels : ChannelUse
        What is connected to rows and columns, for messages.
    """

    cards: Mapping[int, str]
    most_V: float
    settle_s: float = 0.0
    channels: ChannelUse = field(default_factory=ChannelUse)


class SwitchMatrix(Source):
    """A switch matrix. The constructor opens every relay, resets it and checks its cards.

    Parameters
    ----------
    transport : Transport
    identity : Identity
        Its reply to ``*IDN?``.
    use : MatrixUse

    Raises
    ------
    UnknownInstrumentError
        If it is not a model of this class, or has other cards.
    SetupError
        If there is no such slot, or a card is not known.
    OutputStateError
        If a relay is closed after all were opened, or a setting is not as it was set.
    """

    __slots__ = ("_expected", "_may_be_closed", "grid", "relay_moves", "use")

    switched_off_last: ClassVar[bool] = True

    series: ClassVar[str]
    """Name of the command set, for messages."""

    mainframes: ClassVar[Mapping[str, int]]
    """Number of slots of each model of this class."""

    card_rows: ClassVar[Mapping[str, tuple[tuple[str, ...], int]]]
    """Names of the rows, and number of columns, of each card."""

    open_form: ClassVar[str] = ":ROUT:OPEN (@{})"
    close_form: ClassVar[str] = ":ROUT:CLOS (@{})"
    """Commands that open and close the relays in a list, and leave the others as they are."""

    says_settled: ClassVar[bool] = True
    """Whether it answers a query only when its relays have settled; otherwise the settling time must be stated."""

    def __init__(self, transport: Transport, identity: Identity, use: MatrixUse) -> None:
        model = self.model_of(identity)
        self.grid, self.use = self.grid_of(model, use.cards), use
        self.relay_moves = 0
        self._expected: frozenset[Crosspoint] | None = None  # not known
        self._may_be_closed = False  # a relay was moved since OFF
        super().__init__(transport, identity)
        self._begin()

    @classmethod
    def model_of(cls, identity: Identity) -> str:
        """Return the model, as in `mainframes`.

        Raises
        ------
        UnknownInstrumentError
            If it is none of this class.
        """
        found = identity.model_number
        if found not in cls.mainframes:
            raise UnknownInstrumentError(f"{identity} is none of {', '.join(cls.mainframes)}")
        return found

    @classmethod
    def grid_of(cls, model: str, cards: Mapping[int, str]) -> Grid:
        """Return rows and columns of a model with these cards.

        Raises
        ------
        SetupError
            If there is no such slot, a card is not known, or the cards have different sizes.
        """
        slots = cls.mainframes[model]
        for slot, card in cards.items():
            if not 1 <= slot <= slots:
                raise SetupError(f"a {model} has slots 1 to {slots}; there is no slot {slot}")
            if card not in cls.card_rows:
                raise SetupError(
                    f"the card {card!r} of slot {slot} is not known for a {model}; known: "
                    f"{', '.join(cls.card_rows)}; others are refused until their figures are confirmed"
                )
        sizes = {cls.card_rows[card] for card in cards.values()}
        if len(sizes) != 1:
            listed = ", ".join(cards.values()) or "none"
            raise SetupError(f"the cards of a matrix must have one size; got {listed}")
        rows, width = sizes.pop()
        return Grid(rows, width, tuple(sorted(cards)))

    # --- of the models ------------------------------------------------------------------------------

    @classmethod
    @abstractmethod
    def open_all(cls) -> list[str]:
        """Return the commands that open every relay; none of them is a query."""

    @classmethod
    @abstractmethod
    def abort_commands(cls) -> list[str]:
        """Return the commands that end what may delay a command; empty if nothing does."""

    @classmethod
    @abstractmethod
    def read_status(cls, link: QueryOnly, cards: Mapping[int, str]) -> list[str]:
        """Return the closed channels, read with queries that change nothing.

        Parameters
        ----------
        link : QueryOnly
        cards : mapping of int to str
            Cards that the bench uses.
        """

    @abstractmethod
    def channel(self, crosspoint: Crosspoint) -> str:
        """Return the name that the instrument has for a crosspoint of the grid."""

    @abstractmethod
    def _list_closed(self, patience_s: float) -> frozenset[Crosspoint]:
        """Query which crosspoints are closed, if possible after every relay has settled."""

    # --- relays -------------------------------------------------------------------------------------

    def closed(self) -> frozenset[Crosspoint]:
        """Query which crosspoints are closed."""
        return self._list_closed(self._patience_s(0))

    def change(self, opening: Collection[Crosspoint], closing: Collection[Crosspoint]) -> None:
        """Open some relays, then close others; see `ConnectsCrosspoints.change`."""
        first, then = frozenset(opening), frozenset(closing)
        for crosspoint in sorted(first | then):
            self.grid.check(crosspoint, self.name)
        if both := sorted(first & then):
            raise SetupError(f"{self.name}: {self._text(both[:1])} is to be opened and closed; nothing was sent")
        with self.transport.exchange():
            known = self._known()
            releasing, operating = sorted(first & known), sorted(then - known)
            if releasing:
                known -= first
                self._move(self.open_form, releasing, known)
            if operating:
                known |= then
                self._move(self.close_form, operating, known)
            if not (releasing or operating):
                self.check_state()

    def check_state(self) -> None:
        """Query which crosspoints are closed, and compare them with those that were set.

        Raises
        ------
        OutputStateError
        """
        with self.transport.exchange():
            wanted = self._known()
            self._compare(self.closed(), wanted)

    def _move(self, form: str, moved: Sequence[Crosspoint], wanted: frozenset[Crosspoint]) -> None:
        """Open or close relays, wait until they have settled, and check what is closed then."""
        self._expected, self._may_be_closed = None, True
        commands = [
            form.format(",".join(self.channel(one) for one in moved[k : k + _AT_ONCE]))
            for k in range(0, len(moved), _AT_ONCE)
        ]
        self.transport.write(*commands)
        self.relay_moves += len(moved)
        found = self._list_closed(self._patience_s(len(moved)))
        self.check_errors(commands[-1])
        self._compare(found, wanted)
        if self.use.settle_s:
            time.sleep(self.use.settle_s)
        self._expected = wanted

    def _known(self) -> frozenset[Crosspoint]:
        """Return what is closed; after OFF nothing may be."""
        if self._expected is None:
            self._compare(self.closed(), frozenset())
            self._expected = frozenset()
        return self._expected

    def _compare(self, found: frozenset[Crosspoint], wanted: frozenset[Crosspoint]) -> None:
        if found == wanted:
            return
        self._expected = None
        parts = []
        for set_to, found_as, wrong in (("open", "closed", found - wanted), ("closed", "open", wanted - found)):
            if wrong:
                parts.append(f"{self._text(sorted(wrong))} set {set_to} and found {found_as}")
        raise OutputStateError(
            f"{self.name}: {'; '.join(parts)}; a relay does not move, or somebody else uses the matrix; "
            "check the card, then open the bench again"
        )

    def _text(self, crosspoints: Sequence[Crosspoint]) -> str:
        """Return crosspoints with what they connect: ``1A03 (smu1:a to node x0)``."""
        named = [f"{self.channel(one)} ({self.use.channels.joined(one)})" for one in crosspoints[:_MOST_NAMED]]
        more = len(crosspoints) - _MOST_NAMED
        return ", ".join(named) + (f" and {more} more" if more > 0 else "")

    def _patience_s(self, moved: int) -> float:
        return self.transport.timeout_s + moved * _RELAY_S

    def _refuse_card(self, slot: int, found: str) -> NoReturn:
        raise UnknownInstrumentError(
            f"{self.name}: slot {slot} has {found!r}, the bench expects a {self.use.cards[slot]}; correct cards, "
            "or install the card"
        )

    # --- off ----------------------------------------------------------------------------------------

    @property
    def outputs(self) -> list[str]:
        """Return one name for all relays."""
        return [OUTPUT]

    def off_commands(self) -> list[str]:
        """Return the commands that open every relay; if a reply is missing: open, abort, open."""
        off = self.open_all()
        return [*off, *self.abort_commands(), *off] if self.transport.out_of_sync else off

    def _send_off(self) -> None:
        if self._may_be_closed:
            # the sources were sent OFF before, and obey it a little later
            time.sleep(SOURCES_OFF_S)
        self._expected = None
        super()._send_off()
        self._may_be_closed = False

    def _is_off(self) -> bool:
        return not self.closed()

    # --- report -------------------------------------------------------------------------------------

    def report(self) -> InstrumentReport:
        """Return the closed relays as this process has set them, without a message."""
        closed = self._expected
        if closed is None and self.transport.halted:
            closed = frozenset()
        if closed is None:
            return replace(super().report(), facts={"relays closed": "not known"})
        facts = {"relays closed": self._text(sorted(closed)) or "none"}
        return replace(super().report(), outputs=(OutputReport(OUTPUT, bool(closed)),), facts=facts)
