"""The calibration record, encoded independently after the reference card in firmware/README.md."""

from __future__ import annotations

import struct
from binascii import crc_hqx
from dataclasses import dataclass, replace
from fractions import Fraction

MAGIC, VERSION, SIZE = 0x4857, 1, 338
BANKS = (0, 512)
MICRO = Fraction(1, 1_000_000)
DAC_STEP = Fraction(5, 65536)
"""Nominal volts per DAC code."""
ADC_STEP = Fraction(512, 100 * 65536)
"""Nominal volts per ADC code."""


def crc16(data: bytes) -> int:
    """Return the CRC-16/CCITT-FALSE of bytes.

    >>> hex(crc16(b"123456789"))
    '0x29b1'
    """
    return crc_hqx(data, 0xFFFF)


@dataclass(frozen=True)
class Converter:
    """Errors of one converter channel: true volts = nominal volts (1 + gain) + offset."""

    gain_ppm: int = 0
    offset_uV: int = 0

    @property
    def gain(self) -> Fraction:
        """Gain error, dimensionless."""
        return self.gain_ppm * MICRO

    @property
    def offset(self) -> Fraction:
        """Offset in volts."""
        return self.offset_uV * MICRO

    def dac_volts(self, code: int) -> Fraction:
        """Return the volts of a DAC code in this calibration."""
        return (code - 32768) * DAC_STEP * (1 + self.gain) + self.offset

    def adc_volts(self, code: int) -> Fraction:
        """Return the volts of an ADC code in this calibration."""
        return (code * ADC_STEP - Fraction(5, 2)) * (1 + self.gain) + self.offset

    def dac_code(self, volts: Fraction) -> Fraction:
        """Return the DAC code for given volts in this calibration, not rounded."""
        return (volts - self.offset) / (1 + self.gain) / DAC_STEP + 32768


@dataclass(frozen=True)
class Record:
    """Contents of a calibration record; its limits are in microvolts."""

    serial: str = "T-0001"
    generation: int = 1
    volts_uV: int = 2_000_000
    nudge_uV: int = 500_000
    edge_low: int = 0
    edge_high: int = 255
    dacs: tuple[Converter, ...] = (Converter(),) * 16
    adcs: tuple[Converter, ...] = (Converter(),) * 8
    nudge_pS: tuple[int, ...] = (100_000_000,) * 4
    edges: tuple[tuple[int, int], ...] = ((100_000_000, 600),) * 32
    made: int = 1_700_000_000

    def encode(self) -> bytes:
        """Return the 338 bytes of the record, including the CRC at the end."""
        body = struct.pack("<HBB12s", MAGIC, VERSION, self.generation, self.serial.encode())
        body += struct.pack("<iiBBH", self.volts_uV, self.nudge_uV, self.edge_low, self.edge_high, 0)
        for converter in (*self.dacs, *self.adcs):
            body += struct.pack("<hh", converter.gain_ppm, converter.offset_uV)
        body += struct.pack("<4I", *self.nudge_pS)
        for full_mohm, wiper in self.edges:
            body += struct.pack("<IH", full_mohm, wiper)
        body += struct.pack("<I", self.made)
        return body + struct.pack("<H", crc16(body))

    def dac_range(self, channel: int) -> tuple[int, int]:
        """Return the lowest and highest DAC code of a channel within the voltage limit, including midscale."""
        return dac_range(self.dacs[channel], self.volts_uV * MICRO)


def nearest(value: Fraction) -> int:
    """Return the nearest integer; halves are rounded away from zero."""
    return int(abs(value) + Fraction(1, 2)) * (1 if value >= 0 else -1)


def dac_window(dac: Converter, limit: Fraction) -> tuple[int, int]:
    """Return the DAC codes nearest to the limit of both signs."""
    return nearest(dac.dac_code(-limit)), nearest(dac.dac_code(limit))


def dac_range(dac: Converter, limit: Fraction) -> tuple[int, int]:
    """Return the window extended to midscale, which is always permitted."""
    low, high = dac_window(dac, limit)
    return min(low, 32768), max(high, 32768)


def sealed(body: bytes) -> bytes:
    """Append the correct CRC to the first 336 bytes of a record."""
    return body[: SIZE - 2] + struct.pack("<H", crc16(body[: SIZE - 2]))


def with_generation(record: bytes, generation: int) -> bytes:
    """Return the record with another generation and its CRC."""
    return sealed(record[:3] + bytes([generation]) + record[4:])


PLAIN = Record()
"""Ideal converters, limits of 2 V and 0.5 V nudge, all edge codes."""

FLAWED = replace(
    PLAIN,
    serial="T-0002",
    volts_uV=1_000_000,
    nudge_uV=200_000,
    edge_low=8,
    edge_high=250,
    dacs=tuple(Converter(137 * (k % 5) - 300, 211 * (k % 7) - 600) for k in range(16)),
    adcs=tuple(Converter(250 - 119 * (k % 4), 173 * (k % 3) - 150) for k in range(8)),
)
"""Each converter has its own gain error and offset; tight limits."""
