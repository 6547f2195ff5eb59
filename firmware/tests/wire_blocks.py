"""Blocks of little-endian words with CRC, in the format of the wire protocol."""

from __future__ import annotations

import struct
from collections.abc import Iterable

from .record import crc16


def framed(data: bytes) -> bytes:
    """Return data as a definite-length block; the data include the CRC, if any."""
    length = b"%d" % len(data)
    return b"#%d" % len(length) + length + data


def block(words: Iterable[int]) -> bytes:
    """Return words and their CRC as a block."""
    numbers = list(words)
    data = struct.pack(f"<{len(numbers)}H", *numbers)
    return framed(data + struct.pack("<H", crc16(data)))


def contents(answer: bytes) -> bytes:
    """Return the data of a received block after a check of its CRC; only a newline may follow the block."""
    assert answer[:1] == b"#", answer[:40]
    digits = int(answer[1:2])
    start, size = 2 + digits, int(answer[2 : 2 + digits])
    data, rest = answer[start : start + size], answer[start + size :]
    assert len(data) == size, (len(data), size)
    assert rest == b"\n", rest[:40]
    assert crc16(data[:-2]) == int.from_bytes(data[-2:], "little")
    return data[:-2]


def words(answer: bytes) -> list[int]:
    """Return the words of a received block after a check of its CRC."""
    data = contents(answer)
    return list(struct.unpack(f"<{len(data) // 2}H", data))
