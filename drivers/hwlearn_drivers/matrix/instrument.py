"""A switch matrix on a bench: its table `MatrixInstrument`, and `MatrixOnBench`."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Annotated, Any, ClassVar, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from hwlearn.errors import LimitError, SetupError
from hwlearn.network.limits import Limits
from hwlearn.network.reports import InstrumentReport
from hwlearn.quantities import NonNegativeSeconds, PositiveAmperes, PositiveVolts
from hwlearn.units import format_quantity
from hwlearn_drivers.address import spelled_once
from hwlearn_drivers.matrix.cards import Grid
from hwlearn_drivers.matrix.matrix import MatrixUse, SwitchMatrix
from hwlearn_drivers.matrix.registry import (
    check_settle,
    inspect_matrix,
    matrix_family,
    matrix_model,
    matrix_models,
    open_matrix,
    write_open_all,
)
from hwlearn_drivers.roles.instrument import ConnectsCrosspoints
from hwlearn_drivers.roles.on_source import OnSource
from hwlearn_drivers.roles.settings import InstrumentSettings
from hwlearn_drivers.roles.values import ChannelUse, Crosspoint, Role
from hwlearn_drivers.transport.addresses import prepare_link
from hwlearn_drivers.transport.connector import Connector


class MatrixOnBench(OnSource, ConnectsCrosspoints):
    """A switch matrix on a bench.

    Parameters
    ----------
    called : str
        Name in the bench file.
    matrix : SwitchMatrix
    """

    source: SwitchMatrix

    def __init__(self, called: str, matrix: SwitchMatrix) -> None:
        super().__init__(called, matrix)

    @property
    def rows(self) -> tuple[str, ...]:
        """Names of the rows."""
        return self.source.grid.rows

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns."""
        return self.source.grid.columns

    def channel(self, crosspoint: Crosspoint) -> str:
        """Return the name that the instrument has for a crosspoint."""
        self.source.grid.check(crosspoint, self.name)
        return self.source.channel(crosspoint)

    def change(self, opening: Collection[Crosspoint], closing: Collection[Crosspoint]) -> None:
        """Open some crosspoints and close others, break before make; see `ConnectsCrosspoints.change`."""
        self.source.change(opening, closing)

    def closed(self) -> frozenset[Crosspoint]:
        """Query which crosspoints are closed."""
        return self.source.closed()

    @property
    def relay_moves(self) -> int:
        """Number of relays that were opened or closed by `change` since the matrix was opened."""
        return self.source.relay_moves

    def start_again(self) -> None:
        """Open every relay, reset and set up again, after somebody else changed settings."""
        self.source.start_again()

    def check_state(self) -> None:
        """Compare the closed crosspoints with those that were set."""
        self.source.check_state()


def _by_slot(given: Any) -> Any:
    """Return cards by the number of their slot; TOML has text as keys."""
    if isinstance(given, Mapping):
        return {int(slot) if str(slot).isdigit() else slot: str(card).upper() for slot, card in given.items()}
    return given


class MatrixInstrument(InstrumentSettings):
    """Keys of a switch matrix in ``[[backend.instruments]]``.

    Attributes
    ----------
    address : str
    cards : mapping of int to str
        Model of the card in each slot that the bench uses: ``cards = { 1 = "7174A" }``.
    max_voltage, max_current : quantity
        What the data sheet of the cards allows between any two of their contacts, and through one of them.
    settle : quantity
        Waiting time after relays have moved, beyond that of the instrument, such as for low currents.
    """

    kind: ClassVar[str] = "matrix"

    model: Annotated[str, AfterValidator(matrix_model)]
    address: Annotated[str, AfterValidator(spelled_once)]
    cards: Annotated[dict[int, str], BeforeValidator(_by_slot), Field(min_length=1)]
    max_voltage: PositiveVolts
    max_current: PositiveAmperes
    settle: NonNegativeSeconds = 0.0

    @model_validator(mode="after")
    def _checked(self) -> Self:
        self.grid  # noqa: B018  checked now
        check_settle(self.model, self.settle)
        return self

    @property
    def grid(self) -> Grid:
        """Rows and columns; nothing is contacted.

        Raises
        ------
        SetupError
            If a slot or a card does not exist.
        """
        return matrix_family(self.model).grid_of(self.model, self.cards)

    @classmethod
    def models(cls) -> Collection[str]:
        """Return the supported models."""
        return matrix_models()

    @property
    def addresses(self) -> tuple[str, ...]:
        """The address."""
        return (self.address,)

    @property
    def connects_crosspoints(self) -> bool:
        """True."""
        return True

    def channel_roles(self, channel: str) -> frozenset[Role]:
        """Refuse every channel: a matrix connects instruments with nodes and is none of them."""
        raise SetupError(
            f"{self.name} is a switch matrix, which neither drives nor reads; name it in [backend.matrix]"
        )

    def check_use(self, use: ChannelUse, limits: Limits) -> None:
        """Refuse rows and columns that there are not, and limits beyond those of the cards."""
        grid = self.grid
        for row in use.rows:
            grid.check(Crosspoint(row, grid.columns[0]), self.name)
        for column in use.columns:
            grid.check(Crosspoint(grid.rows[0], column), self.name)
        if 2 * limits.voltage > self.max_voltage:  # between a row at one limit and a column at the other
            raise LimitError(
                f"limits.voltage = {format_quantity(limits.voltage, 'V')} puts up to "
                f"{format_quantity(2 * limits.voltage, 'V')} across a relay of {self.name}; its max_voltage is "
                f"{format_quantity(self.max_voltage, 'V')}"
            )
        if limits.current > self.max_current:
            raise LimitError(
                f"limits.current = {format_quantity(limits.current, 'A')} is more than the max_current of "
                f"{self.name}, {format_quantity(self.max_current, 'A')}"
            )

    def open(self, use: ChannelUse, limits: Limits, connector: Connector) -> MatrixOnBench:
        """Open it, with every relay open; see `open_matrix`."""
        settle_s = 0.0 if connector.is_rehearsal else self.settle
        own = MatrixUse(self.cards, self.max_voltage, settle_s, use)
        return MatrixOnBench(self.name, open_matrix(self.address, self.model, own, connector))

    def inspect(self, nodes: Mapping[str, str], connector: Connector) -> InstrumentReport:
        """Return the closed relays, with queries only; see `inspect_matrix`."""
        return inspect_matrix(self.address, self.model, self.cards, nodes, connector)

    def prepare_off(self, connector: Connector) -> None:
        """Import and look up what `write_off` needs."""
        prepare_link(self.address, connector.options)

    def write_off(self, connector: Connector, check: bool) -> bool:
        """Open every relay; see `write_open_all`."""
        return write_open_all(self.address, self.model, connector, check)
