"""`Smu`: a source-measure unit with one or two channels."""

from __future__ import annotations

import re
from abc import abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import ClassVar

from hwlearn.errors import SetupError
from hwlearn_drivers.errors import UnknownInstrumentError
from hwlearn_drivers.instrument.instrument import Identity
from hwlearn_drivers.instrument.source import Source
from hwlearn_drivers.smu.channel import SmuChannel
from hwlearn_drivers.smu.operating_range import ChannelLimit, OperatingRange
from hwlearn_drivers.transport.transport import Transport


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

    operating_ranges: ClassVar[Mapping[str, OperatingRange]]
    """Operating range of each model of this class, by model number."""

    channel_class: ClassVar[type[SmuChannel]]

    def __init__(self, transport: Transport, identity: Identity, limits: Mapping[int, ChannelLimit]) -> None:
        self.operating_range = self.operating_ranges[self.model_of(identity)]
        self._sweeping = False
        present = self.operating_range.channels
        for number in limits:
            if not 1 <= number <= present:
                raise SetupError(f"{identity} has {present} channel(s), there is no channel {number}")
        self._channels = {n: self.channel_class(self, n, limit) for n, limit in sorted(limits.items())}
        super().__init__(transport, identity)
        try:
            self._make_safe()
            self.set_up()
        except BaseException:
            self.close()
            raise

    @classmethod
    def model_of(cls, identity: Identity) -> str:
        """Return the model number, as in `operating_ranges`.

        Raises
        ------
        UnknownInstrumentError
            If it is none of this class.
        """
        found = re.fullmatch(r"(?:MODEL\s+)?([\w-]+)", identity.model.strip().upper())
        if found is None or found[1] not in cls.operating_ranges:
            raise UnknownInstrumentError(f"{identity} is none of {', '.join(cls.operating_ranges)}")
        return found[1]

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

    @property
    def _numbers(self) -> range:
        return range(1, self.operating_range.channels + 1)

    def set_up(self) -> None:
        """Reset it and restore the settings of driver and user; the outputs are off afterwards."""
        self._reset()
        for channel in self.channels:
            channel.restore()

    @abstractmethod
    def _reset(self) -> None:
        """Reset the instrument and make the settings that the driver requires."""

    def off_commands(self) -> list[str]:
        """Return OFF for every channel; during a sweep: OFF, abort, OFF."""
        off = [self.off_command(number) for number in self._numbers]
        return [*off, *self._abort_commands(), *off] if self._sweeping else off

    @classmethod
    @abstractmethod
    def off_command(cls, number: int) -> str:
        """Return the command that switches a channel off."""

    @abstractmethod
    def _abort_commands(self) -> list[str]:
        """Return the commands that abort a running sweep."""

    @contextmanager
    def sweeping(self) -> Iterator[None]:
        """Mark a running sweep, for which OFF needs an abort; after an error the mark remains until `off`."""
        self._sweeping = True
        yield
        self._sweeping = False

    def off(self) -> None:
        """Switch every output off and query the state; see `Source.off`."""
        super().off()
        self._sweeping = False

    def halt(self) -> None:
        """Switch every output off immediately; see `Source.halt`."""
        for channel in self.channels:
            channel.mark_off()
        super().halt()
