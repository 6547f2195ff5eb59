"""Definite-length blocks, their checksum, and edge codes."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwlearn_drivers.errors import GarbledReplyError
from hwlearn_drivers.transport.blocks import block_length, crc16, decode_codes, encode_block, encode_codes


@given(st.binary(max_size=300))
def test_block_header_announces_the_length(data):
    block = encode_block(data)
    header = block[: len(block) - len(data)]
    assert block.endswith(data)
    assert block_length(header) == len(data)


@pytest.mark.parametrize("header", [b"#", b"#0", b"13", b"#2a1", b"#25", b"#9999999999", b"", b"#1-"])
def test_invalid_block_header_is_rejected(header):
    with pytest.raises(GarbledReplyError):
        block_length(header)


def test_checksum_is_crc_16_ccitt_false():
    assert crc16(b"123456789") == 0x29B1  # the check value of the catalogue of CRCs
    assert crc16(b"") == 0xFFFF


@given(st.lists(st.integers(0, 65535), max_size=100))
def test_encoded_codes_decode_to_themselves(codes):
    assert decode_codes(encode_codes(codes)).tolist() == codes


@given(st.lists(st.integers(0, 65535), min_size=1, max_size=20), st.data())
def test_single_wrong_bit_is_detected(codes, data):
    block = bytearray(encode_codes(codes))
    bit = data.draw(st.integers(0, 8 * len(block) - 1))
    block[bit // 8] ^= 1 << bit % 8
    with pytest.raises(GarbledReplyError):
        decode_codes(bytes(block))


@pytest.mark.parametrize("codes", [[-1], [65536], [3, 70000]])
def test_codes_beyond_sixteen_bits_are_rejected(codes):
    with pytest.raises(ValueError, match=r"0 \.\.\. 65535"):
        encode_codes(np.array(codes))
