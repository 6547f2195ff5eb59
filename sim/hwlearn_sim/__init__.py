"""The Kirchhoff twin: a simulated bench behind the same interface as a real one."""

from hwlearn_sim.imperfections import Imperfections
from hwlearn_sim.twin import KirchhoffTwin

__all__ = ["Imperfections", "KirchhoffTwin"]
