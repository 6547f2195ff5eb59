"""A conversation in which every answer belongs to its question, whatever the line does."""

import io
import subprocess
import sys
import threading
import time

import pytest

from hwlearn_drivers.errors import GarbledReplyError, HaltedError, LinkError, LinkTimeout
from hwlearn_drivers.transport.addresses import LinkOptions, open_link
from hwlearn_drivers.transport.blocks import encode_block
from hwlearn_drivers.transport.fence import SCPI_FENCE, TSP_FENCE, Fence
from hwlearn_drivers.transport.links.dry_run import DryLink
from hwlearn_drivers.transport.links.link import StreamLink
from hwlearn_drivers.transport.transport import Transport
from hwlearn_drivers.transport.wire_log import WireLog

SHORT_S = 0.15
LONG_S = 10.0


class Scpi:
    """Answers ``NAME?`` with ``name``, the fence, and whatever a test puts into ``replies``."""

    def __init__(self, **replies):
        self.replies = replies
        self.enabled = "0"

    def __call__(self, line):
        if line in self.replies:
            return self.replies[line]
        if line.startswith("*ESE "):
            self.enabled = line.split()[1].split(";")[0]
            return self.enabled.encode() + b"\n" if "?" in line else None
        if line.startswith('print("'):
            return line[7:-2].encode() + b"\n"
        return line.rstrip("?").lower().encode() + b"\n" if line.endswith("?") else None


def connect(address, timeout_s=LONG_S, fence=SCPI_FENCE, **options):
    how = LinkOptions(timeout_s=timeout_s)
    return Transport("instrument", lambda: open_link(address, how), timeout_s=timeout_s, fence=fence, **options)


def held_back(reply):
    """Return a reply that leaves only when released, and the release."""
    release = threading.Event()

    def send():
        assert release.wait(LONG_S)
        return reply

    return send, release


# --- late, lost and garbled replies ---------------------------------------------------------------


@pytest.mark.parametrize("fence", [SCPI_FENCE, TSP_FENCE], ids=["scpi", "tsp"])
def test_a_late_reply_answers_no_other_question(responder, fence):
    late, release = held_back(b"late\n")
    device = responder(Scpi(**{"SLOW?": late}))
    transport = connect(device.url, SHORT_S, fence)
    with pytest.raises(LinkTimeout, match=r"SLOW\?"):
        transport.query("SLOW?")
    transport.timeout_s = LONG_S
    # the reply leaves while the next question is already waiting behind its fence
    threading.Timer(0.05, release.set).start()
    assert transport.query("ONE?") == "one"
    fences = [line for line in device.heard if line.startswith(("*ESE", "print"))]
    assert len(fences) >= 2, "it resynchronises before the next query"
    assert transport.query("TWO?") == "two"
    assert device.heard[-1] == "TWO?"
    assert len([line for line in device.heard if line.startswith(("*ESE", "print"))]) == len(fences)
    transport.close()


def test_a_late_reply_that_equals_the_fence_does_not_pass_it(responder):
    """A stale number may happen to be the first one asked for; a second fence follows, so it is found out."""
    asked = []

    def answer(line):
        if line == "SLOW?":
            return None
        if line.startswith("*ESE ") and "?" in line:
            n = line.split()[1].split(";")[0]
            asked.append(n)
            # the late reply is this very number, and the true answer comes behind it
            return f"{n}\n{n}\n".encode() if len(asked) == 1 else f"{n}\n".encode()
        return Scpi()(line)

    transport = connect(responder(answer).url, SHORT_S)
    with pytest.raises(LinkTimeout):
        transport.query("SLOW?")
    transport.timeout_s = LONG_S
    assert transport.query("ONE?") == "one"
    assert transport.query("TWO?") == "two"
    assert len(asked) >= 3
    assert len(set(asked)) == len(asked), "a number must not be asked for twice"
    transport.close()


