"""Errors of NI-DAQmx in one line, with what to do: `daq_errors`, and the codes that the driver distinguishes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from hwlearn.errors import SetupError
from hwlearn_drivers.daq.library import INSTALL, DaqLibrary
from hwlearn_drivers.errors import InstrumentError, LinkError, LinkTimeout

NO_SUCH_CHANNEL: Final = -200170

_LOST: Final = {
    -88705: "the device was removed",
    -88709: "the task was aborted: the device was removed or reset",
    -88710: "the task is being aborted: the device was removed or reset",
    -50405: "a transfer was aborted: USB was interrupted, or the device lost its power",
    -50808: "a transfer on USB failed",
    -200045: "the device was removed",
    -200220: "NI-DAQmx knows no device of this name, such as Dev1",
    -201003: "the device cannot be accessed: it was removed, is powered off or belongs to another host",
    -201190: "the device must be unplugged and plugged in again",
}
"""Codes after which the device must be connected again (`nidaqmx.error_codes.DAQmxErrors`)."""

_RESERVED: Final = (-50103, -200022, -200587, -201105)
"""Codes of a channel that another task holds, of any process."""

_TIMEOUT: Final = (-200284, -200292, -200560)

_HINTS: Final = {
    NO_SUCH_CHANNEL: "check the channel names in NI MAX or with: nilsdev --verbose",
    -200077: "a setting is not allowed on this device: check ranges, terminal_configuration and rates",
    -200081: "raise channel_settle, or lower samples",
    -200332: "lower samples or raise mains_periods: the device samples no faster",
    -200335: "raise channel_settle: the device converts no faster",
    -200452: "if it sets the time between inputs itself: channel_settle = 'device'",
    -200489: "this device scans no channel twice: remove ground_channel",
    -200561: "a voltage is outside the range of the output",
}


class ReservedError(LinkError):
    """Another task holds the channels: of this process, or of another program."""


@contextmanager
def daq_errors(library: DaqLibrary, name: str, doing: str) -> Iterator[None]:
    """Convert errors of NI-DAQmx.

    Raises
    ------
    SetupError
        If the driver NI-DAQmx is not installed, or does not support this computer or function.
    ReservedError, LinkTimeout, LinkError
        If another task holds the device, samples are late, or the device is gone.
    InstrumentError
        Other errors, with code and text.
    """
    errors = library.errors
    try:
        yield
    except errors.DaqError as error:
        raise _converted(error, name, doing) from error
    except errors.Error as error:  # no driver, no support of this computer, or a driver that is too old
        raise SetupError(f"{name}: NI-DAQmx failed while {doing}: {_line(error)}; {INSTALL}") from error


def is_lost(error: BaseException) -> bool:
    """Return whether the device must be connected again after this error."""
    return isinstance(error, LinkError) and not isinstance(error, ReservedError | LinkTimeout)


def _converted(error: Exception, name: str, doing: str) -> Exception:
    code = int(getattr(error, "error_code", 0))
    if code in _LOST:
        return LinkError(
            f"{name}: {_LOST[code]} (DAQmx {code}, while {doing}); check cable and power, then reconnect"
        )
    if code in _RESERVED:
        return ReservedError(
            f"{name}: another task holds these channels (DAQmx {code}, while {doing}); end the program that uses "
            "the device (LabVIEW, a test panel of NI MAX, another Python); for one of ours: hwlearn off BENCH"
        )
    if code in _TIMEOUT:
        return LinkTimeout(f"{name}: samples did not arrive in time (DAQmx {code}, while {doing})")
    hint = _HINTS.get(code, "")
    return InstrumentError(name, code, f"{_line(error)}{'; ' if hint else ''}{hint}", doing)


def _line(error: Exception) -> str:
    """Return the first sentence of a text of several lines."""
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
