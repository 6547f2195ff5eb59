"""`DaqInstrument`: the table of a DAQ device of NI in ``[[backend.instruments]]``."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from contextlib import suppress
from typing import Annotated, ClassVar, Final, Literal, Self

from pydantic import Field, model_validator

from hwlearn.errors import SetupError
from hwlearn.network.limits import Limits
from hwlearn.network.reports import InstrumentReport
from hwlearn.quantities import FROM_LIST, Count, NonNegativeVolts, PositiveSeconds
from hwlearn_drivers.claims.claim import Claim
from hwlearn_drivers.claims.keys import address_key
from hwlearn_drivers.daq.calls.calls import DaqCalls
from hwlearn_drivers.daq.calls.dry import DryCalls
from hwlearn_drivers.daq.calls.logs import PrintedCalls, WiredCalls
from hwlearn_drivers.daq.calls.replayed import ReplayedCalls
from hwlearn_drivers.daq.device import DaqDevice
from hwlearn_drivers.daq.errors import daq_errors
from hwlearn_drivers.daq.inspection import inspect_daq
from hwlearn_drivers.daq.library import load_library
from hwlearn_drivers.daq.off import write_off_all
from hwlearn_drivers.daq.plan import DaqPlan
from hwlearn_drivers.daq.roles import DaqOnBench
from hwlearn_drivers.errors import InstrumentError, LinkError
from hwlearn_drivers.roles.settings import InstrumentSettings
from hwlearn_drivers.roles.values import ChannelUse, Role
from hwlearn_drivers.transport.connector import Connector

_OUTPUT: Final = re.compile(r"ao(0|[1-9][0-9]*)")
_INPUT: Final = re.compile(r"ai(0|[1-9][0-9]*)")
_LINE: Final = re.compile(r"port(0|[1-9][0-9]*)/line(0|[1-9][0-9]*)")

LineName = Annotated[str, Field(pattern=_LINE.pattern)]


class DaqInstrument(InstrumentSettings):
    """Keys of a DAQ device; ``model = "nidaqmx"``. Channels: ``ao0``, ``ai3``, ``port0/line1``.

    Attributes
    ----------
    address : str
        Name of the device in NI MAX, such as ``"Dev1"``.
    product, serial : str, optional
        Product type and serial number (hexadecimal) that must answer.
    terminal_configuration : str
        ``RSE`` (to the ground of the device), ``NRSE`` (to its sense input), ``DIFF``, ``PSEUDO_DIFF``.
    samples : int, optional
        Samples of each input that a reading averages. Default: ``mains_periods``.
    mains_periods : int, optional
        Time over which a reading averages, in periods of the mains. Default: 1.
    mains : 50 or 60
        Frequency of the mains in hertz.
    channel_settle : quantity or "device", optional
        Time from one input of a scan to the next. Default: until the charge of the last one has flowed off through
        the smallest conductance of the limits, at least the time that NI-DAQmx would choose. ``"device"``: the
        device decides.
    ground_channel : str, optional
        Input at ground that is scanned before each other one: ``ai15``, or an internal one (``_aignd_vs_aignd``).
    lines : tuple of str
        Digital lines that are switches of nudges. OFF opens them, also from another process.
    switch_closed : "high" or "low"
        Level that closes a switch.
    voltage_sigma : quantity, optional
        Standard uncertainty of a reading. Default: noise of the data sheet over the root of the number of samples.
    allow_simulated : bool
        Accept a device that NI-DAQmx only simulates.
    """

    kind: ClassVar[str] = "nidaqmx"

    address: Annotated[str, Field(pattern=r"^[^\s/,]+$")]
    product: str = ""
    serial: Annotated[str, Field(pattern=r"^[0-9A-Fa-f]*$")] = ""
    terminal_configuration: Literal["RSE", "NRSE", "DIFF", "PSEUDO_DIFF"] = "RSE"
    samples: Count | None = None
    mains_periods: Count | None = None
    mains: Literal[50, 60] = 50
    channel_settle: Literal["device"] | PositiveSeconds | None = None
    ground_channel: Annotated[str, Field(pattern=r"^(ai[0-9]+|_[a-z0-9_]+)?$")] = ""
    lines: Annotated[tuple[LineName, ...], FROM_LIST] = ()
    switch_closed: Literal["high", "low"] = "high"
    voltage_sigma: NonNegativeVolts | None = None
    allow_simulated: bool = False

    @model_validator(mode="after")
    def _one_average(self) -> Self:
        if self.samples is not None and self.mains_periods is not None:
            raise ValueError("samples and mains_periods both say how long a reading averages; give one of them")
        return self

    @classmethod
    def models(cls) -> Collection[str]:
        """Return ``nidaqmx``."""
        return ("nidaqmx",)

    @property
    def addresses(self) -> tuple[str, ...]:
        """The name of the device, without regard to case, as an address that no other library has."""
        return (f"daqmx://{self.address.lower()}",)

    def channel_roles(self, channel: str) -> frozenset[Role]:
        """Return what a channel of this name can do; whether the device has it is known when it is opened."""
        if _OUTPUT.fullmatch(channel):
            return frozenset({Role.SOURCE})
        if _INPUT.fullmatch(channel):
            return frozenset({Role.READ})
        if _LINE.fullmatch(channel):
            if channel not in self.lines:
                raise SetupError(
                    f"{channel} is not in lines = [...] of {self.name}; list every line that is a switch there, "
                    "so that OFF opens it"
                )
            return frozenset({Role.SWITCH})
        raise SetupError(f"{self.name} has no channel {channel!r}; its channels are called ao0, ai3, port0/line1")

    def check_use(self, use: ChannelUse, limits: Limits) -> None:
        """Refuse a ground channel that is also read."""
        if self.ground_channel in use.reads:
            raise SetupError(
                f"{self.name}: ground_channel = {self.ground_channel!r} is read at node "
                f"{use.node(self.ground_channel)}; connect it to ground, and read another one"
            )

    def open(self, use: ChannelUse, limits: Limits, connector: Connector) -> DaqOnBench:
        """Open the device with every output at 0 V; see `DaqDevice`."""
        claim = Claim(self.addresses[0], None if connector.is_rehearsal else address_key(self.addresses[0]))
        try:
            device = DaqDevice(self._calls(connector), self._plan(use, limits, connector), claim)
        except BaseException:
            claim.release()
            raise
        try:
            claim.check()
        except BaseException:
            device.close()
            raise
        return DaqOnBench(self.name, device, use, limits)

    def inspect(self, nodes: Mapping[str, str], connector: Connector) -> InstrumentReport:
        """Return what the device reports of itself and its outputs; see `inspect_daq`."""
        claim = Claim(self.addresses[0], address_key(self.addresses[0]))
        try:
            return inspect_daq(self._calls(connector), nodes)
        finally:
            claim.release()

    def prepare_off(self, connector: Connector) -> None:
        """Load the package and the driver that `write_off` needs; the device may be missing."""
        if not connector.dry_run:
            library = load_library(self.address)
            with daq_errors(library, self.name, "loading the driver"), suppress(library.errors.DaqError):
                str(library.system.Device(self.address).product_type)

    def write_off(self, connector: Connector, check: bool) -> bool:
        """Write 0 V to every analog output of the device and open the switches, also if another process uses it.

        If another task holds them, the device is reset first, which ends the tasks of every process.
        """
        try:
            calls = self._calls(connector)
            write_off_all(calls, calls.facts(), self.lines, self.switch_closed == "low")
        except (InstrumentError, SetupError) as error:  # OFF of other instruments does not end with it
            raise LinkError(str(error)) from error
        return check

    def _calls(self, connector: Connector) -> DaqCalls:
        called = f"{self.name} (NI-DAQmx device {self.address})"
        if connector.replay is not None:
            return ReplayedCalls(called, self.address, connector.replay.link(self.addresses[0]))
        if connector.dry_run:
            return DryCalls(called, self.address, PrintedCalls(self.address))
        wire_log = connector.wire_log
        log = None if wire_log is None else WiredCalls(wire_log, self.addresses[0])
        return DaqCalls(load_library(self.address), called, self.address, log)

    def _plan(self, use: ChannelUse, limits: Limits, connector: Connector) -> DaqPlan:
        periods = 1 if self.mains_periods is None else self.mains_periods
        return DaqPlan(
            sources=tuple(use.sources),
            reads=tuple(use.reads),
            lines=self.lines,
            closed_high=self.switch_closed == "high",
            limit_V=limits.voltage,
            configuration=self.terminal_configuration,
            ground_channel=self.ground_channel,
            settle_s=None if isinstance(self.channel_settle, str) else self.channel_settle,
            sets_settle=self.channel_settle != "device",
            source_ohm=1 / limits.conductance[0],
            samples=self.samples,
            average_s=periods / self.mains if self.samples is None else None,
            sigma_V=self.voltage_sigma,
            timeout_s=connector.options.timeout_s,
            product=self.product,
            serial=self.serial,
            allow_simulated=self.allow_simulated,
        )
