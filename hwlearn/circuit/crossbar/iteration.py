"""Conjugate gradients on the devices of a crossbar, preconditioned by its lines: the iteration of every solver.

With the rows A, the columns C and the devices G = diag(g) between them, the row nodes u are eliminated:
``(C - G A^-1 G) w = f_c + G A^-1 f_r`` in the column nodes w. The columns are the preconditioner: one iteration
solves all rows once and all columns once. Few iterations are needed if devices conduct less than lines.

With the residual r, the search direction p, ``z = C^-1 r`` and ``cp = C p``, one iteration is::

    t = A^-1 G p       s = cp - G t       alpha = r.z / p.s
    w += alpha p       u += alpha t       r -= alpha s
    z = C^-1 r         beta = r.z / (r.z of the iteration before)
    p = z + beta p     cp = r + beta cp

`iteration_with` states it once. The solvers supply `Operations`: line solves and vector updates on their own
memory layout. `kernels` compiles functions of this module with numba, so they use only what numba supports.

The error estimate does not use a residual in amperes. One sweep is ``P = C^-1 G A^-1 G``, and
``z = (1 - P) (w_exact - w)``. All entries of P are positive, so its norm in the maximum voltage is its largest
row sum ``q = max(P 1)``, and ``|w_exact - w| <= |z| / (1 - q)`` bounds the error itself. The answer is ``w + z``,
whose error is q times that. `Contraction` holds q.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, Protocol, TypeAlias

from hwlearn.arrays import FloatArray
from hwlearn.circuit.crossbar.problem import ROUNDING, Problem

Numbers: TypeAlias = Any
"""One number for each sample: a float for one sample, an array (S,) for several."""

Iteration: TypeAlias = Callable[[Any, "Nodes", "Goal"], tuple[int, Numbers]]

MAX_CONTRACTION: Final = 1.0 - 1e-7
"""Largest q that double precision can distinguish from 1 well enough to iterate."""
REFINED_SIZE: Final = 1024
"""Devices up to which iterations cost next to nothing and continue down to rounding."""
_MARGIN: Final = 0.125


class Nodes(NamedTuple):
    """Vectors of the iteration, one entry for each device and sample; names as in the module's formulas.

    t may share memory with u if the solver recomputes u at the end. s may share memory with z.
    """

    u: FloatArray
    w: FloatArray
    t: FloatArray
    r: FloatArray
    s: FloatArray
    z: FloatArray
    p: FloatArray
    cp: FloatArray


class Goal(NamedTuple):
    """Stopping criterion of the iteration.

    Attributes
    ----------
    volts : float or ndarray, shape (S,)
        Error of any node, in volts, that keeps the outputs within the bound; see `volts_wanted`.
    largest : float or ndarray, shape (S,)
        Largest voltage, in volts.
    error_factor : float
        See `Contraction.error_factor`.
    iterations : int
        Iterations after which a direct factor is cheaper; see `max_iterations`.
    refine_to_rounding : bool
        Continue below ``volts`` while the error still falls by a factor of ten per iteration.
    """

    volts: Numbers
    largest: Numbers
    error_factor: float
    iterations: int
    refine_to_rounding: bool


class Operations(Protocol):
    """Line solves and vector updates of one memory layout: a class, or a module of compiled functions."""

    def couple(self, lines: Any, x: FloatArray, t: FloatArray, /) -> None:
        """Fill in ``t = A^-1 G x``."""

    def start(self, lines: Any, nodes: Nodes, /) -> None:
        """Fill in ``u += t``, ``r = G t`` and ``z = r``."""

    def solve_columns(self, lines: Any, x: FloatArray, /) -> None:
        """Fill in ``x = C^-1 x``."""

    def measure(self, lines: Any, nodes: Nodes, /) -> tuple[Numbers, Numbers]:
        """Return ``r.z`` and the largest magnitude of z."""

    def curvature(self, lines: Any, nodes: Nodes, /) -> Numbers:
        """Fill in ``s = cp - G t`` and return ``p.s``."""

    def advance(self, lines: Any, nodes: Nodes, alpha: Numbers, /) -> None:
        """Fill in ``w += alpha p``, ``u += alpha t``, ``r -= alpha s`` and ``z = r``."""

    def first_direction(self, lines: Any, nodes: Nodes, /) -> None:
        """Fill in ``p = z`` and ``cp = r``."""

    def turn(self, lines: Any, nodes: Nodes, beta: Numbers, /) -> None:
        """Fill in ``p = z + beta p`` and ``cp = r + beta cp``."""

    def every(self, lines: Any, condition: Any, /) -> Any:
        """Return whether a condition holds for all samples."""


@dataclass(frozen=True)
class Contraction:
    """Upper bounds of the part of an error that a sweep leaves.

    Attributes
    ----------
    rows : float
        Largest row sum of a sweep over the rows alone.
    sweep : float
        Largest row sum q of a sweep over rows and columns.
    """

    rows: float
    sweep: float

    @classmethod
    def from_strengths(cls, rows: float, columns: float) -> Contraction:
        """Return a bound from the devices alone, for lines held at one end.

        1 V at the held end of a line leaves at least ``exp(-D)`` at the other, where the strength D is the
        largest sum over a line's devices of R g times their distance from the held end in segments. So a sweep
        leaves at most ``1 - exp(-D)``.
        """
        leaves = -math.expm1(-rows)
        return cls(leaves, leaves * -math.expm1(-columns))

    @property
    def error_factor(self) -> float:
        """Factor from the largest magnitude of z to the error of any node after the last update."""
        return (self.sweep + min(self.rows, 1.0)) / (1.0 - self.sweep)

    def allows(self, iterations: int) -> bool:
        """Return whether this number of iterations probably suffices; False if a bound is not finite."""
        # an overflow of R g or a line that no source holds shows in q
        if not (self.sweep < MAX_CONTRACTION and math.isfinite(self.rows)):
            return False
        return 3.0 / math.sqrt(1.0 - self.sweep) <= 4 * iterations

    def volts_error(self, size: Numbers, largest: Numbers, roundings: float) -> Numbers:
        """Return the estimated error of any node in volts.

        Parameters
        ----------
        size : float or ndarray, shape (S,)
            Largest magnitude of the last z, in volts.
        largest : float or ndarray, shape (S,)
            Largest voltage, in volts.
        roundings : float
            Relative error of one sweep, in units of `ROUNDING`.
        """
        return self.error_factor * size + ROUNDING * roundings / (1.0 - self.sweep) * largest


def max_iterations(problem: Problem) -> int:
    """Return the number of iterations after which a direct factor is cheaper, as measured."""
    # the samples share one factor, but not an iteration
    return int(20 + 300 / math.sqrt(max(problem.samples, 1)))


def volts_wanted(bound: float, amperes: Numbers, siemens: float) -> Numbers:
    """Return the error of any node, in volts, that keeps output currents within a relative error of ``bound``.

    Parameters
    ----------
    bound : float
    amperes : float or ndarray, shape (S,)
        Largest output current.
    siemens : float
        Largest change of an output current per volt of error on the rows; zero where no current depends on them.
    """
    return _MARGIN * bound * amperes / siemens if siemens > 0 else amperes + math.inf


def floating_volts_wanted(bound: float, volts: Numbers) -> Numbers:
    """Return `volts_wanted` for floating outputs, whose largest voltage is ``volts``."""
    return _MARGIN * bound * volts


def ratio(a: Numbers, b: Numbers) -> Numbers:
    """Return a / b, 0 where b is not positive; for floats and arrays alike."""
    positive = b > 0
    return a / (b * positive + (1.0 - positive)) * positive


def is_finished(size: Numbers, before: Numbers, goal: Goal) -> Any:
    """Return whether a sample needs no further iteration, from the last two magnitudes of z; not if one is NaN."""
    close = goal.error_factor * size <= goal.volts
    at_rounding = (size <= ROUNDING * goal.largest) | (size >= 0.1 * before)
    return close & (at_rounding | (not goal.refine_to_rounding))


def iteration_with(operations: Operations) -> Iteration:
    """Return the iteration on the memory layout of ``operations``.

    The returned ``iterate(lines, nodes, goal)`` improves nodes until the goal is met. Before it, u must solve the
    rows for their sources alone, and w the columns for their sources and that u. After it, u solves the rows for
    w, and z is the correction to w for that u; the caller adds it. It returns the number of iterations (-1 if too
    many) and the largest magnitude of the last z in volts.
    """

    def iterate(lines: Any, nodes: Nodes, goal: Goal) -> tuple[int, Numbers]:
        operations.couple(lines, nodes.w, nodes.t)
        operations.start(lines, nodes)
        operations.solve_columns(lines, nodes.z)
        rz, size = operations.measure(lines, nodes)
        last, before = rz, size + math.inf
        for iteration in range(goal.iterations + 1):
            # the largest magnitude can miss NaN, the inner product cannot
            if not operations.every(lines, rz - rz == 0):
                break
            if operations.every(lines, is_finished(size, before, goal)):
                return iteration + 1, size
            if iteration == 0:
                operations.first_direction(lines, nodes)
            else:
                operations.turn(lines, nodes, ratio(rz, last))
            operations.couple(lines, nodes.p, nodes.t)
            alpha = ratio(rz, operations.curvature(lines, nodes))
            operations.advance(lines, nodes, alpha)
            operations.solve_columns(lines, nodes.z)
            last, before = rz, size
            rz, size = operations.measure(lines, nodes)
        return -1, size

    return iterate
