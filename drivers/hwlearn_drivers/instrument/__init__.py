"""Base classes of all instrument drivers: messages, error queue, output state, discovery."""

from typing import TYPE_CHECKING

from hwlearn.lazy import lazy_names

if TYPE_CHECKING:
    from hwlearn_drivers.instrument.discovery import bus_resources as bus_resources
    from hwlearn_drivers.instrument.discovery import identify as identify
    from hwlearn_drivers.instrument.discovery import serial_ports as serial_ports
    from hwlearn_drivers.instrument.instrument import Identity as Identity
    from hwlearn_drivers.instrument.instrument import Instrument as Instrument
    from hwlearn_drivers.instrument.source import Source as Source
else:
    __all__, __getattr__, __dir__ = lazy_names(__name__)
