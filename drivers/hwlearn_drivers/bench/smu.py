"""Source-measure units on a mixed bench: their table, `SmuInstrument`, and the roles of their channels."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from typing import Annotated, ClassVar, Final, Literal

import numpy as np
from pydantic import AfterValidator

from hwlearn.errors import SetupError
from hwlearn.network.limits import Limits
from hwlearn.network.nudges import DriveKind
from hwlearn.network.reports import InstrumentReport
from hwlearn.quantities import Count, NonNegativeAmperes, NonNegativeVolts, Positive
from hwlearn_drivers.address import spelled_once
from hwlearn_drivers.instrument.voltage_noise import largest_sigma
from hwlearn_drivers.roles.instrument import DrivesOutputs, ReadsVoltages, SetsVoltages
from hwlearn_drivers.roles.on_source import OnSource
from hwlearn_drivers.roles.settings import InstrumentSettings
from hwlearn_drivers.roles.values import ChannelReadings, ChannelUse, Role, SourceRange
from hwlearn_drivers.smu.channel import SmuChannel
from hwlearn_drivers.smu.operating_range import ChannelLimit
from hwlearn_drivers.smu.registry import (
    family_of,
    model_name,
    models,
    open_smu,
    serial_connector,
    write_off_and_check,
)
from hwlearn_drivers.smu.smu import Smu
from hwlearn_drivers.smu.status.inspection import inspect_smu
from hwlearn_drivers.transport.addresses import prepare_link
from hwlearn_drivers.transport.connector import Connector

_NUMBERS: Final = {"A": 1, "B": 2, "1": 1, "2": 2}
_ROLES: Final = frozenset({Role.SOURCE, Role.READ, Role.NUDGE})


class SmuOnBench(OnSource, SetsVoltages, ReadsVoltages, DrivesOutputs):
    """A source-measure unit on a mixed bench.

    Parameters
    ----------
    called : str
        Name in the bench file.
    smu : Smu
    use : ChannelUse
    limits : Limits
    voltage_sigma, current_sigma : float
        Standard uncertainties of a reading; 0 if not stated.
    from_data_sheet : bool
        Whether ``voltage_sigma`` is the figure of the data sheet.
    """

    source: Smu

    def __init__(
        self,
        called: str,
        smu: Smu,
        use: ChannelUse,
        limits: Limits,
        voltage_sigma: float,
        current_sigma: float,
        *,
        from_data_sheet: bool,
    ) -> None:
        super().__init__(called, smu)
        self._use, self._limits = use, limits
        self._sigmas, self._from_data_sheet = (voltage_sigma, current_sigma), from_data_sheet
        self._channels = {name: smu.channel(_number(name)) for name in use.channels}
        self._floating = [name for name in use.channels if name not in use.sources]
        for name, channel in self._channels.items():
            channel.terminal = use.place(name)

    def start_again(self) -> None:
        """Send OFF, reset and set up again, after somebody else changed settings."""
        self.source.start_again()

    def check_state(self) -> None:
        """Read back output, source, level and limit of every channel in use."""
        self.source.check_states(list(self._channels.values()))

    # --- voltage source -----------------------------------------------------------------------------

    def source_range(self, channel: str) -> SourceRange:
        """Return the range of the model; `SmuChannel` checks the limits of the bench too."""
        operating, own = self.source.operating_range, self._channels[channel]
        most, reach = operating.most("voltage"), own.voltage_range or self._limits.voltage
        return SourceRange(-most, most, operating.resolution("voltage", reach))

    def prepare_sources(self) -> None:
        """Make every source channel a voltage source at 0 V with the current limit of the bench."""
        for name in self._use.sources:
            self._channels[name].voltage_source(0.0, self._limits.current)

    def switch_sources_on(self) -> None:
        """Switch every source channel on."""
        for name in self._use.sources:
            self._channels[name].on()

    def set_voltages(self, volts: Mapping[str, float], check: bool) -> None:
        """Set levels; see `SetsVoltages.set_voltages`."""
        self._set(volts, check)

    # --- reader -------------------------------------------------------------------------------------

    @property
    def voltage_sigma(self) -> float:
        """Standard uncertainty of one reading in volts; 0 if it is not stated."""
        return self._sigmas[0]

    @property
    def sigma_is_from_data_sheet(self) -> bool:
        """Whether `voltage_sigma` is the figure of the data sheet."""
        return self._from_data_sheet

    @property
    def current_sigma(self) -> float:
        """Standard uncertainty of one current reading in amperes; 0 if it is not stated."""
        return self._sigmas[1]

    def measures_current(self, channel: str) -> bool:
        """Return True: every channel does."""
        return True

    def read(self, channels: Sequence[str]) -> ChannelReadings:
        """Read voltage, current and compliance; the state is read back in the same message."""
        found = [self._channels[name].read() for name in channels]
        return ChannelReadings(
            np.array([one.volts for one in found]),
            np.array([one.amperes for one in found]),
            np.array([one.limited for one in found], dtype=np.bool_),
        )

    # --- nudge --------------------------------------------------------------------------------------

    def prepare_outputs(self) -> None:
        """Let every channel that is no source float: a current source at 0 A, with the voltage limit."""
        for name in self._floating:
            self._channels[name].current_source(0.0, self._limits.voltage)

    def switch_outputs_on(self) -> None:
        """Switch every channel on that is no source."""
        for name in self._floating:
            self._channels[name].on()

    def change_drives(self, clamps: Mapping[str, bool]) -> dict[str, float]:
        """Change the kind of source at the present reading; see `DrivesOutputs.change_drives`."""
        levels = {}
        for name, clamp in clamps.items():
            channel = self._channels[name]
            if (channel.source == "voltage") is clamp:
                continue
            now = channel.read()
            if clamp:
                levels[name] = _inside(now.volts, self._limits.voltage)
                channel.voltage_source(levels[name], self._limits.current)
            else:
                levels[name] = _inside(now.amperes, self._limits.current)
                channel.current_source(levels[name], self._limits.voltage)
        return levels

    def set_outputs(self, levels: Mapping[str, float], check: bool) -> None:
        """Set levels; see `SetsVoltages.set_voltages`."""
        self._set(levels, check)

    def _set(self, levels: Mapping[str, float], check: bool) -> None:
        for name, level in levels.items():
            if check:
                self._channels[name].change_level(level)
            else:
                self._channels[name].set_level(level)


class SmuInstrument(InstrumentSettings):
    """Keys of a source-measure unit in ``[[backend.instruments]]``; its channels are ``a``, ``b`` or ``1``, ``2``.

    Attributes
    ----------
    address : str
    nplc : float
        Integration time of every reading in power line cycles.
    voltage_range, current_range : quantity, "limits" or "auto"
        Ranges of all channels: a fixed value, the limit of the bench, or automatic.
    four_wire : bool
    voltage_sigma : quantity, optional
        Standard uncertainty of one reading; 0: not stated. Default: that of the data sheet for range and ``nplc``,
        if `hwlearn_drivers.smu.tables` has one.
    current_sigma : quantity
        Standard uncertainty of one current reading; 0: not stated.
    baud : int, optional
    """

    kind: ClassVar[str] = "smu"

    model: Annotated[str, AfterValidator(model_name)]
    address: Annotated[str, AfterValidator(spelled_once)]
    nplc: Positive = 1.0
    voltage_range: Literal["limits", "auto"] | NonNegativeVolts = "limits"
    current_range: Literal["limits", "auto"] | NonNegativeAmperes = "auto"
    four_wire: bool = False
    voltage_sigma: NonNegativeVolts | None = None
    current_sigma: NonNegativeAmperes = 0.0
    baud: Count | None = None

    @classmethod
    def models(cls) -> Collection[str]:
        """Return the model numbers of every family; a mixed bench states the model."""
        return models()

    @property
    def addresses(self) -> tuple[str, ...]:
        """The address."""
        return (self.address,)

    def channel_roles(self, channel: str) -> frozenset[Role]:
        """Return source, reader and nudge; raises SetupError if the model has no such channel."""
        count = family_of(self.model).operating_ranges[self.model].channels
        if _NUMBERS.get(channel.upper(), 3) > count:
            known = "a" if count == 1 else "a, b"
            raise SetupError(f"{self.name} (a {self.model}) has no channel {channel!r}; it has: {known}")
        return _ROLES

    @property
    def drive_kinds(self) -> frozenset[DriveKind]:
        """Clamp and current: every channel is both."""
        return frozenset(("clamp", "current"))

    def pin(self, role: Role, channel: str) -> str:
        """Return the number of the channel: ``a`` is ``1``."""
        return str(_NUMBERS.get(channel.upper(), channel))

    def check_use(self, use: ChannelUse, limits: Limits) -> None:
        """Refuse one channel with two names, and a channel that is source and nudge at once."""
        numbers = [_number(name) for name in use.channels]
        if len(set(numbers)) < len(numbers):
            raise SetupError(
                f"one channel of {self.name} has two names: {', '.join(use.channels)}; use one of them"
            )

    def open(self, use: ChannelUse, limits: Limits, connector: Connector) -> SmuOnBench:
        """Open it with its outputs off; see `open_smu`."""
        allowed = ChannelLimit(limits.voltage, limits.current)
        own = serial_connector(self.address, self.model, self._with_baud(connector))
        used = {_number(name): allowed for name in use.channels}
        smu = open_smu(self.address, used, model=self.model, connector=own)
        try:
            for channel in smu.channels:
                self._set_up(channel, limits)
            reach_V = _fixed(self.voltage_range, limits.voltage) or limits.voltage
            known_V = largest_sigma([smu.operating_range.voltage_sigma(reach_V, self.nplc)])
            return SmuOnBench(
                self.name,
                smu,
                use,
                limits,
                known_V if self.voltage_sigma is None else self.voltage_sigma,
                self.current_sigma,
                from_data_sheet=self.voltage_sigma is None and known_V > 0,
            )
        except BaseException:
            smu.close()
            raise

    def _set_up(self, channel: SmuChannel, limits: Limits) -> None:
        channel.nplc = self.nplc
        if self.four_wire:
            channel.four_wire = True
        channel.voltage_range = _fixed(self.voltage_range, limits.voltage)
        channel.current_range = _fixed(self.current_range, limits.current)

    def inspect(self, nodes: Mapping[str, str], connector: Connector) -> InstrumentReport:
        """Return the state of every channel, with queries only; see `inspect_smu`."""
        by_number = {_number(channel): node for channel, node in nodes.items() if channel.upper() in _NUMBERS}
        return inspect_smu(self.address, self.model, by_number, self._with_baud(connector))

    def prepare_off(self, connector: Connector) -> None:
        """Import and look up what `write_off` needs."""
        prepare_link(self.address, connector.options)

    def write_off(self, connector: Connector, check: bool) -> bool:
        """Send OFF to every channel; see `write_off_and_check`."""
        return write_off_and_check(self.address, self.model, self._with_baud(connector), check)

    def _with_baud(self, connector: Connector) -> Connector:
        return connector if self.baud is None else connector.with_baud(self.baud)


def _number(channel: str) -> int:
    return _NUMBERS[channel.upper()]


def _fixed(wanted: float | str, limit: float) -> float | None:
    """Return the range to set: a fixed range, the limit as range, or None for the instrument's choice."""
    return None if wanted == "auto" else limit if isinstance(wanted, str) else wanted


def _inside(value: float, most: float) -> float:
    """Clip a reading to the limit, because noise may carry it beyond; a reading that is no number stays one."""
    return value if math.isnan(value) else min(max(value, -most), most)
