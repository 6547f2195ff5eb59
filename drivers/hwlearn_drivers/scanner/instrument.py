"""Scanning voltmeters on a mixed bench: their table, `ScannerInstrument`, and `ScannerOnBench`."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Annotated, ClassVar, Literal

import numpy as np
from pydantic import AfterValidator

from hwlearn.errors import SetupError
from hwlearn.network.limits import Limits
from hwlearn.network.reports import InstrumentReport
from hwlearn.quantities import Count, NonNegativeSeconds, NonNegativeVolts, Positive, PositiveVolts
from hwlearn_drivers.address import spelled_once
from hwlearn_drivers.roles.instrument import ReadsVoltages
from hwlearn_drivers.roles.on_source import OnSource
from hwlearn_drivers.roles.settings import InstrumentSettings
from hwlearn_drivers.roles.values import ChannelReadings, ChannelUse, Role
from hwlearn_drivers.scanner.capability import ScannerCapability, ScanSettings
from hwlearn_drivers.scanner.inspection import inspect_scanner
from hwlearn_drivers.scanner.registry import family_of, model_name, models, open_scanner, write_off_and_check
from hwlearn_drivers.scanner.scanner import Scanner
from hwlearn_drivers.transport.addresses import is_serial, prepare_link
from hwlearn_drivers.transport.connector import Connector


class ScannerOnBench(OnSource, ReadsVoltages):
    """A scanning voltmeter on a bench. It reads its channels one after the other while the sources hold.

    Parameters
    ----------
    called : str
        Name in the bench file.
    scanner : Scanner
    voltage_sigma : float
        Standard uncertainty of a reading in volts; 0 if it is not known.
    resolution_V : float
        Smallest difference of two readings in volts.
    from_data_sheet : bool
        Whether the uncertainty is the one of the data sheet.
    """

    source: Scanner

    def __init__(
        self, called: str, scanner: Scanner, voltage_sigma: float, resolution_V: float, from_data_sheet: bool
    ) -> None:
        super().__init__(called, scanner)
        self._sigma_V, self._resolution_V = voltage_sigma, resolution_V
        self._from_data_sheet = from_data_sheet

    def start_again(self) -> None:
        """Send OFF, reset it and set it up again, after somebody else changed settings."""
        self.source.start_again()

    def check_state(self) -> None:
        """Read back the settings of every channel in use, and the error queue."""
        self.source.check_settings()

    @property
    def voltage_sigma(self) -> float:
        """Standard uncertainty of one reading in volts; 0 if it is not known."""
        return self._sigma_V

    @property
    def sigma_is_from_data_sheet(self) -> bool:
        """Whether `voltage_sigma` is the figure of the data sheet."""
        return self._from_data_sheet

    @property
    def resolution_V(self) -> float:
        """Smallest voltage difference that a reading can resolve: its step, or its uncertainty if larger."""
        return max(self._resolution_V, self._sigma_V)

    def measures_current(self, channel: str) -> bool:
        """Return False: it reads voltages only."""
        return False

    def read(self, channels: Sequence[str]) -> ChannelReadings:
        """Read channels one after the other; an overload is infinite, and refused by the bench."""
        return ChannelReadings(np.array(self.source.read(channels), dtype=np.float64))


class ScannerInstrument(InstrumentSettings):
    """Keys of a scanning voltmeter in ``[[backend.instruments]]``; channels have the names of its manual: ``101``.

    Attributes
    ----------
    address : str
    nplc : float
        Integration time of every reading in power line cycles.
    voltage_range : quantity or "limits"
        Range of all channels: the smallest one that covers this value, or ``limits.voltage``. It is never changed
        automatically; a reading beyond it is refused.
    autozero : bool
        Take a zero reading after each reading, which doubles its time.
    high_impedance : bool
        The high input resistance (above 10 Gohm) instead of 10 Mohm.
    channel_delay : quantity
        Wait between closing a channel and reading it.
    voltage_sigma : quantity, optional
        Standard uncertainty of one reading. Default: noise and resolution of the data sheet.
    baud : int, optional
        Required on a serial port.
    """

    kind: ClassVar[str] = "scanner"

    model: Annotated[str, AfterValidator(model_name)]
    address: Annotated[str, AfterValidator(spelled_once)]
    nplc: Positive = 1.0
    voltage_range: Literal["limits"] | PositiveVolts = "limits"
    autozero: bool = True
    high_impedance: bool = False
    channel_delay: NonNegativeSeconds = 0.002
    voltage_sigma: NonNegativeVolts | None = None
    baud: Count | None = None

    @classmethod
    def models(cls) -> Collection[str]:
        """Return the model numbers of every family."""
        return models()

    @property
    def addresses(self) -> tuple[str, ...]:
        """The address."""
        return (self.address,)

    def channel_roles(self, channel: str) -> frozenset[Role]:
        """Return the reader; raises SetupError if the model has no such channel, whatever its cards."""
        family_of(self.model).place_of(self.model, channel)
        return frozenset({Role.READ})

    def check_use(self, use: ChannelUse, limits: Limits) -> None:
        """Refuse settings that the model does not have.

        Raises
        ------
        SetupError
        """
        self.scan_settings(limits)
        least = self.capability.least_channels
        if 0 < len(use.reads) < least:
            raise SetupError(
                f"{self.name}: a {self.model} scans at least {least} channels, the bench reads one; read "
                "another node, such as an input"
            )
        if is_serial(self.address) and self.baud is None:
            raise SetupError(f"{self.name}: baud is missing; state the one that is set on the {self.model}")

    def scan_settings(self, limits: Limits) -> ScanSettings:
        """Return the settings for the limits of a bench.

        Raises
        ------
        SetupError
            If the model does not have one of them.
        """
        capability = self.capability
        wanted_V = limits.voltage if isinstance(self.voltage_range, str) else self.voltage_range
        try:
            range_V = capability.range_for(wanted_V)
            capability.check_nplc(self.nplc)
            capability.check_delay(self.channel_delay)
            capability.check_impedance(self.high_impedance, range_V)
        except SetupError as error:
            raise SetupError(f"{self.name} (a {self.model}): {error}") from None
        return ScanSettings(range_V, self.nplc, self.autozero, self.high_impedance, self.channel_delay)

    @property
    def capability(self) -> ScannerCapability:
        """What the model can do."""
        return family_of(self.model).capabilities[self.model]

    def open(self, use: ChannelUse, limits: Limits, connector: Connector) -> ScannerOnBench:
        """Open it with every channel open; see `open_scanner`."""
        settings = self.scan_settings(limits)
        scanner = open_scanner(self.address, self.model, use.reads, settings, self._with_baud(connector))
        known_V = self.capability.sigma_V(settings.range_V, settings.nplc)
        sigma_V = known_V if self.voltage_sigma is None else self.voltage_sigma
        return ScannerOnBench(
            self.name,
            scanner,
            0.0 if sigma_V is None else sigma_V,
            self.capability.resolution_V(settings.range_V, settings.nplc),
            from_data_sheet=self.voltage_sigma is None and known_V is not None,
        )

    def inspect(self, nodes: Mapping[str, str], connector: Connector) -> InstrumentReport:
        """Return its cards and closed channels, with queries only; see `inspect_scanner`."""
        return inspect_scanner(self.address, self.model, nodes, self._with_baud(connector))

    def prepare_off(self, connector: Connector) -> None:
        """Import and look up what `write_off` needs."""
        prepare_link(self.address, connector.options)

    def write_off(self, connector: Connector, check: bool) -> bool:
        """Abort the scan and open every channel; see `write_off_and_check`."""
        return write_off_and_check(self.address, self.model, self._with_baud(connector), check)

    def _with_baud(self, connector: Connector) -> Connector:
        return connector if self.baud is None else connector.with_baud(self.baud)
