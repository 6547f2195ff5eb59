"""The tables of a declaration, each checked by itself.

One file because the tables have kinds of values in common, and a reader of the format wants them in one place.
"""

from __future__ import annotations

import re
from functools import cached_property
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from hwlearn.errors import SetupError
from hwlearn.network.edge_codes import CodeLaw, EvenSteps, Rheostat
from hwlearn.quantities import (
    FROM_LIST,
    Count,
    NonNegativeSeconds,
    NonNegativeVolts,
    PositiveOhms,
    PositiveSeconds,
    PositiveSiemens,
    PositiveVolts,
    Section,
    Volts,
)
from hwlearn_drivers.declared.checks import (
    check_bounds,
    check_expression,
    check_query,
    check_template,
    checked_form,
    example,
)
from hwlearn_drivers.declared.checksum import Checksum
from hwlearn_drivers.declared.scale import Scale
from hwlearn_drivers.declared.template import NUMBERS, Template, template

Channels = Annotated[tuple[str, ...], FROM_LIST, Field(min_length=1)] | Count
"""Names of channels, or their number: ``8`` stands for ``"0"`` to ``"7"``."""

Bounds = Annotated[tuple[Volts, Volts], FROM_LIST]
Lines = Annotated[tuple[str, ...], FROM_LIST, Field(min_length=1)]

_MOST_CODES = 1 << 24


class LinkSection(Section):
    """``[link]``: how lines are sent and received.

    Attributes
    ----------
    baud : int
    terminator : {"lf", "crlf", "cr"}
        End of each command. The end of a reply may be any of them; on a socket LF or CR LF.
    timeout : quantity
        Maximum wait for a reply.
    boots_in : quantity
        Time that the board needs after its port was opened, because opening resets it.
    commands_are_acknowledged : str, optional
        The line that acknowledges each command, unless a table has its own ``acknowledged``.
    ignore : str, optional
        A line that the board sends before each reply, such as ``"ACK"``.
    echo, echo_reply : str, optional
        A command with ``{n}`` whose reply repeats the number n, to tell late replies from new ones.
    """

    baud: Count = 115200
    terminator: Literal["lf", "crlf", "cr"] = "lf"
    timeout: PositiveSeconds = 1.0
    boots_in: NonNegativeSeconds = 0.0
    commands_are_acknowledged: str | None = None
    ignore: str | None = None
    echo: str | None = None
    echo_reply: str | None = None

    @model_validator(mode="after")
    def _checked(self) -> Self:
        if (self.echo is None) is not (self.echo_reply is None):
            raise SetupError("echo and echo_reply are given together, or neither")
        for key in ("echo", "echo_reply"):
            text = getattr(self, key)
            if text is not None and not checked_form(key, text, ("n",)).has("n"):
                raise SetupError(f"{key} = {text!r} must contain {{n}}")
        return self


class ChecksumSection(Section):
    """``[checksum]``: a checksum behind each line.

    Attributes
    ----------
    kind : str
        ``xor``, ``sum``, ``crc-8``, ``crc-16-ccitt-false`` or ``crc-16-modbus``.
    form : str
        What is appended, such as ``"*{checksum:02X}"``.
    skip : str
        Characters at the start of a line that are not summed, such as ``"$"``.
    replies : bool
        Whether replies have one too.
    """

    kind: Literal["xor", "sum", "crc-8", "crc-16-ccitt-false", "crc-16-modbus"]
    form: str = "*{checksum:02X}"
    skip: str = ""
    replies: bool = True

    @model_validator(mode="after")
    def _checked(self) -> Self:
        Checksum(self.kind, self.form, self.skip)
        return self


