"""Blocks and codes of the reference board, and the integer arithmetic with which it computes nudges.

The arithmetic repeats that of the firmware exactly, so that the driver knows every voltage that the board applied.
Source: firmware/README.md, "Wire protocol" and "Blocks".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hwlearn.arrays import BoolArray, FloatArray, IntArray
from hwlearn_drivers.board.record import BoardRecord, ConverterCorrection
from hwlearn_drivers.errors import GarbledReplyError, UnknownInstrumentError
from hwlearn_drivers.transport.blocks import decode_codes

PROTOCOL: Final = 2
"""Version of the wire protocol that the driver uses."""

N_INPUTS, N_OUTPUTS = 8, 4

FLOATING: Final = 0xFFFF
"""Nudge code or target of a floating output."""

MIDSCALE: Final = 0x8000
ADC_ZERO: Final = 32000
DAC_STEP_V: Final = 5.0 / 65536
ADC_STEP_V: Final = 5.12 / 65536

NOT_NUDGED, NOT_MEASURED, SILENT = 1, 4, 8
"""Status bits of one sample. The bit of value 2 (saturated) is not used: `in_range` derives it from readings."""

ETA_STEPS: Final = 4096
MOST_ETA: Final = 32767

MILLION: Final = 1_000_000

Integers = IntArray
Codes = NDArray[np.uint16]


@dataclass(frozen=True, slots=True)
class BoardCapability:
    """Capability that a board reports (reply to ``SYST:CAP?``)."""

    protocol: int
    inputs: int
    outputs: int
    edges: int
    positions: int
    block_bytes: int

    @classmethod
    def parse(cls, line: str) -> Self:
        """Return the capability from a reply; numbers after the sixth are ignored.

        Raises
        ------
        UnknownInstrumentError
            If the reply is invalid, or the board has another protocol version or other numbers of channels.

        Examples
        --------
        >>> BoardCapability.parse("2,8,4,32,256,3072").block_bytes
        3072
        """
        fields = line.split(",")
        if len(fields) < 6 or not all(field.strip().isdigit() for field in fields[:6]):
            raise UnknownInstrumentError(f"{line!r} is not a valid reply to SYST:CAP?, six numbers")
        found = cls(*(int(field) for field in fields[:6]))
        if found.protocol != PROTOCOL:
            raise UnknownInstrumentError(
                f"the board has version {found.protocol} of the wire protocol, this driver version {PROTOCOL}; "
                f"{'update hwlearn' if found.protocol > PROTOCOL else 'update the firmware of the board'}"
            )
        if (found.inputs, found.outputs) != (N_INPUTS, N_OUTPUTS) or found.block_bytes < 2 * (N_INPUTS + 8):
            raise UnknownInstrumentError(
                f"the board reports {line!r}; this driver supports {N_INPUTS} inputs and {N_OUTPUTS} outputs"
            )
        return found


# --- integer arithmetic of the firmware ---------------------------------------------------------------


def scaled(a: ArrayLike, b: ArrayLike, c: ArrayLike) -> Integers:
    """Return a b / c rounded to the nearest integer, halves away from zero; b and c are positive.

    Examples
    --------
    >>> scaled([5, -5, 4], 1, 2).tolist()
    [3, -3, 2]
    """
    x, y, z = (np.asarray(value, dtype=np.int64) for value in (a, b, c))
    return np.asarray(np.sign(x) * ((2 * np.abs(x) * y + z) // (2 * z)))


def microvolts(volts: ArrayLike) -> Integers:
    """Return volts as integer microvolts, the unit of the board's arithmetic."""
    return np.rint(np.asarray(volts, dtype=np.float64) * MILLION).astype(np.int64)


