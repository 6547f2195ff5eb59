"""Block elimination of a crossbar: a direct method whose cost does not depend on the conductances.

The lines of one direction are eliminated node after node, all lines at once; below they are called lines, and
those of the other direction cross lines. Cross line l joins the l-th nodes of all lines. It is eliminated first.
What remains of it and its devices is ``S_l = G - G A^-1 G`` with G = diag(g) and A the cross line and its devices:
a network between the l-th nodes and the source of the cross line. With c the conductance of a segment of a line,
everything before node l + 1 acts there like a network::

    X_0 = S_0 / c        X_(l+1) = S_(l+1) / c + (1 + X_l)^-1 X_l

and voltages follow from currents y that flow through the segments::

    y_(l+1) = f_(l+1) + Y_l y_l        w_l = Y_l (w_(l+1) + y_l)        Y_l = (1 + X_l)^-1

A segment appears as 1, not as a large conductance to which the devices are added. So rounding acts like false
conductances of 1e-16 of X, which are devices, and not of 1e-16 of the wires.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from scipy.linalg.lapack import dposv, dpotrs

from hwlearn.arrays import BoolArray, FloatArray

_NUMBERS_AT_ONCE: Final = 1 << 15
_LARGEST: Final = 1e140
"""Largest ratio of voltages along a cross line: products of two of them must not overflow."""


_ENOUGH: Final = 1e4
"""Roundings up to which a simple bound of the error suffices."""


_OWN: Final = 0.25
"""Roundings of a solution per node of a line and a cross line."""


_SMALLEST: Final = 1e-290
"""Smallest ratio of a device to a segment: smaller numbers have fewer digits."""


class NotEliminated(Exception):
    """A crossbar that cannot be eliminated in double precision."""


class CrossLines:
    """Cross lines and their devices, the lines at 0 V.

    Parameters
    ----------
    g : ndarray, shape (L, b)
        Siemens of the devices, cross line by cross line.
    siemens : float
        Conductance of a segment of a cross line.
    held : ndarray of bool, shape (L,)
        Cross lines that a source holds.
    source_first : bool
        Whether the source is at the first node of a cross line, instead of the last one.

    Attributes
    ----------
    from_source : ndarray, shape (L, b)
        Volts at the nodes per ampere into the end with the source.
    from_lines : ndarray, shape (L, b, b)
        Volts at the nodes (second axis) per volt at the nodes of the lines (third axis).

    Raises
    ------
    NotEliminated
        If voltages along a cross line fall by too many orders of magnitude.
    """

    def __init__(self, g: FloatArray, siemens: float, held: BoolArray, source_first: bool) -> None:
        L, b = g.shape
        leaks = g / siemens
        if source_first:
            leaks = leaks[:, ::-1]
        rise, fall, rest = _chain(np.ascontiguousarray(leaks.T), held)
        if not (np.isfinite(fall).all() and rise.max() < _LARGEST):
            raise NotEliminated
        step = -1 if source_first else 1
        up, down, rest = (np.ascontiguousarray(x.T[:, ::step]) for x in (rise, fall / siemens, rest))
        self._g, self._rest = g, g * rest
        self.from_source: FloatArray = up * down[:, -1 if not source_first else 0, None]
        self.from_lines: FloatArray = np.empty((L, b, b))
        some = max(1, _NUMBERS_AT_ONCE // (b * b))
        for k in range(0, L, some):
            part = slice(k, k + some)
            farther = up[part, :, None] * (down * g)[part, None, :]
            nearer = down[part, :, None] * (up * g)[part, None, :]
            # an entry of A^-1 is the rise of the node farther from the source times the fall of the nearer one
            np.minimum(farther, nearer, out=self.from_lines[part])

    def remaining(self, k: int, siemens: float, S: FloatArray) -> None:
        """Fill in S_k / siemens (b, b) of cross line k."""
        np.multiply(self.from_lines[k], self._g[k, :, None] / -siemens, out=S)
        S.reshape(-1)[:: len(S) + 1] = self._rest[k] / siemens

    def solve(self, w: FloatArray, amperes: FloatArray | None, u: FloatArray) -> None:
        """Fill in nodes u (L, b, S) of cross lines for lines at w (L, b, S) and amperes (L, S) at their ends."""
        np.matmul(self.from_lines, w, out=u)
        if amperes is not None:
            piece = np.empty(u.shape[1:])
            for k in range(len(u)):
                np.multiply(self.from_source[k, :, None], amperes[k], out=piece)
                u[k] += piece


def _chain(leaks: FloatArray, held: BoolArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return rise, fall and rest (b, L) of lines with leaks (b, L) and a source at the last end of held ones (L,).

    An entry (i, j) of the inverse of the line's matrix is ``rise_i fall_j`` for i <= j; ``rest_i`` is one minus
    the leak times the entry (i, i). Nothing is subtracted.
    """
    b, L = leaks.shape
    before, after = np.empty((b, L)), np.empty((b, L))
    s, t = np.zeros(L), held.astype(np.float64)
    for i in range(b):
        j = b - 1 - i
        before[i], after[j] = s, t
        s = s + leaks[i]
        t = t + leaks[j]
        s = s / (1.0 + s)
        t = t / (1.0 + t)
    rise = np.ones((b, L))
    np.cumprod(1.0 + (before + leaks)[:-1], axis=0, out=rise[1:])
    along = before + after
    total = leaks + along
    return rise, 1.0 / (total * rise), along / total


