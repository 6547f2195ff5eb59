"""Numbers that are sent: exact, finite, and never beyond the channel limit, for random requests."""

import math
import re

import pytest
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st
from idle_smu import CHANNEL_LIMIT, MODELS, opened
from shares import examples

from hwlearn.errors import LimitError, NetworkError
from hwlearn_drivers.instrument.instrument import number


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_sent_number_reads_back_exactly(value):
    assert float(number(value)) == value


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_values_that_are_not_finite_are_not_sent(value):
    with pytest.raises(ValueError, match="is not finite"):
        number(value)


_NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
_WHERE = (
    "SOUR\\d?:VOLT|SOUR\\d?:CURR|VOLT:PROT|CURR:PROT|VOLT:ILIM|CURR:VLIM|VOLT:RANG|CURR:RANG|LIST:VOLT|LIST:CURR|"
    "levelv|leveli|limitv|limiti|rangev|rangei|listv|listi"
)
_SENT = re.compile(rf"[.:](?P<what>{_WHERE})[ =({{]+(?P<values>{_NUMBER}(?:,{_NUMBER})*)[}})]*$")
_VOLTS = {"VOLT", "VOLT:PROT", "CURR:VLIM", "VOLT:RANG", "LIST:VOLT", "levelv", "limitv", "rangev", "listv"}


def numbers_sent(lines):
    """Return the volts and amperes that were sent as levels, limits and ranges."""
    volts, amperes = [], []
    for line in lines:
        if found := _SENT.search(line):
            what = re.sub(r"^SOUR\d?:", "", found["what"])
            (volts if what in _VOLTS else amperes).extend(float(value) for value in found["values"].split(","))
    return volts, amperes


_VALUE = st.one_of(
    st.floats(-4.0, 4.0),
    st.floats(-3e-3, 3e-3),
    st.floats(-1e-12, 1e-12),
    st.sampled_from([2.0, -2.0, 1e-3, -1e-3, 5e-7, 0.0, math.nan, math.inf, 1e300, 2.0 * (1 + 1e-8)]),
)
_REQUEST = st.one_of(
    st.tuples(st.sampled_from(["voltage_source", "current_source"]), _VALUE, _VALUE),
    st.tuples(st.sampled_from(["set_level", "voltage_range", "current_range"]), _VALUE),
    st.tuples(st.just("sweep"), st.lists(_VALUE, max_size=4)),
    st.tuples(st.sampled_from(["on", "off"])),
)


def check_requests(model, requests):
    """Make random requests; every number sent is within the channel limit and equals a requested value."""
    smu, channel, link = opened(model)
    link.lines.clear()
    requested = {0.0}
    for name, *values in requests:
        requested.update(values[0] if name == "sweep" else values)
        try:
            if name.endswith("_range"):
                setattr(channel, name, values[0])
            else:
                getattr(channel, name)(*values)
        except (LimitError, NetworkError):
            continue
    volts, amperes = numbers_sent(link.lines)
    assert all(abs(value) <= CHANNEL_LIMIT.volts * (1 + 1e-9) for value in volts)
    assert all(abs(value) <= CHANNEL_LIMIT.amperes * (1 + 1e-9) for value in amperes)
    assert {*volts, *amperes} <= requested
    smu.close()


@settings(max_examples=examples(50), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@pytest.mark.parametrize("model", MODELS)
@given(requests=st.lists(_REQUEST, min_size=1, max_size=8))
def test_values_beyond_the_limits_are_never_sent(model, requests):
    check_requests(model, requests)


@pytest.mark.slow
@pytest.mark.parametrize("model", MODELS)
def test_values_beyond_the_limits_are_never_sent_many_examples(model, seeds):
    @seed(seeds.commit)
    @settings(max_examples=len(seeds(2500, 400)), deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(requests=st.lists(_REQUEST, min_size=1, max_size=8))
    def search(requests):
        check_requests(model, requests)

    search()


@pytest.mark.parametrize("model", MODELS)
def test_numbers_sent_finds_every_number(model):
    """Otherwise the property tests could pass without checking any number."""
    smu, channel, link = opened(model)
    link.lines.clear()
    channel.voltage_range, channel.current_range = 1.25, 6.25e-4
    channel.voltage_source(0.5, 3e-4)
    channel.current_source(2e-4, 1.5)
    channel.sweep([1e-4, 5e-7])
    volts, amperes = numbers_sent(link.lines)
    assert set(volts) >= {1.25, 0.5, 1.5}
    assert set(amperes) >= {6.25e-4, 3e-4, 2e-4, 1e-4, 5e-7}
    smu.close()
