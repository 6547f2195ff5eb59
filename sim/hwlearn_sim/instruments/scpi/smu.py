"""`ScpiSmu`: commands common to the SCPI source-measure units, such as levels, ranges, limits and output."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, get_args

import numpy as np

from hwlearn_sim.instruments.capability import QUANTITIES, OffState
from hwlearn_sim.instruments.channel import VirtualChannel
from hwlearn_sim.instruments.errors import VirtualInstrumentError
from hwlearn_sim.instruments.instrument import Clock
from hwlearn_sim.instruments.ranges import Quantity
from hwlearn_sim.instruments.scpi.instrument import ScpiInstrument
from hwlearn_sim.instruments.scpi.parameters import Choice, Flag, Kind, Number, T, checked_count, items
from hwlearn_sim.instruments.scpi.reply_format import as_binary, as_text

MNEMONIC: Final[dict[Quantity, str]] = {"voltage": "VOLTage", "current": "CURRent"}
QUANTITY_OF: Final[dict[str, Quantity]] = {"VOLT": "voltage", "CURR": "current"}
UNIT: Final[dict[Quantity, str]] = {"voltage": "V", "current": "A"}


class ScpiSmu(ScpiInstrument):
    """Base class of the SCPI source-measure units.

    Parameters
    ----------
    identity : str
        Reply to ``*IDN?``.
    channels : sequence of VirtualChannel
        Channels in order; the first suffix of a header selects one.
    clock : Clock
        The instrument's clock, shared by the channels.
    error_capacity : int
        Capacity of the error queue.
    no_error : str
        Reply to ``:SYST:ERR?`` if the error queue is empty.
    """

    #: printf format of a number in a reply to the query of a setting.
    form: str = "%.6E"
    #: Whether binary readings are sent as definite-length blocks.
    definite_blocks: bool = False
    #: Byte order of binary readings after a reset.
    swapped_at_reset: bool = False

    def __init__(
        self,
        identity: str,
        channels: Sequence[VirtualChannel],
        clock: Clock,
        error_capacity: int = 30,
        *,
        no_error: str = '0,"No error"',
    ) -> None:
        super().__init__(identity, error_capacity, clock, no_error=no_error)
        self.channels = list(channels)
        self._layout, self._bytes_each = "ASC", 4

    def check_suffixes(self, suffixes: tuple[int, ...]) -> None:
        """Reject numeric suffixes that the model does not have (-114)."""
        self.at(suffixes)

    def at(self, suffixes: tuple[int, ...]) -> VirtualChannel:
        """Return the channel that the first suffix of a header selects.

        Raises
        ------
        VirtualInstrumentError
            -114 if there is no such channel.
        """
        number = suffixes[0] if suffixes else 1
        if not 1 <= number <= len(self.channels):
            raise VirtualInstrumentError(-114)
        return self.channels[number - 1]

    @property
    def generators(self) -> list[np.random.Generator]:
        """Sources of the noise of its channels."""
        return [channel.generator for channel in self.channels]

    def reset(self) -> None:
        """Restore the power-on settings; the outputs are switched off first."""
        for channel in self.channels:
            channel.reset()
        self._layout, self._bytes_each = "ASC", 4
        self._settings.clear()

    # --- commands -----------------------------------------------------------------------------------

    def channel_setting(
        self,
        pattern: str,
        kind: Kind[T],
        get: Callable[[VirtualChannel], T],
        put: Callable[[VirtualChannel, T], None],
    ) -> None:
        """Add a setting of one channel."""
        self.setting(
            pattern,
            kind,
            lambda suffixes: get(self.at(suffixes)),
            lambda suffixes, value: put(self.at(suffixes), value),
        )

    def number(self, low: float, high: float, default: float, unit: str = "") -> Number:
        """Return a number parameter with the reply format of this model."""
        return Number(low, high, default, unit, self.form)

    def add_source(self, prefix: str, function: str) -> None:
        """Add function, level and range of the source; VOLTage and CURRent are appended to ``prefix``."""
        self.channel_setting(
            function,
            Choice(("VOLTage", "CURRent")),
            lambda channel: "VOLT" if channel.settings.function == "voltage" else "CURR",
            lambda channel, name: channel.set_function(QUANTITY_OF[name]),
        )
        for quantity in QUANTITIES:
            self._add_source(prefix + MNEMONIC[quantity], quantity)

    def _add_source(self, base: str, quantity: Quantity) -> None:
        ranges = self.channels[0].capability.sources[quantity]
        number = self.number(-ranges.most, ranges.most, 0.0, UNIT[quantity])
        self.channel_setting(
            f"{base}[:LEVel][:IMMediate][:AMPLitude]",
            number,
            lambda channel: channel.settings.levels[quantity],
            lambda channel, value: channel.set_level(quantity, value),
        )
        self.channel_setting(
            f"{base}:RANGe",
            number,
            lambda channel: channel.source_range(quantity).full_scale,
            lambda channel, value: channel.set_source_range(quantity, value),
        )
        self.channel_setting(
            f"{base}:RANGe:AUTO",
            Flag(),
            lambda channel: channel.settings.source_ranges[quantity] is None,
            lambda channel, on: channel.set_source_range(
                quantity, None if on else channel.source_range(quantity).full_scale
            ),
        )

    def add_source_list(
        self,
        pattern: str,
        level: Number,
        lists: Callable[[tuple[int, ...]], dict[Quantity, list[float]]],
        quantity: Quantity,
        once: int,
        total: int,
    ) -> None:
        """Add a list of source levels, with at most ``once`` items per message and ``total`` in all."""

        def write(suffixes: tuple[int, ...], arguments: list[str]) -> None:
            lists(suffixes)[quantity] = items(level, arguments, once)

        def append(suffixes: tuple[int, ...], arguments: list[str]) -> None:
            more = lists(suffixes)[quantity] + items(level, arguments, once)
            if len(more) > total:
                raise VirtualInstrumentError(-223)
            lists(suffixes)[quantity] = more

        def query(suffixes: tuple[int, ...], arguments: list[str]) -> str:
            checked_count(arguments, 0)
            return ",".join(level.write(value) for value in lists(suffixes)[quantity])

        def count(suffixes: tuple[int, ...], arguments: list[str]) -> str:
            checked_count(arguments, 0)
            return str(len(lists(suffixes)[quantity]))

        self.command(pattern, write, query)
        self.command(f"{pattern}:APPend", append)
        self.command(f"{pattern}:POINts", query=count)

    def add_meter(self, prefix: str, *, one_nplc: bool) -> None:
        """Add measuring range and integration time; ``one_nplc``: one integration time for both quantities."""
        for quantity in QUANTITIES:
            self._add_meter(f"{prefix}{MNEMONIC[quantity]}[:DC]", quantity, one_nplc)

    def _add_meter(self, base: str, quantity: Quantity, one_nplc: bool) -> None:
        ranges = self.channels[0].capability.measures[quantity]

        self.channel_setting(
            f"{base}:RANGe[:UPPer]",
            self.number(-ranges.most, ranges.most, ranges.each[-1].full_scale, UNIT[quantity]),
            lambda channel: channel.measure_range(quantity).full_scale,
            lambda channel, value: channel.set_measure_range(quantity, value),
        )
        self.channel_setting(
            f"{base}:RANGe:AUTO",
            Flag(),
            lambda channel: channel.settings.measure_ranges[quantity] is None,
            lambda channel, on: channel.set_measure_range(
                quantity, None if on else channel.measure_range(quantity).full_scale
            ),
        )
        self.channel_setting(
            f"{base}:NPLCycles",
            self.number(*self.channels[0].capability.nplc, 1.0),
            lambda channel: channel.settings.nplc[quantity],
            lambda channel, value: channel.set_nplc(value, *([] if one_nplc else [quantity])),
        )

    def add_limit(self, pattern: str, quantity: Quantity, level: str = "[:LEVel]") -> None:
        """Add the limit of a quantity, with the header ``pattern`` plus ``level``, and its TRIPped query."""
        most = self.channels[0].capability.measures[quantity].most

        def tripped(suffixes: tuple[int, ...], _: list[str]) -> str:
            channel = self.at(suffixes)
            return "1" if channel.tripped and channel.settings.function != quantity else "0"

        self.channel_setting(
            f"{pattern}{level}",
            self.number(-most, most, self.channels[0].capability.default_limits[quantity], UNIT[quantity]),
            lambda channel: channel.settings.limits[quantity],
            lambda channel, value: channel.set_limit(quantity, value),
        )
        self.command(f"{pattern}:TRIPped", query=tripped)

    def add_output(self, pattern: str) -> None:
        """Add the output switch."""
        self.channel_setting(
            pattern,
            Flag(),
            lambda channel: channel.settings.output,
            lambda channel, on: channel.set_output(on),
        )

    def add_off_state(self, pattern: str, *functions: Quantity) -> None:
        """Add the output-off state, for the given source functions. Default: for all."""
        states: dict[str, OffState] = {state: state for state in get_args(OffState)}
        self.channel_setting(
            pattern,
            Choice(("HIMPedance", "NORMal", "ZERO", "GUARd")),
            lambda channel: str(channel.settings.off_states[(functions or QUANTITIES)[0]]),
            lambda channel, name: channel.set_off_state(states[name], *functions),
        )

    def add_format(self) -> None:
        """Add the data format of readings, text or binary."""

        def write(_: tuple[int, ...], arguments: list[str]) -> None:
            if not 1 <= len(arguments) <= 2:
                raise VirtualInstrumentError(-109 if not arguments else -108)
            layout = Choice(("ASCii", "REAL", "SREal")).read(arguments[0])
            width = arguments[1] if len(arguments) == 2 else {"SRE": "32", "REAL": "64"}.get(layout, "32")
            if layout != "ASC" and width not in ("32", "64"):
                raise VirtualInstrumentError(-224)
            self._layout, self._bytes_each = layout, int(width) // 8 if layout != "ASC" else 4

        def query(_: tuple[int, ...], __: list[str]) -> str:
            return self._layout if self._layout == "ASC" else f"REAL,{8 * self._bytes_each}"

        self.command("FORMat[:DATA]", write, query)
        order = "SWAP" if self.swapped_at_reset else "NORM"
        self._order = self.stored_setting("FORMat:BORDer", Choice(("NORMal", "SWAPped")), order)

    @property
    def binary(self) -> bool:
        """Whether readings are sent as binary numbers."""
        return self._layout != "ASC"

    def readings(self, values: Sequence[float], form: str = "%+.6E") -> str:
        """Return readings in the selected format."""
        if self._layout == "ASC":
            return as_text(values, form)
        return as_binary(values, self._bytes_each, self._order() == "SWAP", definite=self.definite_blocks)
