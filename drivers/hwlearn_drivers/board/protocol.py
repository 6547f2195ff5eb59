"""What the reference board's blocks and codes mean, and the integer arithmetic by which it finds nudges.

The arithmetic is the firmware's own, number for number, so that the driver knows every voltage that the board
applied. Source: firmware/README.md, "Wire protocol" and "Blocks".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hwlearn.arrays import BoolArray, FloatArray, IntArray
from hwlearn_drivers.board.record import BoardRecord, Converter
from hwlearn_drivers.errors import GarbledReplyError, UnknownInstrumentError
from hwlearn_drivers.transport.blocks import decode_codes

PROTOCOL: Final = 1
"""The version of the wire protocol that the driver speaks."""

N_INPUTS, N_OUTPUTS = 8, 4

FLOATING: Final = 0xFFFF
"""In a nudge code or a target: this output floats."""

MIDSCALE: Final = 0x8000
ADC_ZERO: Final = 32000
DAC_STEP_V: Final = 5.0 / 65536
ADC_STEP_V: Final = 5.12 / 65536

NOT_NUDGED, SATURATED, NOT_MEASURED, SILENT = 1, 2, 4, 8
"""Status bits of one sample."""

ETA_STEPS: Final = 4096
MOST_ETA: Final = 32767

MILLION: Final = 1_000_000

Integers = IntArray
Codes = NDArray[np.uint16]


@dataclass(frozen=True, slots=True)
class Capability:
    """What a board says that it has (``SYST:CAP?``)."""

    protocol: int
    inputs: int
    outputs: int
    edges: int
    positions: int
    block_bytes: int

    @classmethod
    def parse(cls, line: str) -> Self:
        """Read the line; numbers behind the sixth are left for later versions.

        Raises
        ------
        UnknownInstrumentError
            If it is no such line, or of another version of the protocol or another size of board.

        Examples
        --------
        >>> Capability.parse("1,8,4,32,256,3072").block_bytes
        3072
        """
        fields = line.split(",")
        if len(fields) < 6 or not all(field.strip().isdigit() for field in fields[:6]):
            raise UnknownInstrumentError(f"{line!r} is no answer to SYST:CAP?, six numbers")
        found = cls(*(int(field) for field in fields[:6]))
        if found.protocol != PROTOCOL:
            raise UnknownInstrumentError(
                f"the board speaks version {found.protocol} of the wire protocol, this driver version {PROTOCOL}; "
                f"{'update hwlearn' if found.protocol > PROTOCOL else 'put newer firmware on the board'}"
            )
        if (found.inputs, found.outputs) != (N_INPUTS, N_OUTPUTS) or found.block_bytes < 2 * (N_INPUTS + 8):
            raise UnknownInstrumentError(
                f"the board says {line!r}; this driver knows {N_INPUTS} inputs and {N_OUTPUTS} outputs"
            )
        return found


# --- whole numbers as the firmware has them -----------------------------------------------------------


def scaled(a: ArrayLike, b: ArrayLike, c: ArrayLike) -> Integers:
    """Return a b / c to the nearest whole number, halves away from zero; b and c are positive.

    Examples
    --------
    >>> scaled([5, -5, 4], 1, 2).tolist()
    [3, -3, 2]
    """
    x, y, z = (np.asarray(value, dtype=np.int64) for value in (a, b, c))
    return np.asarray(np.sign(x) * ((2 * np.abs(x) * y + z) // (2 * z)))


def microvolts(volts: ArrayLike) -> Integers:
    """Return volts as the whole microvolts that the board reckons in."""
    return np.rint(np.asarray(volts, dtype=np.float64) * MILLION).astype(np.int64)


@dataclass(frozen=True, eq=False, slots=True)
class Converters:
    """Gains and offsets of some channels, and how their codes become volts.

    Attributes
    ----------
    gain_ppm, offset_uV : ndarray of int, shape (n,)
    """

    gain_ppm: Integers
    offset_uV: Integers

    @classmethod
    def of(cls, channels: Sequence[Converter]) -> Self:
        """Take them from a record."""
        return cls(
            np.array([channel.gain_ppm for channel in channels], dtype=np.int64),
            np.array([channel.offset_uV for channel in channels], dtype=np.int64),
        )

    def dac_codes(self, volts: ArrayLike) -> Integers:
        """Return the DAC codes nearest to volts (..., n); outside 0 ... 65534 there is no such code."""
        return MIDSCALE + self.dac_span(microvolts(volts) - self.offset_uV)

    def dac_span(self, uV: ArrayLike) -> Integers:
        """Return how many DAC codes so many microvolts (..., n) are."""
        return scaled(uV, 65536, 5 * (MILLION + self.gain_ppm))

    def dac_volts(self, codes: ArrayLike) -> FloatArray:
        """Return the volts of DAC codes (..., n)."""
        nominal = (np.asarray(codes, dtype=np.float64) - MIDSCALE) * DAC_STEP_V
        return np.asarray(nominal * (1 + self.gain_ppm / MILLION) + self.offset_uV / MILLION)

    def adc_codes(self, volts: ArrayLike) -> Integers:
        """Return the ADC codes nearest to volts (..., n), which may lie outside the converter's range."""
        nominal = (np.asarray(volts, dtype=np.float64) - self.offset_uV / MILLION) / (1 + self.gain_ppm / MILLION)
        return np.rint(nominal / ADC_STEP_V + ADC_ZERO).astype(np.int64)

    def adc_span(self, uV: ArrayLike) -> Integers:
        """Return how many ADC codes so many microvolts (..., n) are."""
        return scaled(uV, 12800, MILLION + self.gain_ppm)

    def adc_volts(self, codes: ArrayLike) -> FloatArray:
        """Return the volts of ADC codes (..., n)."""
        nominal = (np.asarray(codes, dtype=np.float64) - ADC_ZERO) * ADC_STEP_V
        return np.asarray(nominal * (1 + self.gain_ppm / MILLION) + self.offset_uV / MILLION)


