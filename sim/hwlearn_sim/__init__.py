"""Simulated benches: the Kirchhoff twin, and virtual instruments served over sockets or serial ports.

Each name is imported at its first use: the command line must start fast.
"""

from typing import TYPE_CHECKING

from hwlearn.lazy import lazy_names

if TYPE_CHECKING:
    from hwlearn_sim.bench.bench import VirtualBench
    from hwlearn_sim.devices.imperfections import Imperfections
    from hwlearn_sim.placed import PlacedBoard, PlacedCard, PlacedSmu
    from hwlearn_sim.twin.twin import KirchhoffTwin

__all__ = ["Imperfections", "KirchhoffTwin", "PlacedBoard", "PlacedCard", "PlacedSmu", "VirtualBench"]

if not TYPE_CHECKING:  # a type checker must refuse names that do not exist
    __getattr__, __dir__ = lazy_names(
        __name__,
        {
            "hwlearn_sim.bench.bench": ["VirtualBench"],
            "hwlearn_sim.devices.imperfections": ["Imperfections"],
            "hwlearn_sim.placed": ["PlacedBoard", "PlacedCard", "PlacedSmu"],
            "hwlearn_sim.twin.twin": ["KirchhoffTwin"],
        },
    )
