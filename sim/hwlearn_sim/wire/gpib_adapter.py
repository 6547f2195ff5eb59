"""`VirtualGpibAdapter`: a Prologix controller or an AR488 with virtual instruments on its bus.

Modelled: one current address for all clients; commands and escaped characters; messages and replies in the order
in which they arrive, so that a read keeps everything behind it waiting for at most the read time-out; output
queues of the instruments, which a device clear empties; the errors of IEEE 488.2 for a message before the last
reply was read (-410) and for a read without anything to say (-420); settings that are written into the memory of
the adapter.

Sources: Prologix GPIB-USB Controller User Manual, version 6.107 (2013), sections 6 to 8; AR488 GPIB Controller
User Manual, version 0.53.03 (2025), "Command Reference", and its firmware 0.53.04; IEEE 488.2, message exchange
protocol. Not modelled: device mode, talk-only and listen-only modes, macros, service requests.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from hwlearn_sim.wire.faults import Faults
from hwlearn_sim.wire.framing import Framer
from hwlearn_sim.wire.message_session import LONGEST_MESSAGE, MessageTarget
from hwlearn_sim.wire.session import Line, Session

AdapterKind = Literal["prologix", "ar488"]

_VERSIONS: Final[dict[AdapterKind, bytes]] = {
    "prologix": b"Prologix GPIB-USB Controller version 6.107",
    "ar488": b"AR488 GPIB controller, ver. 0.53.04, 13/04/2025",
}
_ENDS: Final = (b"\r\n", b"\r", b"\n", b"")
_RANGES: Final = {
    "auto": (0, 1),
    "eoi": (0, 1),
    "eos": (0, 3),
    "eot_enable": (0, 1),
    "eot_char": (0, 255),
    "mode": (0, 1),
    "read_tmo_ms": (1, 3000),
    "status": (0, 255),
}
_KEPT: Final = ("addr", "auto", "eoi", "eos", "eot_enable", "eot_char", "mode")
_SILENT: Final = ("ifc", "llo", "loc", "trg", "rst")


@dataclass
class BusInstrument:
    """An instrument on the bus.

    Attributes
    ----------
    target : MessageTarget
    faults : Faults
        Of its replies: late, dropped or garbled. A fragmented one pauses after its first bytes.
    """

    target: MessageTarget
    faults: Faults = field(default_factory=Faults)

    def __post_init__(self) -> None:
        self.output: deque[tuple[float, bytes]] = deque()
        self._framer = Framer(self.target.takes_blocks, LONGEST_MESSAGE)

    def take(self, data: bytes) -> None:
        """Execute the messages that are complete."""
        messages, _ = self._framer.feed(data)
        for message in messages:
            if self.output:
                self.output.clear()
                self.target.queue_error(-410)
            reply = self.target.execute(message)
            if reply and not self.faults.muted:
                self._answer(reply)

    def _answer(self, reply: bytes) -> None:
        fault, now = self.faults.next(), time.monotonic()
        kind = None if fault is None else fault.kind
        if fault is not None and kind == "fragmented":
            half = max(1, len(reply) // 2)
            self.output += [(now, reply[:half]), (now + fault.seconds, reply[half:])]
        elif kind not in ("dropped", "reset", "unplugged"):
            late_s = fault.seconds if fault is not None and kind == "late" else 0.0
            self.output.append((now + late_s, self.faults.garbled(reply) if kind == "garbled" else reply))

    def clear(self) -> None:
        """Empty its buffers."""
        self.output.clear()
        self._framer.discard()


class VirtualGpibAdapter:
    """An adapter that a `Server` can serve.

    Parameters
    ----------
    instruments : mapping of int to BusInstrument
        By primary address.
    kind : {"prologix", "ar488"}

    Attributes
    ----------
    writes : int
        How often settings were written into its memory.
    """

    def __init__(self, instruments: Mapping[int, BusInstrument], kind: AdapterKind = "prologix") -> None:
        self.instruments: dict[int, BusInstrument] = dict(instruments)
        self.kind = kind
        # an adapter that comes from another program: another address, which answers by itself
        self.settings = {
            "addr": 1,
            "auto": 1 if kind == "prologix" else 0,
            "eoi": 1,
            "eos": 0,
            "eot_enable": 0,
            "eot_char": 0,
            "mode": 1,
            "read_tmo_ms": 1200,
            "status": 0,
        }
        self.keeps_settings: bool = kind == "prologix"
        self.writes: int = 0

    def session(self, line: Line, faults: Faults) -> Session:
        """Start the session of a client."""
        return _AdapterSession(line, faults, self)

    def idle(self) -> float | None:
        """Do nothing: an adapter acts on messages only."""
        return None

    @property
    def addressed(self) -> BusInstrument | None:
        """The instrument at the current address."""
        return self.instruments.get(self.settings["addr"])

    def command(self, line: bytes) -> bytes:
        """Execute a command other than ``++read``; return the reply."""
        name, *words = line.decode("ascii", "replace").split()
        verb = name.lower()
        if verb == "ver":
            return _VERSIONS[self.kind] + b"\r\n"
        if verb == "savecfg":
            return self._savecfg(words)
        if verb in ("srq", "spoll"):
            at = self.addressed
            return b"%d\r\n" % (16 * bool(verb == "spoll" and at is not None and at.output))
        if verb == "clr":
            if self.addressed is not None:
                self.addressed.clear()
            return b""
        if verb in _SILENT:
            return b""
        if verb in self.settings and not words:
            return b"%d\r\n" % self.settings[verb]
        least, most = (0, 30) if verb == "addr" else _RANGES.get(verb, (1, 0))
        if verb == "auto" and self.kind == "ar488":
            most = 3
        if not words or not words[0].isdecimal() or not least <= int(words[0]) <= most:
            return b"Unrecognized command\r\n"
        self.settings[verb] = int(words[0])
        self.writes += self.keeps_settings and verb in _KEPT
        return b""

    def _savecfg(self, words: list[str]) -> bytes:
        if self.kind == "ar488":  # whatever follows
            self.writes += 1
            return b""
        if not words:
            return b"%d\r\n" % self.keeps_settings
        self.keeps_settings = words[0] == "1"
        self.writes += self.keeps_settings
        return b""


class _AdapterSession(Session):
    def __init__(self, line: Line, faults: Faults, adapter: VirtualGpibAdapter) -> None:
        super().__init__(line, faults)
        self._adapter = adapter
        self._partial, self._escape, self._plain_plus = bytearray(), False, False
        self._lines: deque[tuple[bool, bytes]] = deque()  # whether it is a command, and its bytes
        self._from: BusInstrument | None = None  # that is being read
        self._until = 0.0

    def receive(self, data: bytes) -> bool:
        for byte in data:
            self._take(byte)
        return self._work()

    def flush(self) -> None:
        super().flush()
        if not self._work():
            raise ConnectionResetError

    def wakes_at(self) -> float | None:
        sends = super().wakes_at()
        if self._from is None:
            return sends
        ready = [self._until, *(when for when, _ in list(self._from.output)[:1])]
        mine = max(min(ready), time.monotonic() + 1e-4)
        return mine if sends is None else min(sends, mine)

    @property
    def busy(self) -> bool:
        return super().busy or self._from is not None

    def _take(self, byte: int) -> None:
        if self._escape:
            self._plain_plus = self._plain_plus or (byte == 0x2B and len(self._partial) < 2)
            self._partial.append(byte)
            self._escape = False
        elif byte == 0x1B:
            self._escape = True
        elif byte not in b"\r\n":
            self._partial.append(byte)
        elif self._partial:
            is_command = self._partial.startswith(b"++") and not self._plain_plus
            self._lines.append((is_command, bytes(self._partial[2:] if is_command else self._partial)))
            self._partial.clear()
            self._plain_plus = False

    def _work(self) -> bool:
        """Execute lines until one has to wait; return whether to keep the connection."""
        while True:
            if self._from is not None and not self._deliver(self._from):
                return False
            if self._from is not None or not self._lines:
                return True
            is_command, line = self._lines.popleft()
            if not is_command:
                self._pass_on(line)
            elif line.lower().startswith(b"read") and not line.lower().startswith(b"read_"):
                self._begin_read()
            elif line.strip():
                reply = self._adapter.command(line)
                if reply and not self._reply(reply):
                    return False

    def _pass_on(self, message: bytes) -> None:
        settings, at = self._adapter.settings, self._adapter.addressed
        if at is None:
            return
        end = _ENDS[settings["eos"]]
        # the instruments here end a message at a newline; EOI ends it too
        at.take(message + (b"\n" if end or settings["eoi"] else b""))
        if settings["auto"]:
            self._begin_read()

    def _begin_read(self) -> None:
        at = self._adapter.addressed
        self._until = time.monotonic() + self._adapter.settings["read_tmo_ms"] / 1e3
        if at is None:
            at = BusInstrument(_Nothing())
        elif not at.output:
            at.target.queue_error(-420)
        self._from = at

    def _deliver(self, instrument: BusInstrument) -> bool:
        """Pass on what the instrument sends; return whether to keep the connection."""
        now = time.monotonic()
        while instrument.output and instrument.output[0][0] <= now:
            _, data = instrument.output.popleft()
            self._until = now + self._adapter.settings["read_tmo_ms"] / 1e3
            if not instrument.output:
                self._from = None
            if not self._reply(data):
                return False
            if self._from is None:
                return True
        if now >= self._until:
            self._from = None
        return True


class _Nothing:
    """An address at which there is no instrument."""

    takes_blocks = False

    def execute(self, message: bytes) -> bytes:
        return b""

    def queue_error(self, code: int) -> None:
        return
