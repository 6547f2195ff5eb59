"""Readings that are no numbers, or that no source within the limits can cause, void the phase."""

import math

import numpy as np
import pytest
from smu_rack import Rack

import hwlearn as hl
from hwlearn.errors import HwlearnError, NetworkError
from hwlearn_drivers.address import normal_address
from hwlearn_drivers.errors import GarbledReplyError
from hwlearn_drivers.instrument.instrument import Identity
from hwlearn_drivers.smu.models.keithley2400 import Keithley2400
from hwlearn_drivers.smu.reading import PlausibleRange, Reading
from hwlearn_drivers.transport.transport import Transport

NO_NUMBERS = [
    "9.9E37", "+9.9E+37", "-9.9e37", "9.91E37", "+9.910000E+37", "-9.91e37", "9.909999530030929e+37", "9.9E+37",
    "9.89999964E+37", "9.8e37", "9.9000001e37", "9.91000e+037", "1e38", "3.4028235e38", "1e300", "1e999", "-1e999",
    "nan", "NAN", "-nan", "inf", "-INF", "Infinity",
]  # fmt: skip

READS = {
    # instrument: part of the query of a reading, separator of its reply, places of volts and amperes
    "one": (":READ?", ",", 0, 1),
    "two": ("smub.measure.iv()", "\t", 1, 0),
    "three": (":MEAS?", ",", 0, 1),
    "four": (":READ?", ",", 1, 0),
}
"""The current source at the output of ``four`` returns its level first: ``SOUR,READ``."""


class Tampered:
    """Replaces volts or amperes in the replies to readings of one instrument, from the n-th reading on."""

    def __init__(self, monkeypatch, rack, name, place, text, first=0):
        question_part, separator, *places = READS[name]
        address = normal_address(rack.bench.address(name))
        query = Transport.query
        self.seen = 0

        def tampered(transport, question, timeout_s=None):
            reply = query(transport, question, timeout_s)
            if transport.name != address or question_part not in question:
                return reply
            self.seen += 1
            if self.seen <= first:
                return reply
            numbers, semicolon, rest = reply.partition(";")
            fields = numbers.split(separator)
            fields[places[place]] = text
            return separator.join(fields) + semicolon + rest

        monkeypatch.setattr(Transport, "query", tampered)


@pytest.mark.parametrize("text", NO_NUMBERS)
def test_no_code_for_a_missing_reading_passes_as_a_number(scripted, text):
    transport, _ = scripted([("VALUE?", text)])
    instrument = Bare(transport)
    (value,) = instrument.query_numbers("VALUE?", 1)
    assert not math.isfinite(value)


@pytest.mark.parametrize("text", ["1_0", "nil", "", "1e", "0x10", "1,2", "++1", "1.0.0"])
def test_text_that_is_no_number_is_garbled(scripted, text):
    transport, _ = scripted([("VALUE?", text)])
    with pytest.raises(GarbledReplyError):
        Bare(transport).query_numbers("VALUE?", 1)


@pytest.mark.parametrize("text", ["9.91e37", "nan", "inf", "0.5", "1e999"])
def test_whole_number_that_is_none_is_garbled(scripted, text):
    transport, _ = scripted([("*ESR?", text)])
    with pytest.raises(GarbledReplyError):
        Bare(transport).query_whole("*ESR?")


@pytest.mark.parametrize("line", ["1e999,x", "nan,x", "9.9e37", "x", ""])
def test_error_queue_with_an_impossible_number_is_no_traceback(scripted, line):
    transport, _ = scripted([(":SYST:ERR?", line)])
    with pytest.raises(HwlearnError):
        Bare(transport).check_errors("*RST")


class Bare(Keithley2400):
    """A 2400 to which nothing is sent when it is made."""

    def __init__(self, transport):
        self.transport, self.identity = transport, Identity("K", "2400", "1", "1")


def test_largest_plausible_readings_follow_the_limits():
    limits = hl.Limits(voltage=1.0, drop=2.0, nudge=0.2, current=1e-3, conductance=(1e-5, 2e-4))
    within = PlausibleRange(limits, voltage_sigma=1e-3)
    assert within.fault(Reading(1.55, 2e-3), None, None) == ""
    assert "limits.voltage = 1 V" in within.fault(Reading(-1.6, 0.0), None, None)
    assert "limits.current = 1 mA" in within.fault(Reading(0.0, 2.1e-3), None, None)
    assert within.fault(Reading(0.0, 2.1e-3), None, 1.0) == ""  # 0.1 % of a range of 1 A
    assert "no number" in within.fault(Reading(math.nan, 0.0), None, None)


@pytest.mark.share(3)
@pytest.mark.parametrize("name", READS)
@pytest.mark.parametrize("place", [0, 1], ids=["volts", "amperes"])
def test_void_phase_names_channel_value_and_limit(graph, inputs, monkeypatch, name, place):
    with Rack(graph) as rack:
        for text in ["9.909999530030929e+37", "+9.9E+37", "nan", "50"]:
            rack.network.measure(inputs[:1])
            with monkeypatch.context() as patch:
                Tampered(patch, rack, name, place, text)
                with pytest.raises(NetworkError) as void:
                    rack.network.measure(inputs[:1])
            message = str(void.value)
            assert normal_address(rack.bench.address(name)) in message
            assert "at node " in message
            assert f"limits.{['voltage', 'current'][place]} = {['500 mV', '1 mA'][place]}" in message
            assert "phase is void" in message
            assert ("50" if text == "50" else "no number") in message
            rack.goes_off()


@pytest.mark.share(6)
@pytest.mark.parametrize("first", range(0, 10, 3))
@pytest.mark.parametrize("text", ["9.909999530030929e+37", "50", "0.9", "9.8e37", "-9.9E37"])
def test_no_reading_beyond_the_plausible_range_reaches_a_gradient(graph, inputs, monkeypatch, first, text):
    with Rack(graph) as rack:
        network = rack.network
        network.program(np.full(graph.n_edges, 1e-4))
        trainer = hl.Trainer(network, hl.GEP(hl.ClampNudge(0.1)), hl.MSE(), hl.SGD(1e-5))
        applied = []

        class Watch(hl.Callback):
            def on_step(self, step):
                assert np.isfinite(step.gradient.values).all()
                applied.append(step)

        with monkeypatch.context() as patch:
            Tampered(patch, rack, "two", 0, text, first)
            with pytest.raises(NetworkError, match="plausible"):
                trainer.fit(inputs, np.full((4, 2), 0.1), hl.Schedule(epochs=3, batch_size=1), callbacks=[Watch()])
        assert len(applied) <= first


def test_level_is_never_taken_from_an_implausible_reading(graph, inputs, monkeypatch):
    """A change from floating to clamped starts at the reading, and not at the limit after a wrong one."""
    with Rack(graph) as rack:
        rack.network.measure(inputs[:1])
        levels = []
        original = type(rack.network._channels[-1]).voltage_source

        def watched(channel, volts, limit):
            levels.append(volts)
            return original(channel, volts, limit)

        for channel in rack.network._channels:
            monkeypatch.setattr(type(channel), "voltage_source", watched)
        Tampered(monkeypatch, rack, "four", 0, "50")
        with pytest.raises(NetworkError, match="plausible"):
            rack.network.measure(inputs[:1], hl.OutputDrive.clamp(np.full((1, 2), 0.1)))
        assert all(abs(level) < 0.45 for level in levels)
