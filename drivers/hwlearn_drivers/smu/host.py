"""`ChannelHost`: the part of an instrument that its channels use."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Protocol

from hwlearn_drivers.smu.operating_range import OperatingRange
from hwlearn_drivers.transport.transport import Transport


class ChannelHost(Protocol):
    """The part of an instrument that its channels use; `hwlearn_drivers.smu.smu.Smu` implements it."""

    operating_range: OperatingRange
    transport: Transport

    @property
    def name(self) -> str:
        """Model and address, for messages."""

    def write(self, *commands: str) -> None:
        """Send settings one by one; read the error queue after each."""

    def query_numbers(self, question: str, count: int, timeout_s: float | None = None) -> list[float]:
        """Send a query and return the ``count`` numbers of the reply."""

    def query_parts(self, question: str, timeout_s: float | None = None) -> list[str]:
        """Send a message with several queries and return the reply to each."""

    def one_message(self, queries: Sequence[str]) -> str:
        """Return several queries as one message."""

    def write_and_read_back(self, command: str, question: str) -> float:
        """Send a setting, then read it back together with the error queue."""

    def numbers(self, question: str, reply: str, count: int) -> list[float]:
        """Return the ``count`` numbers of a reply."""

    def check_errors(self, command: str) -> None:
        """Read the error queue and raise its oldest error."""

    def raise_reported(self, command: str, reported: str) -> None:
        """Raise the error that was reported together with other values, if any."""

    def sweeping(self) -> AbstractContextManager[None]:
        """Mark the time during which OFF needs an abort."""

    def halt(self, reopen: bool = True) -> None:
        """Switch every output off immediately and block all other commands; reopen the link if that fails."""