@dataclass(frozen=True, eq=False, slots=True)
class Converters:
    """Gains and offsets of several channels, with the conversion between codes and volts.

    Attributes
    ----------
    gain_ppm, offset_uV : ndarray of int, shape (n,)
        Gain error in parts per million and offset in microvolts of each channel.
    """

    gain_ppm: Integers
    offset_uV: Integers

    @classmethod
    def of(cls, channels: Sequence[ConverterCorrection]) -> Self:
        """Return the converters of channels of a record."""
        return cls(
            np.array([channel.gain_ppm for channel in channels], dtype=np.int64),
            np.array([channel.offset_uV for channel in channels], dtype=np.int64),
        )

    def dac_codes(self, volts: ArrayLike) -> Integers:
        """Return the DAC codes nearest to volts (..., n); values outside 0 ... 65534 are not valid codes."""
        return MIDSCALE + self.dac_steps(microvolts(volts) - self.offset_uV)

    def dac_steps(self, uV: ArrayLike) -> Integers:
        """Return microvolts (..., n) in DAC steps."""
        return scaled(uV, 65536, 5 * (MILLION + self.gain_ppm))

    def dac_volts(self, codes: ArrayLike) -> FloatArray:
        """Return the volts of DAC codes (..., n)."""
        nominal = (np.asarray(codes, dtype=np.float64) - MIDSCALE) * DAC_STEP_V
        return np.asarray(nominal * (1 + self.gain_ppm / MILLION) + self.offset_uV / MILLION)

    def adc_codes(self, volts: ArrayLike) -> Integers:
        """Return the ADC codes nearest to volts (..., n), also outside the converter's range."""
        nominal = (np.asarray(volts, dtype=np.float64) - self.offset_uV / MILLION) / (1 + self.gain_ppm / MILLION)
        return np.rint(nominal / ADC_STEP_V + ADC_ZERO).astype(np.int64)

    def adc_volts(self, codes: ArrayLike) -> FloatArray:
        """Return the volts of ADC codes (..., n)."""
        nominal = (np.asarray(codes, dtype=np.float64) - ADC_ZERO) * ADC_STEP_V
        return np.asarray(nominal * (1 + self.gain_ppm / MILLION) + self.offset_uV / MILLION)


@dataclass(frozen=True, eq=False, slots=True)
class NudgeMap:
    """Map of the board from the ADC codes of outputs to the DAC codes of their nudges.

    Attributes
    ----------
    slope, shift : ndarray of int, shape (n,)
        ``2^18 (A - 1)`` and b in the notation of firmware/README.md.
    """

    slope: Integers
    shift: Integers

    @classmethod
    def of(cls, adc: Converters, dac: Converters) -> Self:
        """Return the map between the ADC and the nudge DAC of each output."""
        rise = 24 * MILLION + 1024 * adc.gain_ppm - 1000 * dac.gain_ppm
        slope = scaled(rise, 1 << 18, 1000 * (MILLION + dac.gain_ppm))
        return cls(slope, dac.dac_steps(adc.offset_uV - dac.offset_uV))

    def dac_codes(self, adc_codes: ArrayLike) -> Integers:
        """Return the DAC codes for the volts of ADC codes (..., n)."""
        d = np.asarray(adc_codes, dtype=np.int64) - ADC_ZERO
        return np.asarray(MIDSCALE + d + ((d * self.slope + 131072) >> 18) + self.shift)


def nudge_steps(eta_steps: int, free: ArrayLike, targets: ArrayLike) -> Integers:
    """Return round(eta (t - f)) in ADC codes, with eta in steps of 1/4096."""
    product = (np.asarray(targets, dtype=np.int64) - np.asarray(free, dtype=np.int64)) * eta_steps
    return scaled(product, 1, ETA_STEPS)


@dataclass(frozen=True, eq=False, slots=True)
class BoardCodes:
    """Conversions of one board, from its calibration record.

    Attributes
    ----------
    inputs, nudges : Converters
        DAC channels 0-7 and 8-11.
    outputs : Converters
        ADC channels 0-3.
    map : NudgeMap
        Map from the readings of the outputs to their nudges.
    siemens : ndarray, shape (4,)
        Conductances of the nudge resistors, including their switches.
    """

    inputs: Converters
    nudges: Converters
    outputs: Converters
    map: NudgeMap
    siemens: FloatArray

    @classmethod
    def of(cls, record: BoardRecord) -> Self:
        """Return the conversions of a record."""
        outputs = Converters.of(record.adcs[:N_OUTPUTS])
        nudges = Converters.of(record.dacs[N_INPUTS : N_INPUTS + N_OUTPUTS])
        return cls(
            Converters.of(record.dacs[:N_INPUTS]),
            nudges,
            outputs,
            NudgeMap.of(outputs, nudges),
            np.array(record.nudge_pS, dtype=np.float64) * 1e-12,
        )


# --- blocks -------------------------------------------------------------------------------------------


def decode_reply(data: bytes, samples: int, phases: int) -> tuple[Codes, Codes]:
    """Return status and readings from the reply to a sequence.

    Returns
    -------
    (ndarray, shape (S,); ndarray, shape (S, phases, 4))
        Status words and readings.

    Raises
    ------
    GarbledReplyError
        If the checksum or the size is wrong.
    """
    words = decode_codes(data)
    if len(words) != samples * (1 + N_OUTPUTS * phases):
        raise GarbledReplyError(f"the reply has {len(words)} words for {samples} samples of {phases} phases")
    rows = words.reshape(samples, 1 + N_OUTPUTS * phases)
    return rows[:, 0], rows[:, 1:].reshape(samples, phases, N_OUTPUTS)


def in_range(codes: NDArray[np.integer]) -> BoolArray:
    """Return whether readings are inside the converter's range; at an end, the true value may lie beyond it."""
    return np.asarray((codes != 0) & (codes != 0xFFFF))