class LineElimination:
    """Lines eliminated node after node up to their last nodes, whose ends may be held later.

    Parameters
    ----------
    cross : CrossLines
    g : ndarray, shape (L, b)
        Siemens of the devices.
    siemens : float
        Conductance of a segment of a line.
    held : ndarray of bool, shape (L,)
        Cross lines that a source holds.
    cross_siemens : float
        Conductance of a segment of a cross line.

    Attributes
    ----------
    last : ndarray, shape (b, b)
        X of the last nodes.

    Raises
    ------
    NotEliminated
        If double precision does not suffice.
    """

    def __init__(
        self, cross: CrossLines, g: FloatArray, siemens: float, held: BoolArray, cross_siemens: float
    ) -> None:
        L, b = g.shape
        if np.where(g > 0, g, np.inf).min() < _SMALLEST * max(siemens, cross_siemens):
            raise NotEliminated
        self.cross, self.siemens = cross, siemens
        self.from_source: FloatArray = g * cross.from_source / siemens
        self._to_sources = np.where(held[:, None], self.from_source * cross_siemens, 0.0)
        self._devices = np.empty((L, b))
        self._through = np.empty((L - 1, b, b))
        diagonal = slice(None, None, b + 1)
        X = np.empty((b, b))
        for k in range(L):
            cross.remaining(k, siemens, X)
            if k:
                X += self._through[k - 1]
            self._devices[k] = X.reshape(-1)[diagonal]
            if k < L - 1:
                Z = self._through[k]
                Z[:] = X
                X.reshape(-1)[diagonal] += 1.0
                # X is symmetric, and so is Z: arrays in C order serve as arrays in Fortran order
                *_, info = dposv(X.T, Z.T, lower=1, overwrite_a=1, overwrite_b=1)
                if info != 0:
                    raise NotEliminated
        self.last: FloatArray = X
        np.negative(self._through, out=self._through)
        self._through.reshape(L - 1, b * b)[:, diagonal] += 1.0

    def roundings(self, lines_held: BoolArray, factor: FloatArray) -> float:
        """Return the estimated error of solutions, relative to their largest voltage, in roundings.

        The rounding of X acts like currents of X times the voltage into each node: the largest voltage that they
        cause is the error. Y = 1 - (1 + X)^-1 X also loses the digits by which X exceeds 1. ``factor`` is that of
        `last` with the held lines (b,).
        """
        leaks = self._to_sources.copy()
        leaks[-1] += lines_held
        with np.errstate(divide="ignore", invalid="ignore"):
            # currents of these leaks would cause 1 V everywhere; nodes without devices have neither
            caused = float(np.nanmax(self._devices / leaks))
        if not caused < _ENOUGH:
            w = np.empty((*self._devices.shape, 1))
            self.solve(self._devices[:, :, None].copy(), np.zeros((w.shape[1], 1)), factor, w)
            caused = float(w.max()) if np.isfinite(w).all() else np.inf
        return _OWN * sum(self._devices.shape) + float(self._devices.max()) + caused

    def solve(self, y: FloatArray | None, ends: FloatArray, factor: FloatArray, w: FloatArray) -> None:
        """Fill in the nodes w (L, b, S) of the lines.

        Parameters
        ----------
        y : ndarray, shape (L, b, S), optional
            Currents into the nodes, divided by the conductance of a segment; overwritten. None if zero.
        ends : ndarray, shape (b, S)
            Volts of held ends; amperes into floating ends divided by the conductance of a segment.
        factor : ndarray, shape (b, b)
            Cholesky factor of the last nodes.
        w : ndarray, shape (L, b, S)
        """
        through = self._through
        at_last = ends
        if y is not None:
            for k in range(len(through)):
                y[k + 1] += through[k] @ y[k]
            at_last = y[-1] + ends
        w[-1] = dpotrs(factor, at_last, lower=1)[0]
        for k in range(len(through) - 1, -1, -1):
            if y is None:
                np.matmul(through[k], w[k + 1], out=w[k])
            else:
                y[k] += w[k + 1]
                np.matmul(through[k], y[k], out=w[k])
