"""Lines and blocks of one message: ASCII lines that end in a newline, and IEEE 488.2 blocks."""

from __future__ import annotations

import time
from typing import Final

from hwlearn_drivers.errors import GarbledReplyError, LinkTimeout
from hwlearn_drivers.transport.blocks import block_length
from hwlearn_drivers.transport.links.link import Link

PROMPTS: Final = (b"TSP>", b"TSP?", b">>>>")
"""What instruments with TSP send after each message while ``localnode.prompts`` is 1.

They mean: done, error, incomplete script (Series 2600B Reference Manual, section 9, localnode.prompts). No reply
to a query begins with one of them.
"""


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


def without_acknowledgement(line: bytes, own: bytes = b"") -> bytes | None:
    """Return the reply in a line; None if it only acknowledges a command.

    Parameters
    ----------
    line : bytes
    own : bytes
        Line with which the instrument acknowledges commands, such as ``b"OK"``; empty if it does not.

    Examples
    --------
    >>> without_acknowledgement(b"OK", b"OK") is None
    True
    >>> without_acknowledgement(b"TSP>1.5")
    b'1.5'
    """
    if own and line.strip() == own:
        return None
    if not line.lstrip().startswith(PROMPTS):
        return line
    rest = line.lstrip()
    while rest.startswith(PROMPTS):
        rest = rest[4:].lstrip()
    return rest or None


def read_reply(link: Link, timeout_s: float, own: bytes = b"") -> bytes:
    """Return the next line that is a reply, and drop acknowledgements before it.

    Raises
    ------
    LinkTimeout
        If no reply arrives in time.
    """
    line = link.read_line(timeout_s)
    reply = without_acknowledgement(line, own)
    if reply is not None:
        return reply
    deadline = time.monotonic() + timeout_s
    while (left_s := deadline - time.monotonic()) > 0:
        reply = without_acknowledgement(link.read_line(left_s), own)
        if reply is not None:
            return reply
    raise LinkTimeout(f"no answer within {timeout_s:g} s, only acknowledgements")


def read_block_or_reply(link: Link, timeout_s: float, own: bytes = b"") -> tuple[bytes | None, bytes]:
    """Return the data of a block, or None and the reply that arrives instead; drop acknowledgements before it.

    Raises
    ------
    GarbledReplyError, LinkTimeout
        As `read_block`.
    """
    while True:
        first = link.read_exactly(1, timeout_s)
        if first == b"#":
            return read_block(link, first, timeout_s), b""
        reply = without_acknowledgement(first + link.read_line(timeout_s), own)
        if reply is not None:
            return None, reply


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
