"""Lines of a crossbar: chains of equal resistors with devices as leaks, solved together in each direction.

A line of ``L`` nodes whose segments have resistance R obeys, in volts,

    (T + R diag(g)) x = e_first v_first + e_last v_last + R i

with T the second difference. Its Cholesky pivots are ``1 + s`` with the accumulated leak ``s`` positive. Neither
the factorisation nor the sweeps subtract, so for any range of conductances every entry of the inverse has a
relative error of at most L roundings (Alfa, Xue & Ye, Math. Comp. 71, 217, 2002).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from hwlearn.arrays import BoolArray, FloatArray


@dataclass(frozen=True, eq=False)
class Ends:
    """Sources at the two ends of the K lines of one direction, for S samples.

    Attributes
    ----------
    first_held, last_held : ndarray of bool, shape (K,)
        Ends that a source holds; the others float.
    first, last : ndarray, shape (S, K)
        Volts of the held ends; zero at floating ends.
    injected : ndarray, shape (S, K)
        Amperes injected into the last ends; zero at held ends.
    """

    first_held: BoolArray
    last_held: BoolArray
    first: FloatArray
    last: FloatArray
    injected: FloatArray

    @property
    def anchored(self) -> BoolArray:
        """Lines (K,) that a source holds at one end at least."""
        return self.first_held | self.last_held

    def of(self, samples: slice | NDArray[np.intp]) -> Ends:
        """Return the same ends with a part of the samples."""
        return Ends(
            self.first_held, self.last_held, self.first[samples], self.last[samples], self.injected[samples]
        )

    def driven(self, first: FloatArray, last: FloatArray, injected: FloatArray) -> Ends:
        """Return the same ends with other volts and currents; values without effect are set to zero."""
        return Ends(
            self.first_held,
            self.last_held,
            np.where(self.first_held, first, 0.0),
            np.where(self.last_held, last, 0.0),
            np.where(self.last_held, 0.0, injected),
        )


class Lines(Protocol):
    """Lines of one direction, with the other ends of their devices at 0 V."""

    leaks: FloatArray
    """Coupling to the other direction, shape (L, K)."""

    def drive(self, ends: Ends) -> FloatArray:
        """Return the right-hand side (L, K, S) of sources and injected currents."""

    def solve(self, x: FloatArray) -> None:
        """Turn right-hand sides (L, K, S) into volts, in place."""

    def hold(self, x: FloatArray, ends: Ends) -> None:
        """Write the volts of ideal lines that a source holds into x (L, K, S)."""


class WireLines:
    """Lines of segments with resistance.

    Parameters
    ----------
    g : ndarray, shape (L, K)
        Siemens from each node to the other direction.
    ohms : float
        Ohms of one segment.
    ends : Ends
    """

    def __init__(self, g: FloatArray, ohms: float, ends: Ends) -> None:
        self.ohms = ohms
        self.leaks = ohms * g
        self.inverse_pivots = inverse_pivots(self.leaks, ends)

    def drive(self, ends: Ends) -> FloatArray:
        """Return the right-hand side (L, K, S) of sources and injected currents."""
        x = np.zeros((*self.leaks.shape, len(ends.first)))
        x[0] = ends.first.T
        x[-1] += ends.last.T + self.ohms * ends.injected.T
        return x

    def solve(self, x: FloatArray) -> None:
        """Turn right-hand sides (L, K, S) into volts, in place."""
        p = self.inverse_pivots[:, :, None]
        piece = np.empty(x.shape[1:])
        for i in range(len(x) - 2, -1, -1):
            np.multiply(x[i + 1], p[i + 1], out=piece)
            x[i] += piece
        x[0] *= p[0]
        for i in range(1, len(x)):
            x[i] += x[i - 1]
            x[i] *= p[i]

    def hold(self, x: FloatArray, ends: Ends) -> None:
        """Do nothing, since no node of such a line is held."""


class IdealLines:
    """Lines without resistance: one node each, held or floating.

    Parameters
    ----------
    g : ndarray, shape (L, K)
        Siemens from each device to the other direction.
    ends : Ends
        Which ends are held.
    """

    def __init__(self, g: FloatArray, ends: Ends) -> None:
        self.leaks = g
        with np.errstate(divide="ignore"):
            self._ohms = np.where(ends.anchored, 0.0, 1.0 / g.sum(axis=0))[:, None]

    def drive(self, ends: Ends) -> FloatArray:
        """Return the right-hand side (L, K, S) of the injected currents."""
        x = np.zeros((*self.leaks.shape, len(ends.first)))
        x[-1] = ends.injected.T
        return x

    def solve(self, x: FloatArray) -> None:
        """Turn currents (L, K, S) into volts, in place; a held line is at 0 V."""
        x[:] = x.sum(axis=0) * self._ohms

    def hold(self, x: FloatArray, ends: Ends) -> None:
        """Write the volts of held lines into x (L, K, S)."""
        held = ends.anchored
        x[:, held] = np.where(ends.first_held, ends.first, ends.last)[:, held].T


def inverse_pivots(leaks: FloatArray, ends: Ends) -> FloatArray:
    """Return 1 / pivot (L, K) of lines with leaks (L, K), eliminated from the last node to the first."""
    p = np.empty(leaks.shape)
    s = leaks[-1] + ends.last_held
    for i in range(len(p) - 1, 0, -1):
        np.add(s, 1.0, out=p[i])
        np.divide(1.0, p[i], out=p[i])
        s *= p[i]
        s += leaks[i - 1]
    np.divide(1.0, s + ends.first_held, out=p[0])
    return p


def chain_factors(leaks: FloatArray, first_held: bool, last_held: bool) -> tuple[FloatArray, FloatArray]:
    """Return factors for LAPACK's ``pttrs`` of lines with leaks (L, K): d (K L,), e (K L - 1,), line after line.

    Unlike in ``pttrf``, the pivots are computed without subtraction. e is negative, so solving for sources of one
    sign does not subtract either.
    """
    d = np.empty(leaks.shape)
    s = leaks[0] + first_held
    for i in range(len(d) - 1):
        np.add(s, 1.0, out=d[i])
        np.divide(s, d[i], out=s)
        s += leaks[i + 1]
    np.add(s, last_held, out=d[-1])
    flat = np.ascontiguousarray(d.T).ravel()
    e = -1.0 / flat[:-1]
    e[len(d) - 1 :: len(d)] = 0.0
    return flat, e


def by_devices(g: FloatArray, ohms: float) -> BoolArray:
    """Return the lines (K,) where the devices' currents are more precise than the drop over the last wire."""
    return np.asarray(g.sum(axis=0) * ohms <= 1.0)


def end_currents(g: FloatArray, drops: FloatArray, volts: FloatArray, ohms: float, ends: Ends) -> FloatArray:
    """Return the amperes (S, K) out of the last ends of lines.

    Parameters
    ----------
    g : ndarray, shape (L, K)
        Siemens of the device at each node.
    drops : ndarray, shape (L, K, S)
        Volts over the devices: the other direction's node minus this line's.
    volts : ndarray, shape (L, K, S)
        Volts of the line's nodes.
    ohms : float
        Ohms of one segment.
    ends : Ends

    Notes
    -----
    If both ends of a line are held, a device's current divides between them by the wires on either side.
    """
    L = len(g)
    both = ends.first_held & ends.last_held
    out = np.einsum("lk,lks->ks", g, drops)
    if ohms:
        if both.any():
            through = (ends.first - ends.last).T[both] / ((L + 1) * ohms)
            share = np.arange(1, L + 1) / (L + 1)
            out[both] = np.einsum("l,lk,lks->ks", share, g[:, both], drops[:, both]) + through
        wire = ~by_devices(g, ohms)
        if wire.any():
            out[wire] = (volts[-1] - ends.last.T)[wire] / ohms
    return np.asarray(np.where(ends.last_held[:, None], out, -ends.injected.T).T)
