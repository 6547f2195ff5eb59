"""The circuit that a source-measure channel is when its output is off."""

from __future__ import annotations

from hwlearn_sim.instruments.capability import ChannelCapability, ChannelState
from hwlearn_sim.instruments.ranges import Range
from hwlearn_sim.plane.sources import CurrentSource, Open, Source, VoltageSource


def off_source(
    settings: ChannelState, capability: ChannelCapability, volts: Range, amperes: Range, limit_A: float
) -> Source:
    """Return the source of a channel whose output is off.

    Parameters
    ----------
    settings : ChannelState
        The settings, with the output-off state of each source function.
    capability : ChannelCapability
        Specifications of the model.
    volts, amperes : Range
        Voltage range of the source; current range that determines the small limit of the normal state.
    limit_A : float
        Current limit of the voltage source in effect.
    """
    state = settings.off_states[settings.function]
    small_A = settings.off_limits["current"] or capability.off_fraction * amperes.full_scale
    if state == "HIMP":
        return Open()
    if state == "GUAR":
        return CurrentSource(0.0, capability.off_fraction * volts.full_scale)
    if state == "ZERO":
        if settings.function == "voltage":
            return VoltageSource(0.0, limit_A)
        return VoltageSource(0.0, max(abs(settings.levels["current"]), small_A))
    if settings.off_function == "current":
        return CurrentSource(0.0, settings.off_limits["voltage"])
    return VoltageSource(0.0, small_A)
