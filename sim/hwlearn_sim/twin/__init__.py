"""The Kirchhoff twin: a simulated network with the imperfections of hardware."""

from typing import TYPE_CHECKING

from hwlearn.lazy import lazy_names

if TYPE_CHECKING:
    from hwlearn_sim.twin.backend import SimBackend as SimBackend
    from hwlearn_sim.twin.backend import SimSettings as SimSettings
    from hwlearn_sim.twin.twin import KirchhoffTwin as KirchhoffTwin
else:
    __all__, __getattr__, __dir__ = lazy_names(__name__)
