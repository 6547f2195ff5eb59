"""The `Network` interface that every backend implements, with its limits, output drives and nudges."""

from typing import TYPE_CHECKING

from hwlearn.lazy import lazy_names

if TYPE_CHECKING:
    from hwlearn.network.backend import Backend, Seeded, SwitchesOff
    from hwlearn.network.limits import Limits
    from hwlearn.network.network import ErrorSignal, Network, Programmed, Readout, TargetError, TwoPhase
    from hwlearn.network.nudges import ClampNudge, CurrentNudge, Nudge, OutputDrive, ResistorNudge
    from hwlearn.network.wrapped import WrappedNetwork

__all__ = [
    "Backend",
    "ClampNudge",
    "CurrentNudge",
    "ErrorSignal",
    "Limits",
    "Network",
    "Nudge",
    "OutputDrive",
    "Programmed",
    "Readout",
    "ResistorNudge",
    "Seeded",
    "SwitchesOff",
    "TargetError",
    "TwoPhase",
    "WrappedNetwork",
]

if not TYPE_CHECKING:  # a type checker must refuse names that do not exist
    __getattr__, __dir__ = lazy_names(
        __name__,
        {
            "hwlearn.network.backend": ["Backend", "Seeded", "SwitchesOff"],
            "hwlearn.network.limits": ["Limits"],
            "hwlearn.network.network": [
                "ErrorSignal",
                "Network",
                "Programmed",
                "Readout",
                "TargetError",
                "TwoPhase",
            ],
            "hwlearn.network.nudges": ["ClampNudge", "CurrentNudge", "Nudge", "OutputDrive", "ResistorNudge"],
            "hwlearn.network.wrapped": ["WrappedNetwork"],
        },
    )