class IdentitySection(Section):
    """``[identity]``: asked after OFF, at opening and after a reconnection.

    Attributes
    ----------
    ask : str
    expect : str
        Regular expression of the whole reply.
    example : str, optional
        A reply that fits it, for virtual boards; needed if ``expect`` is more than text with ``.*``.
    """

    ask: str
    expect: str
    example: str | None = None

    @model_validator(mode="after")
    def _checked(self) -> Self:
        checked_form("ask", self.ask, ())
        check_expression(self.expect)
        if self.example is not None and re.fullmatch(self.expect, self.example) is None:
            raise SetupError(f"example = {self.example!r} does not fit expect = {self.expect!r}")
        return self

    @property
    def made_up(self) -> str:
        """A reply that fits, for dry runs and virtual boards."""
        return example(self.expect, "virtual") if self.example is None else self.example


class CodesSection(Section):
    """Codes of a converter: ``volts = offset + gain * code``, for code 0 to ``count - 1``."""

    gain: Volts
    offset: Volts = 0.0
    count: Annotated[int, Field(ge=2, le=_MOST_CODES)]

    @model_validator(mode="after")
    def _checked(self) -> Self:
        if self.gain == 0:
            raise SetupError("gain = 0 V: a code must change the voltage")
        return self

    @property
    def triple(self) -> tuple[float, float, int]:
        """Gain, offset and count."""
        return self.gain, self.offset, self.count


