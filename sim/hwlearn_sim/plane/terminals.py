"""A linear or linearised circuit reduced to the nodes that channels are connected to."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

from hwlearn.arrays import FloatArray, IntArray


@dataclass(frozen=True, eq=False, slots=True)
class Linearisation:
    """Operating point at which a nonlinear circuit was linearised.

    Attributes
    ----------
    volts, amperes : ndarray, shape (n,)
        Voltage of each terminal, and current into it at these voltages.
    """

    volts: FloatArray
    amperes: FloatArray


class Terminals:
    """The circuit reduced to its terminals.

    Parameters
    ----------
    between : ndarray, shape (n, n)
        Conductance in siemens between each pair of terminals; symmetric, zero diagonal.
    to_ground : ndarray, shape (n,)
        Conductance in siemens from each terminal to ground.
    at : Linearisation, optional
        Operating point to which the conductances belong; none for a circuit of resistors.
    floating : list of ndarray of int, optional
        The parts without a connection to ground; found from the conductances unless given.
    """

    def __init__(
        self,
        between: FloatArray,
        to_ground: FloatArray,
        at: Linearisation | None = None,
        floating: list[IntArray] | None = None,
    ) -> None:
        self.between, self.to_ground, self.at = between, to_ground, at
        self.laplacian: FloatArray = np.diag(between.sum(axis=1) + to_ground) - between
        self.magnitude: FloatArray = np.abs(self.laplacian)
        self.floating = _floating(between, to_ground) if floating is None else floating

    def __len__(self) -> int:
        return len(self.to_ground)

    def currents(self, volts: FloatArray) -> FloatArray:
        """Return the currents (n,) into the terminals at given terminal voltages (n,)."""
        shift = volts if self.at is None else volts - self.at.volts
        # differences first, so that a common voltage cancels exactly
        drops = shift[:, None] - shift[None, :]
        linear = np.asarray((self.between * drops).sum(axis=1) + self.to_ground * shift)
        return linear if self.at is None else linear + self.at.amperes


def _floating(between: FloatArray, to_ground: FloatArray) -> list[IntArray]:
    count, part = connected_components(csr_array(between > 0), directed=False)
    parts = (np.flatnonzero(part == k) for k in range(count))
    return [members for members in parts if not to_ground[members].any()]
