"""What can go wrong on the way to an instrument; all are `hwlearn.errors.HwlearnError`."""

from __future__ import annotations

from hwlearn.errors import HwlearnError


class LinkError(HwlearnError, ConnectionError):
    """The instrument cannot be reached: no such address, the peer closed, or the link was closed."""


class LinkTimeout(LinkError, TimeoutError):
    """The instrument did not answer in time; the link is out of step until it is resynchronised."""


class GarbledReplyError(LinkError):
    """A reply is not what the question allows; the link is out of step until it is resynchronised."""


class HaltedError(LinkError):
    """The outputs were switched off; nothing else is sent until `Transport.rearm`."""


class InstrumentError(HwlearnError, RuntimeError):
    """The instrument's error queue held an error.

    Attributes
    ----------
    code : int
        The instrument's error number.
    text : str
        Its words.
    command : str
        What had been sent before the queue was read.
    """

    def __init__(self, instrument: str, code: int, text: str, command: str) -> None:
        super().__init__(f"{instrument} answers {command!r} with error {code}, {text!r}")
        self.code, self.text, self.command = code, text, command


class UnknownInstrumentError(HwlearnError, RuntimeError):
    """The instrument is none that there is a driver for, or not the one that was expected."""


class OutputsMayBeOnError(HwlearnError, RuntimeError):
    """OFF could not be sent, or was not confirmed; the text names the outputs."""