class ChannelsSection(Section):
    """Base of tables with channels, and a command or query for one of them or for all at once."""

    channels: Channels

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Names of the channels, in the order of arrays."""
        return tuple(map(str, range(self.channels))) if isinstance(self.channels, int) else self.channels

    @model_validator(mode="after")
    def _checked_names(self) -> Self:
        for name in self.names:
            if self.names.count(name) > 1:
                raise SetupError(f"channel {name!r} is listed twice")
            if not re.fullmatch(r"[A-Za-z0-9_.-]+", name):
                raise SetupError(f"channel {name!r} must be letters, digits, '_', '.' or '-'")
        return self


class SourceSection(ChannelsSection):
    """``[source]``: voltage sources.

    Attributes
    ----------
    set, set_all : str, optional
        Command that sets one channel, such as ``"DAC {channel} {volts:.6f}"``, or all, in order:
        ``"DACS {volts:.6f,...}"``. At least one of them; with both, all are set at once where several change.
    acknowledged : str, optional
        The reply to each of them; may contain ``{channel}`` and a number, which are compared.
    ask, reply : str, optional
        Query of one channel and its reply, to read the level back.
    channels : int or list of str
    range : two quantities
        Lowest and highest voltage of every channel; they contain 0 V.
    step : quantity, optional
        Step of the converter, if commands are in volts.
    codes : CodesSection, optional
        For the field ``{code}``.
    """

    set: str | None = None
    set_all: str | None = None
    acknowledged: str | None = None
    ask: str | None = None
    reply: str | None = None
    range: Bounds
    step: PositiveVolts | None = None
    codes: CodesSection | None = None

    @model_validator(mode="after")
    def _checked(self) -> Self:
        check_bounds("range", self.range, contains_zero=True)
        if self.set is None and self.set_all is None:
            raise SetupError("set or set_all is missing: no channel can be set")
        if self.set is not None:
            check_template("set", self.set, ("channel", *NUMBERS), one="number", channel=len(self.names) > 1)
        if self.set_all is not None:
            check_template("set_all", self.set_all, NUMBERS, one="array")
        if self.acknowledged is not None:
            checked_form("acknowledged", self.acknowledged, ("channel", "any", *NUMBERS))
        check_query(self.ask, self.reply, len(self.names) > 1)
        templates = [text for text in (self.set, self.set_all, self.reply) if text is not None]
        for text in templates:
            self._scale(template(text, ("channel", "any", *NUMBERS)))
        return self

    def _scale(self, form: Template) -> Scale:
        assert form.number is not None
        codes = None if self.codes is None or form.number.name != "code" else self.codes.triple
        return Scale.of(form.number, self.range, self.step, codes)

    @cached_property
    def scale(self) -> Scale:
        """Scale of the numbers in commands; with two commands, that with the larger step."""
        texts = [text for text in (self.set, self.set_all) if text is not None]
        scales = [self._scale(template(text, ("channel", *NUMBERS))) for text in texts]
        return max(scales, key=lambda one: one.step_V or 0.0)

    def scale_of(self, form: Template) -> Scale:
        """Return the scale of the numbers in a command or reply of this table."""
        return self._scale(form)


class ReadSection(ChannelsSection):
    """``[read]``: voltage readings.

    Attributes
    ----------
    ask, reply : str, optional
        Query of one channel, such as ``"ADC? {channel}"``, and its reply, such as ``"{volts}"``.
    ask_all, reply_all : str, optional
        Query of all channels at once, and its reply, such as ``"{volts,...}"``.
    channels : int or list of str
    range : two quantities, optional
        A reading at one of its ends is saturated.
    codes : CodesSection, optional
        For the field ``{code}``.
    sigma : quantity
        Standard uncertainty of one reading.
    settle : quantity
        Wait before each query of a channel, for a multiplexer.
    """

    ask: str | None = None
    reply: str | None = None
    ask_all: str | None = None
    reply_all: str | None = None
    range: Bounds | None = None
    codes: CodesSection | None = None
    sigma: NonNegativeVolts = 0.0
    settle: NonNegativeSeconds = 0.0

    @model_validator(mode="after")
    def _checked(self) -> Self:
        if self.range is not None:
            check_bounds("range", self.range)
        if self.ask is None and self.ask_all is None:
            raise SetupError("ask or ask_all is missing: nothing can be read")
        check_query(self.ask, self.reply, len(self.names) > 1)
        if (self.ask_all is None) is not (self.reply_all is None):
            raise SetupError("ask_all and reply_all are given together, or neither")
        if self.ask_all is not None and self.reply_all is not None:
            checked_form("ask_all", self.ask_all, ())
            check_template("reply_all", self.reply_all, ("any", *NUMBERS), one="array")
        for text in (self.reply, self.reply_all):
            if text is not None:
                self.scale_of(template(text, ("channel", "any", *NUMBERS)))
        return self

    def scale_of(self, form: Template) -> Scale:
        """Return the scale of the numbers in a reply of this table."""
        assert form.number is not None
        bounds = (-1e6, 1e6) if self.range is None else self.range
        if form.number.name == "code" and self.codes is not None and self.range is None:
            ends = sorted((self.codes.offset, self.codes.offset + self.codes.gain * (self.codes.count - 1)))
            bounds = (ends[0], ends[1])
        codes = None if self.codes is None or form.number.name != "code" else self.codes.triple
        return Scale.of(form.number, bounds, None, codes)


class SwitchSection(ChannelsSection):
    """``[switch]``: switches that connect nudge resistors.

    Attributes
    ----------
    set : str
        Such as ``"SW {channel} {state}"``.
    on, off : str
        What stands for ``{state}`` of a closed and an open switch.
    acknowledged : str, optional
    channels : int or list of str
    """

    set: str
    on: str = "1"
    off: str = "0"
    acknowledged: str | None = None

    @model_validator(mode="after")
    def _checked(self) -> Self:
        form = checked_form("set", self.set, ("channel", "state"))
        if not form.has("state"):
            raise SetupError(f"set = {self.set!r} must contain {{state}}")
        if len(self.names) > 1 and not form.has("channel"):
            raise SetupError(f"set = {self.set!r} must contain {{channel}}, because there are several")
        if self.on == self.off:
            raise SetupError(f"on and off are both {self.on!r}")
        if self.acknowledged is not None:
            checked_form("acknowledged", self.acknowledged, ("channel", "state", "any"))
        return self


class RheostatSection(Section):
    """Law of a digital potentiometer between wiper and one end; see `Rheostat`."""

    full: PositiveOhms
    wiper: PositiveOhms


class LawSection(Section):
    """Conductance as a function of the code: exactly one of the two."""

    rheostat: RheostatSection | None = None
    linear: Annotated[tuple[PositiveSiemens, PositiveSiemens], FROM_LIST] | None = None

    @model_validator(mode="after")
    def _checked(self) -> Self:
        if (self.rheostat is None) is (self.linear is None):
            raise SetupError(
                "law is { rheostat = { full = ..., wiper = ... } } or { linear = [at code 0, at the last code] }"
            )
        return self


class EdgeSection(Section):
    """``[edge]``: programmable conductances.

    Attributes
    ----------
    set, set_all : str, optional
        ``"POT {edge} {code}"``, or all at once: ``"POTS {code,...}"``.
    acknowledged : str, optional
    ask, reply, ask_all, reply_all : str, optional
        To read codes back.
    count : int
        Number of edges.
    first : int
        Number of the first edge.
    codes : int
        Number of codes.
    law : LawSection
    """

    set: str | None = None
    set_all: str | None = None
    acknowledged: str | None = None
    ask: str | None = None
    reply: str | None = None
    ask_all: str | None = None
    reply_all: str | None = None
    count: Count
    first: Annotated[int, Field(ge=0)] = 0
    codes: Annotated[int, Field(ge=2, le=65536)] = 256
    law: LawSection

    @model_validator(mode="after")
    def _checked(self) -> Self:
        if self.set is None and self.set_all is None:
            raise SetupError("set or set_all is missing: no edge can be set")
        if self.set is not None:
            check_template("set", self.set, ("edge", "code"), one="number")
            if self.count > 1 and not checked_form("set", self.set, ("edge", "code")).has("edge"):
                raise SetupError(f"set = {self.set!r} must contain {{edge}}")
        if self.set_all is not None:
            check_template("set_all", self.set_all, ("code",), one="array")
        if self.acknowledged is not None:
            checked_form("acknowledged", self.acknowledged, ("edge", "code", "any"))
        for ask, reply, kind in ((self.ask, self.reply, "number"), (self.ask_all, self.reply_all, "array")):
            if (ask is None) is not (reply is None):
                raise SetupError("a query and its reply are given together: ask and reply, ask_all and reply_all")
            if ask is not None and reply is not None:
                checked_form("ask", ask, ("edge",) if kind == "number" else ())
                check_template("reply", reply, ("edge", "code", "any"), one=kind)
        self.make_law()
        return self

    def make_law(self) -> CodeLaw:
        """Return the conductance of each code."""
        if self.law.linear is not None:
            return EvenSteps(*self.law.linear, self.codes)
        assert self.law.rheostat is not None
        return Rheostat(self.law.rheostat.full, self.law.rheostat.wiper, self.codes)


class OffSection(Section):
    """``[off]``: what switches every output off, without a query.

    Attributes
    ----------
    send : list of str
        Commands. One with ``{channel}`` is sent for every channel of ``[source]``; a number in it is that of 0 V.
    acknowledged : str, optional
        The reply to each of them.
    """

    send: Lines
    acknowledged: str | None = None


class OnSection(Section):
    """``[on]``: commands that switch the outputs on, if the board has such commands.

    Attributes
    ----------
    send : list of str
    acknowledged : str, optional
        The reply to each of them.
    """

    send: Lines
    acknowledged: str | None = None


class ErrorSection(Section):
    """``[error]``: how the board reports errors.

    Attributes
    ----------
    pattern : str, optional
        Regular expression of a reply that reports an error, instead of the expected one.
    ask, none : str, optional
        Query of the oldest error after each group of commands, and regular expression of its reply without one.
    """

    pattern: str | None = None
    ask: str | None = None
    none: str | None = None

    @model_validator(mode="after")
    def _checked(self) -> Self:
        if (self.ask is None) is not (self.none is None):
            raise SetupError("ask and none are given together, or neither")
        for text in (self.pattern, self.none):
            if text is not None:
                check_expression(text)
        if self.ask is not None:
            checked_form("ask", self.ask, ())
        return self
