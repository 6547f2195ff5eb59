"""`DaqOnBench`: the roles that analog outputs, analog inputs and digital lines of a device play on a bench."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from hwlearn.errors import LimitError
from hwlearn.network.limits import Limits
from hwlearn.units import ROUNDING, format_quantity
from hwlearn_drivers.daq.device import DaqDevice
from hwlearn_drivers.instrument import open_outputs
from hwlearn_drivers.roles.instrument import ClosesSwitches, ReadsVoltages, SetsVoltages
from hwlearn_drivers.roles.values import ChannelReadings, ChannelUse, SourceRange


class DaqOnBench(SetsVoltages, ReadsVoltages, ClosesSwitches):
    """A DAQ device on a bench. Its outputs are always on; at 0 V they are off.

    Parameters
    ----------
    called : str
        Name in the bench file.
    device : DaqDevice
    use : ChannelUse
    limits : Limits
    """

    def __init__(self, called: str, device: DaqDevice, use: ChannelUse, limits: Limits) -> None:
        self._called, self._device, self._use, self._limits = called, device, use, limits

    @property
    def name(self) -> str:
        """Name in the bench file, with the name of the device, for messages."""
        return self._device.name

    @property
    def provenance(self) -> str:
        """Product, serial number, ranges and averaging, as the device reports them."""
        return self._device.provenance

    def halt(self, reopen: bool = True) -> None:
        """Write 0 V and open the switches; see `BenchInstrument.halt`."""
        self._device.halt(reopen)

    def rearm(self) -> None:
        """Allow writes again after `halt`; see `BenchInstrument.rearm`."""
        self._device.rearm()

    @property
    def halted_because(self) -> str | None:
        """Why something else in this process switched it off; None if nothing did."""
        return open_outputs.halted_because(self._device)

    def allow_again(self) -> None:
        """Forget why it was switched off, because a person reconnects it."""
        open_outputs.allow_again(self._device)

    @property
    def needs_reconnect(self) -> bool:
        """Whether the device was gone, or was only switched off since then."""
        return self._device.needs_reconnect

    def reconnect(self) -> None:
        """Reserve the channels again; see `BenchInstrument.reconnect`."""
        self._device.reconnect()

    def start_again(self) -> None:
        """Switch off, and reserve the channels again, after somebody else changed something."""
        self._device.reconnect()

    def close(self) -> None:
        """Switch off and release the device; closing twice is harmless."""
        self._device.close()

    def check_state(self) -> None:
        """Read the outputs back, where the device can and no reading has done so since they were written."""
        self._device.check_levels()

    # --- voltage source -----------------------------------------------------------------------------

    def source_range(self, channel: str) -> SourceRange:
        """Return the range that was selected, without the last step at its upper end."""
        own = self._device.output_range
        assert own is not None, "the wiring was checked"
        (low, high), step = own.limits, self._device.step_V
        return SourceRange(low, high - (step or 0.0), step)

    def nearest(self, channel: str, volts: float) -> float:
        """Return the voltage of the nearest step within the limits."""
        step, most = self._device.step_V, self._limits.voltage * (1 + ROUNDING)
        if step is None:
            return volts
        steps = round(volts / step)
        if abs(steps * step) > most:
            steps -= int(math.copysign(1, steps))
        return steps * step

    def prepare_sources(self) -> None:
        """Write 0 V to every output in use."""
        if self._use.sources:
            self._device.set_levels(dict.fromkeys(self._use.sources, 0.0))

    def switch_sources_on(self) -> None:
        """Do nothing: an analog output has no switch, and at 0 V it is off."""

    def set_voltages(self, volts: Mapping[str, float], check: bool) -> None:
        """Write the nearest steps, all at once; see `SetsVoltages.set_voltages`.

        The levels before it are not read back here: every reading does, where the device can.
        """
        most = self._limits.voltage
        levels = {}
        for channel, level in volts.items():
            where = f"output {channel} of {self.name} at node {self._use.node(channel)}"
            if not abs(level) <= most * (1 + ROUNDING):
                raise LimitError(
                    f"{format_quantity(level, 'V', 7)} on {where} exceeds limits.voltage = "
                    f"{format_quantity(most, 'V')}; nothing was written"
                )
            self.source_range(channel).check(where, level)
            levels[channel] = min(max(self.nearest(channel, level), -most), most)
        self._device.set_levels(levels)

    # --- reader -------------------------------------------------------------------------------------

    @property
    def voltage_sigma(self) -> float:
        """Standard uncertainty of an average in volts; 0 if it is neither stated nor in the data sheet."""
        scan = self._device.scan
        return 0.0 if scan is None else scan.sigma_V

    @property
    def sigma_is_from_data_sheet(self) -> bool:
        """Whether `voltage_sigma` is the figure of the data sheet."""
        scan = self._device.scan
        return scan is not None and scan.is_from_data_sheet

    @property
    def resolution_V(self) -> float:
        """Step of the converter over the root of the number of samples, or the uncertainty, if that is larger."""
        scan = self._device.scan
        if scan is None:
            return 0.0
        return max(scan.sigma_V, scan.step_V / math.sqrt(scan.sampling.samples))

    def measures_current(self, channel: str) -> bool:
        """Return False: a DAQ device reads voltages only."""
        return False

    def read(self, channels: Sequence[str]) -> ChannelReadings:
        """Read all inputs in one scan; outputs that can be read back are compared with what was written."""
        found = self._device.acquire()
        return ChannelReadings(
            np.array([found.volts[channel] for channel in channels]),
            saturated=np.array([found.saturated[channel] for channel in channels], dtype=np.bool_),
        )

    # --- switches -----------------------------------------------------------------------------------

    def set_switches(self, closed: Mapping[str, bool]) -> None:
        """Open switches, then close others."""
        self._device.set_lines(closed)
