"""`LineEndLink`: a link to an instrument whose commands end in CR or CR LF."""

from __future__ import annotations

from hwlearn_drivers.transport.links.link import Link


class LineEndLink(Link):
    """Sends another end of line through a link; replies pass unchanged. Not for binary blocks.

    Parameters
    ----------
    link : Link
    end : bytes
        Sent instead of each newline.
    """

    __slots__ = ("_end", "_link")

    def __init__(self, link: Link, end: bytes) -> None:
        self._link, self._end = link, end
        self.has_clear = link.has_clear

    def write(self, data: bytes) -> None:
        """Send all of data."""
        self._link.write(data.replace(b"\n", self._end))

    def write_messages(self, messages: list[bytes]) -> None:
        """Send several complete messages."""
        self._link.write_messages([message.replace(b"\n", self._end) for message in messages])

    def read_line(self, timeout_s: float) -> bytes:
        """Return the next line without its end."""
        return self._link.read_line(timeout_s)

    def read_exactly(self, count: int, timeout_s: float) -> bytes:
        """Return the next count bytes."""
        return self._link.read_exactly(count, timeout_s)

    def unread(self) -> bool:
        """Whether received bytes are waiting to be read."""
        return self._link.unread()

    def drain(self, quiet_s: float, longest_s: float) -> bytes:
        """Read and return everything until nothing arrives for quiet_s."""
        return self._link.drain(quiet_s, longest_s)

    def clear(self) -> None:
        """Send a device clear."""
        self._link.clear()

    def close(self) -> None:
        """Close the connection."""
        self._link.close()
