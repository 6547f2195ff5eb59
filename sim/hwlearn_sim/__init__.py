"""Simulated benches: the Kirchhoff twin, and virtual instruments on real wires.

What is named here is imported when it is first used: the command line must start fast.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hwlearn_sim.bench.bench import VirtualBench
    from hwlearn_sim.devices.imperfections import Imperfections
    from hwlearn_sim.placed import PlacedBoard, PlacedCard, PlacedSmu
    from hwlearn_sim.twin.twin import KirchhoffTwin

__all__ = ["Imperfections", "KirchhoffTwin", "PlacedBoard", "PlacedCard", "PlacedSmu", "VirtualBench"]

_HOMES = {
    "Imperfections": "hwlearn_sim.devices.imperfections",
    "KirchhoffTwin": "hwlearn_sim.twin.twin",
    "PlacedBoard": "hwlearn_sim.placed",
    "PlacedCard": "hwlearn_sim.placed",
    "PlacedSmu": "hwlearn_sim.placed",
    "VirtualBench": "hwlearn_sim.bench.bench",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
