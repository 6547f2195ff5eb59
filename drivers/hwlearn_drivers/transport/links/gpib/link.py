"""`GpibLink`: one instrument on the GPIB bus behind a Prologix or AR488 adapter."""

from __future__ import annotations

import re
from typing import Final

from hwlearn_drivers.errors import LinkError
from hwlearn_drivers.transport.links.gpib.adapter import GpibAdapter, GpibNumbers, leave_adapter
from hwlearn_drivers.transport.links.link import Link

_SPECIAL: Final = re.compile(rb"[\r\n\x1b+]")
"""CR, LF, ESC and +, which the adapter takes for itself unless an ESC precedes them."""


def escaped(message: bytes) -> bytes:
    r"""Return a message as an adapter passes it on unchanged.

    Sources: Prologix GPIB-USB Controller User Manual, section 7.1; AR488 GPIB Controller User Manual, "Sending
    Data and Special Characters".

    Examples
    --------
    >>> escaped(bytes([0, 1, 2, 13, 3, 10, 4, 27, 5, 43, 6])).hex(" ")
    '00 01 02 1b 0d 03 1b 0a 04 1b 1b 05 1b 2b 06'
    """
    return _SPECIAL.sub(b"\x1b\\g<0>", message)


class GpibLink(Link):
    """An instrument behind an adapter, which it may share with others.

    Parameters
    ----------
    address : str
        For messages.
    adapter : GpibAdapter
        From `join_adapter`; `close` leaves it.
    numbers : tuple of int
        Primary and perhaps secondary address.
    """

    __slots__ = ("_adapter", "_closed", "_numbers", "address")

    def __init__(self, address: str, adapter: GpibAdapter, numbers: GpibNumbers) -> None:
        self.address, self._adapter, self._numbers = address, adapter, numbers
        self.has_clear, self._closed = True, False

    def write(self, data: bytes) -> None:
        """Send all of data as one message, whose last byte is marked on the bus."""
        self.write_messages([data])

    def write_messages(self, messages: list[bytes]) -> None:
        """Send one message after the other."""
        self._open().write(self._numbers, [escaped(message.removesuffix(b"\n")) for message in messages])

    def read_line(self, timeout_s: float) -> bytes:
        """Return the next line without its end."""
        found = self._open().read(self._numbers, lambda reply: b"\n" in reply, timeout_s)
        end = found.index(b"\n")
        line = bytes(found[:end])
        del found[: end + 1]
        return line.removesuffix(b"\r")

    def read_exactly(self, count: int, timeout_s: float) -> bytes:
        """Return the next count bytes."""
        found = self._open().read(self._numbers, lambda reply: len(reply) >= count, timeout_s)
        data = bytes(found[:count])
        del found[:count]
        return data

    def unread(self) -> bool:
        """Whether bytes of the instrument are waiting that belong to no query."""
        return self._open().unread(self._numbers)

    def drain(self, quiet_s: float, longest_s: float) -> bytes:
        """Return everything that has arrived from the instrument; nothing more does, unless it is read."""
        return self._open().drop_replies(self._numbers)

    def clear(self) -> None:
        """Send a device clear to this instrument."""
        self._open().clear(self._numbers)

    def close(self) -> None:
        """Leave the adapter; closing twice is harmless."""
        if not self._closed:
            self._closed = True
            leave_adapter(self._adapter)

    def _open(self) -> GpibAdapter:
        if self._closed:
            raise LinkError(f"the link to {self.address} is closed")
        return self._adapter
