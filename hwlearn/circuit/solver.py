"""Interface of the solvers behind `Kirchhoff`: one for resistors, one for nonlinear elements."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, Protocol, Self

import numpy as np

from hwlearn.arrays import BoolArray, FloatArray

Where = Literal["everywhere", "inputs", "outputs"]
"""Nodes at which currents are summed."""


@dataclass(frozen=True, eq=False, slots=True)
class OperatingPoint:
    """Steady states of a batch.

    Attributes
    ----------
    V : ndarray, shape (S, N)
        Volts at every node.
    error_V : ndarray, shape (S,)
        Estimated largest error of any node voltage of each sample, in volts.
    """

    V: FloatArray
    error_V: FloatArray


class Solver(Protocol):
    """Equations of a circuit whose topology, elements and conductances are known.

    `Kirchhoff` checks all arrays before it calls a solver: inputs x (S, n_in) in volts, node voltages V (S, N),
    clamped volts (S, n_out) with NaN at free outputs, injected amperes (S, n_out), errors e (S, n_out). The
    methods of `Kirchhoff` with the same names describe the results.
    """

    @property
    def scale_V(self) -> float:
        """Volts over which the slope of the most nonlinear element changes; infinite for resistors."""

    def with_conductances(self, siemens: FloatArray) -> Self:
        """Return a solver of the same circuit with other conductances (E + F,)."""

    def with_history(self, history: Mapping[str, np.ndarray]) -> Self:
        """Return the same solver after the circuits of a history."""

    @property
    def history(self) -> dict[str, np.ndarray]:
        """What the rounding of solutions depends on besides the conductances; empty if on nothing."""

    def solve(self, x: FloatArray, clamped: FloatArray | None, injected: FloatArray | None) -> FloatArray:
        """Return node voltages (S, N)."""

    def operating_point(
        self, x: FloatArray, clamped: FloatArray | None, injected: FloatArray | None
    ) -> OperatingPoint:
        """Return node voltages and their estimated errors."""

    def solve_behind(self, x: FloatArray, volts: FloatArray, siemens: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return node voltages (S, N) and currents (S, n_out) of sources behind conductances at the outputs.

        ``volts`` and ``siemens`` have shape (S, n_out); zero siemens leaves an output free.
        """

    def estimated_error(self, held: BoolArray) -> float:
        """Return the estimated relative error of solutions with these outputs (n_out,) held."""

    def edge_currents(self, V: FloatArray) -> FloatArray:
        """Return the currents (S, E) through the programmable edges."""

    def currents(self, V: FloatArray, where: Where) -> FloatArray:
        """Return the currents (S, n) that enter the network from outside at some nodes."""

    def power(self, V: FloatArray) -> FloatArray:
        """Return the power (S,) dissipated in all edges."""

    def cocontent(self, drops: FloatArray) -> FloatArray:
        """Return d(co-content)/d(theta) (S, E) at drops (S, E)."""

    def contrast(self, high: FloatArray, low: FloatArray, weights: FloatArray) -> FloatArray:
        """Return the weighted sum over samples of the difference in co-content derivatives, (E,)."""

    def output_impedance(self, x: FloatArray | None) -> FloatArray:
        """Return Z (n_out, n_out), or one a sample where it depends on the inputs."""

    def output_admittance(self) -> FloatArray:
        """Return Y (n_out, n_out)."""

    def adjoint(self, e: FloatArray, at: FloatArray | None) -> FloatArray:
        """Return the adjoint voltages (S, N)."""

    def gradient(self, x: FloatArray, e: FloatArray) -> FloatArray:
        """Return dC/d(theta) (E,), mean over the batch."""

    def gradient_at(self, V: FloatArray, e: FloatArray) -> FloatArray:
        """Return dC/d(theta) (E,), mean over the batch, at node voltages."""

    def output_power(self, x: FloatArray) -> FloatArray:
        """Return the sum over outputs of (dV_out/dtheta)^2 (E,), mean over the batch."""
