"""The lines of a crossbar: chains of equal resistors, tied at their ends, leaking into devices; solved at once.

A line of ``L`` nodes whose segments have resistance R obeys, in volts,

    (T + R diag(g)) x = e_first v_first + e_last v_last + R i

with T the second difference. Its Cholesky pivots are ``1 + s`` with the accumulated leak ``s`` positive, so that
neither factor nor sweeps subtract: every entry of the inverse has a relative error of L roundings at most,
whatever the range of the conductances (Alfa, Xue & Ye, Math. Comp. 71, 217, 2002).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from hwlearn.arrays import BoolArray, FloatArray


@dataclass(frozen=True, eq=False)
class Ends:
    """What holds the two ends of the K lines of one direction, for S samples.

    Attributes
    ----------
    first_held, last_held : ndarray of bool, shape (K,)
        Which ends a source holds; the others float.
    first, last : ndarray, shape (S, K)
        Volts of the held ends; zero at floating ones.
    injected : ndarray, shape (S, K)
        Amperes pushed into the last ends; zero at held ones.
    """

    first_held: BoolArray
    last_held: BoolArray
    first: FloatArray
    last: FloatArray
    injected: FloatArray

    @property
    def anchored(self) -> BoolArray:
        """Which lines (K,) a source holds at one end at least."""
        return self.first_held | self.last_held

    def of(self, samples: slice | NDArray[np.intp]) -> Ends:
        """Return the same ends with some of the samples."""
        return Ends(
            self.first_held, self.last_held, self.first[samples], self.last[samples], self.injected[samples]
        )

    def driven(self, first: FloatArray, last: FloatArray, injected: FloatArray) -> Ends:
        """Return the same ends with other volts and currents; those that cannot act are taken out."""
        return Ends(
            self.first_held,
            self.last_held,
            np.where(self.first_held, first, 0.0),
            np.where(self.last_held, last, 0.0),
            np.where(self.last_held, 0.0, injected),
        )


class Lines(Protocol):
    """The lines of one direction, their devices' other ends held at 0 V."""

    leaks: FloatArray
    """What couples to the other direction, shape (L, K)."""

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
        Of one segment.
    ends : Ends
        Which ends are held.
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
        """Do nothing: no node of such a line is held."""


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
        """Return the right-hand side (L, K, S): injected currents alone."""
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
    """Return what LAPACK's ``pttrs`` takes of lines with leaks (L, K): d (K L,), e (K L - 1,), line after line.

    The pivots are found without subtraction, unlike those of ``pttrf``, and e is negative: solving for sources
    of one sign subtracts nothing either.
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
    """Tell for which lines (K,) the devices' currents have more digits than the drop over the last wire."""
    return np.asarray(g.sum(axis=0) * ohms <= 1.0)


def end_currents(g: FloatArray, drops: FloatArray, volts: FloatArray, ohms: float, ends: Ends) -> FloatArray:
    """Return the amperes (S, K) out of the last ends of lines.

    Parameters
    ----------
    g : ndarray, shape (L, K)
        Siemens of the device at each node.
    drops : ndarray, shape (L, K, S)
        Volts over the devices, the other direction's node minus this line's.
    volts : ndarray, shape (L, K, S)
        Of the line's nodes.
    ohms : float
        Of one segment.
    ends : Ends
        What holds the ends.

    Notes
    -----
    A line that is held at both ends shares a device's current among them as the wires on either side do.
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
