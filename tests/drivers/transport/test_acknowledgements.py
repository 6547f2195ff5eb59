"""Instruments that acknowledge commands: an acknowledgement is never a reply, and OFF is confirmed."""

import itertools
import time

import numpy as np
import pytest
from board_rig import FREE, PLAIN, SESSION, at_midscale
from idle_smu import CHANNEL_LIMIT
from scpi_device import Scpi, connect

from hwlearn_drivers.board.board import Board
from hwlearn_drivers.errors import InstrumentError, LinkTimeout, UnknownInstrumentError
from hwlearn_drivers.instrument.instrument import Identity
from hwlearn_drivers.smu import open_smu
from hwlearn_drivers.smu.dry_answers import DryAnswers
from hwlearn_drivers.smu.registry import write_off_and_check
from hwlearn_drivers.transport.addresses import LinkOptions, open_link
from hwlearn_drivers.transport.connector import Connector
from hwlearn_drivers.transport.links.link import StreamLink
from hwlearn_drivers.transport.messages import without_acknowledgement
from hwlearn_drivers.transport.transport import Transport
from hwlearn_drivers.transport.wire_log import WireLog

QUICK = Connector(LinkOptions(timeout_s=1.0))

# --- commands acknowledged with OK ----------------------------------------------------------------


def acknowledging(line):
    """Answer queries like `Scpi`, and commands with OK."""
    reply = Scpi()(line)
    return b"OK\n" if reply is None else reply


def test_acknowledgement_is_never_taken_for_a_reply(responder):
    device = responder(acknowledging)
    with connect_to(device) as transport:
        for k in range(20):
            transport.write(*["SET 1"] * (k % 4))
            assert transport.query(f"VALUE{k}?") == f"value{k}"
        assert not [line for line in device.heard if line.startswith("*ESE")], "it was never out of step"


def test_acknowledgement_of_off_is_not_read_as_the_identity(responder):
    with connect_to(responder(acknowledging)) as transport:
        transport.halt(":OUTP 0")
        transport.rearm()
        assert transport.query("*IDN?") == "*idn"


def test_acknowledgement_before_a_block_is_dropped(responder):
    def answer(line):
        return b"#15hello\n" if line == "DATA?" else acknowledging(line)

    with connect_to(responder(answer)) as transport:
        transport.write("SET 1", "SET 2")
        assert transport.query_block("DATA?") == b"hello"
        transport.write("SET 3")
        assert transport.query("VALUE?") == "value"


def test_line_that_is_neither_reply_nor_acknowledgement_is_out_of_step_and_recorded(responder, tmp_path):
    stray = iter([b"OK\nleft over\n"])

    def answer(line):
        return next(stray, b"OK\n") if line == "SET 1" else acknowledging(line)

    with WireLog(tmp_path / "log") as log, connect_to(responder(answer), wire_log=log) as transport:
        transport.write("SET 1")
        deadline = time.monotonic() + 5
        while not transport._link.unread():
            assert time.monotonic() < deadline
        assert transport.query("VALUE?") == "value"
    text = (tmp_path / "log").read_text()
    assert "out of sync" in text
    assert "in sync again" in text


def test_late_reply_among_acknowledgements_is_not_taken_for_another(responder):
    def answer(line):
        return {"SLOW?": b"", "SET 1": b"slow\nOK\n"}.get(line, acknowledging(line))

    with connect_to(responder(answer)) as transport:
        with pytest.raises(LinkTimeout):
            transport.query("SLOW?", timeout_s=0.1)
        transport.write("SET 1")
        assert transport.query("NEXT?") == "next"


def test_only_acknowledgements_are_a_timeout(responder):
    with (
        connect_to(responder(lambda line: b"OK\n" * 3)) as transport,
        pytest.raises(LinkTimeout, match="NOTHING"),
    ):
        transport.query("NOTHING?", timeout_s=0.2)


def test_acknowledgement_that_was_not_stated_is_named():
    with pytest.raises(UnknownInstrumentError, match=r"set acknowledgement = 'OK' in \[backend\]"):
        Identity.parse("OK")
    with pytest.raises(UnknownInstrumentError) as other:
        Identity.parse("KEITHLEY,2400")
    assert "acknowledgement" not in str(other.value)


def connect_to(device, **options):
    transport = connect(device.url, timeout_s=2.0, acknowledgement="OK", **options)
    return Closing(transport)


class Closing:
    def __init__(self, transport):
        self._transport = transport

    def __enter__(self):
        return self._transport

    def __exit__(self, *_):
        self._transport.close()


class Acknowledging(StreamLink):
    """A link to a board that acknowledges each command that is no query."""

    __slots__ = ("_link", "_said", "acknowledged")

    def __init__(self, link):
        super().__init__()
        self._link, self._said, self.acknowledged = link, bytearray(), 0

    def write(self, data):
        if b"?" not in data:
            count = 1 if b" #" in data else data.count(b"\n")
            self._said += b"OK\n" * count
            self.acknowledged += count
        self._link.write(data)

    def unread(self):
        return bool(self._buffer) or bool(self._said) or self._link.unread()

    def close(self):
        self._link.close()

    def _receive(self, timeout_s):
        if self._said:
            said = bytes(self._said)
            self._said.clear()
            return said
        return self._link._receive(timeout_s)


