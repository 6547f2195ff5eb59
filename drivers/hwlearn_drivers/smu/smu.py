"""`Smu`: a source-measure unit with one or two channels."""

from __future__ import annotations

import re
from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import ClassVar

from hwlearn.errors import LimitError, SetupError
from hwlearn.network.reports import InstrumentReport, OutputReport
from hwlearn.units import format_quantity
from hwlearn_drivers.errors import UnknownInstrumentError
from hwlearn_drivers.instrument.instrument import Identity
from hwlearn_drivers.instrument.serial_line import SerialLine
from hwlearn_drivers.instrument.source import Source
from hwlearn_drivers.smu.channel import SmuChannel
from hwlearn_drivers.smu.operating_range import ChannelLimit, OperatingRange
from hwlearn_drivers.smu.reading import StatusQueries
from hwlearn_drivers.transport.transport import Transport

_PART = re.compile(r'(?:[^;"]|"[^"]*")+')
"""The reply to one of several queries."""


class Smu(Source):
    """A source-measure unit. The constructor switches its outputs off and resets it.

    Parameters
    ----------
    transport : Transport
    identity : Identity
        Its reply to ``*IDN?``.
    limits : mapping of int to ChannelLimit
        For each channel in use, by number; the other channels are not available.

    Raises
    ------
    UnknownInstrumentError
        If it is not a model of this class, or is set to another command language.
    SetupError
        If it has no such channel.
    """

    __slots__ = ("_channels", "_sweeping", "operating_range")

    series: ClassVar[str]
    """Name of the series, for a bench that allows every model of it."""

    operating_ranges: ClassVar[Mapping[str, OperatingRange]]
    """Operating range of each model of this class, by model number."""

    refused: ClassVar[Mapping[str, str]]
    """Models that would be of this class, but whose figures are not confirmed: model number -> reason."""

    interlock_query: ClassVar[str] = ""
    """Query that is answered 1 if the interlock is closed; empty if the models of the class have none."""

    serial_line: ClassVar[SerialLine | None] = None
    """RS-232 of the series; None if it has none."""

    channel_class: ClassVar[type[SmuChannel]]

    def __init__(self, transport: Transport, identity: Identity, limits: Mapping[int, ChannelLimit]) -> None:
        self.operating_range = self.operating_ranges[self.model_of(identity)].with_channels_in_use(len(limits))
        self._sweeping = False
        present = self.operating_range.channels
        for number in limits:
            if not 1 <= number <= present:
                raise SetupError(f"{identity} has {present} channel(s), there is no channel {number}")
        self._channels = {n: self.channel_class(self, n, limit) for n, limit in sorted(limits.items())}
        super().__init__(transport, identity)
        self._begin()

    @classmethod
    def model_of(cls, identity: Identity) -> str:
        """Return the model number, as in `operating_ranges`.

        Raises
        ------
        UnknownInstrumentError
            If it is none of this class.
        """
        found = identity.model_number
        if found in cls.refused:
            raise UnknownInstrumentError(f"{identity} is not supported: {cls.refused[found]}")
        if found not in cls.operating_ranges:
            raise UnknownInstrumentError(f"{identity} is none of {', '.join(cls.operating_ranges)}")
        return found

    def channel(self, number: int) -> SmuChannel:
        """Return a channel in use.

        Raises
        ------
        SetupError
            If the channel has no channel limit.
        """
        if number not in self._channels:
            raise SetupError(f"channel {number} of {self.name} has no channel limit; pass one to open_smu")
        return self._channels[number]

    @property
    def channels(self) -> tuple[SmuChannel, ...]:
        """The channels in use, by number."""
        return tuple(self._channels.values())

    @property
    def outputs(self) -> list[str]:
        """Names of all channels, also of those not in use: the front panel can switch them on."""
        return [f"channel {number}" for number in self._numbers]

    def report(self) -> InstrumentReport:
        """Return all channels as this process has set them, without a message."""
        used = {channel.number: channel.report() for channel in self.channels}
        outputs = tuple(
            used.get(number, OutputReport(name)) for number, name in zip(self._numbers, self.outputs, strict=True)
        )
        return replace(super().report(), outputs=outputs)

    @property
    def _numbers(self) -> range:
        return range(1, self.operating_range.channels + 1)

    def set_up(self) -> None:
        """Reset it and restore the settings of driver and user; the outputs are off afterwards."""
        self._reset()
        self._check_interlock()
        for channel in self.channels:
            channel.restore()

    def _check_interlock(self) -> None:
        """Refuse a channel limit beyond what the instrument supplies with an open interlock.

        Raises
        ------
        LimitError
        """
        safe_V = self.operating_range.interlock_V
        most_V = max((channel.channel_limit.volts for channel in self.channels), default=0.0)
        if safe_V is None or most_V <= safe_V or self.query_numbers(self.interlock_query, 1) == [1.0]:
            return
        raise LimitError(
            f"the interlock of {self.name} is open: it supplies at most {format_quantity(safe_V, 'V')}, and the "
            f"limit of the bench is {format_quantity(most_V, 'V')}; close the interlock or lower limits.voltage"
        )

    @abstractmethod
    def _reset(self) -> None:
        """Clear errors that others left, reset the instrument and make the settings that the driver requires."""

    def off_commands(self) -> list[str]:
        """Return OFF for every channel; during a sweep, or if a reply is missing: OFF, abort, OFF.

        An instrument that waits for a trigger executes OFF only when the wait has ended (2400 Series User's
        Manual, p. 11-11).
        """
        off = [self.off_command(number) for number in self._numbers]
        return [*off, *self.abort_commands(), *off] if self._sweeping or self.transport.out_of_sync else off

    @classmethod
    @abstractmethod
    def off_command(cls, number: int) -> str:
        """Return the command that switches a channel off."""

    @classmethod
    @abstractmethod
    def status_queries(cls, number: int) -> StatusQueries:
        """Return the queries of the state of a channel, of which none changes anything."""

    @classmethod
    @abstractmethod
    def abort_commands(cls) -> list[str]:
        """Return the commands that end a sweep or a wait for a trigger."""

    @contextmanager
    def sweeping(self) -> Iterator[None]:
        """Mark a running sweep, for which OFF needs an abort; after an error the mark remains until `off`."""
        self._sweeping = True
        yield
        self._sweeping = False

    # --- messages -----------------------------------------------------------------------------------

    def query_parts(self, question: str, timeout_s: float | None = None) -> list[str]:
        """Send a message with several queries and return the reply to each; semicolons in quotes do not count."""
        reply = self.query(question, timeout_s)
        return [part.strip() for part in (_PART.findall(reply) if '"' in reply else reply.split(";"))]

    def one_message(self, queries: Sequence[str]) -> str:
        """Return several queries as one message."""
        return ";".join(queries)

    def check_states(self, channels: Sequence[SmuChannel]) -> None:
        """Read back output, source, level and limit of several of its channels, in one message.

        Raises
        ------
        NetworkError, OutputStateError
            As `SmuChannel.check_state`.
        """
        queries = [channel.state_queries() for channel in channels]
        question = self.one_message([query for own in queries for query in own])
        replies = self.query_parts(question)
        if len(replies) != sum(map(len, queries)):
            self.transport.garbled(question, "; ".join(replies))
        for channel, own in zip(channels, queries, strict=True):
            channel.compare_state(question, replies[: len(own)])
            replies = replies[len(own) :]

    def write_and_read_back(self, command: str, question: str) -> float:
        """Send a setting, then read it back together with the error queue.

        Raises
        ------
        InstrumentError
            If the instrument rejects the setting.
        """
        with self.transport.exchange():
            self.transport.write(command)
            whole = f"{question};{self.error_query}"
            parts = self.query_parts(whole)
            if len(parts) != 2:
                self.transport.garbled(whole, ";".join(parts))
            self.raise_reported(command, parts[1])
            (value,) = self.numbers(question, parts[0], 1)
            return value

    def raise_reported(self, command: str, reported: str) -> None:
        """Raise the error that was reported together with other values, if any.

        Parameters
        ----------
        command : str
            The command that was sent before.
        reported : str
            Reply to the error query; empty if there was none, then the error queue is read.

        Raises
        ------
        InstrumentError
        """
        self._raise_errors(command, self._error_in(reported) if reported else self._next_error())

    # --- off ----------------------------------------------------------------------------------------

    def off(self) -> None:
        """Switch every output off and query the state; see `Source.off`."""
        super().off()
        self._sweeping = False

    def halt(self, reopen: bool = True) -> None:
        """Switch every output off immediately; see `Source.halt`."""
        for channel in self.channels:
            channel.mark_off()
        super().halt(reopen)

    def rearm(self) -> None:
        """Allow commands again after `halt`; the outputs stay off."""
        if self.transport.halted:
            for channel in self.channels:  # another thread may have been about to switch on during the halt
                channel.mark_off()
        super().rearm()