def test_without_a_fence_silence_must_last_a_whole_time_out(responder):
    late, release = held_back(b"late\n")
    device = responder(Scpi(**{"SLOW?": late}))
    transport = connect(device.url, 0.4, fence=None)
    with pytest.raises(LinkTimeout):
        transport.query("SLOW?")
    threading.Timer(0.1, release.set).start()
    assert transport.query("ONE?") == "one"
    transport.close()


def test_a_lost_reply_costs_one_question(responder):
    transport = connect(responder(Scpi(**{"LOST?": None})).url, SHORT_S)
    with pytest.raises(LinkTimeout):
        transport.query("LOST?")
    transport.timeout_s = LONG_S
    assert transport.query("ONE?") == "one"
    transport.close()


def test_a_mute_instrument_closes_the_link(responder):
    transport = connect(responder(lambda line: None).url, SHORT_S)
    with pytest.raises(LinkTimeout):
        transport.query("ONE?")
    with pytest.raises(LinkError, match="cannot be resynchronised"):
        transport.query("TWO?")
    assert transport.closed
    with pytest.raises(LinkError, match="reconnect"):
        transport.query("THREE?")


def test_an_instrument_that_never_stops_answering_closes_the_link(responder):
    def answer(line):
        return b"noise\n" + (Scpi()(line) or b"") + b"noise\n" if line.startswith("*ESE") else None

    transport = connect(responder(answer).url, SHORT_S)
    with pytest.raises(LinkTimeout):
        transport.query("ONE?")
    transport.timeout_s = LONG_S
    with pytest.raises(LinkError, match="do not belong to any query"):
        transport.query("TWO?")
    assert transport.closed


def test_bytes_that_are_no_text_are_garbled_and_put_it_out_of_step(responder):
    device = responder(Scpi(**{"BAD?": b"\xff\xfe\n"}))
    transport = connect(device.url)
    with pytest.raises(GarbledReplyError, match=r"BAD\?"):
        transport.query("BAD?")
    assert device.heard == ["BAD?"]
    assert transport.query("ONE?") == "one"
    assert device.heard[1].startswith("*ESE"), "it resynchronises before the next query"
    transport.close()


def test_a_second_line_that_nobody_asked_for_is_not_the_next_answer(responder):
    transport = connect(responder(Scpi(**{"TWICE?": b"twice\nagain\n"})).url)
    assert transport.query("TWICE?") == "twice"
    assert transport.query("ONE?") == "one"
    transport.close()


def test_a_reply_in_pieces_is_one_reply(responder):
    pieces = iter([b"fr", b"ag", b"mented\r\n"])
    device = responder(Scpi(**{"PART?": lambda: next(pieces)}))
    transport = connect(device.url)
    link = transport._link
    # the first piece answers the question, the others are pushed by further lines
    link.write(b"PART?\n")
    device.wait_for("PART?")
    link.write(b"PART?\nPART?\n")
    assert link.read_line(LONG_S) == b"fragmented"
    transport.close()


def test_ctrl_c_between_question_and_answer_puts_it_out_of_step(responder, monkeypatch):
    late, release = held_back(b"late\n")
    device = responder(Scpi(**{"SLOW?": late}))
    transport = connect(device.url)

    def interrupted(self, timeout_s):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(type(transport._link), "read_line", interrupted)
        with pytest.raises(KeyboardInterrupt):
            transport.query("SLOW?")
    release.set()
    assert transport.query("ONE?") == "one"
    transport.close()


def test_a_peer_that_resets_is_noticed_and_can_be_reached_again(responder):
    device = responder(Scpi())
    transport = connect(device.url)
    assert transport.query("ONE?") == "one"
    device.drop()
    with pytest.raises(LinkError):
        transport.query("TWO?")
    transport.reopen()
    assert transport.query("THREE?") == "three"
    assert device.connections == 2
    transport.close()


