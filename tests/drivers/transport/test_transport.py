"""`Transport`: every reply belongs to its query, after late, lost, garbled and interrupted replies too."""

import threading

import pytest
from scpi_device import LONG_S, SHORT_S, Scpi, connect, held_back

from hwlearn_drivers.errors import GarbledReplyError, LinkError, LinkTimeout
from hwlearn_drivers.transport.fence import SCPI_FENCE, TSP_FENCE, Fence
from hwlearn_drivers.transport.links.link import StreamLink
from hwlearn_drivers.transport.transport import Transport


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


def test_fence_recognises_its_reply():
    fence = Fence("*ESE {n};*ESE?", 256)
    assert fence.question(7) == "*ESE 7;*ESE?"
    assert fence.answered("+7", 7)
    assert not fence.answered("17", 7)
    assert not fence.answered("VOLT", 7)
