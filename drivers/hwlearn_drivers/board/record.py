"""`BoardRecord`: calibration record in the board's EEPROM, for converters, resistors, edges and limits.

Source: firmware/README.md, "Calibration record".
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from typing import Final

from hwlearn.errors import SetupError
from hwlearn_drivers.errors import GarbledReplyError
from hwlearn_drivers.transport.blocks import crc16

RECORD_BYTES: Final = 338
BANKS: Final = (0, 512)
"""Addresses of the two records in the EEPROM."""

N_DACS, N_ADCS, N_NUDGES, N_EDGES = 16, 8, 4, 32

MOST_VOLTS_UV: Final = 2_490_000
MOST_NUDGE_UV: Final = 5_000_000
MOST_GAIN_PPM: Final = 30_000

_MAGIC, _LAYOUT = 0x4857, 1
_HEAD: Final = struct.Struct("<HBB12siiBBH")
_CONVERTERS: Final = struct.Struct(f"<{2 * (N_DACS + N_ADCS)}h")
_NUDGES: Final = struct.Struct(f"<{N_NUDGES}I")
_EDGE: Final = struct.Struct("<IH")
_MADE: Final = struct.Struct("<I")
_SERIAL: Final = re.compile(r"[A-Za-z0-9-]{1,12}")


def _check(what: str, value: int, least: int, most: int) -> None:
    if not least <= value <= most:
        raise SetupError(f"{what} is {value} in the calibration record; it must be {least} to {most}")


@dataclass(frozen=True, slots=True)
class ConverterCorrection:
    """Correction of one converter channel: true volts = nominal volts (1 + gain) + offset.

    Attributes
    ----------
    gain_ppm : int
        Gain error in parts per million.
    offset_uV : int
        Offset in microvolts.

    Raises
    ------
    SetupError
        If the gain error exceeds 3 %, or the offset exceeds the range of the record.
    """

    gain_ppm: int = 0
    offset_uV: int = 0

    def __post_init__(self) -> None:
        _check("a converter's gain error in ppm", self.gain_ppm, -MOST_GAIN_PPM, MOST_GAIN_PPM)
        _check("a converter's offset in uV", self.offset_uV, -0x8000, 0x7FFF)


@dataclass(frozen=True, slots=True)
class BoardRecord:
    """One calibration record, as the whole numbers that are stored.

    Attributes
    ----------
    serial : str
        Serial number: 1 to 12 letters, digits and dashes.
    volts_uV, nudge_uV : int
        Limits of the board in microvolts: at any DAC, and between a nudge DAC and the free reading of its output.
    edge_low, edge_high : int
        Lowest and highest code of an edge.
    dacs, adcs : tuple of ConverterCorrection
        Corrections of the 16 DAC and the 8 ADC channels.
    nudge_pS : tuple of int
        Conductance of each of the four nudge resistors, including its switch, in picosiemens.
    edges : tuple of (int, int)
        End-to-end resistance in milliohm and wiper resistance in tenths of an ohm, for each of the 32 edges.
    made : int
        Time of the calibration in seconds since 1970.
    generation : int
        Counter 0 to 255, which the board increases with each record.

    Raises
    ------
    SetupError
        If the board would refuse a value.
    """

    serial: str
    volts_uV: int
    nudge_uV: int
    edge_low: int = 0
    edge_high: int = 255
    dacs: tuple[ConverterCorrection, ...] = (ConverterCorrection(),) * N_DACS
    adcs: tuple[ConverterCorrection, ...] = (ConverterCorrection(),) * N_ADCS
    nudge_pS: tuple[int, ...] = (100_000_000,) * N_NUDGES
    edges: tuple[tuple[int, int], ...] = ((100_000_000, 600),) * N_EDGES
    made: int = 0
    generation: int = 0

    def __post_init__(self) -> None:
        if _SERIAL.fullmatch(self.serial) is None:
            raise SetupError(f"serial number {self.serial!r}: it must be 1 to 12 letters, digits and '-'")
        _check("the voltage limit in uV", self.volts_uV, 1, MOST_VOLTS_UV)
        _check("the nudge limit in uV", self.nudge_uV, 1, MOST_NUDGE_UV)
        _check("the lowest edge code", self.edge_low, 0, 255)
        _check("the highest edge code", self.edge_high, self.edge_low, 255)
        _check("the generation", self.generation, 0, 255)
        _check("the time it was made", self.made, 0, 0xFFFFFFFF)
        for what, values, count in (
            ("DACs", self.dacs, N_DACS),
            ("ADCs", self.adcs, N_ADCS),
            ("nudge resistors", self.nudge_pS, N_NUDGES),
            ("edges", self.edges, N_EDGES),
        ):
            if len(values) != count:
                raise SetupError(f"a calibration record has {count} {what}, got {len(values)}")
        for picosiemens in self.nudge_pS:
            _check("a nudge resistor's conductance in pS", picosiemens, 1, 0xFFFFFFFF)
        for full_mohm, wiper_dohm in self.edges:
            _check("an edge's resistance in mohm", full_mohm, 1, 0xFFFFFFFF)
            _check("an edge's wiper resistance in 0.1 ohm", wiper_dohm, 1, 0xFFFF)

    def encode(self) -> bytes:
        """Encode the record as 338 bytes that end with a checksum."""
        converters = [value for one in (*self.dacs, *self.adcs) for value in (one.gain_ppm, one.offset_uV)]
        body = b"".join(
            [
                _HEAD.pack(
                    _MAGIC,
                    _LAYOUT,
                    self.generation,
                    self.serial.encode("ascii"),
                    self.volts_uV,
                    self.nudge_uV,
                    self.edge_low,
                    self.edge_high,
                    0,
                ),
                _CONVERTERS.pack(*converters),
                _NUDGES.pack(*self.nudge_pS),
                *(_EDGE.pack(*edge) for edge in self.edges),
                _MADE.pack(self.made),
            ]
        )
        return body + crc16(body).to_bytes(2, "little")

    @classmethod
    def decode(cls, data: bytes) -> BoardRecord:
        """Return the record from its bytes.

        Raises
        ------
        GarbledReplyError
            If length, checksum or layout are wrong.
        SetupError
            If it contains a value that the board would refuse.
        """
        if len(data) != RECORD_BYTES:
            raise GarbledReplyError(f"a calibration record has {RECORD_BYTES} bytes, got {len(data)}")
        if crc16(data[:-2]) != int.from_bytes(data[-2:], "little"):
            raise GarbledReplyError("the checksum of the calibration record is wrong")
        magic, layout, generation, serial, volts_uV, nudge_uV, low, high, zero = _HEAD.unpack_from(data)
        if (magic, layout, zero) != (_MAGIC, _LAYOUT, 0):
            raise GarbledReplyError(
                f"not a calibration record of layout {_LAYOUT}: it begins with {data[:4].hex()}"
            )
        at = _HEAD.size
        values = _CONVERTERS.unpack_from(data, at)
        converters = tuple(ConverterCorrection(*pair) for pair in zip(values[::2], values[1::2], strict=True))
        at += _CONVERTERS.size
        nudges = _NUDGES.unpack_from(data, at)
        at += _NUDGES.size
        edges = tuple(_EDGE.iter_unpack(data[at : at + N_EDGES * _EDGE.size]))
        at += N_EDGES * _EDGE.size
        return cls(
            serial.rstrip(b"\0").decode("ascii", "replace"),
            volts_uV,
            nudge_uV,
            low,
            high,
            converters[:N_DACS],
            converters[N_DACS:],
            nudges,
            edges,
            _MADE.unpack_from(data, at)[0],
            generation,
        )
