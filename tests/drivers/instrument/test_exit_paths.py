"""However a program ends, the outputs are off, and OFF was the first thing that was sent."""

import contextlib
import os
import signal
import subprocess
import sys
import threading

import pytest
from exit_paths import ENDINGS, POSIX

from hwlearn_drivers.errors import HaltedError, LinkError, OutputsMayBeOnError, UnknownInstrumentError
from hwlearn_drivers.instrument import open_outputs
from hwlearn_drivers.smu import ChannelLimit, open_smu
from hwlearn_drivers.smu.dry_answers import DryAnswers
from hwlearn_drivers.transport.addresses import LinkOptions
from hwlearn_drivers.transport.connector import Connector

CHANNEL_LIMIT = ChannelLimit(2.0, 1e-3)
ON = {"2400": ":OUTP 1", "2612B": "smua.source.output=1"}
OFF = {"2400": [":OUTP 0"], "2612B": ["smua.source.output=0", "smub.source.output=0"]}

PROGRAM = """
import os, signal, sys
from hwlearn_drivers.smu import ChannelLimit, open_smu
from hwlearn_drivers.transport.addresses import LinkOptions
from hwlearn_drivers.transport.connector import Connector
url, model = sys.argv[1:]
{before}
smu = open_smu(url, {{1: ChannelLimit(2.0, 1e-3)}}, model=model, connector=Connector(LinkOptions(timeout_s=20.0)))
channel = smu.channel(1)
channel.voltage_source(0.5, 1e-3)
channel.on()
print("on", flush=True)
{then}
"""


class Instrument:
    """Answers as an idle SMU would; ``mute`` stops it, ``held`` are questions that it never answers."""

    def __init__(self, model, held=()):
        self.dry, self.mute, self.held = DryAnswers(model), False, held

    def __call__(self, line):
        reply = self.dry(line.encode())
        return None if reply is None or self.mute or line in self.held else reply + b"\n"


def started(device, model, before, then):
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM.format(before=before, then=then), device.url, model],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def after_on(device, model):
    """Return the lines after the output went on and its error queue was read.

    The line that spoils a command which a signal may have cut short means nothing to any instrument.
    """
    heard = device.heard
    return [line for line in heard[heard.index(ON[model]) + 2 :] if line != "~~"]


@POSIX
@pytest.mark.parametrize("model", ON)
@pytest.mark.parametrize("ending", ENDINGS)
def test_every_ending_switches_off_first(responder, model, ending):
    device = responder(Instrument(model))
    before, then, code = ENDINGS[ending]
    program = started(device, model, before, then)
    program.communicate(timeout=60)
    device.wait_for_the_end()
    assert program.returncode == code
    assert after_on(device, model)[: len(OFF[model])] == OFF[model]
    assert ON[model] not in after_on(device, model)


@POSIX
@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT", "SIGHUP"])
def test_a_signal_while_waiting_for_an_answer_switches_off_first(responder, name):
    number = getattr(signal, name)
    device = responder(Instrument("2400", held=(":READ?",)))
    program = started(device, "2400", "", "with smu:\n    channel.read()")
    device.wait_for(":READ?")
    os.kill(program.pid, number)
    program.communicate(timeout=60)
    device.wait_for_the_end()
    assert program.returncode == -number
    assert after_on(device, "2400")[:2] == [":READ?", ":OUTP 0"]


@POSIX
def test_the_sigterm_handler_is_there_only_while_something_is_open(responder):
    before = signal.getsignal(signal.SIGTERM)
    first, second = responder(Instrument("2400")), responder(Instrument("2400"))
    with open_smu(first.url, {1: CHANNEL_LIMIT}, model="2400"):
        ours = signal.getsignal(signal.SIGTERM)
        assert ours is not before
        with open_smu(second.url, {1: CHANNEL_LIMIT}, model="2400"):
            assert signal.getsignal(signal.SIGTERM) is ours
        assert signal.getsignal(signal.SIGTERM) is ours
    assert signal.getsignal(signal.SIGTERM) is before


@POSIX
def test_a_program_that_ignores_sigterm_goes_on(responder):
    device = responder(Instrument("2400"))
    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        with open_smu(device.url, {1: CHANNEL_LIMIT}, model="2400"):
            assert signal.getsignal(signal.SIGTERM) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGTERM, before)


@POSIX
def test_opened_in_a_thread_it_leaves_signals_alone(responder):
    device = responder(Instrument("2400"))
    before = signal.getsignal(signal.SIGTERM)
    found = []

    def use():
        with open_smu(device.url, {1: CHANNEL_LIMIT}, model="2400"):
            found.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=use)
    thread.start()
    thread.join()
    assert found == [before]


