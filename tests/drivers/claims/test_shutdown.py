"""`off` takes one of four ways to each instrument, and ends within seconds."""

import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace

import pytest

from hwlearn_drivers.claims import shutdown
from hwlearn_drivers.claims.ask import end_owner
from hwlearn_drivers.claims.claim import claim_path, owner_of
from hwlearn_drivers.claims.keys import AddressKey
from hwlearn_drivers.claims.shutdown import OffTarget, off_or_raise
from hwlearn_drivers.errors import LinkError, OutputsMayBeOnError

SHARED, SINGLE = AddressKey("net:192.0.2.5:5025"), AddressKey("serial:/dev/ttyUSB77", exclusive=True)

OWNER = """
import sys, time
from hwlearn_drivers.claims.claim import Claim, switch_off_with
from hwlearn_drivers.claims.keys import AddressKey
from hwlearn_drivers.errors import OutputsMayBeOnError
how = sys.argv[1]
def switch_off(reason):
    if how == "stuck":
        time.sleep(60)
    if how == "fails":
        raise OutputsMayBeOnError("OUTPUTS MAY BE ON: CHANNEL 1 OF 2400 AT THERE; no link")
switch_off_with(switch_off)
held = [Claim("there", AddressKey(text, exclusive=bool(int(single)))) for text, single in
        (word.split("=") for word in sys.argv[2:])]
print("held", flush=True)
time.sleep(60)
"""


@pytest.fixture
def owner():
    """Start a process that owns instruments; it is killed after the test."""
    started = []

    def start(how, *keys):
        words = [f"{key.text}={key.exclusive:d}" for key in keys]
        command = [sys.executable, "-c", OWNER, how, *words]
        started.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))
        assert started[-1].stdout.readline() == "held\n"
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.wait()
        process.stdout.close()


class Wire:
    """Notes every OFF that is sent."""

    def __init__(self, key, answers=True, fails=0):
        self.key, self.answers, self.fails = key, answers, fails
        self.sent = []

    def send(self, check):
        self.sent.append(check)
        if self.fails:
            self.fails -= 1
            raise LinkError("no link")
        return check and self.answers

    @property
    def target(self):
        return OffTarget(self.key.text, self.send, self.key)


def off(*wires):
    return off_or_raise([wire.target for wire in wires], "EVERY CHANNEL", "switch it off by hand")


def test_unclaimed_instrument_gets_off_directly_and_no_query():
    wire = Wire(SINGLE)
    assert [(one.instrument, one.way, one.note) for one in off(wire)] == [(SINGLE.text, "direct", "")]
    assert wire.sent == [False]


def test_link_that_was_just_dropped_is_tried_twice():
    wire = Wire(SHARED, fails=1)
    assert off(wire)[0].way == "direct"
    assert len(wire.sent) == 2


def test_owner_of_a_single_client_link_is_asked_and_goes_on_living(owner):
    process, wire = owner("works", SINGLE), Wire(SINGLE)
    done = off(wire)[0]
    assert done.way == "owner"
    assert f"process {process.pid}" in done.note
    assert wire.sent == []
    assert process.poll() is None


def test_shared_link_gets_off_directly_and_from_its_owner(owner):
    process, wire = owner("works", SHARED), Wire(SHARED)
    assert off(wire)[0].way in ("owner", "direct and owner")  # whichever is first
    assert process.poll() is None


@pytest.mark.parametrize("how", ["stuck", "stopped", "fails"])
def test_owner_of_a_single_client_link_that_does_not_confirm_is_ended(owner, how):
    process, wire = owner(how, SINGLE), Wire(SINGLE)
    if how == "stopped":
        if sys.platform == "win32":
            pytest.skip("Windows has no SIGSTOP")
        process.send_signal(signal.SIGSTOP)
    began = time.monotonic()
    done = off(wire)[0]
    assert time.monotonic() - began < 5
    assert done.way == "owner ended"
    assert f"process {process.pid}" in done.note
    assert wire.sent == [False]
    assert process.wait(5) != 0
    assert owner_of(SINGLE) is None


def test_owner_of_a_shared_link_that_does_not_confirm_is_named_not_ended(owner):
    process, wire = owner("stuck", SHARED), Wire(SHARED)
    done = off(wire)[0]
    assert done.way == "direct"
    assert f"still in use by process {process.pid}" in done.note
    assert wire.sent == [True]
    assert process.poll() is None


def test_owner_of_a_connection_that_nobody_else_can_use_is_ended(owner):
    """The connection succeeds, but the instrument reads only that of its owner."""
    process, wire = owner("stuck", SHARED), Wire(SHARED, answers=False)
    assert off(wire)[0].way == "owner ended"
    assert wire.sent == [True, False]
    assert process.wait(5) != 0


def test_one_owner_of_many_instruments_is_asked_and_ended_once(owner, monkeypatch):
    keys = [AddressKey(f"serial:/dev/ttyUSB{n}", exclusive=True) for n in range(8)]
    process, wires = owner("stuck", *keys), [Wire(key) for key in keys]
    asked = []
    ask = shutdown.ask_for_off
    monkeypatch.setattr(shutdown, "ask_for_off", lambda who: asked.append(who) or ask(who))
    began = time.monotonic()
    assert [one.way for one in off(*wires)] == ["owner ended"] * 8
    assert time.monotonic() - began < 5
    assert len(asked) == 1
    assert process.wait(5) != 0


def test_failed_instrument_is_named_and_the_others_are_reported():
    wires = [Wire(SHARED), Wire(SINGLE, fails=9)]
    with pytest.raises(
        OutputsMayBeOnError, match=r"OUTPUTS MAY BE ON: EVERY CHANNEL OF serial:/dev/ttyUSB77 \(no"
    ) as e:
        off(*wires)
    assert SHARED.text not in str(e.value)
    assert [one.instrument for one in e.value.done] == [SHARED.text]


def test_dead_instruments_do_not_delay_the_others(monkeypatch):
    monkeypatch.setattr(shutdown, "_LONGEST_S", 0.5)
    ends = threading.Event()
    dead = OffTarget("dead", lambda check: ends.wait(10), AddressKey("net:192.0.2.9:1"))
    wire = Wire(SHARED)
    began = time.monotonic()
    with pytest.raises(OutputsMayBeOnError, match="dead"):
        off_or_raise([dead, wire.target], "EVERY CHANNEL", "switch it off by hand")
    assert time.monotonic() - began < 3
    assert wire.sent == [False]
    ends.set()


def test_claims_that_cannot_be_read_do_not_prevent_off(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("HWLEARN_CLAIMS", str(tmp_path / "file" / "claims"))
    wire = Wire(SINGLE)
    done = off(wire)[0]
    assert done.way == "direct"
    assert "claims cannot be read" in done.note


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux says who holds a lock")
def test_process_that_a_claim_names_falsely_is_not_ended(owner):
    """Anybody may write the file of a claim; whoever holds its lock is meant to be ended, and nobody else."""
    victim, holder = owner("works", SHARED), owner("works", SINGLE)
    forged = replace(owner_of(SHARED), address="there")
    assert forged.pid == victim.pid
    path = claim_path(SINGLE)
    path.write_bytes(forged.content())
    assert f"process {holder.pid} holds it" in end_owner(owner_of(SINGLE), path)
    assert victim.poll() is None
