"""`SmuChannel`: one channel of a source-measure unit, with the same interface for every model."""

from __future__ import annotations

import math
from typing import NoReturn

import numpy as np
from numpy.typing import ArrayLike

from hwlearn.errors import LimitError
from hwlearn.network.reports import OutputReport
from hwlearn.units import format_quantity
from hwlearn_drivers.errors import HaltedError, InstrumentError, OutputsMayBeOnError, OutputStateError
from hwlearn_drivers.instrument import open_outputs
from hwlearn_drivers.smu.configured import ConfiguredChannel
from hwlearn_drivers.smu.host import ChannelHost
from hwlearn_drivers.smu.operating_range import UNIT, ChannelLimit, Quantity, other
from hwlearn_drivers.smu.reading import OutputState, VoltageSweep, agrees

LONGEST_LIST = 100
"""Maximum number of levels in one list command, on every model; longer lists run in parts."""

_LINE_CYCLE_S = 1 / 50


class SmuChannel(ConfiguredChannel):
    """One channel: a voltage source with a current limit or a current source with a voltage limit (compliance).

    The limit is set before the level, and both before the output is switched on. Every value is checked against
    the channel limit and the instrument's range before anything is sent. No value is clipped. The error queue is
    read after every setting. Assigning an unknown setting raises AttributeError.

    Output, source, level and limit are read back with every reading, before the output is switched on and before
    the source changes; each limit is read back after it is set. If the instrument reports another state than the
    one that was set, it is switched off and OutputStateError is raised. An output is switched on only if it was
    found off where it was left off.

    Parameters
    ----------
    smu : ChannelHost
        The instrument that it belongs to.
    number : int
        From 1.
    channel_limit : ChannelLimit
        Maximum absolute voltage and current.

    Attributes
    ----------
    terminal : str
        What it is connected to, for messages; empty if unknown.
    """

    __slots__ = ("_agreed", "_expected", "_level", "_limit", "_questions")

    def __init__(self, smu: ChannelHost, number: int, channel_limit: ChannelLimit) -> None:
        super().__init__(smu, number, channel_limit)
        self._level = self._limit = 0.0
        self._expected = 0.0  # level that the instrument must report; NaN if unknown
        self._questions: dict[Quantity, str] = {}  # of `read`, by source
        self._agreed: tuple[object, ...] = ()  # the last state that agreed, as set and as reported

    # --- source -------------------------------------------------------------------------------------

    @property
    def level(self) -> float:
        """The last level that was set, in volts or amperes."""
        return self._level

    def voltage_source(self, volts: float, current_limit: float) -> None:
        """Configure the channel as a voltage source; an output that is on stays on.

        Raises
        ------
        LimitError
            If level or limit is beyond the channel limit or the operating range; nothing is sent.
        InstrumentError
            If the instrument rejects a setting.
        """
        self._become("voltage", volts, current_limit)

    def current_source(self, amperes: float, voltage_limit: float) -> None:
        """Configure the channel as a current source; an output that is on stays on.

        Raises
        ------
        LimitError, InstrumentError
            As `voltage_source`.
        """
        self._become("current", amperes, voltage_limit)

    def set_level(self, value: float) -> None:
        """Set the level in volts or amperes, depending on the source; call `check_errors` afterwards.

        Raises
        ------
        LimitError
            If it is beyond the channel limit or the operating range; nothing is sent.
        NetworkError
            If it is not configured as a source.
        """
        quantity = self._needs_source()
        self.smu.operating_range.check(self.name, quantity, value, self._limit, self.channel_limit)
        self._expected = math.nan  # an interrupt may come before or after the command is sent
        self.smu.transport.write(self._level_command(quantity, value))
        self._level = self._expected = float(value)

    def change_level(self, value: float) -> None:
        """Set the level; in the same message read back the state before the change, and the error queue after it.

        Raises
        ------
        LimitError, NetworkError
            As `set_level`.
        OutputStateError
            If the state before the change was not what was set; the instrument is switched off.
        InstrumentError
            If the instrument rejects the level.
        """
        quantity = self._needs_source()
        self.smu.operating_range.check(self.name, quantity, value, self._limit, self.channel_limit)
        with self.smu.transport.exchange():
            command = self._level_command(quantity, value)
            before, self._expected = self._expected, math.nan
            question, replies, errors = self._query_and_set(quantity, command)
            self.compare_state(question, replies, before)
            self.smu.raise_reported(command, errors)
            self._level = self._expected = float(value)

    def check_errors(self) -> None:
        """Read the error queue after `set_level`; raise InstrumentError if it rejected the level."""
        try:
            self.smu.check_errors(self._level_command(self._needs_source(), self._level))
        except InstrumentError:
            self._expected = math.nan
            raise

    def on(self) -> None:
        """Read back the state, then switch the output on; an output that is on and was left on stays on.

        Raises
        ------
        NetworkError
            If it is not configured as a source: no output is switched on without a limit.
        OutputStateError
            If the output is on where it was left off, or off where it was left on, or a setting was changed.
        InstrumentError
            If the instrument rejects it.
        """
        self._needs_source()
        with self.smu.transport.exchange():
            self.check_state()
            if not self._on:
                self._switch_on()

    def off(self) -> None:
        """Switch the output off."""
        self.mark_off()
        self.smu.write(self._output_command(False))

    def mark_off(self) -> None:
        """Record that the output is off, after the whole instrument was switched off; nothing is sent."""
        self._on = False

    def report(self) -> OutputReport:
        """Return output, source, level and limit as they were set last; nothing is sent."""
        name = f"channel {self.number}"
        source, node = self._source, self.terminal.removeprefix("node ")
        if source is None:
            return OutputReport(name, on=self._on, node=node)
        return OutputReport(name, self._on, source, self._level, self._limit, node)

    # --- measurement --------------------------------------------------------------------------------

    def check_state(self) -> None:
        """Read back output, source, level and limit.

        Raises
        ------
        NetworkError, OutputStateError
            As `read`.
        """
        question = self.smu.one_message(self.state_queries())
        self.compare_state(question, self.smu.query_parts(question))

    def state_queries(self) -> list[str]:
        """Return the queries of `check_state`, so that a message can check several channels.

        Raises
        ------
        NetworkError
            If it is not configured as a source.
        """
        return self._state_of(self._needs_source())

    def compare_state(self, question: str, replies: list[str], level: float | None = None) -> None:
        """Compare the replies to `state_queries`, which were sent in the message ``question``.

        Parameters
        ----------
        question : str
        replies : list of str
        level : float, optional
            The level that the instrument must report. Default: the last one that was set.

        Raises
        ------
        NetworkError, OutputStateError
            As `read`.
        """
        quantity = self._needs_source()
        expected = self._expected if level is None else level
        both = (quantity, self._on, expected, self._limit, *replies)
        if both != self._agreed:  # else they were compared before
            self._compare(self._state_in(question, quantity, replies), quantity, expected)
            self._agreed = both

    def _question(self, source: Quantity) -> str:
        """Return the message of `read`."""
        if source not in self._questions:
            self._questions[source] = self._reading_question(source)
        return self._questions[source]

    def sweep(self, levels: ArrayLike) -> VoltageSweep:
        """Step through a list of levels with the instrument's own timing, and read its buffer.

        The output is on during the sweep and off afterwards. Levels change in single steps, without a ramp.

        Raises
        ------
        LimitError
            If any level is beyond the channel limit or the operating range; nothing is sent.
        NetworkError
            If it is not configured as a source.
        OutputStateError
            If the state is not what was set, before the sweep or, except on a 2450, after it.
        """
        quantity = self._needs_source()
        values = np.asarray(levels, dtype=np.float64).reshape(-1)
        if not len(values):
            raise LimitError(f"the list of levels for {self.name} is empty")
        for value in values.tolist():
            self.smu.operating_range.check(self.name, quantity, value, self._limit, self.channel_limit)
        parts = []
        for first in range(0, len(values), LONGEST_LIST):
            part = values[first : first + LONGEST_LIST].tolist()
            self.on()
            with self.smu.sweeping():
                self._expected = math.nan  # models differ in the level after a sweep
                parts.append(self._sweep(quantity, part))
            self.off()
        volts, amperes = np.concatenate(parts, axis=1)
        return VoltageSweep(volts, amperes)

    # --- sequences of commands ----------------------------------------------------------------------

    def restore(self) -> None:
        """Send the settings of this channel again after a reset; it is then off and not configured as a source."""
        self._source, self._on = None, False
        self.smu.write(*self._nplc_commands(self._nplc), *self._four_wire_commands(self._four_wire))

    def _become(self, quantity: Quantity, level: float, limit: float) -> None:
        self.smu.operating_range.check(self.name, quantity, level, limit, self.channel_limit)
        measured = other(quantity)
        with self.smu.transport.exchange():
            before = self._source
            while_on = self._on and before != quantity
            if before is not None and not while_on:
                self.check_state()
            # not configured until all settings are made: an output is switched on only if its limit is known
            self._source = None
            self._set_limit(measured, limit)
            self.smu.write(
                *self._source_range_command(quantity, self._range(quantity)), self._level_command(quantity, level)
            )
            source = [] if before == quantity else self._source_commands(quantity)
            ranges = self._measure_range_command(measured, self._range(measured))
            if before is not None and while_on:
                self._change_source(before, quantity)
                self.smu.transport.write(*ranges)
            else:
                self.smu.transport.write(*source, *ranges)
            self.smu.check_errors("; ".join([*source, *ranges]))
            self._source, self._limit = quantity, float(limit)
            self._level = self._expected = float(level)

    def _set_limit(self, quantity: Quantity, limit: float) -> None:
        """Set a limit and read it back: some models ignore or raise a small limit without an error."""
        command = self._limit_command(quantity, limit)
        found = self.smu.write_and_read_back(command, self._limit_query(quantity))
        if not (math.isfinite(found) and agrees(limit, found, self._resolution(quantity, limit))):
            unit = UNIT[quantity]
            self._off_and_raise(
                f"did not accept the {quantity} limit of {format_quantity(limit, unit, 7)}: it reads back "
                f"{format_quantity(found, unit, 7)}. Choose a limit that the instrument supports"
            )

    def _change_source(self, before: Quantity, quantity: Quantity) -> None:
        """Change the source of an output that is on, if the instrument confirms that it is."""
        found, still_on = self._change_while_on(before, quantity)
        self._compare(found, before)
        if not still_on:
            # some models switch off when the source changes: this was the driver, and it was read back
            self._on = False
            self._switch_on()

    def _switch_on(self) -> None:
        self._on = True  # an interrupt may come before or after the command is sent
        try:
            self.smu.write(self._output_command(True))
        except InstrumentError:
            self._on = False
            raise

    def _compare(self, found: OutputState, quantity: Quantity, level: float | None = None) -> None:
        """Compare a state with the one that was set."""
        was = OutputState(self._on, quantity, self._expected if level is None else level, self._limit)
        if texts := was.differences(found, self._resolution):
            reason = open_outputs.halted_because(self.smu)
            if reason is not None:  # this program switched off while the reply was on its way
                raise HaltedError(f"outputs were switched off: {reason}; {self.name} stays off until reconnected")
            who = "Somebody else changed it (front panel, another program or a reset)"
            self._off_and_raise(f"is not as this program left it: {'; '.join(texts)}. {who}")

    def _off_and_raise(self, text: str) -> NoReturn:
        where = f"{self.name} at {self.terminal}" if self.terminal else self.name
        error = OutputStateError(f"{where} {text}; its outputs are switched off")
        try:
            self.smu.halt()
        except OutputsMayBeOnError as unsafe:
            raise unsafe from error
        raise error

    def _resolution(self, quantity: Quantity, value: float) -> float:
        return self.smu.operating_range.resolution(quantity, max(abs(value), self._range(quantity) or 0.0))

    def _patience_s(self, points: int = 1) -> float:
        """Return how long to wait for readings: two quantities per point, each with its zero references."""
        return self.smu.transport.timeout_s + points * (8 * self._nplc * _LINE_CYCLE_S + 0.02)
