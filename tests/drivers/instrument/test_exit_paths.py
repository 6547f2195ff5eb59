"""On every exit path the outputs are switched off, and OFF is the first command that is sent."""

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
READ = ":READ?;:SENS:CURR:PROT:TRIP?;:OUTP?;:SOUR:FUNC?;:SOUR:VOLT?;:SENS:CURR:PROT?"
OFF = {"2400": [":OUTP 0"], "2612B": ["smua.source.output=0", "smub.source.output=0"]}

PROGRAM = """
import contextlib, os, signal, sys
from hwlearn_drivers.smu import ChannelLimit, open_smu
from hwlearn_drivers.transport.addresses import LinkOptions
from hwlearn_drivers.transport.connector import Connector
{before}
connector = Connector(LinkOptions(timeout_s=20.0))
smu = contextlib.ExitStack()
for url, model in zip(sys.argv[1::2], sys.argv[2::2]):
    opened = open_smu(url, {{1: ChannelLimit(2.0, 1e-3)}}, model=model, connector=connector)
    smu.push(opened)
    channel = opened.channel(1)
    channel.voltage_source(0.5, 1e-3)
    channel.on()
{then}
"""


class Instrument:
    """Answers like an idle SMU; ``mute`` stops all replies, ``held`` are queries that are never answered."""

    def __init__(self, model, held=()):
        self.dry, self.mute, self.held = DryAnswers(model), False, held

    def __call__(self, line):
        reply = self.dry(line.encode())
        return None if reply is None or self.mute or line in self.held else reply + b"\n"


def started(devices, before, then):
    """Start a program that switches on channel 1 of every device (model -> responder)."""
    places = [text for model, device in devices.items() for text in (device.url, model)]
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM.format(before=before, then=then), *places],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def after_on(device, model):
    """Return the lines after the output was switched on and the error queue was read.

    Without ``~~``, the line that makes a truncated command invalid.
    """
    heard = device.heard
    return [line for line in heard[heard.index(ON[model]) + 2 :] if line != "~~"]


@POSIX
@pytest.mark.parametrize("ending", ENDINGS)
def test_every_exit_path_sends_off_first_to_every_instrument(responder, ending):
    devices = {model: responder(Instrument(model)) for model in ON}
    before, then, code = ENDINGS[ending]
    program = started(devices, before, then)
    program.communicate(timeout=60)
    assert program.returncode == code
    for model, device in devices.items():
        device.wait_for_the_end()
        assert after_on(device, model)[: len(OFF[model])] == OFF[model]
        assert ON[model] not in after_on(device, model)


@POSIX
@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT", "SIGHUP"])
def test_signal_while_waiting_for_reply_sends_off_first(responder, name):
    number = getattr(signal, name)
    device = responder(Instrument("2400", held=(READ,)))
    program = started({"2400": device}, "", "with smu:\n    channel.read()")
    device.wait_for(READ)
    os.kill(program.pid, number)
    program.communicate(timeout=60)
    device.wait_for_the_end()
    assert program.returncode == -number
    assert after_on(device, "2400")[:2] == [READ, ":OUTP 0"]


@POSIX
def test_sigterm_handler_is_installed_only_while_an_instrument_is_open(responder):
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
def test_ignored_sigterm_stays_ignored(responder):
    device = responder(Instrument("2400"))
    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        with open_smu(device.url, {1: CHANNEL_LIMIT}, model="2400"):
            assert signal.getsignal(signal.SIGTERM) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGTERM, before)


@POSIX
def test_open_in_a_thread_installs_no_signal_handler(responder):
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


def test_later_installed_handler_is_kept(responder):
    device = responder(Instrument("2400"))
    before = signal.getsignal(signal.SIGTERM)

    def other(number, frame):
        pass

    try:
        with open_smu(device.url, {1: CHANNEL_LIMIT}, model="2400"):
            signal.signal(signal.SIGTERM, other)
        assert signal.getsignal(signal.SIGTERM) is other
    finally:
        signal.signal(signal.SIGTERM, before)


