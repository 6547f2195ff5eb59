"""`Transistors`: the equations of SPICE level 1 transistors with junctions, series resistances and a body.

One law for transistors whose body and gate have the same connections; their numbers may differ from edge to edge.
The unknowns inside are the drops across both series resistances, so that currents lose no digits where the channel
carries little, and the voltage of a floating body. They are eliminated in closed form. With the currents c that
leave both ends of the channel, their derivatives D by the voltages of these ends and C by those of a and b, and
the resistances R, the currents through the resistances are ``W (c + D drops + C dv)`` with ``W = (1 + D R)^-1``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from hwlearn.arrays import BoolArray, FloatArray
from hwlearn.circuit.elements.kinds import MOST_EXPONENT, shockley_linearised_at
from hwlearn.circuit.elements.level1 import Channel
from hwlearn.circuit.elements.three_terminal import Parameter, Stamp, ThreeTerminal, linearised_truly

Body = Literal["ground", "drain", "source", "floating"]
Reference = Literal["ground", "drain", "source"]


@dataclass(frozen=True, eq=False)
class Transistors(ThreeTerminal):
    """Transistors of K edges, or one for all edges.

    Attributes
    ----------
    channel : Channel
    resistances : ndarray, shape (2, K) or (2, 1)
        Ohms in series with drain and source; zero for none.
    is_, gmin, nVt : ndarray, shape (K,) or (1,)
        Of the junctions: saturation current in amperes, parallel siemens, thermal voltage.
    most_gate : ndarray, shape (K,) or (1,)
        Largest gate voltage.
    body, gate : str
        What the body is connected to, and what the gate voltage is measured against.
    jumps : bool
        Whether a blocking junction carries ``-is_`` below three thermal voltages, as in SPICE.
    declared : Parameter
        What is programmed and learned.
    """

    channel: Channel
    resistances: FloatArray
    is_: FloatArray
    gmin: FloatArray
    nVt: FloatArray
    most_gate: FloatArray
    body: Body
    gate: Reference
    jumps: bool
    declared: Parameter

    @property
    def parameter(self) -> Parameter:
        """The gate voltage."""
        return self.declared

    @property
    def scale_V(self) -> float:
        """Smallest thermal voltage."""
        return float(self.nVt.min())

    def start(self, terminals: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return no drops and a floating body at the lower end; junctions conduct at most what the channel can."""
        inner = np.zeros((2 + (self.body == "floating"), *terminals.shape[1:]))
        if self.body == "floating":
            inner[2] = terminals.min(axis=0)
        return inner, np.minimum(self._controls(terminals, inner), self.highest_begun)

    @property
    def highest_begun(self) -> FloatArray:
        """Volts (K,) or (1,) at which a junction conducts as much as the channel can."""
        strong = np.maximum(self.channel.beta * self.most_gate, self.gmin)
        return np.asarray(self.nVt * np.log1p(strong * self.nVt / self.is_))

    def in_range(self, terminals: FloatArray, inner: FloatArray) -> BoolArray:
        """Return whether both junctions are within the range of their law."""
        return np.asarray((self._controls(terminals, inner) <= MOST_EXPONENT * self.nVt).all(axis=0))

    def contrast(self, terminals: FloatArray, values: FloatArray) -> FloatArray:
        """Return ``KP W / L v^2 / 2``; see `Mosfet.contrast`."""
        return np.asarray(0.5 * self.channel.beta * (terminals[0] - terminals[1]) ** 2)

    def _controls(self, terminals: FloatArray, inner: FloatArray) -> FloatArray:
        """Return the voltages (2, S, K) from the body to both ends of the channel."""
        if self.body == "ground":
            return inner[:2] - terminals
        at = {"drain": terminals[0], "source": terminals[1], "floating": inner[-1]}[self.body]
        return np.asarray((at - terminals) + inner[:2])

    def stamp(self, terminals: FloatArray, inner: FloatArray, before: FloatArray, values: FloatArray) -> Stamp:
        """Return the currents; see `ThreeTerminal.stamp`."""
        drops = inner[:2]
        ends = terminals - drops
        controls = self._controls(terminals, inner)
        at = shockley_linearised_at(self.nVt, controls, before)
        into, y = self._junctions(controls, at)
        body: FloatArray | float = 0.0
        if self.body != "ground":
            body = {"drain": terminals[0], "source": terminals[1], "floating": inner[-1]}[self.body]
        gate = values if self.gate == "ground" else values + terminals[0 if self.gate == "drain" else 1]
        current, gm, by_drain, by_source, gmb = self.channel.currents(gate, ends[0], ends[1], body)
        c, D = np.empty_like(terminals), np.empty((2, *terminals.shape))
        det: FloatArray | float = 0.0  # of D
        if self.body == "floating":  # eliminated first, without terms that cancel
            whole = y[0] + y[1]
            share, missing = y / whole, (into[0] + into[1]) / whole
            through = y[0] * share[1]
            c[0] = current - gmb * missing + (share[0] * into[1] - share[1] * into[0])
            D[0, 0] = by_drain + gmb * share[0] + through
            D[0, 1] = by_source + gmb * share[1] - through
            np.negative(c[0], out=c[1])
            np.negative(D[0], out=D[1])
        else:
            c[0], c[1] = current - into[0], -current - into[1]
            D[0, 0], D[0, 1] = by_drain + y[0], by_source
            D[1, 0], D[1, 1] = -by_drain, y[1] - by_source
            det = by_drain * y[1] - y[0] * by_source + y[0] * y[1]
        C = self._by_terminals(D, y, (gm, by_drain, by_source, gmb))
        W = self._through_resistances(D, det)
        currents = _product(W, c + _product(D, drops))
        jacobian = np.stack([_product(W, C[:, 0]), _product(W, C[:, 1])], axis=1)
        by_value = (W[:, 0] - W[:, 1]) * gm
        inside, slopes = np.empty_like(inner), np.empty((len(inner), *terminals.shape))
        ohms = self.resistances[:, None]
        np.multiply(ohms, currents, out=inside[:2])
        np.multiply(ohms[:, None], jacobian, out=slopes[:2])
        if self.body == "floating":
            inside[2] = inner[2] - missing + (share * (drops - inside[:2])).sum(axis=0)
            slopes[2] = share - (share[:, None] * slopes[:2]).sum(axis=0)
        elif self.body != "ground":  # the body's current flows at one end: what leaves there enters at the other
            own, other = (0, 1) if self.body == "drain" else (1, 0)
            for array in (currents, jacobian, by_value):
                np.negative(array[other], out=array[own])
        is_true = None if at is controls else linearised_truly(at, controls)
        return Stamp(currents, jacobian, by_value, inside, slopes, at, is_true)

    def _by_terminals(self, D: FloatArray, y: FloatArray, slopes: tuple[FloatArray, ...]) -> FloatArray:
        """Return C (2, 2, S, K), without terms that cancel."""
        if self.body in ("ground", "floating") and self.gate == "ground":
            return D
        gm, by_drain, by_source, gmb = slopes
        C = D.copy()
        if self.body == "drain":
            C[0, 0] = by_drain + gmb
            C[1, 0] -= gmb + y[1]
        elif self.body == "source":
            C[0, 1] += gmb - y[0]
            C[1, 1] = -by_source - gmb
        if self.gate != "ground":
            column = 0 if self.gate == "drain" else 1
            C[0, column] += gm
            C[1, column] -= gm
        return C

    def _through_resistances(self, D: FloatArray, det: FloatArray | float) -> FloatArray:
        """Return W (2, 2, S, K)."""
        r, s = self.resistances
        W = np.empty_like(D)
        np.multiply(D[0, 1], -s, out=W[0, 1])
        np.multiply(D[1, 0], -r, out=W[1, 0])
        np.multiply(D[1, 1], s, out=W[0, 0])
        np.multiply(D[0, 0], r, out=W[1, 1])
        whole = 1 + W[0, 0] + W[1, 1] + r * s * det
        W[0, 0] += 1
        W[1, 1] += 1
        W /= whole
        return W

    def _junctions(self, controls: FloatArray, at: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return the currents from the body and the slopes (2, S, K) of both junctions, linearised ``at``."""
        u = at / self.nVt
        inside = np.minimum(u, MOST_EXPONENT)
        rise = np.exp(inside)
        slope = self.is_ / self.nVt * rise + self.gmin
        # beyond the largest exponent along the tangent
        current = self.is_ * (np.expm1(inside) + rise * (u - inside)) + self.gmin * at
        if self.jumps:
            blocks = u <= -3
            slope = np.where(blocks, self.gmin, slope)
            current = np.where(blocks, self.gmin * at - self.is_, current)
        if at is not controls:
            current += slope * (controls - at)
        return current, slope


def _product(A: FloatArray, x: FloatArray) -> FloatArray:
    """Return the products (2, S, K) of matrices (2, 2, S, K) and vectors (2, S, K)."""
    return np.asarray(A[:, 0] * x[0] + A[:, 1] * x[1])
