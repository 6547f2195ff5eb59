"""`ScpiSmu`: commands common to the SCPI source-measure units, such as levels, ranges, limits and output."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, get_args

import numpy as np

from hwlearn_sim.instruments.capability import QUANTITIES, OffState, Side
from hwlearn_sim.instruments.channel import VirtualChannel
from hwlearn_sim.instruments.errors import VirtualInstrumentError
from hwlearn_sim.instruments.instrument import Clock
from hwlearn_sim.instruments.ranges import Quantity, Range, Ranges
from hwlearn_sim.instruments.scpi.instrument import ScpiInstrument
from hwlearn_sim.instruments.scpi.parameters import Choice, Flag, Kind, Number, T, checked_count, items
from hwlearn_sim.instruments.scpi.range_parameter import RangeAccess, RangeParameter
from hwlearn_sim.instruments.scpi.reply_format import as_binary, as_text
from hwlearn_sim.instruments.scpi.settings import Setting, Suffixes

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
        self._layout = self.kept("layout", ("ASC", 4))

    def check_suffixes(self, suffixes: Suffixes) -> None:
        """Reject numeric suffixes that the model does not have (-114)."""
        self.at(suffixes)

    def at(self, suffixes: Suffixes) -> VirtualChannel:
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
        super().reset()

    # --- rules of a model ---------------------------------------------------------------------------

    def check_source_change(self, channel: VirtualChannel) -> None:
        """Reject a new source function, level or range where the model does not allow it. Default: allowed."""

    def check_measure_range(self, channel: VirtualChannel, quantity: Quantity, value: float) -> None:
        """Reject a fixed measuring range where the model does not allow it. Default: allowed."""

    def range_value(self, ranges: Ranges, chosen: Range) -> float:
        """Return the value of a range in replies. Default: full scale."""
        return chosen.full_scale

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

        def choose(channel: VirtualChannel, name: str) -> None:
            self.check_source_change(channel)
            channel.set_function(QUANTITY_OF[name])

        self.channel_setting(
            function,
            Choice(("VOLTage", "CURRent")),
            lambda channel: "VOLT" if channel.settings.function == "voltage" else "CURR",
            choose,
        )
        self.add_levels(prefix)

    def add_levels(self, prefix: str) -> None:
        """Add level and range of both sources; VOLTage and CURRent are appended to ``prefix``."""
        for quantity in QUANTITIES:
            self._add_source(prefix + MNEMONIC[quantity], quantity)

    def _add_source(self, base: str, quantity: Quantity) -> None:
        ranges = self.channels[0].capability.sources[quantity]
        number = self.number(-ranges.most, ranges.most, 0.0, UNIT[quantity])

        def set_level(channel: VirtualChannel, value: float) -> None:
            self.check_source_change(channel)
            channel.set_level(quantity, value)

        def select(channel: VirtualChannel, value: float | None) -> None:
            self.check_source_change(channel)
            channel.set_source_range(quantity, value)

        self.channel_setting(
            f"{base}[:LEVel][:IMMediate][:AMPLitude]",
            number,
            lambda channel: channel.settings.levels[quantity],
            set_level,
        )
        self._add_range(
            f"{base}:RANGe",
            ranges,
            ("source", quantity),
            RangeAccess(
                lambda channel: channel.shown_range("source", quantity),
                select,
                select,
                lambda channel: channel.settings.source_ranges[quantity] is None,
            ),
        )

    def _add_range(self, base: str, ranges: Ranges, of: tuple[Side, Quantity], access: RangeAccess) -> None:
        """Add a range with MINimum, MAXimum, DEFault, UP and DOWN, and its automatic selection."""
        unit = UNIT[of[1]]
        full_scale = self.channels[0].capability.default_ranges.get(of, ranges.each[-1].full_scale)
        low, high, default = (
            self.range_value(ranges, one) for one in (ranges.each[0], ranges.each[-1], ranges.select(full_scale))
        )
        number = self.number(-ranges.most, ranges.most, default, unit)
        parameter = RangeParameter(ranges, number, self.number(low, high, default, unit))

        def write(suffixes: Suffixes, arguments: list[str]) -> None:
            text, channel = checked_count(arguments, 1)[0], self.at(suffixes)
            access.select(channel, parameter.read(text, access.shown(channel)))

        def query(suffixes: Suffixes, arguments: list[str]) -> str:
            if checked_count(arguments, 0, 1):
                return number.write(parameter.bounds.bound(arguments[0]))
            return number.write(self.range_value(ranges, access.shown(self.at(suffixes))))

        def automatic(channel: VirtualChannel, on: bool) -> None:
            access.hold(channel, None if on else access.shown(channel).full_scale)

        self.command(base, write, query)
        self.channel_setting(f"{base.removesuffix('[:UPPer]')}:AUTO", Flag(), access.is_automatic, automatic)

    def add_source_list(
        self,
        pattern: str,
        level: Number,
        values: Setting[tuple[float, ...]],
        once: int,
        total: int,
    ) -> None:
        """Add a list of source levels, with at most ``once`` items per message and ``total`` in all."""

        def write(suffixes: Suffixes, arguments: list[str]) -> None:
            self.check_suffixes(suffixes)
            values.put(tuple(items(level, arguments, once)), suffixes)

        def append(suffixes: Suffixes, arguments: list[str]) -> None:
            self.check_suffixes(suffixes)
            more = values(suffixes) + tuple(items(level, arguments, once))
            if len(more) > total:
                raise VirtualInstrumentError(-223)
            values.put(more, suffixes)

        def query(suffixes: Suffixes, arguments: list[str]) -> str:
            checked_count(arguments, 0)
            self.check_suffixes(suffixes)
            return ",".join(level.write(value) for value in values(suffixes))

        def count(suffixes: Suffixes, arguments: list[str]) -> str:
            checked_count(arguments, 0)
            self.check_suffixes(suffixes)
            return str(len(values(suffixes)))

        self.command(pattern, write, query)
        self.command(f"{pattern}:APPend", append)
        self.command(f"{pattern}:POINts", query=count)

    def add_meter(self, prefix: str, *, one_nplc: bool) -> None:
        """Add measuring range and integration time; ``one_nplc``: one integration time for both quantities."""
        for quantity in QUANTITIES:
            self._add_meter(f"{prefix}{MNEMONIC[quantity]}[:DC]", quantity, one_nplc)

    def _add_meter(self, base: str, quantity: Quantity, one_nplc: bool) -> None:
        ranges = self.channels[0].capability.measures[quantity]

        def select(channel: VirtualChannel, value: float) -> None:
            self.check_measure_range(channel, quantity, value)
            channel.set_measure_range(quantity, value)

        if self.channels[0].capability.has_measure_ranges:
            self._add_range(
                f"{base}:RANGe[:UPPer]",
                ranges,
                ("measure", quantity),
                RangeAccess(
                    lambda channel: channel.shown_range("measure", quantity),
                    select,
                    lambda channel, value: channel.set_measure_range(quantity, value),
                    lambda channel: channel.settings.measure_ranges[quantity] is None,
                ),
            )
        self.channel_setting(
            f"{base}:NPLCycles",
            self.number(*self.channels[0].capability.nplc, 1.0),
            lambda channel: channel.settings.nplc[quantity],
            lambda channel, value: channel.set_nplc(value, *([] if one_nplc else [quantity])),
        )

    def add_limit(
        self,
        pattern: str,
        quantity: Quantity,
        level: str = "[:LEVel]",
        *,
        follow: Callable[[VirtualChannel, float], None] | None = None,
    ) -> None:
        """Add the limit of a quantity, with the header ``pattern`` plus ``level``, and its TRIPped query.

        ``follow`` is called after the limit was set.
        """

        def put(channel: VirtualChannel, value: float) -> None:
            channel.set_limit(quantity, value)
            if follow is not None:
                follow(channel, value)

        most = self.channels[0].capability.measures[quantity].most

        def tripped(suffixes: Suffixes, _: list[str]) -> str:
            channel = self.at(suffixes)
            return "1" if channel.tripped and channel.settings.function != quantity else "0"

        self.channel_setting(
            f"{pattern}{level}",
            self.number(-most, most, self.channels[0].capability.default_limits[quantity], UNIT[quantity]),
            lambda channel: channel.settings.limits[quantity],
            put,
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

        def write(_: Suffixes, arguments: list[str]) -> None:
            if not 1 <= len(arguments) <= 2:
                raise VirtualInstrumentError(-109 if not arguments else -108)
            layout = Choice(("ASCii", "REAL", "SREal")).read(arguments[0])
            width = arguments[1] if len(arguments) == 2 else {"SRE": "32", "REAL": "64"}.get(layout, "32")
            if layout != "ASC" and width not in ("32", "64"):
                raise VirtualInstrumentError(-224)
            self._layout.put((layout, int(width) // 8 if layout != "ASC" else 4))

        def query(_: Suffixes, __: list[str]) -> str:
            layout, width = self._layout()
            return layout if layout == "ASC" else f"REAL,{8 * width}"

        self.command("FORMat[:DATA]", write, query)
        order = "SWAP" if self.swapped_at_reset else "NORM"
        self._order = self.stored_setting("FORMat:BORDer", Choice(("NORMal", "SWAPped")), order)

    @property
    def binary(self) -> bool:
        """Whether readings are sent as binary numbers."""
        return self._layout()[0] != "ASC"

    def readings(self, values: Sequence[float], form: str = "%+.6E") -> str:
        """Return readings in the selected format."""
        layout, width = self._layout()
        if layout == "ASC":
            return as_text(values, form)
        return as_binary(values, width, self._order() == "SWAP", definite=self.definite_blocks)
