"""`ConfiguredChannel`: identity of a channel, and its integration time, sensing and ranges."""

from __future__ import annotations

from hwlearn.errors import LimitError, NetworkError
from hwlearn_drivers.smu.commands import ChannelCommands
from hwlearn_drivers.smu.host import ChannelHost
from hwlearn_drivers.smu.operating_range import ChannelLimit, Quantity, other


class ConfiguredChannel(ChannelCommands):
    """One channel and how it measures; the base of `SmuChannel`, which adds the source.

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
        "_nplc",
        "_on",
        "_source",
        "_voltage_range",
        "channel_limit",
        "number",
        "smu",
        "terminal",
    )

    def __init__(self, smu: ChannelHost, number: int, channel_limit: ChannelLimit) -> None:
        self.smu, self.number, self.channel_limit, self.terminal = smu, number, channel_limit, ""
        self._source: Quantity | None = None
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

    @property
    def source(self) -> Quantity | None:
        """The quantity that it sources; None before that."""
        return self._source

    @property
    def is_on(self) -> bool:
        """Whether this program left the output on."""
        return self._on

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
