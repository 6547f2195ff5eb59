"""Lines and blocks of one message: ASCII lines that end in a newline, and IEEE 488.2 blocks."""

from __future__ import annotations

from hwlearn_drivers.errors import GarbledReplyError
from hwlearn_drivers.transport.blocks import block_length
from hwlearn_drivers.transport.links.link import Link


def encode_line(command: str) -> bytes:
    """Return a command as bytes with its newline.

    Raises
    ------
    ValueError
        If it is not ASCII.
    """
    try:
        return command.encode("ascii") + b"\n"
    except UnicodeEncodeError as error:
        raise ValueError(f"{command!r} is not ASCII; nothing was sent") from error


def decode_line(line: bytes) -> str:
    """Return a line as text; bytes that are not ASCII become U+FFFD."""
    return line.decode("ascii", "replace")


def read_block(link: Link, first: bytes, timeout_s: float) -> bytes:
    """Read the rest of a block whose first byte is given, and the end of its line; return the block's data.

    Raises
    ------
    GarbledReplyError
        If it is not a definite-length block followed by the end of the line.
    LinkTimeout
        If a part does not arrive in time.
    """
    header = first + link.read_exactly(1, timeout_s)
    if header[:1] != b"#" or header[1:] not in b"123456789":
        raise GarbledReplyError(f"{header!r} is not the start of a block")
    header += link.read_exactly(int(header[1:]), timeout_s)
    data = link.read_exactly(block_length(header), timeout_s)
    rest = link.read_line(timeout_s)
    if rest:
        raise GarbledReplyError(f"{rest[:20]!r} follows a block of {len(data)} bytes")
    return data
