"""Source-measure units: one `SmuChannel` for every model."""

from hwlearn_drivers.smu.channel import SmuChannel
from hwlearn_drivers.smu.reading import Reading, Sweep
from hwlearn_drivers.smu.registry import open_smu
from hwlearn_drivers.smu.smu import Smu
from hwlearn_drivers.smu.span import Ceiling

__all__ = ["Ceiling", "Reading", "Smu", "SmuChannel", "Sweep", "open_smu"]
