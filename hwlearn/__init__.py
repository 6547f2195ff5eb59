"""hwlearn: train physical resistor and memristor networks with measurements in the loop.

All arrays are float64 in SI units (V, A, S, ohm, s), with the sample axis first. Conductances are in edge order.
Each public name is imported at its first use, so that ``import hwlearn`` is fast.
"""

from hwlearn import early_exit

early_exit.watch_command_line()  # before other imports, which Ctrl-C would end with a traceback

from typing import TYPE_CHECKING  # noqa: E402

from hwlearn.lazy import lazy_names  # noqa: E402

__version__ = "0.1.0"

if TYPE_CHECKING:
    from hwlearn.circuit import elements as elements
    from hwlearn.circuit import loops as loops
    from hwlearn.circuit.crossbar.solution import solve_crossbar as solve_crossbar
    from hwlearn.circuit.kirchhoff import Kirchhoff as Kirchhoff
    from hwlearn.circuit.loops import projector as projector
    from hwlearn.circuit.spice.netlist import read_spice as read_spice
    from hwlearn.circuit.spice.netlist import write_spice as write_spice
    from hwlearn.circuit.topology import Topology as Topology
    from hwlearn.errors import HwlearnError as HwlearnError
    from hwlearn.lab.bench.bench import Bench as Bench
    from hwlearn.lab.opening import open_bench as open_bench
    from hwlearn.lab.runs.finding import open_run as open_run
    from hwlearn.lab.runs.finding import runs as runs
    from hwlearn.lab.runs.store import Run as Run
    from hwlearn.lab.sweeps.running import sweep as sweep
    from hwlearn.lab.sweeps.sweep import Sweep as Sweep
    from hwlearn.lab.sweeps.sweep import open_sweep as open_sweep
    from hwlearn.learning import subsets as subsets
    from hwlearn.learning.costs import MSE as MSE
    from hwlearn.learning.costs import CrossEntropy as CrossEntropy
    from hwlearn.learning.costs import Hinge as Hinge
    from hwlearn.learning.differential import Differential as Differential
    from hwlearn.learning.optimizers import SGD as SGD
    from hwlearn.learning.optimizers import Adam as Adam
    from hwlearn.learning.optimizers import Momentum as Momentum
    from hwlearn.learning.optimizers import Potentiometer as Potentiometer
    from hwlearn.learning.optimizers import Sign as Sign
    from hwlearn.learning.records import Callback as Callback
    from hwlearn.learning.records import History as History
    from hwlearn.learning.records import Progress as Progress
    from hwlearn.learning.records import Schedule as Schedule
    from hwlearn.learning.rules import GEP as GEP
    from hwlearn.learning.rules import SPSA as SPSA
    from hwlearn.learning.rules import Analytic as Analytic
    from hwlearn.learning.rules import CoupledLearning as CoupledLearning
    from hwlearn.learning.rules import EquilibriumPropagation as EquilibriumPropagation
    from hwlearn.learning.rules import Gradient as Gradient
    from hwlearn.learning.rules import GradientRequest as GradientRequest
    from hwlearn.learning.scoring import Score as Score
    from hwlearn.learning.subsets import ListedEdges as ListedEdges
    from hwlearn.learning.subsets import MostSensitive as MostSensitive
    from hwlearn.learning.subsets import RandomEdges as RandomEdges
    from hwlearn.learning.training import Trainer as Trainer
    from hwlearn.network.limits import Limits as Limits
    from hwlearn.network.network import Network as Network
    from hwlearn.network.network import Programmed as Programmed
    from hwlearn.network.network import Readout as Readout
    from hwlearn.network.network import TargetError as TargetError
    from hwlearn.network.network import TwoPhase as TwoPhase
    from hwlearn.network.nudges import ClampNudge as ClampNudge
    from hwlearn.network.nudges import CurrentNudge as CurrentNudge
    from hwlearn.network.nudges import OutputDrive as OutputDrive
    from hwlearn.network.nudges import ResistorNudge as ResistorNudge
    from hwlearn.network.paired import PairedNetwork as PairedNetwork
else:
    __all__, __getattr__, __dir__ = lazy_names(__name__)
