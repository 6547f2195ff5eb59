"""`Transport`: every reply belongs to its query, OFF is sent first, and the wire log is complete."""

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
    """Answers ``NAME?`` with ``name``, the fence queries, and the messages in ``replies``."""

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
    """Return a reply that is sent only when an event is set, and the event."""
    release = threading.Event()

    def send():
        assert release.wait(LONG_S)
        return reply

    return send, release


# --- late, lost and garbled replies ---------------------------------------------------------------


@pytest.mark.parametrize("fence", [SCPI_FENCE, TSP_FENCE], ids=["scpi", "tsp"])
def test_late_reply_is_not_read_by_the_next_query(responder, fence):
    late, release = held_back(b"late\n")
    device = responder(Scpi(**{"SLOW?": late}))
    transport = connect(device.url, SHORT_S, fence)
    with pytest.raises(LinkTimeout, match=r"SLOW\?"):
        transport.query("SLOW?")
    transport.timeout_s = LONG_S
    # the late reply is sent while the next query already waits for its fence
    threading.Timer(0.05, release.set).start()
    assert transport.query("ONE?") == "one"
    fences = [line for line in device.heard if line.startswith(("*ESE", "print"))]
    assert len(fences) >= 2, "it resynchronises before the next query"
    assert transport.query("TWO?") == "two"
    assert device.heard[-1] == "TWO?"
    assert len([line for line in device.heard if line.startswith(("*ESE", "print"))]) == len(fences)
    transport.close()


def test_late_reply_equal_to_the_fence_number_is_detected(responder):
    """A stale number may equal the number of the first fence query; the second fence query detects it."""
    numbers = []

    def answer(line):
        if line == "SLOW?":
            return None
        if line.startswith("*ESE ") and "?" in line:
            n = line.split()[1].split(";")[0]
            numbers.append(n)
            # the late reply equals this number, and the true reply follows it
            return f"{n}\n{n}\n".encode() if len(numbers) == 1 else f"{n}\n".encode()
        return Scpi()(line)

    transport = connect(responder(answer).url, SHORT_S)
    with pytest.raises(LinkTimeout):
        transport.query("SLOW?")
    transport.timeout_s = LONG_S
    assert transport.query("ONE?") == "one"
    assert transport.query("TWO?") == "two"
    assert len(numbers) >= 3
    assert len(set(numbers)) == len(numbers), "no number is used twice"
    transport.close()


def test_without_a_fence_resynchronising_waits_for_a_timeout_of_silence(responder):
    late, release = held_back(b"late\n")
    device = responder(Scpi(**{"SLOW?": late}))
    transport = connect(device.url, 0.2, fence=None)
    with pytest.raises(LinkTimeout):
        transport.query("SLOW?")
    threading.Timer(0.05, release.set).start()
    assert transport.query("ONE?") == "one"
    transport.close()


def test_lost_reply_fails_only_one_query(responder):
    transport = connect(responder(Scpi(**{"LOST?": None})).url, SHORT_S)
    with pytest.raises(LinkTimeout):
        transport.query("LOST?")
    transport.timeout_s = LONG_S
    assert transport.query("ONE?") == "one"
    transport.close()


def test_mute_instrument_closes_the_link(responder):
    transport = connect(responder(lambda line: None).url, SHORT_S)
    with pytest.raises(LinkTimeout):
        transport.query("ONE?")
    with pytest.raises(LinkError, match="cannot be resynchronised"):
        transport.query("TWO?")
    assert transport.closed
    with pytest.raises(LinkError, match="reconnect"):
        transport.query("THREE?")


def test_endless_replies_close_the_link(responder):
    def answer(line):
        return b"noise\n" + (Scpi()(line) or b"") + b"noise\n" if line.startswith("*ESE") else None

    transport = connect(responder(answer).url, SHORT_S)
    with pytest.raises(LinkTimeout):
        transport.query("ONE?")
    transport.timeout_s = LONG_S
    with pytest.raises(LinkError, match="do not belong to any query"):
        transport.query("TWO?")
    assert transport.closed


