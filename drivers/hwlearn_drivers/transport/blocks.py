"""Wire formats shared by drivers, boards and virtual instruments: blocks, checksums, edge codes.

Source: IEEE 488.2-1992, 8.7.9 (definite length arbitrary block response data).
"""

from __future__ import annotations

import binascii

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hwlearn_drivers.errors import GarbledReplyError

MOST_BLOCK_BYTES = 64 * 1024 * 1024
"""A header that announces more is treated as garbled: no supported instrument sends such a block."""


def encode_block(data: bytes) -> bytes:
    """Return data with its definite-length header in front.

    Examples
    --------
    >>> encode_block(b"abc")
    b'#13abc'
    """
    length = str(len(data)).encode()
    return b"#%d%s%s" % (len(length), length, data)


def block_length(header: bytes) -> int:
    """Return the number of data bytes that a header such as ``b"#213"`` announces.

    Raises
    ------
    GarbledReplyError
        If it is not a definite-length header, or announces more than `MOST_BLOCK_BYTES`.
    """
    digits = header[2:]
    if header[:1] != b"#" or not digits.isdigit() or header[1:2] != str(len(digits)).encode():
        raise GarbledReplyError(f"{header!r} is not the header of a definite-length block, '#<n><length>'")
    length = int(digits)
    if length > MOST_BLOCK_BYTES:
        raise GarbledReplyError(f"a block announces {length} bytes; at most {MOST_BLOCK_BYTES} are accepted")
    return length


def crc16(data: bytes) -> int:
    """Return the CRC-16/CCITT-FALSE (polynomial 0x1021, initial value 0xFFFF) of data.

    Examples
    --------
    >>> hex(crc16(b"123456789"))
    '0x29b1'
    """
    return binascii.crc_hqx(data, 0xFFFF)


def encode_codes(codes: ArrayLike) -> bytes:
    """Return codes as little-endian 16-bit words, followed by their checksum as another word."""
    words = np.asarray(codes)
    if words.size and (words.min() < 0 or words.max() > 0xFFFF):
        raise ValueError(f"codes must lie in 0 ... 65535, got {words.min()} ... {words.max()}")
    data = words.astype("<u2").tobytes()
    return data + crc16(data).to_bytes(2, "little")


def decode_codes(data: bytes) -> NDArray[np.uint16]:
    """Return the codes of a block made by `encode_codes`.

    Raises
    ------
    GarbledReplyError
        If the checksum is wrong or the length is odd.
    """
    words, checksum = data[:-2], data[-2:]
    if len(data) < 2 or len(data) % 2 or crc16(words) != int.from_bytes(checksum, "little"):
        raise GarbledReplyError(f"a block of {len(data)} bytes has a wrong checksum")
    return np.frombuffer(words, dtype="<u2").astype(np.uint16)
