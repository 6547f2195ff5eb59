"""An independent judge of a wire log: was each reply that a driver took the reply to its own query?

`Recorder` notes in the virtual instruments which message was answered with what, for each connection.
`wrong_answers` compares that with what the drivers say in their wire log that they sent and received. The judge
imports nothing from the drivers.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hwlearn_sim.bench.bench import VirtualBench
from hwlearn_sim.wire.framing import Framer

_FENCE = re.compile(rb'\*ESE \d+;\*ESE\?|print\("\d+"\)|ID\?')
"""Queries before which older replies are read and dropped."""

_OFF = frozenset((b"DACS 0,0,0,0,0,0,0,0,0", b"SW sw0 OFF"))
"""Sent, as OFF, also while another reply is awaited; nothing waits for its acknowledgement then."""


class Recorder:
    """Notes each message that the instruments of a bench executed, and its reply, by connection."""

    def __init__(self, bench: VirtualBench) -> None:
        self.connections: dict[str, list[list[tuple[bytes, bytes]]]] = {}
        self.names: dict[str, str] = {}
        self.takes_blocks: dict[str, bool] = {}
        for one in bench.instruments:
            if "::" in str(one["address"]):
                self._watch(bench.instrument(one["name"]), one["name"], str(one["address"]).split("::")[2])

    def _watch(self, instrument: Any, name: str, port: str) -> None:
        made: list[list[tuple[bytes, bytes]]] = []
        self.connections[name], self.names[port] = made, name
        self.takes_blocks[name] = bool(instrument.takes_blocks)
        session, execute = instrument.session, instrument._execute

        def connected(*args: Any) -> Any:
            made.append([])
            return session(*args)

        def executed(message: bytes) -> bytes:
            reply = execute(message)
            made[-1].append((message.strip(), reply))
            return bytes(reply)

        instrument.session, instrument._execute = connected, executed


@dataclass
class Connection:
    """What a driver sent and received on one connection."""

    sent: bytes = b""
    events: list[tuple[str, bytes]] = field(default_factory=list)


def connections(log: Path) -> Iterator[tuple[str, list[Connection]]]:
    """Yield the port of each instrument of a wire log, and its connections."""
    found: dict[str, list[Connection]] = {}
    for line in log.read_text(encoding="ascii").splitlines():
        _, name, direction, text = line.split("\t", 3)
        own = found.setdefault(name.split("::")[2] if "::" in name else name, [])
        data = codecs.escape_decode(text.encode())[0]
        assert isinstance(data, bytes)
        if direction == "!":
            if data.startswith(b"opened"):
                own.append(Connection())
        elif own:
            own[-1].events.append((direction, data))
    yield from found.items()


def wrong_answers(log: Path, recorder: Recorder) -> list[str]:
    """Return the replies in a wire log that do not belong to the query before them."""
    wrong = []
    for port, made in connections(log):
        name = recorder.names.get(port)
        if name is None:
            continue
        for number, (own, executed) in enumerate(zip(made, recorder.connections[name], strict=False)):
            wrong += [f"{name}, connection {number}: {text}" for text in _wrong(own, executed, recorder, name)]
    return wrong


def _wrong(own: Connection, executed: list[tuple[bytes, bytes]], recorder: Recorder, name: str) -> Iterator[str]:
    framer = Framer(recorder.takes_blocks[name], 1 << 20)
    count, waiting = 0, []
    for direction, data in own.events:
        if direction == ">":
            messages = [one.strip() for one in framer.feed(data)[0]]
            here = executed[count : count + len(messages)]
            for message, (done, _) in zip(messages, here, strict=False):
                if message != done:
                    yield f"{message!r} was sent, {done!r} was executed"
                    return
            count += len(messages)
            answered = [
                (message, reply.strip()) for message, reply in here if reply and not (message in _OFF and waiting)
            ]
            waiting = answered or waiting  # most instruments do not answer OFF
        elif waiting:
            message, reply = waiting[0]
            if _FENCE.fullmatch(message):
                if data.strip() == reply:
                    waiting.pop(0)
                continue
            waiting.pop(0)
            if data.strip() != reply:
                yield f"{message!r} was answered with {reply!r}, {data.strip()!r} was taken"
        else:
            yield f"{data!r} was taken for the reply to nothing"
