"""Searches of a circuit with elements of three terminals: compiled or by Newton's method, and what they share."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np

from hwlearn.arrays import FloatArray, IntArray
from hwlearn.circuit.elements.adapted import Adapted
from hwlearn.circuit.elements.three_terminal import ThreeTerminal
from hwlearn.circuit.nonreciprocal.compiled import Compiled
from hwlearn.circuit.nonreciprocal.equations import LawEdges, LawEquations, SingularJacobian
from hwlearn.circuit.nonreciprocal.newton import LARGEST_ERROR, Drive, LostSample, Newton
from hwlearn.circuit.topology import Topology
from hwlearn.errors import ConvergenceError

_KEPT_EQUATIONS: Final = 32


@dataclass(frozen=True, eq=False, slots=True)
class BothSearches:
    """Both searches for one set of held nodes; `compiled` is None where it is not installed or does not suit."""

    newton: Newton
    compiled: Compiled | None


@dataclass(frozen=True, eq=False, slots=True)
class FoundPoints:
    """Node voltages (S, N), errors (S,), and the unknowns inside the elements if the compiled search kept them."""

    V: FloatArray
    error_V: FloatArray
    inner: FloatArray | None


@dataclass(frozen=True, eq=False, slots=True)
class FreeBatch:
    """Inputs (S, n_in) of the last free solution, its node voltages (S, N), and the unknowns inside if kept."""

    x: FloatArray
    V: FloatArray
    inner: FloatArray | None


def find(
    search: BothSearches, V: FloatArray, inner: FloatArray | None, rows: IntArray, sources: Drive
) -> FoundPoints:
    """Return node voltages for held nodes at V (S, N); ``rows`` are the samples in messages."""
    error, kept, lost = np.empty(len(V)), None, np.arange(len(V))
    start = V
    if search.compiled is not None and len(V):
        V, error, kept = search.compiled.find(V, inner, sources)
        lost = np.flatnonzero(np.isnan(error))
    if len(lost):
        kept = None
        with named(rows[lost]):
            point = search.newton.find(start[lost], sources.of(lost))
        V, error = V.copy(), error.copy()
        V[lost], error[lost] = point.V, point.error_V
    return FoundPoints(V, error, kept)


@contextmanager
def named(rows: IntArray) -> Iterator[None]:
    """Raise ConvergenceError, with the number of the sample, for a sample of ``rows`` without a result."""
    try:
        yield
    except LostSample as lost:
        raise ConvergenceError(
            f"no operating point of sample {rows[lost.sample]} to {LARGEST_ERROR:g} of its largest voltage: "
            f"{lost.reason}; reduce the voltages, or shunt edges that block with resistors"
        ) from None
    except SingularJacobian as singular:
        raise ConvergenceError(
            f"no derivative at sample {rows[singular.sample]}: a node has no path to a source; shunt edges that "
            "block with resistors"
        ) from None


@lru_cache(maxsize=_KEPT_EQUATIONS)
def groups_of(topology: Topology) -> tuple[LawEdges, ...]:
    """Return the edges of each law; circuits share them."""
    table = topology.elements
    assert table is not None
    laws = [kind if isinstance(kind, ThreeTerminal) else Adapted(kind) for kind in table.kinds]
    alike: dict[Hashable, list[int]] = {}
    for k, law in enumerate(laws):
        alike.setdefault(law.alike, []).append(k)
    groups = []
    for members in alike.values():
        edges = np.flatnonzero(np.isin(table.which, members))
        if len(edges):
            kinds = [laws[k] for k in (table.which[edges] if len(members) > 1 else members)]
            groups.append(LawEdges(type(kinds[0]).together(kinds), edges, topology))
    return tuple(groups)


@lru_cache(maxsize=_KEPT_EQUATIONS)
def equations_of(topology: Topology, held: bytes) -> LawEquations:
    """Return the equations of a graph and the held outputs (bytes of a bool array); circuits share them."""
    return LawEquations(topology, groups_of(topology), np.frombuffer(held, dtype=np.bool_))
