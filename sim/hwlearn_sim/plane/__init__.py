"""The analog plane: one simulated circuit that several virtual instruments share."""

from typing import TYPE_CHECKING

from hwlearn.lazy import lazy_names

if TYPE_CHECKING:
    from hwlearn_sim.plane.plane import AnalogPlane as AnalogPlane
    from hwlearn_sim.plane.sources import CurrentSource as CurrentSource
    from hwlearn_sim.plane.sources import Open as Open
    from hwlearn_sim.plane.sources import Source as Source
    from hwlearn_sim.plane.sources import VoltageSource as VoltageSource
else:
    __all__, __getattr__, __dir__ = lazy_names(__name__)