# --- instruments that stop answering --------------------------------------------------------------


def opened(device):
    smu = open_smu(device.url, {1: CHANNEL_LIMIT}, model="2400", connector=Connector(LinkOptions(timeout_s=5.0)))
    smu.channel(1).voltage_source(0.5, 1e-3)
    smu.channel(1).on()
    return smu


def test_mute_instrument_receives_off_before_any_query(responder):
    instrument = Instrument("2400")
    device = responder(instrument)
    smu = opened(device)
    instrument.mute = True
    smu.transport.timeout_s = 0.2
    with pytest.raises(LinkError):
        smu.channel(1).read()
    with pytest.raises(OutputsMayBeOnError, match=r"OUTPUTS MAY BE ON: CHANNEL 1 OF .*2400 .*not confirmed"):
        smu.close()
    assert after_on(device, "2400")[:2] == [READ, ":OUTP 0"]
    assert device.heard.count(":OUTP 0") >= 4  # twice when opened, once now, once after reconnecting


def test_unreachable_instrument_is_named_in_capitals(responder):
    device = responder(Instrument("2400"))
    smu = opened(device)
    device.refuse()
    with pytest.raises(OutputsMayBeOnError, match=r"MAY BE ON: CHANNEL 1 OF .*2400 AT SOCKET://") as raised:
        smu.close()
    assert "by hand" in str(raised.value)
    assert not open_outputs.watched(smu)


def test_off_is_sent_over_a_new_connection(responder):
    device = responder(Instrument("2400"))
    smu = opened(device)
    device.drop()
    heard = len(device.heard)
    smu.close()
    assert device.connections == 2
    assert device.heard[heard] == ":OUTP 0"


def test_instrument_that_reports_on_after_off_is_named(responder):
    instrument = Instrument("2400")
    device = responder(lambda line: b"1\n" if line == ":OUTP?" else instrument(line))
    smu = opened(device)
    with pytest.raises(OutputsMayBeOnError, match="reports that it is on"):
        smu.close()


def test_unreachable_instrument_does_not_prevent_off_to_the_next(responder):
    gone, there = responder(Instrument("2400")), responder(Instrument("2400"))
    first, second = opened(gone), opened(there)
    gone.refuse()
    heard = len(there.heard)
    # the first bytes into a dead connection may still be accepted
    with contextlib.suppress(OutputsMayBeOnError):
        open_outputs.halt_all([first, second])
    there.wait_for(":OUTP 0")
    second.close()
    assert there.heard[heard] == ":OUTP 0"
    with pytest.raises(OutputsMayBeOnError):
        first.close()


def test_reconnection_starts_with_off(responder, caplog):
    device = responder(Instrument("2400"))
    with opened(device) as smu:
        device.drop()
        with pytest.raises(LinkError):
            smu.channel(1).read()
        heard = len(device.heard)
        smu.reconnect()
        # the query into the dead connection may have arrived, and be noted late
        after = [message for message in device.heard[heard:] if not message.startswith(":READ?")]
        assert after[:2] == [":OUTP 0", "*IDN?"]
        assert "*RST" in after
        assert "connected again" in caplog.text
        assert smu.channel(1).source is None, "the user configures it again"


def test_reconnection_rejects_a_different_instrument(responder):
    instrument = Instrument("2400")
    names = iter(["DRY RUN,2400,0,0", "DRY RUN,2400,4711,0"])
    device = responder(lambda line: next(names).encode() + b"\n" if line == "*IDN?" else instrument(line))
    smu = opened(device)
    with pytest.raises(UnknownInstrumentError, match=r"there was .* now there is .*4711"):
        smu.reconnect()
    assert smu.transport.closed
    smu.close()


def test_halt_blocks_other_threads_from_switching_on(responder):
    device = responder(Instrument("2400"))
    with opened(device) as smu:
        smu.halt()
        with pytest.raises(HaltedError):
            smu.channel(1).on()
        with pytest.raises(HaltedError):
            smu.channel(1).set_level(0.1)
    assert ON["2400"] not in after_on(device, "2400")
