"""Crossbars with wire resistance: problem, solvers and solution."""

from typing import TYPE_CHECKING

from hwlearn.lazy import lazy_names

if TYPE_CHECKING:
    from hwlearn.circuit.crossbar.solution import CrossbarSolution as CrossbarSolution
    from hwlearn.circuit.crossbar.solution import solve_crossbar as solve_crossbar
else:
    __all__, __getattr__, __dir__ = lazy_names(__name__)
