"""`SmuChannel` of every model: checks before sending, order of commands, identities, numbers on the wire."""

import io
import math
import re

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hwlearn.errors import LimitError, NetworkError, SetupError
from hwlearn_drivers.errors import InstrumentError, UnknownInstrumentError
from hwlearn_drivers.instrument.instrument import Identity, number
from hwlearn_drivers.smu import ChannelLimit, open_smu
from hwlearn_drivers.smu.dry_answers import DryAnswers
from hwlearn_drivers.smu.registry import FAMILIES, family_by_identity, family_of, models, write_off
from hwlearn_drivers.transport.addresses import LinkOptions
from hwlearn_drivers.transport.connector import Connector
from hwlearn_drivers.transport.links.dry_run import DryLink
from hwlearn_drivers.transport.transport import Transport

MODELS = ["2400", "2450", "2612B", "B2902A"]
CHANNEL_LIMIT = ChannelLimit(2.0, 1e-3)
DRY = Connector(dry_run=True)


class Recorder(DryLink):
    """An idle instrument that records the messages it receives."""

    __slots__ = ("lines",)

    def __init__(self, model):
        super().__init__(model, DryAnswers(model), io.StringIO())
        self.lines = []

    def write(self, data):
        self.lines += data.decode("ascii").removesuffix("\n").split("\n")
        super().write(data)


def opened(model, channel_limit=CHANNEL_LIMIT, channel=1):
    link = Recorder(model)
    transport = Transport(model, lambda: link)
    smu = family_of(model)(transport, Identity("MAKER", model, "1", "1"), {channel: channel_limit})
    return smu, smu.channel(channel), link


@pytest.fixture(params=MODELS)
def bench(request):
    """An SMU of each model, configured as a voltage source, with the messages sent since then."""
    smu, channel, link = opened(request.param)
    channel.voltage_source(0.0, 1e-3)
    link.lines.clear()
    yield smu, channel, link
    smu.close()


# --- checks before sending ------------------------------------------------------------------------


def test_level_beyond_channel_limit_is_rejected_with_value_limit_and_unit(bench):
    _, channel, link = bench
    with pytest.raises(
        LimitError, match=r"voltage level 2.5 V on .* exceeds its channel limit of 2 V; nothing was sent"
    ):
        channel.set_level(2.5)
    assert link.lines == []
    assert channel.level == 0.0, "nothing is clipped"


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        (lambda c: c.voltage_source(-2.001, 1e-3), r"-2\.001 V .* channel limit of 2 V"),
        (lambda c: c.voltage_source(0.0, 2e-3), r"current limit 2 mA .* channel limit of 1 mA"),
        (lambda c: c.current_source(2e-3, 1.0), r"current level 2 mA .* channel limit of 1 mA"),
        (lambda c: c.current_source(0.0, 3.0), r"voltage limit 3 V .* channel limit of 2 V"),
        (lambda c: c.current_source(0.0, 0.0), r"voltage limit 0.* must be positive"),
        (lambda c: c.voltage_source(0.0, -1e-4), r"current limit .* must be positive"),
        (lambda c: c.set_level(math.nan), r"nan .* is not finite"),
        (lambda c: c.set_level(math.inf), r"inf .* is not finite"),
        (lambda c: c.sweep([0.1, 0.2, 2.2, 0.1]), r"2\.2 V .* channel limit of 2 V"),
        (lambda c: c.sweep([]), "empty"),
        (lambda c: setattr(c, "voltage_range", 5.0), r"voltage range 5 V .* channel limit of 2 V"),
        (lambda c: setattr(c, "current_range", -1e-4), r"current range .* must be positive"),
        (lambda c: setattr(c, "nplc", 1000.0), "1000 NPLC .* outside"),
        (lambda c: setattr(c, "nplc", math.nan), "NPLC .* outside"),
    ],
)
def test_rejected_values_are_not_sent(bench, request_, words):
    _, channel, link = bench
    with pytest.raises(LimitError, match=words):
        request_(channel)
    assert link.lines == []


@pytest.mark.parametrize(
    ("model", "volts", "amperes"),
    [
        ("2400", 210.0, 0.2),
        ("2450", 100.0, 1.0),
        ("2612B", 100.0, 1.5),
        ("2602B", 40.0, 2.0),
        ("B2902A", 20.0, 3.0),
    ],
)
def test_values_outside_the_operating_region_are_rejected(model, volts, amperes):
    smu, channel, link = opened(model, ChannelLimit(volts, amperes))
    link.lines.clear()
    with pytest.raises(LimitError, match="beyond the instrument"):
        channel.voltage_source(volts, amperes)
    with pytest.raises(LimitError, match="beyond the instrument"):
        channel.current_source(amperes, volts)
    assert link.lines == []
    smu.close()


