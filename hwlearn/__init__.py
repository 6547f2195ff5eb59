"""hwlearn: train physical resistor and memristor networks with measurements in the loop.

All arrays are float64 in SI units (V, A, S, ohm, s), with the sample axis first. Conductances are in edge order.
Each public name is imported at its first use, so that ``import hwlearn`` is fast.
"""

from typing import TYPE_CHECKING

from hwlearn.lazy import lazy_names

if TYPE_CHECKING:
    from hwlearn.circuit import elements, loops
    from hwlearn.circuit.crossbar.solution import solve_crossbar
    from hwlearn.circuit.kirchhoff import Kirchhoff
    from hwlearn.circuit.loops import projector
    from hwlearn.circuit.spice.netlist import read_spice, write_spice
    from hwlearn.circuit.topology import Topology
    from hwlearn.errors import HwlearnError
    from hwlearn.lab.bench.bench import Bench, open_bench
    from hwlearn.learning import subsets
    from hwlearn.learning.costs import MSE, CrossEntropy, Hinge
    from hwlearn.learning.optimizers import SGD, Adam, Momentum, Sign
    from hwlearn.learning.records import Callback, History, Progress, Schedule
    from hwlearn.learning.rules import (
        GEP,
        SPSA,
        Analytic,
        CoupledLearning,
        EquilibriumPropagation,
        Gradient,
        GradientRequest,
    )
    from hwlearn.learning.scoring import Score
    from hwlearn.learning.subsets import ListedEdges, MostSensitive, RandomEdges
    from hwlearn.learning.training import Trainer
    from hwlearn.network.limits import Limits
    from hwlearn.network.network import Network, Programmed, Readout, TargetError, TwoPhase
    from hwlearn.network.nudges import ClampNudge, CurrentNudge, OutputDrive, ResistorNudge

__version__ = "0.1.0"

__all__ = [
    "GEP",
    "MSE",
    "SGD",
    "SPSA",
    "Adam",
    "Analytic",
    "Bench",
    "Callback",
    "ClampNudge",
    "CoupledLearning",
    "CrossEntropy",
    "CurrentNudge",
    "EquilibriumPropagation",
    "Gradient",
    "GradientRequest",
    "Hinge",
    "History",
    "HwlearnError",
    "Kirchhoff",
    "Limits",
    "ListedEdges",
    "Momentum",
    "MostSensitive",
    "Network",
    "OutputDrive",
    "Programmed",
    "Progress",
    "RandomEdges",
    "Readout",
    "ResistorNudge",
    "Schedule",
    "Score",
    "Sign",
    "TargetError",
    "Topology",
    "Trainer",
    "TwoPhase",
    "elements",
    "loops",
    "open_bench",
    "projector",
    "read_spice",
    "solve_crossbar",
    "subsets",
    "write_spice",
]

if not TYPE_CHECKING:  # a type checker must refuse names that do not exist
    __getattr__, __dir__ = lazy_names(
        __name__,
        {
            "hwlearn.circuit": ["elements", "loops"],
            "hwlearn.circuit.crossbar.solution": ["solve_crossbar"],
            "hwlearn.circuit.kirchhoff": ["Kirchhoff"],
            "hwlearn.circuit.loops": ["projector"],
            "hwlearn.circuit.spice.netlist": ["read_spice", "write_spice"],
            "hwlearn.circuit.topology": ["Topology"],
            "hwlearn.errors": ["HwlearnError"],
            "hwlearn.lab.bench.bench": ["Bench", "open_bench"],
            "hwlearn.learning": ["subsets"],
            "hwlearn.learning.costs": ["MSE", "CrossEntropy", "Hinge"],
            "hwlearn.learning.optimizers": ["SGD", "Adam", "Momentum", "Sign"],
            "hwlearn.learning.records": ["Callback", "History", "Progress", "Schedule"],
            "hwlearn.learning.rules": [
                "GEP",
                "SPSA",
                "Analytic",
                "CoupledLearning",
                "EquilibriumPropagation",
                "Gradient",
                "GradientRequest",
            ],
            "hwlearn.learning.scoring": ["Score"],
            "hwlearn.learning.subsets": ["ListedEdges", "MostSensitive", "RandomEdges"],
            "hwlearn.learning.training": ["Trainer"],
            "hwlearn.network.limits": ["Limits"],
            "hwlearn.network.network": ["Network", "Programmed", "Readout", "TargetError", "TwoPhase"],
            "hwlearn.network.nudges": ["ClampNudge", "CurrentNudge", "OutputDrive", "ResistorNudge"],
        },
    )
