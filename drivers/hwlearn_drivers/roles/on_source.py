"""`OnSource`: a `BenchInstrument` that is a `Source` behind a transport, such as an SMU or a board."""

from __future__ import annotations

from abc import abstractmethod

from hwlearn_drivers.instrument.source import Source
from hwlearn_drivers.roles.instrument import BenchInstrument


class OnSource(BenchInstrument):
    """A bench instrument whose OFF, link and identity are those of a `Source`.

    Parameters
    ----------
    called : str
        Name in the bench file.
    source : Source
    """

    def __init__(self, called: str, source: Source) -> None:
        self.called = called
        self.source = source

    @property
    def name(self) -> str:
        """Name in the bench file, with model and address, for messages."""
        return f"{self.called} ({self.source.name})"

    @property
    def provenance(self) -> str:
        """Maker, model, serial number, firmware and address, as the instrument reports them."""
        return self.source.identity.text(self.source.transport.name)

    def halt(self, reopen: bool = True) -> None:
        """Send OFF; see `BenchInstrument.halt`."""
        self.source.halt(reopen)

    def rearm(self) -> None:
        """Allow commands again after `halt`; see `BenchInstrument.rearm`."""
        self.source.rearm()

    @property
    def halted_because(self) -> str | None:
        """Why something else in this process switched it off; None if nothing did."""
        return self.source.halted_because

    def allow_again(self) -> None:
        """Forget why it was switched off, because a person reconnects it."""
        self.source.allow_again()

    @property
    def needs_reconnect(self) -> bool:
        """Whether its link is closed, or was opened again only to send OFF."""
        return self.source.needs_reconnect

    def reconnect(self) -> None:
        """Open the link again; see `BenchInstrument.reconnect`."""
        self.source.reconnect()

    @abstractmethod
    def start_again(self) -> None:
        """Send OFF and set everything up again, after somebody else changed settings."""

    def close(self) -> None:
        """Send OFF and close the link; closing twice is harmless."""
        self.source.close()
