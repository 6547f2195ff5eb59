"""Overflow codes and implausible readings of instruments end every command with one line and exit code 1."""

import pytest
from combinations import pairwise

from hwlearn_drivers.transport.transport import Transport

pytestmark = pytest.mark.usefixtures("without_reports", "without_rendering")

SMALL = (
    "network.nodes=8",
    "network.edges=13",
    "data.samples=2",
    "train.epochs=2",
    "backend.driver={ nplc = 0.01 }",
)
COMMANDS = {
    "train": ["train"],
    "check": ["check"],
    "noise": ["calibrate", "noise"],
    "edges": ["calibrate", "edges", "--configurations", "4", "--patterns", "12"],
    "verify": ["calibrate", "verify"],
}


@pytest.fixture
def tampered(monkeypatch):
    """Return a function that replaces the voltage in every reading from the 40th on."""
    query = Transport.query

    def replace(text):
        seen = 0

        def answer(transport, question, timeout_s=None):
            nonlocal seen
            reply = query(transport, question, timeout_s)
            if "measure.iv()" not in question:
                return reply
            seen += 1
            current, _, rest = reply.split("\t", 2)
            return reply if seen < 40 else f"{current}\t{text}\t{rest}"

        monkeypatch.setattr(Transport, "query", answer)

    return replace


@pytest.mark.share(2)
@pairwise(1, command=list(COMMANDS), text=["9.909999530030929e+37", "9.9E+37", "nan", "50"])
def test_reading_that_is_no_number_ends_the_command_and_names_channel_and_limit(hwlearn, tampered, command, text):
    tampered(text)
    name, *more = COMMANDS[command]
    ended = hwlearn(name, "virtual-smu", *more, *(word for change in SMALL for word in ("--set", change)))
    assert ended.code == 1
    said = " ".join(" ".join([*ended.out, *ended.err]).split())
    assert "plausible" in said
    assert "limits.voltage" in said
    assert "node" in said
    assert "Traceback" not in said
    assert "MAY BE ON" not in said
    if command != "check":
        assert len(ended.err) == 1
