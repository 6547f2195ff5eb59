"""Blocks over `Transport`: valid, invalid, incomplete and sent."""

import pytest
from scpi_device import LONG_S, SHORT_S, Scpi, connect, held_back

from hwlearn_drivers.errors import GarbledReplyError, LinkTimeout
from hwlearn_drivers.transport.blocks import encode_block


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
