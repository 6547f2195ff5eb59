"""`SmuChannel` of every model: checks before sending, order of commands, names of settings."""

import math
import re

import pytest
from idle_smu import CHANNEL_LIMIT, MODELS, Recorder, opened

from hwlearn.errors import LimitError, NetworkError
from hwlearn_drivers.errors import InstrumentError
from hwlearn_drivers.instrument.instrument import Identity
from hwlearn_drivers.smu import ChannelLimit
from hwlearn_drivers.smu.dry_answers import DryAnswers
from hwlearn_drivers.smu.registry import family_of
from hwlearn_drivers.transport.transport import Transport


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
    assert channel._output_command(True) not in link.lines, "an output that stays on is not switched on again"
    assert channel.is_on
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

    def query_parts(self, question, timeout_s=None):
        return self.transport.query(question, timeout_s).split(";")

    def one_message(self, queries):
        return ";".join(queries)

    def write_and_read_back(self, command, question):
        self.write(command)
        return float(self.transport.query(question))

    def numbers(self, question, reply, count):
        return [float(field) for field in reply.split(",")]

    def check_errors(self, command):
        pass


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


# --- error queue ----------------------------------------------------------------------------------


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
