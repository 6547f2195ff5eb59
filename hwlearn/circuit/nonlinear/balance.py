"""Kirchhoff's current law at the free nodes during a search, and how far rounding errors reach."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from hwlearn.arrays import BoolArray, FloatArray, IntArray
from hwlearn.circuit.nonlinear.currents import ROUNDING, Circuit
from hwlearn.circuit.nonlinear.linearised import Factor, Linearised

TRUSTED: Final = 1e-3
"""Largest relative error of linear solutions whose error bounds are used."""


@dataclass(frozen=True, eq=False, slots=True)
class OutputSources:
    """What feeds the outputs of a batch.

    Attributes
    ----------
    injected : ndarray, shape (S, n_out), optional
        Amperes into the outputs.
    loads : (ndarray, ndarray), optional
        Volts and siemens (S, n_out) of sources behind conductances at the outputs.
    """

    injected: FloatArray | None = None
    loads: tuple[FloatArray, FloatArray] | None = None

    def rows(self, chosen: IntArray) -> OutputSources:
        """Return the sources of chosen samples."""
        loads = self.loads
        return OutputSources(
            None if self.injected is None else self.injected[chosen],
            None if loads is None else (loads[0][chosen], loads[1][chosen]),
        )

    def at(self, outputs: BoolArray) -> OutputSources:
        """Return the sources of chosen outputs (n_out,)."""
        loads = self.loads
        return OutputSources(
            None if self.injected is None else self.injected[:, outputs],
            None if loads is None else (loads[0][:, outputs], loads[1][:, outputs]),
        )


@dataclass(frozen=True, eq=False, slots=True)
class Tangents:
    """The nonlinear edges of some samples, linearised at drops ``v`` (S, K).

    ``slopes`` (S, K) are the slopes there, ``currents`` (S, K) the currents of the tangents at the present drops.
    """

    v: FloatArray
    slopes: FloatArray
    currents: FloatArray


class Balance:
    """Currents at the free nodes of a batch with held nodes at V (S, N), in the order of ``NodeOrder.nodes``.

    Attributes
    ----------
    into : ndarray, shape (S, n_free)
        Amperes into the free nodes if they are at 0 V, without nonlinear edges and loads.
    size : ndarray, shape (S,)
        Largest voltage of the sources.
    from_drops : ndarray of bool, shape (S,)
        Samples whose currents are summed over drops, which loses fewer digits than summed conductances.
    """

    def __init__(self, circuit: Circuit, linear: Linearised, V: FloatArray, sources: OutputSources) -> None:
        self._circuit, self._linear, self._n_free = circuit, linear, linear.size
        at = linear.nodes.output_position
        self._outputs = at[at >= 0]
        self._sources = sources.at(at >= 0)
        held = V[:, self._n_free :]
        self._held = np.abs(held).max(axis=1, initial=0.0)
        self.into = linear.from_held(held)
        if self._sources.injected is not None:
            self.into[:, self._outputs] += self._sources.injected
        loads = self._sources.loads
        self.size = (
            self._held if loads is None else np.maximum(self._held, np.abs(loads[0]).max(axis=1, initial=0.0))
        )
        self.from_drops = np.zeros(len(V), dtype=bool)

    def residual(self, rows: IntArray, V: FloatArray, nonlinear: FloatArray) -> FloatArray:
        """Return the current (S, n_free) that is missing at each free node.

        Parameters
        ----------
        rows : ndarray of int, shape (S,)
            Samples of the batch.
        V : ndarray, shape (S, N)
            Their volts.
        nonlinear : ndarray, shape (S, K)
            Amperes in their nonlinear edges.
        """
        free, sources = V[:, : self._n_free], self._sources
        if self.from_drops[rows].any():
            out = -self._by_node(V, absolute=False)
            if sources.injected is not None:
                out[:, self._outputs] += sources.injected[rows]
        else:
            out = self.into[rows] - self._linear.between_free(free)
        out -= self._linear.nonlinear.outflow(nonlinear)
        if sources.loads is not None:
            volts, siemens = sources.loads[0][rows], sources.loads[1][rows]
            out[:, self._outputs] += siemens * (volts - free[:, self._outputs])
        return out

    def rounding(self, rows: IntArray, V: FloatArray, now: Tangents, factor: Factor) -> list[FloatArray]:
        """Return currents (S, n_free) that cause the rounding errors at V (S, N), and 1 V at every node."""
        free, sources = V[:, : self._n_free], self._sources
        if self.from_drops[rows].any():
            terms = self._by_node(V, absolute=True)
        else:
            terms = self._linear.sizes_between_free(free) + self._held[rows, None] * self._linear.leak
        terms += self._linear.nonlinear.sizes(np.abs(now.currents) + now.slopes * np.abs(now.v))
        if sources.injected is not None:
            terms[:, self._outputs] += np.abs(sources.injected[rows])
        if sources.loads is not None:
            volts, siemens = sources.loads[0][rows], sources.loads[1][rows]
            terms[:, self._outputs] += siemens * (np.abs(volts) + np.abs(free[:, self._outputs]))
        return [ROUNDING * terms, np.broadcast_to(factor.leak, terms.shape)]

    def _by_node(self, V: FloatArray, *, absolute: bool) -> FloatArray:
        """Return the currents (S, n_free) of resistors out of free nodes from drops, or sums of absolute ones."""
        order, circuit = self._linear.nodes, self._circuit
        volts = np.empty_like(V)
        volts[:, order.nodes] = V
        edges = circuit.structure.from_drops
        at_nodes = (edges.sizes if absolute else edges.currents)(volts, circuit.ohmic_siemens)
        return at_nodes[:, order.free]


def rounding_bound(rounding: FloatArray, one: FloatArray) -> FloatArray:
    """Return the bound (S,) in volts from the voltages (S, n_free) for the currents of `Balance.rounding`."""
    # with all held nodes at 1 V every node is at 1 V; a solution far from that is useless
    off = np.abs(one - 1.0).max(axis=1)
    return np.where(off <= TRUSTED, np.abs(rounding).max(axis=1), np.inf)