def test_instrument_range_applies_below_a_larger_channel_limit():
    smu, channel, link = opened("2401", ChannelLimit(1000.0, 100.0))
    link.lines.clear()
    with pytest.raises(LimitError, match=r"exceeds the instrument's range of 21 V"):
        channel.voltage_source(30.0, 0.1)
    assert link.lines == []
    smu.close()


@pytest.mark.parametrize(("volts", "amperes"), [(0.0, 1.0), (1.0, -1.0), (math.inf, 1.0), (1.0, math.nan)])
def test_channel_limit_must_be_positive_and_finite(volts, amperes):
    with pytest.raises(LimitError, match="positive and finite"):
        ChannelLimit(volts, amperes)


# --- order of commands ----------------------------------------------------------------------------


def test_output_is_not_switched_on_without_a_limit(bench):
    smu, channel, link = bench
    smu.set_up()
    link.lines.clear()
    with pytest.raises(NetworkError, match="with its limit"):
        channel.on()
    with pytest.raises(NetworkError, match="with its limit"):
        channel.set_level(0.1)
    assert link.lines == []


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("kind", ["voltage", "current"])
def test_limit_is_sent_before_level_and_both_before_output_on(model, kind):
    smu, channel, link = opened(model)
    link.lines.clear()
    if kind == "voltage":
        channel.voltage_source(0.5, 3e-4)
        limit, level = "0.0003", "0.5"
    else:
        channel.current_source(3e-4, 0.5)
        limit, level = "0.5", "0.0003"
    channel.on()
    at = {name: next(k for k, line in enumerate(link.lines) if re.search(rf"[ =]{name}$", line))
          for name in (re.escape(limit), re.escape(level))}  # fmt: skip
    output = next(k for k, line in enumerate(link.lines) if line == channel._output_command(True))
    assert at[re.escape(limit)] < at[re.escape(level)] < output
    smu.close()


def test_change_of_source_keeps_the_output_state(bench):
    _, channel, link = bench
    channel.current_source(0.0, 1.0)
    assert channel._output_command(True) not in link.lines
    channel.on()
    link.lines.clear()
    channel.voltage_source(0.25, 1e-3)
    assert link.lines.count(channel._output_command(True)) == 1
    assert channel.source == "voltage"
    assert channel.level == 0.25


def test_after_halt_the_output_stays_off_until_on(bench):
    smu, channel, link = bench
    channel.on()
    smu.halt()
    smu.rearm()
    link.lines.clear()
    channel.voltage_source(0.0, 1e-3)
    assert channel._output_command(True) not in link.lines
    channel.on()
    assert channel._output_command(True) in link.lines


def test_four_wire_cannot_be_changed_while_the_output_is_on(bench):
    _, channel, _ = bench
    channel.on()
    with pytest.raises(NetworkError, match="switch it off"):
        channel.four_wire = True


class Host:
    """A minimal instrument for a channel; see `ChannelHost`."""

    name = "HOST"

    def __init__(self, model):
        self.operating_range = family_of(model).operating_ranges[model]
        self.link = Recorder(model)
        self.transport = Transport("host", lambda: self.link)

    def write(self, *commands):
        self.transport.write(*commands)

    write_together = write


def test_channel_needs_only_the_channel_host_protocol():
    host = Host("2400")
    channel = family_of("2400").channel_class(host, 1, CHANNEL_LIMIT)
    channel.voltage_source(0.5, 1e-3)
    channel.on()
    assert host.link.lines[0] == ":SENS:CURR:PROT 0.001"
    assert host.link.lines[-1] == ":OUTP 1"


def test_halt_marks_channels_as_off(bench):
    smu, channel, _ = bench
    channel.on()
    assert channel.is_on
    smu.halt()
    assert not channel.is_on
    smu.rearm()


# --- names of settings ----------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["npcl", "voltage_limit", "four_wires", "curent_range"])
def test_misspelled_setting_is_rejected(bench, name):
    smu, channel, link = bench
    with pytest.raises(AttributeError):
        setattr(channel, name, 1.0)
    with pytest.raises(AttributeError):
        setattr(smu, name, 1.0)
    with pytest.raises(AttributeError):
        setattr(smu.transport, name, 1.0)
    with pytest.raises((AttributeError, TypeError)):  # which of them a frozen dataclass raises differs
        setattr(channel.channel_limit, name, 1.0)
    assert link.lines == []


def test_read_only_setting_is_rejected(bench):
    _, channel, _ = bench
    with pytest.raises(AttributeError):
        channel.level = 0.5


