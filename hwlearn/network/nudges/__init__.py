"""Output drives, and the nudges of generalised equilibrium propagation (GEP)."""

from hwlearn.network.nudges.drive import DriveKind, OutputDrive
from hwlearn.network.nudges.kinds import ClampNudge, CurrentNudge, ResistorNudge
from hwlearn.network.nudges.nudge import MODEL_HEADROOM, SMALL_MOVE, Nudge, Strength

__all__ = [
    "MODEL_HEADROOM",
    "SMALL_MOVE",
    "ClampNudge",
    "CurrentNudge",
    "DriveKind",
    "Nudge",
    "OutputDrive",
    "ResistorNudge",
    "Strength",
]
