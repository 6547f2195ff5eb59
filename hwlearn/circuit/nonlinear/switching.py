"""Operating points of circuits with rectifiers, by functions that numba compiles (extra ``fast``).

Only points whose error is shown to be far below the accepted one are used. Newton's method finds all others.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from hwlearn.arrays import BoolArray, FloatArray
from hwlearn.circuit.nonlinear.balance import TRUSTED
from hwlearn.circuit.nonlinear.currents import ROUNDING, Circuit
from hwlearn.circuit.nonlinear.linearised import Linearised
from hwlearn.circuit.nonlinear.node_order import NodeOrder
from hwlearn.compilation import compiled_module

_KERNELS: Final = "hwlearn.circuit.nonlinear.kernels"
_FEWEST_NODES: Final = 32  # below, loading compiled code takes longer than what it saves
_MOST_REMAINING: Final = 64
_MOST_CHANGES: Final = 12


class Switching:
    """Search for a circuit in which every nonlinear edge has two straight lines and one free end.

    Parameters
    ----------
    circuit : Circuit
    linear : Linearised
    """

    def __init__(self, circuit: Circuit, linear: Linearised) -> None:
        order, lines = linear.nodes, circuit.lines
        assert lines is not None
        edges = order.nonlinear
        self._n_free = order.free.size
        self._laws = np.stack([edges.sign_at_free, lines.threshold, lines.below, lines.above])
        self._at, self._far = edges.free_node, edges.held_node
        self._linear, self._outputs = linear, order.output_position
        C = np.ascontiguousarray(linear.across.T)
        self._matrix = linear.diagonal, linear.leak, C, np.ascontiguousarray(linear.within)

    @staticmethod
    def suits(circuit: Circuit, order: NodeOrder) -> bool:
        """Return whether compiled functions can find operating points of a circuit, and save time."""
        return (
            order.free.size >= _FEWEST_NODES
            and order.dense
            and order.n_remaining <= _MOST_REMAINING
            and order.nonlinear.single
            and circuit.lines is not None
            and Switching.is_installed()
        )

    @staticmethod
    def is_installed() -> bool:
        """Return whether numba is there."""
        return compiled_module(_KERNELS) is not None

    def find(
        self, V: FloatArray, injected: FloatArray | None, settled: float
    ) -> tuple[FloatArray, FloatArray, BoolArray]:
        """Return voltages (S, N), their errors (S,) and the samples (S,) in which these are accurate.

        Parameters
        ----------
        V : ndarray, shape (S, N)
            Volts in the order of ``NodeOrder.nodes``: start values at the free nodes.
        injected : ndarray, shape (S, n_out), optional
            Amperes into the outputs.
        settled : float
            Largest accepted last step and rounding error, relative to the largest voltage of a sample.
        """
        kernels = compiled_module(_KERNELS)
        assert kernels is not None
        held = V[:, self._n_free :]
        size = np.abs(held).max(axis=1, initial=0.0)
        into = self._linear.from_held(held)
        sizes = size[:, None] * self._linear.leak
        if injected is not None:
            open_outputs = self._outputs >= 0
            at, amperes = self._outputs[open_outputs], injected[:, open_outputs]
            into[:, at] += amperes
            sizes[:, at] += np.abs(amperes)
        out, found = V.copy(), np.empty((len(V), 3))
        kernels.operating_points(
            out, into, sizes, self._matrix, self._at, self._far, self._laws, _MOST_CHANGES, found
        )
        moved, rounding, off = found.T
        bound = ROUNDING * rounding
        largest = np.maximum(size, np.abs(out[:, : self._n_free]).max(axis=1))
        # a larger rounding error is left to sums over drops, which lose fewer digits
        accurate = (moved <= settled * largest) & (bound <= 0.1 * settled * largest) & (off <= TRUSTED)
        return out, moved + 2 * bound, accurate
