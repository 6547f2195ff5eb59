"""`SmuChannel`: one channel of a source-measure unit, the same for every model."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from hwlearn.arrays import FloatArray
from hwlearn.errors import LimitError, NetworkError
from hwlearn_drivers.smu.operating_range import ChannelLimit, Quantity
from hwlearn_drivers.smu.reading import Reading, Sweep

if TYPE_CHECKING:
    from hwlearn_drivers.smu.smu import Smu

LONGEST_LIST = 100
"""Levels that one list command carries on every model; longer lists run in parts."""

_LINE_CYCLE_S = 1 / 50


class SmuChannel(ABC):
    """One channel: a voltage source with a current limit or a current source with a voltage limit.

    The limit is set before the level, and both before the output goes on. Every value is checked against the
    channel limit and the instrument's range before anything is sent; nothing is clipped. After every
    setting the error queue is read. Settings that do not exist cannot be made (``AttributeError``).

    Parameters
    ----------
    smu : Smu
        The instrument that it belongs to.
    number : int
        From 1.
    channel_limit : ChannelLimit
        The most that it may ever be told.
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

    def __init__(self, smu: Smu, number: int, channel_limit: ChannelLimit) -> None:
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
        """The channel as printed on the instrument."""
        return f"channel {self.number}"

    # --- what it drives -----------------------------------------------------------------------------

    @property
    def source(self) -> Quantity | None:
        """What it is a source of; None before it was told."""
        return self._source

    @property
    def level(self) -> float:
        """The level it was last told, in volts or amperes."""
        return self._level

    @property
    def is_on(self) -> bool:
        """Whether its output was last told to be on."""
        return self._on

    def voltage_source(self, volts: float, current_limit: float) -> None:
        """Make it a voltage source; an output that is on stays on.

        Raises
        ------
        LimitError
            If level or limit is beyond the channel limit or the operating range; nothing was sent.
        InstrumentError
            If the instrument refuses.
        """
        self._become("voltage", volts, current_limit)

    def current_source(self, amperes: float, voltage_limit: float) -> None:
        """Make it a current source; an output that is on stays on.

        Raises
        ------
        LimitError, InstrumentError
            As `voltage_source`.
        """
        self._become("current", amperes, voltage_limit)

    def set_level(self, value: float) -> None:
        """Set the level, in volts or amperes as the source is; the error queue is left to `check_errors`.

        Raises
        ------
        LimitError
            If it is beyond the channel limit or the operating range; nothing was sent.
        NetworkError
            If it is not a source of anything yet.
        """
        quantity = self._needs_source()
        self.smu.operating_range.check(self.name, quantity, value, self._limit, self.channel_limit)
        self.smu.transport.write(self._level_command(quantity, value))
        self._level = float(value)

    def check_errors(self) -> None:
        """Read the error queue after levels were set.

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
            If it was not made a source first: without its limit no output goes on.
        InstrumentError
            If the instrument refuses.
        """
        self._needs_source()
        self.smu.write(self._output_command(True))
        self._on = True

    def off(self) -> None:
        """Switch the output off."""
        self._on = False
        self.smu.write(self._output_command(False))

    # --- what it measures ---------------------------------------------------------------------------

    @abstractmethod
    def read(self) -> Reading:
        """Measure voltage and current."""

    @abstractmethod
    def limited(self) -> bool:
        """Ask whether the source is at its limit."""

    def sweep(self, levels: ArrayLike) -> Sweep:
        """Step through a list of levels on the instrument's own clock, and read them from its own buffer.

        The output goes on for the sweep and is off afterwards. The steps are as large as the list makes them.

        Raises
        ------
        LimitError
            If any level is beyond the channel limit or the operating range; nothing was sent.
        NetworkError
            If it is not a source of anything yet.
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
        """Whether voltage is sensed with its own pair of wires."""
        return self._four_wire

    @four_wire.setter
    def four_wire(self, remote: bool) -> None:
        if self._on:
            raise NetworkError(f"{self.name} is on; switch it off before changing between 2 and 4 wires")
        self.smu.write(*self._four_wire_commands(bool(remote)))
        self._four_wire = bool(remote)

    @property
    def voltage_range(self) -> float | None:
        """Fixed voltage range in volts; None: the instrument chooses."""
        return self._voltage_range

    @voltage_range.setter
    def voltage_range(self, volts: float | None) -> None:
        self._check_range("voltage", volts)
        self._voltage_range = None if volts is None else float(volts)
        self._send_ranges()

    @property
    def current_range(self) -> float | None:
        """Fixed current range in amperes; None: the instrument chooses."""
        return self._current_range

    @current_range.setter
    def current_range(self, amperes: float | None) -> None:
        self._check_range("current", amperes)
        self._current_range = None if amperes is None else float(amperes)
        self._send_ranges()

    def restore(self) -> None:
        """Send the settings of this channel again after a reset; it is off, and a source of nothing yet."""
        self._source, self._on = None, False
        self.smu.write(*self._nplc_commands(self._nplc), *self._four_wire_commands(self._four_wire))

    # --- what a model says --------------------------------------------------------------------------

    @abstractmethod
    def _level_command(self, quantity: Quantity, value: float) -> str:
        """Return the command that sets a level, whichever source is active."""

    @abstractmethod
    def _limit_command(self, quantity: Quantity, value: float) -> str:
        """Return the command that limits this quantity: ``"current"`` is the voltage source's limit."""

    @abstractmethod
    def _source_commands(self, quantity: Quantity) -> list[str]:
        """Return the commands that choose the source, and measure the other quantity with it."""

    @abstractmethod
    def _output_command(self, on: bool) -> str:
        """Return the command that switches the output."""

    @abstractmethod
    def _source_range_command(self, quantity: Quantity, value: float | None) -> list[str]:
        """Return the commands for the source range; None is automatic."""

    @abstractmethod
    def _measure_range_command(self, quantity: Quantity, value: float | None) -> list[str]:
        """Return the commands for the measuring range; None is automatic."""

    @abstractmethod
    def _nplc_commands(self, cycles: float) -> list[str]:
        """Return the commands that set the integration time."""

    @abstractmethod
    def _four_wire_commands(self, remote: bool) -> list[str]:
        """Return the commands that choose between 2 and 4 wires."""

    @abstractmethod
    def _sweep(self, quantity: Quantity, levels: Sequence[float]) -> FloatArray:
        """Run a list of at most `LONGEST_LIST` levels and return volts and amperes, (2, n)."""

    # --- how it is done -----------------------------------------------------------------------------

    def _become(self, quantity: Quantity, level: float, limit: float) -> None:
        self.smu.operating_range.check(self.name, quantity, level, limit, self.channel_limit)
        other: Quantity = "current" if quantity == "voltage" else "voltage"
        with self.smu.transport.exchange():
            # until all is done it counts as a source of nothing: an output goes on only with its limit known
            before, self._source = self._source, None
            self.smu.write(
                self._limit_command(other, limit),
                *self._source_range_command(quantity, self._range(quantity)),
                self._level_command(quantity, level),
            )
            # some models switch off when the source changes: then it is off for no longer than one line takes
            keep_on = [self._output_command(True)] if self._on else []
            if before != quantity:
                self.smu.write_together(*self._source_commands(quantity), *keep_on)
            self._source, self._level, self._limit = quantity, float(level), float(limit)
            self.smu.write(*self._measure_range_command(other, self._range(other)))

    def _range(self, quantity: Quantity) -> float | None:
        return self._voltage_range if quantity == "voltage" else self._current_range

    def _check_range(self, quantity: Quantity, value: float | None) -> None:
        if value is not None:
            self.smu.operating_range.check_one(self.name, quantity, value, self.channel_limit, "range")
            if not value > 0:
                raise LimitError(f"{quantity} range {value!r} on {self.name} must be positive; nothing was sent")

    def _send_ranges(self) -> None:
        if self._source is not None:
            other: Quantity = "current" if self._source == "voltage" else "voltage"
            self.smu.write(
                *self._source_range_command(self._source, self._range(self._source)),
                *self._measure_range_command(other, self._range(other)),
            )

    def _needs_source(self) -> Quantity:
        if self._source is None:
            raise NetworkError(
                f"{self.name} is neither a voltage nor a current source yet; make it one, with its limit"
            )
        return self._source

    def _patience_s(self, points: int = 1) -> float:
        """Return how long to wait for readings: two quantities, each with its zero references."""
        return self.smu.transport.timeout_s + points * (8 * self._nplc * _LINE_CYCLE_S + 0.02)
