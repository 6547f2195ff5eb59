"""Errors of links and instruments; all derive from `hwlearn.errors.HwlearnError`."""

from __future__ import annotations

from hwlearn.errors import HwlearnError, NetworkError
from hwlearn.network.switched_off import SwitchOffError


class LinkError(HwlearnError, ConnectionError):
    """The instrument cannot be reached: wrong address, connection closed by the peer, or link closed."""


class LinkTimeout(LinkError, TimeoutError):
    """The instrument did not answer in time; the link is out of sync until it is resynchronised."""


class GarbledReplyError(LinkError):
    """A reply is not valid for its query; the link is out of sync until it is resynchronised."""


class HaltedError(LinkError):
    """The outputs were switched off; nothing but OFF is sent until `Transport.rearm`."""


class InstrumentError(HwlearnError, RuntimeError):
    """The instrument reported an error in its error queue.

    Attributes
    ----------
    code : int
        Error number.
    text : str
        Error text of the instrument.
    command : str
        Command that was sent before the queue was read.
    """

    def __init__(self, instrument: str, code: int, text: str, command: str) -> None:
        super().__init__(f"{instrument} answers {command!r} with error {code}, {text!r}")
        self.code, self.text, self.command = code, text, command


class UnknownInstrumentError(HwlearnError, RuntimeError):
    """There is no driver for the instrument, or it is not the expected one."""


class OutputsMayBeOnError(SwitchOffError):
    """OFF could not be sent, or was not confirmed; the message names the outputs."""


class InputDeviationError(NetworkError):
    """An input that is read back deviates from what was set: source, wiring or load are not as they should be."""


class OutputStateError(NetworkError):
    """An output, limit, function or level that is not what this program set: somebody else changed it.

    The phase is void and every output is switched off. Nothing is switched on again until the bench is opened or
    connected again; a run can be resumed.
    """
