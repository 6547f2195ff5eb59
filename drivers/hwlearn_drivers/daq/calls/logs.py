"""Records of the calls to a device: in the wire log, or printed in a dry run."""

from __future__ import annotations

import json
import sys
from contextlib import suppress
from typing import Any

from hwlearn.errors import HwlearnError
from hwlearn_drivers.errors import InstrumentError, LinkError
from hwlearn_drivers.transport.links.dry_run import print_line
from hwlearn_drivers.transport.wire_log import WireLog

ERROR = "error"
"""Key of a result that is an error: its class and what it was made with."""


class WiredCalls:
    """Writes calls and results to a wire log.

    Parameters
    ----------
    wire_log : WireLog
    name : str
        Of the device in the log.
    """

    def __init__(self, wire_log: WireLog, name: str) -> None:
        self._wire_log, self._name = wire_log, name
        self._off = False

    def call(self, line: str, off: bool) -> None:
        """Record a call before it is made; a part of OFF is made even if it cannot be recorded."""
        self._off = off
        self._wire_log.sent(self._name, _message(line), off=off)

    def result(self, found: Any) -> None:
        """Record what a call returned; what JSON does not have is recorded as text."""
        self._reply(json.dumps(found, separators=(",", ":"), default=repr))

    def error(self, error: HwlearnError) -> None:
        """Record the error that a call raised."""
        made_with: list[Any] = [str(error)]
        if isinstance(error, InstrumentError):
            made_with = [error.code, error.text, error.command]
        self._reply(json.dumps({ERROR: [type(error).__name__, *made_with]}))

    def _reply(self, text: str) -> None:
        if self._off:
            with suppress(LinkError):
                self._wire_log.received(self._name, _message(text))
        else:
            self._wire_log.received(self._name, _message(text))


class PrintedCalls:
    """Prints calls, and no results.

    Parameters
    ----------
    device : str
        Printed before each call.
    """

    def __init__(self, device: str) -> None:
        self._device = device

    def call(self, line: str, off: bool) -> None:
        """Print a call."""
        print_line(f"{self._device} > {line}", sys.stdout)

    def result(self, found: Any) -> None:
        """Do nothing."""

    def error(self, error: HwlearnError) -> None:
        """Do nothing."""


def _message(line: str) -> bytes:
    return line.encode("ascii", "backslashreplace") + b"\n"
