"""Simulated benches: the Kirchhoff twin, and virtual instruments served over sockets or serial ports.

Each name is imported at its first use: the command line must start fast.
"""

from typing import TYPE_CHECKING

from hwlearn.lazy import lazy_names

if TYPE_CHECKING:
    from hwlearn_sim.bench.bench import VirtualBench as VirtualBench
    from hwlearn_sim.devices.faults import EdgeFault as EdgeFault
    from hwlearn_sim.devices.imperfections import Imperfections as Imperfections
    from hwlearn_sim.placed import PlacedBoard as PlacedBoard
    from hwlearn_sim.placed import PlacedCard as PlacedCard
    from hwlearn_sim.placed import PlacedSmu as PlacedSmu
    from hwlearn_sim.twin.twin import KirchhoffTwin as KirchhoffTwin
else:
    __all__, __getattr__, __dir__ = lazy_names(__name__)