def test_board_that_acknowledges_commands_is_used_and_switched_off(board_rig):
    rig = board_rig(record=PLAIN)
    links = []

    def opened():
        links.append(Acknowledging(open_link(rig.address, LinkOptions(timeout_s=2.0))))
        return links[-1]

    board = Board.open(Transport("board", opened, timeout_s=2.0, acknowledgement="OK"))
    board.begin(SESSION)
    board.set_codes(np.full(32, 100, dtype=np.uint16))
    status, readings = board.sequence(FREE, at_midscale(3), 1, 1)
    assert not status.any()
    assert readings.shape == (3, 1, 4)
    board.halt()
    board.rearm()
    board.reconnect()
    board.close()
    assert sum(link.acknowledged for link in links) > 10


# --- prompts of TSP -------------------------------------------------------------------------------

FORMS = {
    "line": lambda reply: (b"" if reply is None else reply + b"\n") + b"TSP>\n",
    "CR LF": lambda reply: (b"" if reply is None else reply + b"\r\n") + b"TSP>\r\n",
    "no line end": lambda reply: (b"" if reply is None else reply + b"\n") + b"TSP>",
    "with a space": lambda reply: (b"" if reply is None else reply + b"\n") + b"TSP> ",
    "error": lambda reply: (b"" if reply is None else reply + b"\n") + b"TSP?\n",
    "incomplete": lambda reply: (b"" if reply is None else reply + b"\n") + b">>>>\n",
}


class Prompting:
    """A 2612B that sends prompts while ``localnode.prompts`` is 1."""

    def __init__(self, form, prompts=True, keeps=False):
        self._answers, self._form, self.prompts, self._keeps = DryAnswers("2612B"), form, prompts, keeps

    def __call__(self, line):
        prompts = self.prompts
        if "localnode.prompts=0" in line and not self._keeps:
            self.prompts = False
        reply = self._answers(line.encode())
        if prompts:
            return self._form(reply)
        return None if reply is None else reply + b"\n"


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
@pytest.mark.parametrize(
    ("model", "keeps"),
    [
        ("2612B", False),
        ("auto", False),
        pytest.param("2600 family", False, marks=pytest.mark.slow),
        pytest.param("2612B", True, marks=pytest.mark.slow),
        pytest.param("2600 family", True, marks=pytest.mark.slow),
        pytest.param("auto", True, marks=pytest.mark.slow),
    ],
)
def test_2600_with_prompts_is_used_and_never_said_to_be_on(responder, form, model, keeps):
    device = responder(Prompting(form, keeps=keeps))
    with open_smu(device.url, {1: CHANNEL_LIMIT, 2: CHANNEL_LIMIT}, model=model, connector=QUICK) as smu:
        for channel in smu.channels:
            channel.voltage_source(0.1, 1e-3)
            channel.on()
            assert channel.read().volts == 0.0
            channel.set_level(0.2)
            channel.check_errors()
            channel.current_source(1e-6, 1.0)
            assert not channel.limited()
        assert len(smu.channel(1).sweep([1e-6] * 3).volts) == 3
        smu.off()
        smu.rearm()
        smu.reconnect()
        smu.check_errors("")


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_prompts_that_somebody_switches_on_meanwhile_are_understood(responder, form):
    answers = Prompting(form, prompts=False)
    with open_smu(responder(answers).url, {1: CHANNEL_LIMIT}, model="2612B", connector=QUICK) as smu:
        channel = smu.channel(1)
        channel.voltage_source(0.1, 1e-3)
        channel.on()
        channel.read()
        answers.prompts = True
        for _ in range(3):
            assert channel.read().volts == 0.0
            channel.set_level(0.2)
            channel.check_errors()


def test_resynchronising_switches_prompts_off(responder):
    answers = Prompting(FORMS["line"])
    lost = itertools.count()

    def answer(line):
        reply = answers(line)
        return b"" if "measure.iv" in line and next(lost) == 0 else reply

    with open_smu(responder(answer).url, {1: CHANNEL_LIMIT}, model="2612B", connector=QUICK) as smu:
        channel = smu.channel(1)
        channel.voltage_source(0.1, 1e-3)
        channel.on()
        with pytest.raises(LinkTimeout):
            channel.read()
        assert channel.read().volts == 0.0
        assert not answers.prompts


def test_error_of_an_instrument_with_prompts_is_its_error(responder):
    answers = Prompting(FORMS["error"])
    errors = ["-285\tTSP Syntax error at line 1"]

    def answer(line):
        if line == "print(errorqueue.count)":
            return answers._form(str(len(errors)).encode())
        if line == "print(errorqueue.next())":
            return answers._form(errors.pop().encode())
        return answers(line)

    with pytest.raises(InstrumentError, match="-285"):
        open_smu(responder(answer).url, {1: CHANNEL_LIMIT}, model="2612B", connector=QUICK)


def test_off_is_confirmed_in_spite_of_prompts(responder):
    device = responder(Prompting(FORMS["line"], keeps=True))
    assert write_off_and_check(device.url, "2612B", QUICK, check=True)


@pytest.mark.parametrize(
    "line", [b"1.5", b"TSPX", b"", b"OKAY", b"0", b"TSP", b"#15hello", b"K,2612B,1,1", b">>> 1"]
)
def test_replies_are_left_as_they_are(line):
    assert without_acknowledgement(line, b"OK") == line
