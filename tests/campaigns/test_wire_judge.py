"""What the judge of wire logs says about replies that belong to another query."""

from types import SimpleNamespace

import pytest
from wire_judge import wrong_answers

NAME = "TCPIP0::127.0.0.1::5025::SOCKET"
SENT = [("A?", "1"), ("B?", "2"), ("SW sw0 OFF", "OK"), ("*ESE 7;*ESE?", "7"), ("*ESE 9;*ESE?", "9"), ("A?", "3")]


def judged(folder, *lines):
    """Judge a log of (direction, text) against an instrument that executed everything that was sent."""
    log = folder / "wire.log"
    rows = [("!", "opened"), *((way, text + r"\n") for way, text in lines)]
    log.write_text("".join(f"0\t{NAME}\t{way}\t{text}\n" for way, text in rows), encoding="ascii")
    answers = dict(SENT)
    done = [(text.encode(), answers[text].encode()) for way, text in lines if way == ">"]
    instrument = SimpleNamespace(names={"5025": "smu"}, connections={"smu": [done]}, takes_blocks={"smu": True})
    return wrong_answers(log, instrument)


def test_replies_of_their_own_queries_are_accepted(tmp_path):
    assert not judged(tmp_path, (">", "B?"), ("<", "2"), (">", "SW sw0 OFF"), ("<", "OK"))
    assert not judged(tmp_path, (">", "B?"), (">", "SW sw0 OFF"), ("<", "2"))  # OFF while a reply is awaited


def test_older_replies_may_be_dropped_before_a_fence(tmp_path):
    drained = ((">", "*ESE 7;*ESE?"), ("<", "2"), ("<", "7"), (">", "*ESE 9;*ESE?"), ("<", "9"))
    assert not judged(tmp_path, (">", "B?"), *drained)


@pytest.mark.parametrize(
    "lines",
    [
        ((">", "B?"), (">", "A?"), ("<", "2")),  # the late reply to the query before
        ((">", "B?"), ("<", "2"), ("<", "3")),
        ((">", "SW sw0 OFF"), (">", "B?"), ("<", "OK")),
    ],
)
def test_reply_of_another_query_is_found(tmp_path, lines):
    (found,) = judged(tmp_path, *lines)
    assert found.startswith("smu, connection 0")