def test_reply_that_is_not_ascii_is_garbled_and_resynchronises(responder):
    device = responder(Scpi(**{"BAD?": b"\xff\xfe\n"}))
    transport = connect(device.url)
    with pytest.raises(GarbledReplyError, match=r"BAD\?"):
        transport.query("BAD?")
    assert device.heard == ["BAD?"]
    assert transport.query("ONE?") == "one"
    assert device.heard[1].startswith("*ESE"), "it resynchronises before the next query"
    transport.close()


def test_extra_line_is_not_read_by_the_next_query(responder):
    transport = connect(responder(Scpi(**{"TWICE?": b"twice\nagain\n"})).url)
    assert transport.query("TWICE?") == "twice"
    assert transport.query("ONE?") == "one"
    transport.close()


def test_fragmented_reply_is_read_as_one_line(responder):
    pieces = iter([b"fr", b"ag", b"mented\r\n"])
    device = responder(Scpi(**{"PART?": lambda: next(pieces)}))
    transport = connect(device.url)
    link = transport._link
    # the first piece answers the query; two further lines make the device send the other pieces
    link.write(b"PART?\n")
    device.wait_for("PART?")
    link.write(b"PART?\nPART?\n")
    assert link.read_line(LONG_S) == b"fragmented"
    transport.close()


def test_ctrl_c_between_query_and_reply_resynchronises(responder, monkeypatch):
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


def test_reset_connection_is_detected_and_can_be_reopened(responder):
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


def test_device_clear_is_used_if_the_link_has_one():
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


def test_threads_receive_their_own_replies(responder):
    transport = connect(responder(Scpi()).url)
    wrong = []

    def query(name):
        for k in range(25):
            if transport.query(f"{name}{k}?") != f"{name}{k}".lower():
                wrong.append((name, k))

    threads = [threading.Thread(target=query, args=(name,)) for name in "ABCD"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    transport.close()


def test_command_that_is_not_ascii_is_not_sent(responder):
    device = responder(Scpi())
    transport = connect(device.url)
    with pytest.raises(ValueError, match="ASCII"):
        transport.write("OUTP 1 Ω")
    assert transport.query("ONE?") == "one"
    assert device.heard == ["ONE?"]
    transport.close()


# --- blocks ---------------------------------------------------------------------------------------


def test_block_may_contain_newlines_and_hashes(responder):
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
def test_invalid_block_is_garbled_and_the_next_reply_is_correct(responder, reply):
    transport = connect(responder(Scpi(**{"DATA?": reply})).url)
    with pytest.raises(GarbledReplyError, match=r"DATA\?"):
        transport.query_block("DATA?")
    assert transport.query("ONE?") == "one"
    transport.close()


def test_rest_of_a_late_block_is_not_read_by_the_next_query(responder):
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


def test_block_is_sent_with_its_header(responder):
    seen = []
    device = responder(lambda line: seen.append(line) or Scpi()(line))
    transport = connect(device.url)
    transport.write_block("EDGE:DATA", b"abc")
    assert transport.query("ONE?") == "one"
    assert seen[0] == "EDGE:DATA #13abc"
    transport.close()


# --- off ------------------------------------------------------------------------------------------


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


# --- wire log and dry run -------------------------------------------------------------------------


def test_wire_log_has_time_direction_and_bytes(responder, tmp_path):
    path = tmp_path / "wire.log"
    with WireLog(path) as log:
        transport = connect(responder(Scpi()).url, wire_log=log)
        transport.query("ONE?")
        # flushed line by line: complete while the file is still open
        rows = [line.split("\t") for line in path.read_text(encoding="ascii").splitlines()]
        assert [row[2:] for row in rows] == [["!", "opened"], [">", "ONE?\\n"], ["<", "one"]]
        assert all(row[1] == "instrument" and row[0].endswith("+00:00") for row in rows)
        transport.close()


def test_wire_log_records_timeout_and_resynchronisation(responder, tmp_path):
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
def test_wire_log_keeps_every_line_after_a_kill(responder, tmp_path):
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


def test_fence_recognises_its_reply():
    fence = Fence("*ESE {n};*ESE?", 256)
    assert fence.question(7) == "*ESE 7;*ESE?"
    assert fence.answered("+7", 7)
    assert not fence.answered("17", 7)
    assert not fence.answered("VOLT", 7)