def test_a_handler_put_on_top_is_left_in_place(responder):
    device = responder(Instrument("2400"))
    before = signal.getsignal(signal.SIGTERM)

    def theirs(number, frame):
        pass

    try:
        with open_smu(device.url, {1: CHANNEL_LIMIT}, model="2400"):
            signal.signal(signal.SIGTERM, theirs)
        assert signal.getsignal(signal.SIGTERM) is theirs
    finally:
        signal.signal(signal.SIGTERM, before)


# --- instruments that do not answer any more ------------------------------------------------------


def opened(device, timeout_s=0.2):
    smu = open_smu(
        device.url, {1: CHANNEL_LIMIT}, model="2400", connector=Connector(LinkOptions(timeout_s=timeout_s))
    )
    smu.channel(1).voltage_source(0.5, 1e-3)
    smu.channel(1).on()
    return smu


def test_a_mute_instrument_gets_off_before_any_question(responder):
    instrument = Instrument("2400")
    device = responder(instrument)
    smu = opened(device)
    instrument.mute = True
    with pytest.raises(LinkError):
        smu.channel(1).read()
    with pytest.raises(OutputsMayBeOnError, match=r"OUTPUTS MAY BE ON: CHANNEL 1 OF .*2400 .*not confirmed"):
        smu.close()
    assert after_on(device, "2400")[:2] == [":READ?", ":OUTP 0"]
    assert device.heard.count(":OUTP 0") >= 4  # at opening twice, now, and after reconnecting


def test_a_peer_that_is_gone_for_good_is_named_in_capitals(responder):
    device = responder(Instrument("2400"))
    smu = opened(device)
    device.refuse()
    with pytest.raises(OutputsMayBeOnError, match=r"MAY BE ON: CHANNEL 1 OF .*2400 AT SOCKET://") as raised:
        smu.close()
    assert "by hand" in str(raised.value)
    assert not open_outputs.watched(smu)


def test_a_peer_that_comes_back_gets_off_on_the_new_connection(responder):
    device = responder(Instrument("2400"))
    smu = opened(device)
    device.drop()
    heard = len(device.heard)
    smu.close()
    assert device.connections == 2
    assert device.heard[heard] == ":OUTP 0"


def test_an_instrument_that_says_it_is_still_on_is_named(responder):
    instrument = Instrument("2400")
    device = responder(lambda line: b"1\n" if line == ":OUTP?" else instrument(line))
    smu = opened(device)
    with pytest.raises(OutputsMayBeOnError, match="reports that it is on"):
        smu.close()


def test_one_silent_instrument_does_not_spare_the_next(responder):
    gone, there = responder(Instrument("2400")), responder(Instrument("2400"))
    first, second = opened(gone), opened(there)
    gone.refuse()
    heard = len(there.heard)
    # the first bytes into a dead connection may still be taken
    with contextlib.suppress(OutputsMayBeOnError):
        open_outputs.halt_all([first, second])
    there.wait_for(":OUTP 0")
    second.close()
    assert there.heard[heard] == ":OUTP 0"
    with pytest.raises(OutputsMayBeOnError):
        first.close()


def test_reconnecting_is_explicit_and_begins_with_off(responder, caplog):
    device = responder(Instrument("2400"))
    with opened(device, timeout_s=5.0) as smu:
        device.drop()
        with pytest.raises(LinkError):
            smu.channel(1).read()
        heard = len(device.heard)
        smu.reconnect()
        assert device.heard[heard : heard + 2] == [":OUTP 0", "*IDN?"]
        assert "*RST" in device.heard[heard:]
        assert "connected again" in caplog.text
        assert smu.channel(1).source is None, "whoever uses it sets it up anew"


def test_another_instrument_in_its_place_is_refused(responder):
    instrument = Instrument("2400")
    names = iter(["DRY RUN,2400,0,0", "DRY RUN,2400,4711,0"])
    device = responder(lambda line: next(names).encode() + b"\n" if line == "*IDN?" else instrument(line))
    smu = opened(device, timeout_s=5.0)
    with pytest.raises(UnknownInstrumentError, match=r"there was .* now there is .*4711"):
        smu.reconnect()
    assert smu.transport.closed
    smu.close()


def test_a_thread_that_was_about_to_switch_on_cannot(responder):
    device = responder(Instrument("2400"))
    with opened(device, timeout_s=5.0) as smu:
        smu.halt()
        with pytest.raises(HaltedError):
            smu.channel(1).on()
        with pytest.raises(HaltedError):
            smu.channel(1).set_level(0.1)
    assert ON["2400"] not in after_on(device, "2400")
