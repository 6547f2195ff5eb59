"""The `Network` interface that every backend implements, with its limits, output drives and nudges."""

from typing import TYPE_CHECKING

from hwlearn.lazy import lazy_names

if TYPE_CHECKING:
    from hwlearn.network.backend import Backend as Backend
    from hwlearn.network.backend import ChecksSettings as ChecksSettings
    from hwlearn.network.backend import ReportsState as ReportsState
    from hwlearn.network.backend import Seeded as Seeded
    from hwlearn.network.backend import Simulated as Simulated
    from hwlearn.network.backend import SwitchesOff as SwitchesOff
    from hwlearn.network.limits import Limits as Limits
    from hwlearn.network.network import ErrorSignal as ErrorSignal
    from hwlearn.network.network import Network as Network
    from hwlearn.network.network import Programmed as Programmed
    from hwlearn.network.network import Readout as Readout
    from hwlearn.network.network import TargetError as TargetError
    from hwlearn.network.network import TwoPhase as TwoPhase
    from hwlearn.network.nudges import ClampNudge as ClampNudge
    from hwlearn.network.nudges import CurrentNudge as CurrentNudge
    from hwlearn.network.nudges import Nudge as Nudge
    from hwlearn.network.nudges import OutputDrive as OutputDrive
    from hwlearn.network.nudges import ResistorNudge as ResistorNudge
    from hwlearn.network.paired import PairedNetwork as PairedNetwork
    from hwlearn.network.reports import InstrumentReport as InstrumentReport
    from hwlearn.network.reports import OutputReport as OutputReport
    from hwlearn.network.simulation import Simulation as Simulation
    from hwlearn.network.wrapped import WrappedNetwork as WrappedNetwork
else:
    __all__, __getattr__, __dir__ = lazy_names(__name__)
