"""`open_outputs.halt_open`: OFF to everything at once, final until a person reconnects, with the reason kept."""

import contextlib
import os
import signal
import threading

import pytest
from exit_paths import POSIX

from hwlearn_drivers.errors import HaltedError, OutputsMayBeOnError
from hwlearn_drivers.instrument import open_outputs
from hwlearn_drivers.smu import ChannelLimit, open_smu
from hwlearn_drivers.smu.dry_answers import DryAnswers
from hwlearn_drivers.transport.addresses import LinkOptions
from hwlearn_drivers.transport.connector import Connector

REASON = "requested by `hwlearn off` of process 7"
ON = ":OUTP 1"


class Idle:
    """Answers like an idle 2400; calls a function when a reading is queried; whether it then answers."""

    def __init__(self, on_read=None, replies=False):
        self._dry, self._on_read, self._replies = DryAnswers("2400"), on_read, replies

    def __call__(self, line):
        reply = self._dry(line.encode())
        if line.startswith(":READ?") and self._on_read is not None:
            self._on_read()
            if not self._replies:
                return None
        return None if reply is None else reply + b"\n"


@pytest.fixture
def opened(responder):
    """Return a function that opens a 2400 with its output on, and its device; closed after the test."""
    with contextlib.ExitStack() as stack:

        def make(on_read=None, replies=False):
            device = responder(Idle(on_read, replies))
            smu = stack.enter_context(
                open_smu(
                    device.url,
                    {1: ChannelLimit(2.0, 1e-3)},
                    model="2400",
                    connector=Connector(LinkOptions(timeout_s=2.0)),
                )
            )
            smu.channel(1).voltage_source(0.5, 1e-3)
            smu.channel(1).on()
            return smu, device

        yield make


def test_reply_from_before_the_off_is_not_blamed_on_somebody_else(opened):
    smu, _ = opened(lambda: from_thread(lambda: open_outputs.halt_open(REASON)), replies=True)
    with pytest.raises(HaltedError, match=REASON):
        smu.channel(1).read()


def from_thread(act):
    thread = threading.Thread(target=act)
    thread.start()
    thread.join()


def test_another_thread_switches_every_instrument_off(opened):
    pairs = [opened(), opened()]
    assert open_outputs.halted_because() is None
    from_thread(lambda: open_outputs.halt_open(REASON))
    assert open_outputs.halted_because() == REASON
    for smu, device in pairs:
        device.wait_for(":OUTP 0")
        with pytest.raises(HaltedError, match=rf"^outputs were switched off: {REASON}; .*stays off"):
            smu.channel(1).on()


def test_halt_is_final_until_the_instrument_is_reconnected(opened):
    (smu, device), (other, _) = opened(), opened()
    open_outputs.halt_open(REASON)
    with pytest.raises(HaltedError, match=REASON):
        smu.rearm()
    smu.off()  # OFF is always sent
    with pytest.raises(HaltedError, match=REASON):
        smu.channel(1).on()
    switched_on = device.heard.count(ON)
    smu.reconnect()
    assert open_outputs.halted_because(smu) is None
    smu.channel(1).voltage_source(0.5, 1e-3)
    smu.channel(1).on()
    assert device.heard.count(ON) == switched_on + 1
    assert open_outputs.halted_because(other) == open_outputs.halted_because() == REASON
    with pytest.raises(HaltedError, match=REASON):
        other.rearm()


def test_first_reason_is_kept(opened):
    smu, _ = opened()
    open_outputs.halt_open(REASON)
    open_outputs.halt_open("the program ended")
    assert open_outputs.halted_because(smu) == REASON


def test_reason_is_forgotten_with_the_instrument(opened):
    smu, _ = opened()
    open_outputs.halt_open(REASON)
    smu.close()
    assert open_outputs.halted_because() is None
    again, device = opened()
    assert ON in device.heard
    again.rearm()


def test_own_halt_of_a_network_is_not_final(opened):
    smu, _ = opened()
    smu.halt()
    assert open_outputs.halted_because() is None
    with pytest.raises(HaltedError, match="was switched off; nothing else"):
        smu.channel(1).on()
    smu.rearm()
    smu.channel(1).on()


def test_query_in_progress_ends_with_the_reason(opened):
    smu, _ = opened(on_read=lambda: open_outputs.halt_open(REASON))
    with pytest.raises(HaltedError, match=f"outputs were switched off: {REASON}"):
        smu.channel(1).read()


class Unreachable:
    """An instrument to which OFF cannot be sent."""

    def halt(self, reopen=True):
        raise OutputsMayBeOnError("OUTPUTS MAY BE ON: CHANNEL 1 OF THIS ONE")


def test_unreachable_instrument_is_named_and_the_others_are_off(opened):
    gone = Unreachable()
    open_outputs.watch(gone)
    try:
        smu, there = opened()
        with pytest.raises(OutputsMayBeOnError, match="OF THIS ONE"):
            open_outputs.halt_open(REASON)
        there.wait_for(":OUTP 0")
        assert open_outputs.halted_because(smu) == REASON
    finally:
        open_outputs.unwatch(gone)


class Dropped:
    """An instrument whose link must be opened again before OFF can be sent."""

    def __init__(self, calls):
        self._calls = calls

    def halt(self, reopen=True):
        self._calls.append(f"dropped, {'reopened' if reopen else 'not reopened'}")
        if not reopen:
            raise OutputsMayBeOnError("OUTPUTS MAY BE ON: OF THIS ONE")


def test_off_is_sent_to_every_instrument_before_a_link_is_opened_again(opened, monkeypatch):
    calls = []
    smu, there = opened()
    halt = type(smu).halt

    def noted(self, reopen=True):
        calls.append("other")
        halt(self, reopen)

    monkeypatch.setattr(type(smu), "halt", noted)
    open_outputs.halt_all([Dropped(calls), smu])
    assert calls == ["dropped, not reopened", "other", "dropped, reopened"]
    there.wait_for(":OUTP 0")


@POSIX
def test_handled_signal_leaves_the_instrument_off_for_good(opened):
    received = []
    before = signal.signal(signal.SIGTERM, lambda number, frame: received.append(number))
    try:
        smu, _ = opened()
        signal.raise_signal(signal.SIGTERM)
        assert received == [signal.SIGTERM]
        with pytest.raises(HaltedError, match="outputs were switched off: the program received SIGTERM"):
            smu.rearm()
        smu.close()
    finally:
        signal.signal(signal.SIGTERM, before)


@POSIX
def test_forked_child_sends_nothing(opened):
    _, device = opened()
    heard = len(device.heard)
    child = os.fork()
    if not child:
        open_outputs.halt_open(REASON)
        os._exit(0 if open_outputs.halted_because() is None else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert open_outputs.halted_because() is None
    assert len(device.heard) == heard
