"""`Scanner`: a scanning voltmeter. OFF aborts the scan and opens every channel."""

from __future__ import annotations

import re
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import ClassVar, Final

from hwlearn.errors import SetupError
from hwlearn.network.reports import InstrumentReport
from hwlearn_drivers.errors import OutputStateError, UnknownInstrumentError
from hwlearn_drivers.instrument.instrument import Identity
from hwlearn_drivers.instrument.source import Source
from hwlearn_drivers.scanner.capability import ScannerCapability, ScanSettings
from hwlearn_drivers.transport.query_only import QueryOnly
from hwlearn_drivers.transport.transport import Transport

_RELATIVE: Final = 1e-6  # settings are reported with nine digits
_LEAST_LINE_HZ: Final = 50.0
_SWITCHING_S: Final = 0.05  # of one channel, with margin: the slowest card scans 60 channels per second


class Scanner(Source):
    """A scanning voltmeter. The constructor sends OFF, resets it, checks its cards and sets it up.

    Parameters
    ----------
    transport : Transport
    identity : Identity
    channels : mapping of str to str
        Channels in use, each with the node that it is connected to.
    settings : ScanSettings

    Raises
    ------
    UnknownInstrumentError
        If it is not a model of this class.
    SetupError
        If a channel is not on a card that reads voltages.
    InstrumentError, OutputStateError
        If it does not accept a setting.
    """

    __slots__ = ("_channels", "_has_cards", "_is_ready", "_settings", "capability")

    capabilities: ClassVar[Mapping[str, ScannerCapability]]
    """Capability of each model of this class, by model number."""

    list_in_block: ClassVar[bool] = False
    """Whether the reply with the scan list is a block."""

    def __init__(
        self, transport: Transport, identity: Identity, channels: Mapping[str, str], settings: ScanSettings
    ) -> None:
        self.capability = self.capabilities[self.model_of(identity)]
        # rising, as a scan reads them: so no reply depends on how an instrument orders a list
        self._channels, self._settings = dict(sorted(channels.items())), settings
        self._is_ready = self._has_cards = False
        super().__init__(transport, identity)
        try:
            self._make_safe()
            self.set_up()
        except BaseException:
            self.close()
            raise

    @classmethod
    def model_of(cls, identity: Identity) -> str:
        """Return the model number, as in `capabilities`.

        Raises
        ------
        UnknownInstrumentError
            If it is none of this class.
        """
        model = reported_model(identity)
        if model not in cls.capabilities:
            raise UnknownInstrumentError(f"{identity} is none of {', '.join(cls.capabilities)}")
        return model

    # --- channels -----------------------------------------------------------------------------------

    @classmethod
    @abstractmethod
    def place_of(cls, model: str, channel: str) -> tuple[int, int]:
        """Return slot and number on the card of a channel.

        Raises
        ------
        SetupError
            If no channel of the model has this name.
        """

    @abstractmethod
    def _card_in(self, slot: int) -> str:
        """Query the model of the card in a slot; empty if there is none."""

    @classmethod
    @abstractmethod
    def read_cards(cls, link: QueryOnly, model: str) -> dict[int, str]:
        """Return the model of the card in each slot, with queries only; empty if there is none."""

    @classmethod
    @abstractmethod
    def read_closed(cls, link: QueryOnly, channels: Sequence[str]) -> list[str]:
        """Return which of these channels are closed, with queries only."""

    def _check_cards(self) -> None:
        """Refuse channels that are not on a card that reads voltages.

        Raises
        ------
        SetupError
            Naming channel, node, slot and card.
        """
        model = self.model_of(self.identity)
        cards: dict[int, str] = {}
        for channel, node in self._channels.items():
            slot, number = self.place_of(model, channel)
            if slot not in cards:
                cards[slot] = self._card_in(slot)
            where = f"channel {channel} at node {node} of {self.name}"
            card, known = cards[slot], self.capability.cards
            if card not in known:
                there = f"a {card}" if card else "no card"
                raise SetupError(
                    f"{where}: there is {there} in slot {slot}; a card that reads voltages is one of "
                    f"{', '.join(known)}"
                )
            if number > known[card]:
                raise SetupError(
                    f"{where}: the {card} in slot {slot} reads voltages on its channels 1 to {known[card]} only"
                )

    # --- settings -----------------------------------------------------------------------------------

    def set_up(self) -> None:
        """Reset it, check its cards and make all settings; every channel is open afterwards."""
        self._is_ready = False
        self._has_cards = False
        self._reset()
        self._check_cards()
        self._has_cards = True
        self._prepare()

    @abstractmethod
    def _reset(self) -> None:
        """Clear errors that others left, and reset the instrument."""

    @abstractmethod
    def _configure(self, settings: ScanSettings, channels: Sequence[str]) -> None:
        """Send all settings of these channels and the scan list; read the error queue after each."""

    @abstractmethod
    def _read_settings(self, channels: Sequence[str]) -> list[ScanSettings]:
        """Query the settings of each channel."""

    @abstractmethod
    def _scan_list(self) -> list[str]:
        """Query the channels that a scan reads."""

    def _prepare(self) -> None:
        """Make all settings and read them back."""
        channels = list(self._channels)
        if channels:
            self._configure(self._settings, channels)
            self._is_ready = True
            self.check_settings()

    def check_settings(self) -> None:
        """Read back the settings of every channel in use and the scan list.

        Raises
        ------
        OutputStateError
            Naming channel, setting, what was set and what was found.
        InstrumentError
            If the error queue is not empty.
        """
        if not self._is_ready:
            return
        channels = list(self._channels)
        for channel, found in zip(channels, self._read_settings(channels), strict=True):
            for field in fields(ScanSettings):
                was, now = getattr(self._settings, field.name), getattr(found, field.name)
                if abs(now - was) > _RELATIVE * abs(was):
                    raise self._changed(f"channel {channel} has {field.name} = {now}, {was} was set")
        listed = self._scan_list()
        if sorted(listed) != sorted(channels):
            raise self._changed(f"its scan list is {', '.join(listed) or 'empty'}, {', '.join(channels)} was set")
        self.check_errors("the last scan")

    def _changed(self, what: str) -> OutputStateError:
        return OutputStateError(
            f"{self.name}: {what}; it did not accept the setting, was reset, or somebody else changed it"
        )

    # --- readings -----------------------------------------------------------------------------------

    def read(self, channels: Sequence[str]) -> list[float]:
        """Read channels one after the other; infinity for an overload.

        Parameters
        ----------
        channels : sequence of str
            Channels in use; each is closed, read after the channel delay, and opened before the next one closes.

        Returns
        -------
        list of float
            Volts, in the order of ``channels``.
        """
        if not self._is_ready:  # OFF has opened the channels, and may have cleared the scan list
            self._prepare()
        found = self._scan(self._patience_s())
        return [found[channel] for channel in channels]

    @property
    def _known(self) -> list[str]:
        """Channels in use, rising; none before the cards are checked, because others cannot be queried."""
        return list(self._channels) if self._has_cards else []

    @abstractmethod
    def _scan(self, timeout_s: float) -> dict[str, float]:
        """Read every channel of the scan list once."""

    def _patience_s(self) -> float:
        """Return how long a scan may take before a reply counts as missing."""
        own = self._settings
        cycles = own.nplc * (2 if own.autozero else 1)
        each_s = own.delay_s + cycles / _LEAST_LINE_HZ + _SWITCHING_S
        return self.transport.timeout_s + len(self._channels) * each_s

    # --- off ----------------------------------------------------------------------------------------

    @property
    def outputs(self) -> list[str]:
        """Names of the channels in use."""
        return [f"channel {channel}" for channel in self._channels]

    def report(self) -> InstrumentReport:
        """Return what this process reads, without a message; a scanner drives nothing."""
        facts = {"reads": ", ".join(f"{channel} (node {node})" for channel, node in self._channels.items())}
        return InstrumentReport(self.transport.name, "owner", str(self.identity), facts=facts)

    def off_commands(self) -> list[str]:
        """Return the commands that abort a scan and open every channel."""
        return list(self.off_lines())

    @classmethod
    @abstractmethod
    def off_lines(cls) -> tuple[str, ...]:
        """Return the commands that abort a scan and open every channel; none of them is a query."""

    def halt(self, reopen: bool = True) -> None:
        """Abort the scan and open every channel; see `Source.halt`."""
        self._is_ready = False
        super().halt(reopen)

    def rearm(self) -> None:
        """Allow commands again after `halt`; the channels stay open."""
        if self.transport.halted:  # another thread may have been about to scan during the halt
            self._is_ready = False
        super().rearm()

    def start_again(self) -> None:
        """Send OFF, reset it and set it up again, after somebody else changed settings."""
        self._make_safe()
        self.set_up()


def reported_model(identity: Identity) -> str:
    """Return the model number that an instrument reports, also behind the word MODEL."""
    return re.sub(r"^MODEL\s+", "", identity.model.strip().upper())


def channel_list(channels: Sequence[str]) -> str:
    """Return a channel list.

    Examples
    --------
    >>> channel_list(["101", "203"])
    '(@101,203)'
    """
    return f"(@{','.join(channels)})"


def word(on: bool) -> str:
    """Return ON or OFF."""
    return "ON" if on else "OFF"
