"""`ChannelCommands`: the commands and queries that a model of SMU provides for its channels."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

from hwlearn.arrays import FloatArray
from hwlearn_drivers.smu.operating_range import Quantity
from hwlearn_drivers.smu.reading import OutputState, Reading


class ChannelCommands(ABC):
    """The commands and queries of one channel."""

    __slots__ = ()

    @abstractmethod
    def read(self) -> Reading:
        """Measure voltage and current, and read back compliance and state in the same message.

        Raises
        ------
        NetworkError
            If the channel is not configured as a source.
        OutputStateError
            If output, source, level or limit are not what was set; the instrument is switched off.
        """

    @abstractmethod
    def _reading_question(self, source: Quantity) -> str:
        """Return the message of `read` for a source of this quantity; it never changes."""

    @abstractmethod
    def limited(self) -> bool:
        """Query whether the source is at its limit (in compliance)."""

    @abstractmethod
    def _level_command(self, quantity: Quantity, value: float) -> str:
        """Return the command that sets a level; it must not depend on the active source."""

    @abstractmethod
    def _limit_command(self, quantity: Quantity, value: float) -> str:
        """Return the command that limits this quantity; ``"current"`` is the limit of the voltage source."""

    @abstractmethod
    def _limit_query(self, quantity: Quantity) -> str:
        """Return the query of the limit of this quantity."""

    @abstractmethod
    def _source_commands(self, quantity: Quantity) -> list[str]:
        """Return the commands that select the source and measure the other quantity."""

    @abstractmethod
    def _output_command(self, on: bool) -> str:
        """Return the command that switches the output on or off."""

    @abstractmethod
    def _source_range_command(self, quantity: Quantity, value: float | None) -> list[str]:
        """Return the commands for the source range; None: automatic."""

    @abstractmethod
    def _measure_range_command(self, quantity: Quantity, value: float | None) -> list[str]:
        """Return the commands for the measuring range; None: automatic."""

    @abstractmethod
    def _nplc_commands(self, cycles: float) -> list[str]:
        """Return the commands that set the integration time."""

    @abstractmethod
    def _four_wire_commands(self, remote: bool) -> list[str]:
        """Return the commands that select 2-wire or 4-wire sensing."""

    @abstractmethod
    def _sweep(self, quantity: Quantity, levels: Sequence[float]) -> FloatArray:
        """Run a list of at most `LONGEST_LIST` levels if the output is on; return volts and amperes, (2, n)."""

    @abstractmethod
    def _state_of(self, quantity: Quantity) -> list[str]:
        """Return the queries of output and source, and of level and limit of a source of this quantity."""

    @abstractmethod
    def _state_in(self, question: str, quantity: Quantity, parts: list[str]) -> OutputState:
        """Return the state in the replies to `_state_of`."""

    @abstractmethod
    def _change_while_on(self, before: Quantity, quantity: Quantity) -> tuple[OutputState, bool]:
        """Query the state and change the source in one message.

        Returns
        -------
        (OutputState, bool)
            The state directly before the change, and whether the output is on after it.
        """

    @abstractmethod
    def _query_and_set(self, quantity: Quantity, command: str) -> tuple[str, list[str], str]:
        """Query the state, send a setting and query the error queue, in one message.

        Returns
        -------
        (str, list of str, str)
            The message; the replies to `_state_of`, directly before the setting; and what the error queue reports,
            for `raise_reported`.
        """
