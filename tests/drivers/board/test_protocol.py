"""Codes, volts and blocks of the reference board, compared with exact rational arithmetic."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwlearn_drivers.board import protocol as wire
from hwlearn_drivers.board.record import ConverterCorrection
from hwlearn_drivers.errors import GarbledReplyError, UnknownInstrumentError
from hwlearn_drivers.transport.blocks import encode_codes

DAC_STEP, ADC_STEP = Fraction(5, 65536), Fraction(512, 100 * 65536)
converters = st.builds(ConverterCorrection, st.integers(-30_000, 30_000), st.integers(-32_768, 32_767))
codes = st.integers(1, 65534)


def nearest(value):
    """Return the nearest integer, halves away from zero."""
    return int(abs(value) + Fraction(1, 2)) * (1 if value >= 0 else -1)


def true(nominal, converter):
    return nominal * (1 + Fraction(converter.gain_ppm, 10**6)) + Fraction(converter.offset_uV, 10**6)


def one(converter):
    return wire.Converters.of([converter])


@given(st.integers(-(2**31), 2**31 - 1), st.integers(1, 2**20), st.integers(1, 2**31))
def test_scaled_is_the_nearest_integer(a, b, c):
    assert wire.scaled(a, b, c) == nearest(Fraction(a * b, c))


@given(converters, st.integers(-2_490_000, 2_490_000))
def test_dac_codes_are_nearest_to_the_volts(converter, uV):
    offset, gain = Fraction(converter.offset_uV, 10**6), 1 + Fraction(converter.gain_ppm, 10**6)
    exact = (Fraction(uV, 10**6) - offset) / gain / DAC_STEP
    found = int(one(converter).dac_codes([uV / 1e6])[0])
    assert found == 32768 + nearest(exact)
    back = float(one(converter).dac_volts([found])[0])
    assert abs(back - uV / 1e6) <= float(gain * DAC_STEP) / 2 * (1 + 1e-9)
    assert back == pytest.approx(float(true((found - 32768) * DAC_STEP, converter)), abs=1e-12)


@given(converters, codes)
def test_adc_codes_are_converted_to_volts_and_back(converter, code):
    volts = one(converter).adc_volts([code])
    assert float(volts[0]) == pytest.approx(float(true(code * ADC_STEP - Fraction(5, 2), converter)), abs=1e-12)
    assert one(converter).adc_codes(volts)[0] == code


@given(converters, converters, codes, codes, st.integers(1, 32767))
def test_nudge_codes_follow_the_reference_card(adc, dac, free, target, eta):
    """The definition of TWOP in firmware/README.md, in exact fractions."""
    ga, oa = Fraction(adc.gain_ppm, 10**6), Fraction(adc.offset_uV, 10**6)
    gd, od = Fraction(dac.gain_ppm, 10**6), Fraction(dac.offset_uV, 10**6)
    a = nearest(2**18 * (Fraction(1024, 1000) * (1 + ga) / (1 + gd) - 1))
    b = nearest((oa - od) / (DAC_STEP * (1 + gd)))
    step = nearest(Fraction(eta, 4096) * (target - free))
    assert wire.nudge_steps(eta, free, target) == step
    mapped = wire.NudgeMap.of(one(adc), one(dac))
    for v in (free + step, free - step):
        d = v - 32000
        code = 32768 + d + (d * a + 131072) // 2**18 + b
        assert mapped.dac_codes([v])[0] == code
        # except for rounding, this is the voltage of the reading
        if 0 <= v <= 65535 and 0 <= code <= 65535:
            expected = true(v * ADC_STEP - Fraction(5, 2), adc)
            got = true((code - 32768) * DAC_STEP, dac)
            assert abs(expected - got) <= Fraction(16, 10) * DAC_STEP


@given(st.integers(1, 2**22), converters)
def test_dac_steps_of_a_voltage_difference(uV, converter):
    gain = 1 + Fraction(converter.gain_ppm, 10**6)
    assert one(converter).dac_steps([uV])[0] == nearest(Fraction(uV, 10**6) / gain / DAC_STEP)


@given(st.integers(1, 40), st.integers(1, 3), st.randoms(use_true_random=False))
def test_reply_is_decoded_into_status_and_readings(samples, phases, random):
    status = np.array([random.randrange(16) for _ in range(samples)])
    readings = np.array([random.randrange(65536) for _ in range(samples * phases * 4)]).reshape(samples, -1)
    data = encode_codes(np.concatenate([status[:, None], readings], axis=1))
    found_status, found = wire.decode_reply(data, samples, phases)
    np.testing.assert_array_equal(found_status, status)
    np.testing.assert_array_equal(found.reshape(samples, -1), readings)
    with pytest.raises(GarbledReplyError, match=f"words for {samples + 1} samples"):
        wire.decode_reply(data, samples + 1, phases)
    with pytest.raises(GarbledReplyError, match="checksum"):
        wire.decode_reply(bytes([data[0] ^ 1]) + data[1:], samples, phases)


def test_only_codes_at_the_ends_are_out_of_range():
    assert wire.in_range(np.array([0, 1, 65534, 65535])).tolist() == [False, True, True, False]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("3,8,4,32,256,3072", "version 3 of the wire protocol, this driver version 2; update hwlearn"),
        ("1,8,4,32,256,3072", "update the firmware of the board"),
        ("2,8,6,32,256,3072", "supports 8 inputs and 4 outputs"),
        ("1,8,4,32,256", "not a valid reply to SYST:CAP"),
        ("1,8,4,32,256,lots", "not a valid reply to SYST:CAP"),
    ],
)
def test_other_protocol_is_refused(line, words):
    with pytest.raises(UnknownInstrumentError, match=words):
        wire.BoardCapability.parse(line)


def test_additional_numbers_of_later_boards_are_ignored():
    assert wire.BoardCapability.parse("2,8,4,32,256,3072,77").block_bytes == 3072