# --- identity and driver --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "family"),
    [
        ("KEITHLEY INSTRUMENTS INC.,MODEL 2400,1234567,C30   Mar 17 2006 09:29:29/A02  /K/J", "Keithley2400"),
        ("KEITHLEY INSTRUMENTS,MODEL 2450,04012345,1.7.0b", "Keithley2450"),
        ("Keithley Instruments Inc., Model 2636A, 1234567, 2.1.5", "Keithley2600"),
        ("Agilent Technologies,B2901A,MY51140001,2.0.1", "KeysightB2900"),
        ("Keysight Technologies,B2912B,MY51140001,5.0", "KeysightB2900"),
    ],
)
def test_identity_selects_the_driver(line, family):
    assert family_by_identity(Identity.parse(line)).__name__ == family


@pytest.mark.parametrize("line", ["HEWLETT-PACKARD,34401A,0,10-5-2", "KEITHLEY INSTRUMENTS,MODEL 24000,1,1"])
def test_unknown_instrument_is_rejected(line):
    with pytest.raises(UnknownInstrumentError, match="no driver for"):
        family_by_identity(Identity.parse(line))


@pytest.mark.parametrize("line", ["", "0", "a,b,c", "KEITHLEY,,1,1"])
def test_invalid_identity_is_rejected(line):
    with pytest.raises(UnknownInstrumentError, match=r"not a reply to \*IDN\?"):
        Identity.parse(line)


def test_every_model_has_one_driver():
    assert len(models()) == len(set(models()))
    with pytest.raises(SetupError, match="no driver for the SMU model '2500'"):
        family_of("2500")


def test_given_model_is_switched_off_before_any_query(responder):
    heard = responder(
        lambda line: DryAnswers("2612B")(line.encode()) and DryAnswers("2612B")(line.encode()) + b"\n"
    )
    with open_smu(heard.url, {1: CHANNEL_LIMIT}, model="2612B"):
        assert heard.heard[:3] == ["smua.source.output=0", "smub.source.output=0", "*IDN?"]


def test_different_instrument_than_the_given_model_is_rejected(responder):
    heard = responder(lambda line: b"KEITHLEY INSTRUMENTS INC.,MODEL 2400,1,1\n" if line == "*IDN?" else None)
    with pytest.raises(UnknownInstrumentError, match=r"expects a 2450, but .*2400"):
        open_smu(heard.url, {1: CHANNEL_LIMIT}, model="2450")


def test_off_by_address_sends_no_query(responder):
    heard = responder(lambda line: None)
    write_off(heard.url, "auto", Connector(LinkOptions(timeout_s=5.0)))
    for family in FAMILIES:
        heard.wait_for(family.off_command(1))
    heard.wait_for(":OUTP2 0")
    heard.wait_for("smub.source.output=0")
    assert not [line for line in heard.heard if "?" in line or "print" in line]


def test_dry_run_prints_a_whole_session(capsys):
    with open_smu("GPIB0::24::INSTR", {1: CHANNEL_LIMIT}, model="2400", connector=DRY) as smu:
        channel = smu.channel(1)
        channel.voltage_source(0.0, 1e-3)
        channel.on()
        assert channel.read().volts == 0.0
        assert len(channel.sweep([0.1] * 150).volts) == 150
    printed = capsys.readouterr().out
    assert "GPIB0::24::INSTR > :SENS:CURR:PROT 0.001" in printed
    assert printed.splitlines()[0] == "GPIB0::24::INSTR > :OUTP 0"
    with pytest.raises(SetupError, match="give the model"):
        open_smu("GPIB0::24::INSTR", {1: CHANNEL_LIMIT}, connector=DRY)


# --- numbers --------------------------------------------------------------------------------------


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


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@pytest.mark.parametrize("model", MODELS)
@given(requests=st.lists(_REQUEST, min_size=1, max_size=8))
def test_values_beyond_the_limits_are_never_sent(model, requests):
    check_requests(model, requests)


@pytest.mark.slow
@settings(max_examples=2500, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@pytest.mark.parametrize("model", MODELS)
@given(requests=st.lists(_REQUEST, min_size=1, max_size=8))
def test_values_beyond_the_limits_are_never_sent_many_examples(model, requests):
    check_requests(model, requests)


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


def test_queued_error_is_raised(scripted):
    link = Recorder("2400")
    transport = Transport("2400", lambda: link)
    smu = family_of("2400")(transport, Identity("MAKER", "2400", "1", "1"), {1: CHANNEL_LIMIT})
    answers = iter([b'-113,"Undefined header"', b'0,"No error"'])
    link._answer = lambda message: next(answers) if message == b":SYST:ERR?" else DryAnswers("2400")(message)
    with pytest.raises(InstrumentError, match="Undefined header"):
        smu.channel(1).nplc = 1
    link._answer = DryAnswers("2400")
    smu.close()
