"""The calibration record: 338 bytes, as specified in firmware/README.md."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwlearn.errors import SetupError
from hwlearn_drivers.board.record import RECORD_BYTES, BoardRecord, ConverterCorrection
from hwlearn_drivers.errors import GarbledReplyError
from hwlearn_drivers.transport.blocks import crc16

converters = st.builds(ConverterCorrection, st.integers(-30_000, 30_000), st.integers(-32_768, 32_767))
codes = st.tuples(st.integers(0, 255), st.integers(0, 255)).map(sorted)


@st.composite
def records(draw):
    low, high = draw(codes)
    return BoardRecord(
        draw(st.text("ABCxyz0189-", min_size=1, max_size=12)),
        draw(st.integers(1, 2_490_000)),
        draw(st.integers(1, 5_000_000)),
        low,
        high,
        tuple(draw(st.lists(converters, min_size=16, max_size=16))),
        tuple(draw(st.lists(converters, min_size=8, max_size=8))),
        tuple(draw(st.lists(st.integers(1, 2**32 - 1), min_size=4, max_size=4))),
        tuple((draw(st.integers(1, 2**32 - 1)), draw(st.integers(1, 65535))) for _ in range(32)),
        draw(st.integers(0, 2**32 - 1)),
        draw(st.integers(0, 255)),
    )


@given(records())
def test_record_is_decoded_as_encoded(record):
    data = record.encode()
    assert len(data) == RECORD_BYTES
    assert BoardRecord.decode(data) == record


def test_every_value_has_its_specified_address():
    data = BoardRecord(
        "SN-7",
        2_000_000,
        500_000,
        3,
        250,
        tuple(ConverterCorrection(k, -k) for k in range(16)),
        tuple(ConverterCorrection(100 + k, -100 - k) for k in range(8)),
        (1, 2, 3, 4),
        tuple((1000 + k, 600 + k) for k in range(32)),
        1_700_000_000,
        9,
    ).encode()
    assert struct.unpack_from("<HBB", data, 0) == (0x4857, 1, 9)
    assert data[4:16] == b"SN-7" + bytes(8)
    assert struct.unpack_from("<iiBBH", data, 16) == (2_000_000, 500_000, 3, 250, 0)
    assert struct.unpack_from("<hh", data, 28 + 4 * 15) == (15, -15)
    assert struct.unpack_from("<hh", data, 92 + 4 * 7) == (107, -107)
    assert struct.unpack_from("<4I", data, 124) == (1, 2, 3, 4)
    assert struct.unpack_from("<IH", data, 140 + 6 * 31) == (1031, 631)
    assert struct.unpack_from("<I", data, 332) == (1_700_000_000,)
    assert struct.unpack_from("<H", data, 336) == (crc16(data[:336]),)


@given(records(), st.integers(0, 8 * RECORD_BYTES - 1))
def test_any_flipped_bit_is_detected(record, bit):
    data = bytearray(record.encode())
    data[bit // 8] ^= 1 << bit % 8
    with pytest.raises(GarbledReplyError):
        BoardRecord.decode(bytes(data))


def sealed(body):
    return bytes(body) + crc16(bytes(body)).to_bytes(2, "little")


@pytest.mark.parametrize(
    ("at", "value", "kind", "words"),
    [
        (0, b"\x00\x00", GarbledReplyError, "not a calibration record"),
        (2, b"\x02", GarbledReplyError, "not a calibration record of layout 1"),
        (4, b"A B", SetupError, "serial number"),
        (16, bytes(4), SetupError, "voltage limit"),
        (20, bytes(4), SetupError, "nudge limit"),
        (24, b"\xff\x00", SetupError, "highest edge code"),
        (26, b"\x01", GarbledReplyError, "not a calibration record"),
        (28, struct.pack("<h", 30_001), SetupError, "gain error"),
        (124, bytes(4), SetupError, "nudge resistor"),
        (140, bytes(4), SetupError, "an edge's resistance"),
    ],
)
def test_invalid_value_in_a_record_is_refused(at, value, kind, words):
    body = bytearray(BoardRecord("SN-7", 2_000_000, 500_000).encode()[:-2])
    body[at : at + len(value)] = value
    with pytest.raises(kind, match=words):
        BoardRecord.decode(sealed(body))


def test_incomplete_record_is_refused():
    with pytest.raises(GarbledReplyError, match="338 bytes, got 337"):
        BoardRecord.decode(BoardRecord("SN-7", 1, 1).encode()[:-1])


@pytest.mark.parametrize(
    "wrong",
    [
        {"serial": ""},
        {"serial": "thirteen-more"},
        {"serial": "ü"},
        {"volts_uV": 0},
        {"volts_uV": 2_490_001},
        {"nudge_uV": 5_000_001},
        {"edge_low": 9, "edge_high": 8},
        {"edge_high": 256},
        {"dacs": (ConverterCorrection(),) * 15},
        {"edges": ((0, 600),) * 32},
        {"nudge_pS": (1, 2, 3)},
        {"generation": 256},
    ],
)
def test_record_of_invalid_values_is_refused(wrong):
    with pytest.raises(SetupError):
        BoardRecord(**({"serial": "SN-7", "volts_uV": 2_000_000, "nudge_uV": 500_000} | wrong))
