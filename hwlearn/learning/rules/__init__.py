"""Rules: ways to find dC/dg from measurements."""

from hwlearn.learning.rules.analytic import Analytic
from hwlearn.learning.rules.gep import GEP, CoupledLearning, EquilibriumPropagation
from hwlearn.learning.rules.perturbation import SPSA
from hwlearn.learning.rules.rule import Gradient, GradientRequest, Rule

__all__ = [
    "GEP",
    "SPSA",
    "Analytic",
    "CoupledLearning",
    "EquilibriumPropagation",
    "Gradient",
    "GradientRequest",
    "Rule",
]
