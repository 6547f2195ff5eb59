"""Counterparts of `nidaqmx.system.Device` and its channels."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from hwlearn_sim.instruments.daq.constants import TerminalConfiguration
from hwlearn_sim.instruments.daq.device import VirtualDaq


@dataclass(frozen=True, slots=True)
class PhysicalChannel:
    """A channel of a device, by its full name."""

    name: str
    ai_term_cfgs: tuple[TerminalConfiguration, ...] = ()


class Device:
    """A device by its name; whether it exists is found when a property is asked for.

    Parameters
    ----------
    name : str
    find : callable
        Returns the virtual device, or raises DaqError.
    """

    def __init__(self, name: str, find: Callable[[str], VirtualDaq]) -> None:
        self.name, self._find = name, find

    @property
    def _own(self) -> VirtualDaq:
        found = self._find(self.name)
        found.check_there()
        return found

    @property
    def product_type(self) -> str:
        """Product type."""
        return self._own.model.product

    @property
    def serial_num(self) -> int:
        """Serial number; 0 for none."""
        return self._own.serial_num

    @property
    def is_simulated(self) -> bool:
        """Whether NI-DAQmx simulates the device; a virtual one stands for a real one."""
        return self._own.simulated

    @property
    def ao_physical_chans(self) -> list[PhysicalChannel]:
        """Analog outputs."""
        return [PhysicalChannel(f"{self.name}/{name}") for name in self._own.outputs]

    @property
    def ai_physical_chans(self) -> list[PhysicalChannel]:
        """Analog inputs, without the internal ones."""
        model = self._own.model
        return [
            PhysicalChannel(
                f"{self.name}/ai{k}", tuple(TerminalConfiguration[one] for one in model.input_configurations(k))
            )
            for k in range(model.inputs)
        ]

    @property
    def do_lines(self) -> list[PhysicalChannel]:
        """Digital output lines."""
        return [PhysicalChannel(f"{self.name}/{line}") for line in self._own.lines]

    @property
    def ao_voltage_rngs(self) -> list[float]:
        """Pairs of low and high ends."""
        return [end for one in self._own.model.output_ranges for end in one]

    @property
    def ai_voltage_rngs(self) -> list[float]:
        """Pairs of low and high ends."""
        return [end for one in self._own.model.input_ranges for end in one]

    @property
    def ai_max_multi_chan_rate(self) -> float:
        """Conversions per second over all channels, or of each channel if they are sampled at once."""
        return self._own.model.input_rate_Hz

    @property
    def ai_simultaneous_sampling_supported(self) -> bool:
        """Whether each input has a converter of its own."""
        return self._own.model.simultaneous

    def reset_device(self) -> None:
        """Abort all tasks of the device."""
        self._own.reset_device()
