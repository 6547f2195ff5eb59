"""The devices of this computer."""

from nidaqmx import library

Device = library.system.Device
System = library.system.System