def test_a_device_clear_is_used_where_there_is_one():
    class Bus(StreamLink):
        __slots__ = ("cleared", "sent")

        def __init__(self):
            super().__init__()
            self.has_clear, self.cleared, self.sent = True, 0, []

        def write(self, data):
            self.sent.append(data)
            if data.startswith(b"*ESE") and b"?" in data:
                self._buffer += data.split()[1].split(b";")[0] + b"\n"
            if data == b"ONE?\n" and self.cleared:
                self._buffer += b"one\n"

        def unread(self):
            return bool(self._buffer)

        def clear(self):
            self.cleared += 1
            self._buffer.clear()

        def close(self):
            pass

        def _receive(self, timeout_s):
            return b""

    bus = Bus()
    transport = Transport("bus", lambda: bus, timeout_s=0.01)
    with pytest.raises(LinkTimeout):
        transport.query("ONE?")
    assert transport.query("ONE?") == "one"
    assert bus.cleared == 1


def test_threads_each_get_their_own_answers(responder):
    transport = connect(responder(Scpi()).url)
    wrong = []

    def ask(name):
        for k in range(50):
            if transport.query(f"{name}{k}?") != f"{name}{k}".lower():
                wrong.append((name, k))

    threads = [threading.Thread(target=ask, args=(name,)) for name in "ABCD"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    transport.close()


def test_text_that_is_not_ascii_is_never_sent(responder):
    device = responder(Scpi())
    transport = connect(device.url)
    with pytest.raises(ValueError, match="ASCII"):
        transport.write("OUTP 1 Ω")
    assert transport.query("ONE?") == "one"
    assert device.heard == ["ONE?"]
    transport.close()


# --- blocks ---------------------------------------------------------------------------------------


def test_a_block_may_hold_newlines_and_hashes(responder):
    data = bytes(range(256)) * 20 + b"#9\n\n#"
    transport = connect(responder(Scpi(**{"DATA?": encode_block(data) + b"\n"})).url)
    assert transport.query_block("DATA?") == data
    assert transport.query("ONE?") == "one"
    transport.close()


@pytest.mark.parametrize(
    "reply",
    [b"nonsense\n", b"#0abc\n", b"#1xabc\n", encode_block(b"abc") + b"more\n"],
    ids=["text", "indefinite", "letters", "rest"],
)
def test_what_is_no_block_is_garbled_and_the_next_answer_is_right(responder, reply):
    transport = connect(responder(Scpi(**{"DATA?": reply})).url)
    with pytest.raises(GarbledReplyError, match=r"DATA\?"):
        transport.query_block("DATA?")
    assert transport.query("ONE?") == "one"
    transport.close()


def test_half_a_block_is_a_time_out_and_the_other_half_no_answer(responder):
    block = encode_block(bytes(1000)) + b"\n"
    rest, release = held_back(block[500:])
    device = responder(Scpi(**{"DATA?": block[:500], "REST": rest}))
    transport = connect(device.url, SHORT_S)
    with pytest.raises(LinkTimeout, match="arrived, then nothing"):
        transport.query_block("DATA?")
    transport.write("REST")
    release.set()
    device.wait_for("REST")
    transport.timeout_s = LONG_S
    assert transport.query("ONE?") == "one"
    transport.close()


def test_a_block_is_sent_with_its_length(responder):
    seen = []
    device = responder(lambda line: seen.append(line) or Scpi()(line))
    transport = connect(device.url)
    transport.write_block("EDGE:DATA", b"abc")
    assert transport.query("ONE?") == "one"
    assert seen[0] == "EDGE:DATA #13abc"
    transport.close()


# --- off ------------------------------------------------------------------------------------------


def test_off_goes_out_while_another_thread_waits_for_an_answer(responder):
    late, release = held_back(b"late\n")
    device = responder(Scpi(**{"SLOW?": late}))
    transport = connect(device.url)
    failure = []

    def ask():
        try:
            transport.query("SLOW?")
        except LinkError as error:
            failure.append(error)

    thread = threading.Thread(target=ask)
    thread.start()
    deadline = time.monotonic() + LONG_S
    while "SLOW?" not in device.heard:
        assert time.monotonic() < deadline
    transport.halt("OUTP 0")
    release.set()
    device.wait_for("OUTP 0")
    thread.join()
    # the thread whose question was just leaving may say OFF once more: OFF has the last word
    assert device.heard in (["SLOW?", "OUTP 0"], ["SLOW?", "OUTP 0", "OUTP 0"])
    assert not failure
    transport.close()


def test_after_off_nothing_else_goes_out_until_armed_again(responder):
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


def test_a_question_held_back_by_off_leaves_the_link_open(responder):
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


def test_off_has_the_last_word_over_a_command_that_was_leaving(responder):
    """A signal may come while bytes are on their way to the link: they leave, and OFF after them."""
    device = responder(Scpi())
    transport = connect(device.url)
    link = transport._link

    class Interrupted:
        def __getattr__(self, name):
            return getattr(link, name)

        def write(self, data):
            if data == b"OUTP 1\n":
                transport.halt("OUTP 0")  # what a signal handler does, in this very place
            link.write(data)

    transport._link = Interrupted()
    transport.write("OUTP 1")
    transport.rearm()
    assert transport.query("ONE?") == "one"
    assert [line for line in device.heard if line.startswith("OUTP")][-1] == "OUTP 0"
    transport.close()


def test_half_a_command_is_spoilt_before_the_next_one(responder):
    """A number that was cut short is another number: it must not be obeyed."""
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


# --- records --------------------------------------------------------------------------------------


def test_the_wire_log_has_time_direction_and_bytes(responder, tmp_path):
    path = tmp_path / "wire.log"
    with WireLog(path) as log:
        transport = connect(responder(Scpi()).url, wire_log=log)
        transport.query("ONE?")
        # flushed line by line: it is all there although the file is still open
        rows = [line.split("\t") for line in path.read_text(encoding="ascii").splitlines()]
        assert [row[2:] for row in rows] == [["!", "opened"], [">", "ONE?\\n"], ["<", "one"]]
        assert all(row[1] == "instrument" and row[0].endswith("+00:00") for row in rows)
        transport.close()


def test_the_wire_log_tells_of_time_outs_and_of_coming_back(responder, tmp_path):
    path = tmp_path / "wire.log"
    with WireLog(path) as log:
        transport = connect(responder(Scpi(**{"LOST?": None})).url, SHORT_S, wire_log=log)
        with pytest.raises(LinkTimeout):
            transport.query("LOST?")
        transport.timeout_s = LONG_S
        transport.query("ONE?")
        transport.close()
    text = path.read_text(encoding="ascii")
    assert "out of sync" in text
    assert "in sync again" in text


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL on Windows")
def test_the_wire_log_keeps_every_line_through_a_kill(responder, tmp_path):
    path = tmp_path / "wire.log"
    program = """
import sys
from hwlearn_drivers.transport.addresses import open_link
from hwlearn_drivers.transport.transport import Transport
from hwlearn_drivers.transport.wire_log import WireLog
transport = Transport("killed", lambda: open_link(sys.argv[1]), wire_log=WireLog(sys.argv[2]))
for k in range(10**9):
    transport.query(f"Q{k}?")
    print(k, flush=True)
"""
    device = responder(Scpi())
    with subprocess.Popen(
        [sys.executable, "-c", program, device.url, str(path)], stdout=subprocess.PIPE, text=True
    ) as process:
        seen = [process.stdout.readline() for _ in range(200)]
        process.kill()
    acknowledged = [int(line) for line in seen]
    text = path.read_text(encoding="ascii")
    assert all(f"\t<\tq{k}\n" in text for k in acknowledged)


def test_a_dry_run_prints_commands_and_sends_none():
    out = io.StringIO()
    transport = Transport("SMU", lambda: DryLink("SMU", lambda message: b"0" if b"?" in message else None, out))
    transport.write("OUTP 0", "VOLT 0.5")
    assert transport.query("OUTP?") == "0"
    assert out.getvalue() == "SMU > OUTP 0\nSMU > VOLT 0.5\nSMU > OUTP?\n"
    transport.close()


def test_a_fence_knows_its_answer():
    fence = Fence("*ESE {n};*ESE?", 256)
    assert fence.question(7) == "*ESE 7;*ESE?"
    assert fence.answered("+7", 7)
    assert not fence.answered("17", 7)
    assert not fence.answered("VOLT", 7)