@dataclass(frozen=True, eq=False, slots=True)
class NudgeMap:
    """How the board turns ADC codes of some outputs into DAC codes of their nudges.

    Attributes
    ----------
    slope, shift : ndarray of int, shape (n,)
        ``2^18 (A - 1)`` and b of the reference card.
    """

    slope: Integers
    shift: Integers

    @classmethod
    def of(cls, adc: Converters, dac: Converters) -> Self:
        """Return the map between the ADC and the nudge DAC of each output."""
        rise = 24 * MILLION + 1024 * adc.gain_ppm - 1000 * dac.gain_ppm
        slope = scaled(rise, 1 << 18, 1000 * (MILLION + dac.gain_ppm))
        return cls(slope, dac.dac_span(adc.offset_uV - dac.offset_uV))

    def dac_codes(self, adc_codes: ArrayLike) -> Integers:
        """Return the DAC codes for the volts of ADC codes (..., n)."""
        d = np.asarray(adc_codes, dtype=np.int64) - ADC_ZERO
        return np.asarray(MIDSCALE + d + ((d * self.slope + 131072) >> 18) + self.shift)


def nudge_steps(eta_steps: int, free: ArrayLike, targets: ArrayLike) -> Integers:
    """Return round(eta (t - f)) in ADC codes, for eta in steps of 1/4096."""
    product = (np.asarray(targets, dtype=np.int64) - np.asarray(free, dtype=np.int64)) * eta_steps
    return scaled(product, 1, ETA_STEPS)


@dataclass(frozen=True, eq=False, slots=True)
class BoardCodes:
    """All conversions of one board, from its record.

    Attributes
    ----------
    inputs, nudges : Converters
        DAC channels 0-7 and 8-11.
    outputs : Converters
        ADC channels 0-3.
    map : NudgeMap
        From the readings of the outputs to their nudges.
    siemens : ndarray, shape (4,)
        The nudge resistors with their switches.
    """

    inputs: Converters
    nudges: Converters
    outputs: Converters
    map: NudgeMap
    siemens: FloatArray

    @classmethod
    def of(cls, record: BoardRecord) -> Self:
        """Take them from a record."""
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


def answer(data: bytes, samples: int, phases: int) -> tuple[Codes, Codes]:
    """Read a sequence's answer.

    Returns
    -------
    (ndarray, shape (S,); ndarray, shape (S, phases, 4))
        Status words and readings.

    Raises
    ------
    GarbledReplyError
        If the checksum is wrong, or it is not of this size.
    """
    words = decode_codes(data)
    if len(words) != samples * (1 + N_OUTPUTS * phases):
        raise GarbledReplyError(f"an answer of {len(words)} words came for {samples} samples of {phases} phases")
    rows = words.reshape(samples, 1 + N_OUTPUTS * phases)
    return rows[:, 0], rows[:, 1:].reshape(samples, phases, N_OUTPUTS)


def tells(codes: NDArray[np.integer]) -> BoolArray:
    """Whether readings lie inside the converter's range: one at its end is a bound only."""
    return np.asarray((codes != 0) & (codes != 0xFFFF))
