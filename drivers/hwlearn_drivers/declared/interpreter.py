"""`Interpreter`: a board that obeys a declaration, for dry runs and virtual boards."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

from hwlearn_drivers.declared.checks import example
from hwlearn_drivers.declared.declaration import Declaration
from hwlearn_drivers.declared.sections import EdgeSection, ReadSection, SourceSection, SwitchSection
from hwlearn_drivers.declared.template import NUMBERS, Template, Value, template

_REPLY = ("channel", "any", *NUMBERS)


class BoardHardware(ABC):
    """What is behind the protocol of a board."""

    @abstractmethod
    def set_source(self, channel: str, volts: float) -> None:
        """Set a source channel."""

    @abstractmethod
    def source_level(self, channel: str) -> float:
        """Return the volts that a source channel is set to."""

    @abstractmethod
    def read(self, channel: str) -> float:
        """Return the volts that a reading of a channel sees."""

    @abstractmethod
    def set_switch(self, channel: str, closed: bool) -> None:
        """Open or close a switch."""

    @abstractmethod
    def set_edges(self, first: int, codes: Sequence[int]) -> None:
        """Set edges to codes, from the index ``first``."""

    @abstractmethod
    def edge_codes(self) -> Sequence[int]:
        """Return the code of every edge."""

    @abstractmethod
    def off(self) -> None:
        """Set every source to 0 V and open every switch."""


class IdleHardware(BoardHardware):
    """Hardware of a dry run: it remembers what was set, and reads 0 V."""

    def __init__(self, declaration: Declaration) -> None:
        self._levels: dict[str, float] = {}
        self._codes = [0] * (0 if declaration.edge is None else declaration.edge.count)

    def set_source(self, channel: str, volts: float) -> None:
        """Remember a level."""
        self._levels[channel] = volts

    def source_level(self, channel: str) -> float:
        """Return the level that was set."""
        return self._levels.get(channel, 0.0)

    def read(self, channel: str) -> float:
        """Return 0 V."""
        return 0.0

    def set_switch(self, channel: str, closed: bool) -> None:
        """Do nothing."""

    def set_edges(self, first: int, codes: Sequence[int]) -> None:
        """Remember codes."""
        self._codes[first : first + len(codes)] = codes

    def edge_codes(self) -> Sequence[int]:
        """Return the codes that were set."""
        return self._codes

    def off(self) -> None:
        """Forget the levels."""
        self._levels.clear()


class Refused(Exception):
    """A command that the board does not obey: unknown, or with a value out of range."""


class Interpreter:
    """Obeys the lines of a declared protocol.

    Parameters
    ----------
    declaration : Declaration
    hardware : BoardHardware
    """

    def __init__(self, declaration: Declaration, hardware: BoardHardware) -> None:
        self.declaration, self._hardware = declaration, hardware
        self._error = ""

    def answer(self, line: str) -> str | None:
        """Obey a line and return the reply; None if there is none."""
        own, checksum = self.declaration.checksum, self.declaration.line_checksum
        content: str | None = line.strip()
        if checksum is not None:
            content = checksum.checked(line)
        try:
            reply = self._refused("checksum") if content is None else self._obey(content)
        except Refused as refused:
            reply = self._refused(str(refused))
        if reply is None or checksum is None or own is None or not own.replies:
            return reply
        return checksum.add(reply)

    def _obey(self, line: str) -> str | None:
        own = self.declaration
        if own.identity is not None and line == own.identity.ask:
            return own.identity.made_up
        if own.link.echo is not None and own.link.echo_reply is not None:
            found = template(own.link.echo, ("n",)).parse(line)
            if found is not None:
                return template(own.link.echo_reply, ("n",)).render({"n": str(found["n"])})
        if own.error.ask is not None and line == own.error.ask:
            text, self._error = self._error, ""
            return text or example(own.error.none or "", "")
        done, reply = self._tables(line)
        if done:
            return reply
        if line in own.off_lines:
            self._hardware.off()
            return self._accepted(None if own.off is None else own.off.acknowledged, {})
        if own.on is not None and line in own.on.send:
            return self._accepted(own.on.acknowledged, {})
        raise Refused("unknown")

    def _tables(self, line: str) -> tuple[bool, str | None]:
        """Obey a line of one of the tables; return whether one has it, and the reply."""
        own = self.declaration
        done, reply = (False, None) if own.source is None else self._source(own.source, line)
        if not done and own.read is not None:
            done, reply = self._read(own.read, line)
        if not done and own.switch is not None:
            done, reply = self._switch(own.switch, line)
        if not done and own.edge is not None:
            done, reply = self._edge(own.edge, line)
        return done, reply

    def _refused(self, why: str) -> str | None:
        error = self.declaration.error
        if error.ask is not None:
            self._error = f"-1 {why}"
        return None if error.pattern is None else example(error.pattern, why)

    def _accepted(self, own: str | None, values: dict[str, Value]) -> str | None:
        form = self.declaration.acknowledgement(own)
        return None if form is None else form.render(values)

    # --- tables -------------------------------------------------------------------------------------

    def _source(self, section: SourceSection, line: str) -> tuple[bool, str | None]:
        for text in (section.set_all, section.set):
            form = None if text is None else template(text, ("channel", *NUMBERS))
            found = None if form is None else form.parse(line)
            if form is None or found is None:
                continue
            scale, numbers = section.scale_of(form), [float(one) for one in found["number"]]
            names = section.names if form.is_array else [str(found.get("channel", section.names[0]))]
            if len(numbers) != len(names) or not set(names) <= set(section.names):
                raise Refused("channel")
            if not all(scale.low - 1e-9 <= one <= scale.high + 1e-9 for one in numbers):
                raise Refused("range")
            for name, one in zip(names, numbers, strict=True):
                self._hardware.set_source(name, scale.volts(one))
            return True, self._acknowledged_levels(section, names, form.is_array)
        if section.ask is not None and section.reply is not None:
            found = template(section.ask, ("channel",)).parse(line)
            if found is not None:
                name = str(found.get("channel", section.names[0]))
                if name not in section.names:
                    raise Refused("channel")
                reply = template(section.reply, _REPLY)
                number = section.scale_of(reply).number(self._hardware.source_level(name))
                return True, reply.render({"channel": name, "number": number})
        return False, None

    def _acknowledged_levels(self, section: SourceSection, names: Sequence[str], is_array: bool) -> str | None:
        form = self.declaration.acknowledgement(section.acknowledged)
        if form is None:
            return None
        values: dict[str, Value] = {"channel": names[0]}
        if form.number is not None:
            scale = section.scale_of(form)
            numbers = [scale.number(self._hardware.source_level(name)) for name in names]
            values["number"] = numbers if form.is_array else numbers[0]
        return form.render(values)

    def _read(self, section: ReadSection, line: str) -> tuple[bool, str | None]:
        if section.ask_all is not None and section.reply_all is not None and line == section.ask_all:
            reply = template(section.reply_all, _REPLY)
            return True, reply.render({"number": [self._reading(section, reply, name) for name in section.names]})
        if section.ask is None or section.reply is None:
            return False, None
        found = template(section.ask, ("channel",)).parse(line)
        if found is None:
            return False, None
        name, reply = str(found.get("channel", section.names[0])), template(section.reply, _REPLY)
        if name not in section.names:
            raise Refused("channel")
        return True, reply.render({"channel": name, "number": self._reading(section, reply, name)})

    def _reading(self, section: ReadSection, reply: Template, name: str) -> float:
        scale = section.scale_of(reply)
        number = scale.number(self._hardware.read(name))
        return min(max(number, scale.low), scale.high)

    def _switch(self, section: SwitchSection, line: str) -> tuple[bool, str | None]:
        found = template(section.set, ("channel", "state")).parse(line)
        if found is None:
            return False, None
        name, state = str(found.get("channel", section.names[0])), str(found["state"])
        if name not in section.names or state not in (section.on, section.off):
            raise Refused("switch")
        self._hardware.set_switch(name, state == section.on)
        return True, self._accepted(section.acknowledged, {"channel": name, "state": state})

    def _edge(self, section: EdgeSection, line: str) -> tuple[bool, str | None]:
        for text in (section.set_all, section.set):
            form = None if text is None else template(text, ("edge", "code"))
            found = None if form is None else form.parse(line)
            if form is None or found is None:
                continue
            codes = [int(one) for one in found["number"]]
            first = 0 if form.is_array else int(str(found.get("edge", section.first))) - section.first
            if not 0 <= first <= section.count - len(codes) or (form.is_array and len(codes) != section.count):
                raise Refused("edge")
            if not all(0 <= code < section.codes for code in codes):
                raise Refused("range")
            self._hardware.set_edges(first, codes)
            values: dict[str, Value] = {"edge": str(first + section.first), "number": codes[0]}
            return True, self._accepted(section.acknowledged, values)
        codes = list(self._hardware.edge_codes())
        if section.ask_all is not None and section.reply_all is not None and line == section.ask_all:
            return True, template(section.reply_all, ("edge", "code", "any")).render({"number": codes})
        if section.ask is not None and section.reply is not None:
            found = template(section.ask, ("edge",)).parse(line)
            if found is not None:
                k = int(str(found.get("edge", section.first))) - section.first
                if not 0 <= k < section.count:
                    raise Refused("edge")
                reply = template(section.reply, ("edge", "code", "any"))
                return True, reply.render({"edge": str(k + section.first), "number": codes[k]})
        return False, None


class DryBoardAnswers:
    """Answers the messages of a dry run.

    Parameters
    ----------
    declaration : Declaration
    """

    def __init__(self, declaration: Declaration) -> None:
        self._interpreter = Interpreter(declaration, IdleHardware(declaration))

    def __call__(self, message: bytes) -> bytes | None:
        """Return the reply to a message; None if it has no reply."""
        reply = self._interpreter.answer(message.decode("ascii"))
        return None if reply is None else reply.encode("ascii")
