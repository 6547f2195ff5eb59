"""`SmuChannel`: one channel of a source-measure unit, with the same interface for every model."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike

from hwlearn.arrays import FloatArray
from hwlearn.errors import LimitError, NetworkError
from hwlearn_drivers.smu.operating_range import ChannelLimit, OperatingRange, Quantity, other
from hwlearn_drivers.smu.reading import Reading, Sweep
from hwlearn_drivers.transport.transport import Transport

LONGEST_LIST = 100
"""Maximum number of levels in one list command, on every model; longer lists run in parts."""

_LINE_CYCLE_S = 1 / 50


class ChannelHost(Protocol):
    """The part of an instrument that its channels use; `hwlearn_drivers.smu.smu.Smu` implements it."""

    operating_range: OperatingRange
    transport: Transport

    @property
    def name(self) -> str:
        """Model and address, for messages."""

    def write(self, *commands: str) -> None:
        """Send settings one by one; read the error queue after each."""

    def write_together(self, *commands: str) -> None:
        """Send settings without interruption; then read the error queue once."""

    def query(self, question: str, timeout_s: float | None = None) -> str:
        """Send a query and return the reply."""

    def query_numbers(self, question: str, count: int, timeout_s: float | None = None) -> list[float]:
        """Send a query and return the ``count`` numbers of the reply."""

    def check_errors(self, command: str) -> None:
        """Read the error queue and raise its oldest error."""

    def sweeping(self) -> AbstractContextManager[None]:
        """Mark the time during which OFF needs an abort."""


class SmuChannel(ABC):
    """One channel: a voltage source with a current limit or a current source with a voltage limit (compliance).

    The limit is set before the level, and both before the output is switched on. Every value is checked against
    the channel limit and the instrument's range before anything is sent. No value is clipped. The error queue is
    read after every setting. Assigning an unknown setting raises AttributeError.

    Parameters
    ----------
    smu : ChannelHost
        The instrument that it belongs to.
    number : int
        From 1.
    channel_limit : ChannelLimit
        Maximum absolute voltage and current.
    """

    __slots__ = (
        "_current_range",
        "_four_wire",
        "_level",
        "_limit",
        "_nplc",
        "_on",
        "_source",
        "_voltage_range",
        "channel_limit",
        "number",
        "smu",
    )

    def __init__(self, smu: ChannelHost, number: int, channel_limit: ChannelLimit) -> None:
        self.smu, self.number, self.channel_limit = smu, number, channel_limit
        self._source: Quantity | None = None
        self._level = self._limit = 0.0
        self._on = self._four_wire = False
        self._nplc = 1.0
        self._voltage_range: float | None = None
        self._current_range: float | None = None

    @property
    def name(self) -> str:
        """Channel, model and address, for messages."""
        return f"{self.label} of {self.smu.name}"

    @property
    def label(self) -> str:
        """Name of the channel in the manual."""
        return f"channel {self.number}"

    # --- source -------------------------------------------------------------------------------------

    @property
    def source(self) -> Quantity | None:
        """The quantity that it sources; None until it is configured as a source."""
        return self._source

    @property
    def level(self) -> float:
        """The last level that was set, in volts or amperes."""
        return self._level

    @property
    def is_on(self) -> bool:
        """Whether the output was last switched on, as far as this program knows."""
        return self._on

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
        self.smu.transport.write(self._level_command(quantity, value))
        self._level = float(value)

    def check_errors(self) -> None:
        """Read the error queue after `set_level`.

        Raises
        ------
        InstrumentError
        """
        self.smu.check_errors(self._level_command(self._needs_source(), self._level))

    def on(self) -> None:
        """Switch the output on.

        Raises
        ------
        NetworkError
            If it is not configured as a source: no output is switched on without a limit.
        InstrumentError
            If the instrument rejects it.
        """
        self._needs_source()
        self.smu.write(self._output_command(True))
        self._on = True

    def off(self) -> None:
        """Switch the output off."""
        self.mark_off()
        self.smu.write(self._output_command(False))

    def mark_off(self) -> None:
        """Record that the output is off, after the whole instrument was switched off; nothing is sent."""
        self._on = False

    # --- measurement --------------------------------------------------------------------------------

    @abstractmethod
    def read(self) -> Reading:
        """Measure voltage and current."""

    @abstractmethod
    def limited(self) -> bool:
        """Query whether the source is at its limit (in compliance)."""

    def sweep(self, levels: ArrayLike) -> Sweep:
        """Step through a list of levels with the instrument's own timing, and read its buffer.

        The output is on during the sweep and off afterwards. Levels change in single steps, without a ramp.

        Raises
        ------
        LimitError
            If any level is beyond the channel limit or the operating range; nothing is sent.
        NetworkError
            If it is not configured as a source.
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
                parts.append(self._sweep(quantity, part))
            self.off()
        volts, amperes = np.concatenate(parts, axis=1)
        return Sweep(volts, amperes)

    # --- settings -----------------------------------------------------------------------------------

    @property
    def nplc(self) -> float:
        """Integration time in power line cycles."""
        return self._nplc

    @nplc.setter
    def nplc(self, cycles: float) -> None:
        self.smu.operating_range.check_nplc(self.name, cycles)
        self.smu.write(*self._nplc_commands(cycles))
        self._nplc = float(cycles)

    @property
    def four_wire(self) -> bool:
        """Whether the voltage is sensed with a separate pair of wires (4-wire)."""
        return self._four_wire

    @four_wire.setter
    def four_wire(self, remote: bool) -> None:
        if self.is_on:
            raise NetworkError(f"{self.name} is on; switch it off before changing between 2 and 4 wires")
        self.smu.write(*self._four_wire_commands(bool(remote)))
        self._four_wire = bool(remote)

    @property
    def voltage_range(self) -> float | None:
        """Fixed voltage range in volts; None: automatic."""
        return self._voltage_range

    @voltage_range.setter
    def voltage_range(self, volts: float | None) -> None:
        self._check_range("voltage", volts)
        self._voltage_range = None if volts is None else float(volts)
        self._send_ranges()

    @property
    def current_range(self) -> float | None:
        """Fixed current range in amperes; None: automatic."""
        return self._current_range

    @current_range.setter
    def current_range(self, amperes: float | None) -> None:
        self._check_range("current", amperes)
        self._current_range = None if amperes is None else float(amperes)
        self._send_ranges()

    def restore(self) -> None:
        """Send the settings of this channel again after a reset; it is then off and not configured as a source."""
        self._source, self._on = None, False
        self.smu.write(*self._nplc_commands(self._nplc), *self._four_wire_commands(self._four_wire))

    # --- commands of a model ------------------------------------------------------------------------

    @abstractmethod
    def _level_command(self, quantity: Quantity, value: float) -> str:
        """Return the command that sets a level; it must not depend on the active source."""

    @abstractmethod
    def _limit_command(self, quantity: Quantity, value: float) -> str:
        """Return the command that limits this quantity; ``"current"`` is the limit of the voltage source."""

    @abstractmethod
    def _source_commands(self, quantity: Quantity) -> list[str]:
        """Return the commands that select the source and measure the other quantity."""

    @abstractmethod
    def _output_command(self, on: bool) -> str:
        """Return the command that switches the output on or off."""

    @abstractmethod
    def _source_range_command(self, quantity: Quantity, value: float | None) -> list[str]:
        """Return the commands for the source range; None: automatic."""

    @abstractmethod
    def _measure_range_command(self, quantity: Quantity, value: float | None) -> list[str]:
        """Return the commands for the measuring range; None: automatic."""

    @abstractmethod
    def _nplc_commands(self, cycles: float) -> list[str]:
        """Return the commands that set the integration time."""

    @abstractmethod
    def _four_wire_commands(self, remote: bool) -> list[str]:
        """Return the commands that select 2-wire or 4-wire sensing."""

    @abstractmethod
    def _sweep(self, quantity: Quantity, levels: Sequence[float]) -> FloatArray:
        """Run a list of at most `LONGEST_LIST` levels; return volts and amperes, (2, n)."""

    # --- sequences of commands ----------------------------------------------------------------------

    def _become(self, quantity: Quantity, level: float, limit: float) -> None:
        self.smu.operating_range.check(self.name, quantity, level, limit, self.channel_limit)
        measured = other(quantity)
        with self.smu.transport.exchange():
            # not configured until all settings are made: an output is switched on only if its limit is known
            before, self._source = self._source, None
            self.smu.write(
                self._limit_command(measured, limit),
                *self._source_range_command(quantity, self._range(quantity)),
                self._level_command(quantity, level),
            )
            # some models switch off when the source changes; the output is then off only until the next line
            keep_on = [self._output_command(True)] if self.is_on else []
            if before != quantity:
                self.smu.write_together(*self._source_commands(quantity), *keep_on)
            self._source, self._level, self._limit = quantity, float(level), float(limit)
            self.smu.write(*self._measure_range_command(measured, self._range(measured)))

    def _range(self, quantity: Quantity) -> float | None:
        return self._voltage_range if quantity == "voltage" else self._current_range

    def _check_range(self, quantity: Quantity, value: float | None) -> None:
        if value is not None:
            self.smu.operating_range.check_one(self.name, quantity, value, self.channel_limit, "range")
            if not value > 0:
                raise LimitError(f"{quantity} range {value!r} on {self.name} must be positive; nothing was sent")

    def _send_ranges(self) -> None:
        if self._source is not None:
            measured = other(self._source)
            self.smu.write(
                *self._source_range_command(self._source, self._range(self._source)),
                *self._measure_range_command(measured, self._range(measured)),
            )

    def _needs_source(self) -> Quantity:
        if self._source is None:
            raise NetworkError(
                f"{self.name} is not configured as a source; make it a voltage or current source, with its limit"
            )
        return self._source

    def _patience_s(self, points: int = 1) -> float:
        """Return how long to wait for readings: two quantities per point, each with its zero references."""
        return self.smu.transport.timeout_s + points * (8 * self._nplc * _LINE_CYCLE_S + 0.02)
