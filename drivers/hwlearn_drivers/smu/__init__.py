"""Drivers of source-measure units (SMUs), with one `SmuChannel` interface for all models."""

from hwlearn_drivers.smu.channel import SmuChannel
from hwlearn_drivers.smu.operating_range import ChannelLimit
from hwlearn_drivers.smu.reading import Reading, VoltageSweep
from hwlearn_drivers.smu.registry import open_smu
from hwlearn_drivers.smu.smu import Smu

__all__ = ["ChannelLimit", "Reading", "Smu", "SmuChannel", "VoltageSweep", "open_smu"]
