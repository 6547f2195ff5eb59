"""Dense Cholesky factors of node equations, after the elimination of independent nodes."""

from __future__ import annotations

import numpy as np
from scipy.linalg.lapack import dpotrf, dpotrs

from hwlearn.arrays import FloatArray
from hwlearn.circuit.graphs import summed
from hwlearn.circuit.linear.matrix import SingularMatrix
from hwlearn.circuit.linear.plan import Plan


class DenseFactor:
    """The factored equations of a dense plan; a `MatrixFactor`.

    Parameters
    ----------
    plan : Plan
    g : ndarray, shape (K,)
        Siemens, in the order of the plan's edges.

    Attributes
    ----------
    diagonal : ndarray, shape (n_free,)
        Sum of conductances at each free node.

    Raises
    ------
    SingularMatrix
        If a pivot is zero or negative; its position is given.
    """

    def __init__(self, plan: Plan, g: FloatArray) -> None:
        self._n_independent = plan.n_independent
        places, source, sign = plan.lower
        remaining = plan.free.size - plan.n_independent
        full = summed(places, sign * g[source], remaining * remaining).reshape(remaining, remaining).T
        if plan.n_independent:
            self.diagonal = plan.diagonal(g)
            places, source = plan.across
            self._across = summed(places, g[source], plan.n_independent * remaining)
            self._across = self._across.reshape(plan.n_independent, remaining)
            self._weight = 1.0 / self.diagonal[: plan.n_independent, None]
            scaled = np.sqrt(self._weight) * self._across
            full = full - scaled.T @ scaled
        else:
            self.diagonal = full.diagonal().copy()
        if remaining:
            self._cholesky, info = dpotrf(full, lower=1, clean=0, overwrite_a=1)
            if info != 0:
                raise SingularMatrix(plan.n_independent + info - 1)

    def solve(self, currents: FloatArray) -> FloatArray:
        """Return volts (n_free, S) or (n_free,) for currents of the same shape."""
        h = self._n_independent
        if not h:
            return np.asarray(dpotrs(self._cholesky, currents, lower=1)[0])
        if currents.ndim == 1:
            return self.solve(currents[:, None])[:, 0]
        V = np.empty(currents.shape, order="F")
        own = currents[:h] * self._weight
        if h < len(V):
            V[h:] = dpotrs(self._cholesky, currents[h:] + self._across.T @ own, lower=1, overwrite_b=1)[0]
            own += self._weight * (self._across @ V[h:])
        V[:h] = own
        return V
