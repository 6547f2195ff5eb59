"""`Transport.halt`: OFF is sent at once, is the last message, and blocks everything else."""

import threading
import time

import pytest
from scpi_device import LONG_S, SHORT_S, Scpi, connect, held_back

from hwlearn_drivers.errors import HaltedError, LinkError, LinkTimeout


def test_off_is_sent_while_another_thread_waits_for_a_reply(responder):
    late, release = held_back(b"late\n")
    device = responder(Scpi(**{"SLOW?": late}))
    transport = connect(device.url)
    failure = []

    def query():
        try:
            transport.query("SLOW?")
        except LinkError as error:
            failure.append(error)

    thread = threading.Thread(target=query)
    thread.start()
    deadline = time.monotonic() + LONG_S
    while "SLOW?" not in device.heard:
        assert time.monotonic() < deadline
    transport.halt("OUTP 0")
    release.set()
    device.wait_for("OUTP 0")
    thread.join()
    # the thread that was sending its query may repeat OFF, so that OFF is the last message
    assert device.heard in (["SLOW?", "OUTP 0"], ["SLOW?", "OUTP 0", "OUTP 0"])
    assert not failure
    transport.close()


def test_halt_blocks_everything_until_rearm(responder):
    device = responder(Scpi())
    transport = connect(device.url)
    transport.halt("OUTP 0")
    with pytest.raises(HaltedError):
        transport.write("OUTP 1")
    with pytest.raises(HaltedError):
        transport.query("ONE?")
    transport.halt("OUTP 0")
    transport.rearm()
    assert transport.query("ONE?") == "one"
    assert device.heard[:2] == ["OUTP 0", "OUTP 0"]
    assert "OUTP 1" not in device.heard
    transport.close()


def test_query_blocked_by_halt_leaves_the_link_open(responder):
    transport = connect(responder(Scpi(**{"LOST?": None})).url, SHORT_S)
    with pytest.raises(LinkTimeout):
        transport.query("LOST?")
    transport.timeout_s = LONG_S
    transport.halt("OUTP 0")
    with pytest.raises(HaltedError):
        transport.query("ONE?")
    assert not transport.closed
    transport.rearm()
    assert transport.query("ONE?") == "one"
    transport.close()


def test_off_is_the_last_message_if_halt_interrupts_a_write(responder):
    """If a signal handler calls halt during a write, the bytes are still sent, and OFF after them."""
    device = responder(Scpi())
    transport = connect(device.url)
    link = transport._link

    class Interrupted:
        def __getattr__(self, name):
            return getattr(link, name)

        def write(self, data):
            if data == b"OUTP 1\n":
                transport.halt("OUTP 0")  # as a signal handler does
            link.write(data)

    transport._link = Interrupted()
    transport.write("OUTP 1")
    transport.rearm()
    assert transport.query("ONE?") == "one"
    assert [line for line in device.heard if line.startswith("OUTP")][-1] == "OUTP 0"
    transport.close()


def test_truncated_command_is_made_invalid_before_the_next_one(responder):
    """A truncated number is a wrong number; the instrument must not execute it."""
    device = responder(Scpi())
    transport = connect(device.url)
    link = transport._link

    class Torn:
        def __getattr__(self, name):
            return getattr(link, name)

        def write(self, data):
            if data.startswith(b"VOLT"):
                link.write(data[:8])
                raise KeyboardInterrupt
            link.write(data)

    transport._link = Torn()
    with pytest.raises(KeyboardInterrupt):
        transport.write("VOLT 1.5e-05")
    transport.halt("OUTP 0")
    device.wait_for("OUTP 0")
    assert device.heard == ["VOLT 1.5~~", "OUTP 0"]
    transport.close()
