"""`ScpiScanner`: what virtual scanning voltmeters with SCPI share: channels and automatic ranging."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import ClassVar, Final

import numpy as np

from hwlearn_sim.instruments.errors import VirtualInstrumentError
from hwlearn_sim.instruments.instrument import Clock
from hwlearn_sim.instruments.scanner_channels import Channels, ScannedChannel
from hwlearn_sim.instruments.scanning_voltmeter import ScanningVoltmeter, VoltmeterReading
from hwlearn_sim.instruments.scpi.instrument import ScpiInstrument
from hwlearn_sim.instruments.scpi.parameters import Flag, Kind, Number, checked_count
from hwlearn_sim.instruments.scpi.settings import Suffixes

INPUT: Final = 0
"""Place of the settings that commands without a channel list make, where a model has any."""


class ScpiScanner(ScpiInstrument):
    """A scanning voltmeter with multiplexer modules.

    Parameters
    ----------
    identity : str
        Reply to ``*IDN?``.
    channels : Channels
        Its modules.
    voltmeter : ScanningVoltmeter
    clock : Clock
    errors : int, optional
        Length of its error queue.
    no_error : str, optional
        Reply of an empty error queue.
    """

    ranges_V: ClassVar[tuple[float, ...]]
    over: ClassVar[float]
    """Part of a range up to which it reads."""

    most_V: ClassVar[float]
    """Largest voltage that it reads."""

    separator: ClassVar[str] = ","
    """Between the replies for several channels."""

    form: ClassVar[str]
    """Format of its numbers."""

    def __init__(
        self,
        identity: str,
        channels: Channels,
        voltmeter: ScanningVoltmeter,
        clock: Clock,
        errors: int = 30,
        no_error: str = '0,"No error"',
    ) -> None:
        super().__init__(identity, errors, clock, no_error=no_error)
        self.channels: Channels = channels
        self._voltmeter = voltmeter
        self.closed: set[int] = set()

    @property
    def generators(self) -> list[np.random.Generator]:
        """Noise of its readings."""
        return [self._voltmeter.generator]

    def reset(self) -> None:
        """Restore the settings of ``*RST``; every channel is open, and the scan list is empty."""
        super().reset()
        self.channels.reset()
        self.closed.clear()

    # --- readings -----------------------------------------------------------------------------------

    @abstractmethod
    def _reading(self, settings: ScannedChannel) -> VoltmeterReading:
        """Return how a channel with these settings is read."""

    def _read(self, channel: int, place: int) -> float:
        """Return the voltage of a channel with the settings of a place, at the range that fits."""
        volts = self._voltmeter.read(channel, self._reading(self.channels[place]))
        while self.channels[place].autorange and self._moves(place, volts):
            volts = self._voltmeter.read(channel, self._reading(self.channels[place]))
        return volts

    def _moves(self, place: int, volts: float) -> bool:
        """Change the range where automatic ranging does: up at 120 %, down below 10 %."""
        here = self.channels[place].range_V
        index = self.ranges_V.index(here)
        if math.isinf(volts) and index + 1 < len(self.ranges_V):
            self.channels.change([place], range_V=self.ranges_V[index + 1])
        elif abs(volts) < 0.1 * here and index > 0:
            self.channels.change([place], range_V=self.ranges_V[index - 1])
        else:
            return False
        return True

    def _reads_to_V(self, range_V: float) -> float:
        """Return the largest voltage that is read at a range."""
        return min(self.over * range_V, self.most_V)

    def _range_for(self, volts: float) -> float:
        """Return the range that is selected for a voltage."""
        return next(one for one in self.ranges_V if volts <= self._reads_to_V(one))

    # --- commands -----------------------------------------------------------------------------------

    def _chosen(self, arguments: Sequence[str]) -> tuple[int, ...]:
        """Return the channels of a list that may be left out."""
        return self.channels.listed(arguments[0]) if arguments else (INPUT,)

    def _per_channel(self, text: Callable[[ScannedChannel], str]) -> Callable[[Suffixes, list[str]], str]:
        """Return a query that replies for each channel of a list."""

        def query(_: Suffixes, arguments: list[str]) -> str:
            chosen = self._chosen(checked_count(arguments, 0, 1))
            return self.separator.join(text(self.channels[one]) for one in chosen)

        return query

    def _add_channel_setting(
        self,
        pattern: str,
        kind: Kind[float] | Kind[bool],
        name: str,
        get: Callable[[ScannedChannel], float],
        rounded: Callable[[float], float] | None = None,
    ) -> None:
        """Add a setting of channels: ``value[,(@list)]``, and its query."""

        def write(_: Suffixes, arguments: list[str]) -> None:
            chosen = self._chosen(checked_count(arguments, 1, 2)[1:])
            value = kind.read(arguments[0])
            self.channels.change(chosen, **{name: value if rounded is None else rounded(value)})

        self.command(pattern, write, self._per_channel(lambda one: kind.write(get(one))))  # type: ignore[arg-type]

    def _add_range(self, path: str, suffix: str = "") -> None:
        """Add the range of channels, which is also automatic."""

        def range_(_: Suffixes, arguments: list[str]) -> None:
            chosen = self._chosen(checked_count(arguments, 1, 2)[1:])
            volts = Number(0.0, self.most_V).read(arguments[0])
            self.channels.change(chosen, range_V=self._range_for(volts), autorange=False)

        self.command(f"{path}:RANGe{suffix}", range_, self._per_channel(lambda one: self.form % one.range_V))
        self._add_channel_setting(f"{path}:RANGe:AUTO", Flag(), "autorange", lambda one: one.autorange)

    def _listed(self, arguments: list[str]) -> tuple[int, ...]:
        """Return the channels of the only argument."""
        return self.channels.listed(checked_count(arguments, 1)[0])

    def _close_one_of_all(self, _: Suffixes, arguments: list[str]) -> None:
        """Close a channel beside those that are closed already."""
        chosen = set(self._listed(arguments))
        if len(self.closed | chosen) > 1:  # two channels would short two nodes
            raise VirtualInstrumentError(-241)
        self.closed |= chosen

    def _open(self, _: Suffixes, arguments: list[str]) -> None:
        self.closed -= set(self._listed(arguments))


def as_list(channels: Sequence[int]) -> str:
    """Return a channel list, in which neighbours are a range.

    Examples
    --------
    >>> as_list([101, 102, 103, 105])
    '(@101:103,105)'
    """
    runs: list[list[int]] = []
    for channel in channels:
        if runs and runs[-1][-1] == channel - 1:
            runs[-1].append(channel)
        else:
            runs.append([channel])
    return f"(@{','.join(str(run[0]) if len(run) == 1 else f'{run[0]}:{run[-1]}' for run in runs)})"
