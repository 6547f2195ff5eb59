"""Test circuits of all kinds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import pytest

from hwlearn import Topology
from hwlearn.circuit.linear import cholmod, factor, lineage, superlu


class Circuit(NamedTuple):
    topology: Topology
    g: np.ndarray
    inputs: np.ndarray
    error: np.ndarray


def _graph(seed: int, rng: np.random.Generator) -> Topology:
    """Return a random, grid, crossbar, layered or multi-component graph, with or without ground."""
    grounded = seed % 2 == 0
    match seed // 2 % 5:
        case 0:
            n = int(rng.integers(6, 20))
            return Topology.random(n, 2 * n, 2, 2, 0 if grounded else None, seed=rng)
        case 1:
            return Topology.grid(4, 5, ground=3 if grounded else None)
        case 2:
            return Topology.crossbar(5, 4, inputs=[0, 1, 2], outputs=[0, 2], ground=4 if grounded else None)
        case 3:
            return Topology.layered([3, 4, 2], ground=0 if grounded else None)
        case _:  # two components, connected only through their sources; parallel edges
            edges = [(0, 1), (1, 2), (2, 0), (1, 2), (3, 4), (4, 5), (5, 3), (5, 4)]
            return Topology(6, edges, [0, 3, 5], [1, 4], ground=5 if grounded else None)


def use_library(library: str, monkeypatch: pytest.MonkeyPatch) -> tuple[object, str]:
    """Use a library for sparse factors of any size; return what is called for each factor."""
    if library == "superlu":
        monkeypatch.setattr(lineage, "is_installed", lambda: False)
        return superlu, "splu"
    pytest.importorskip("cvxopt", reason="the extra `fast` (cvxopt) is not installed")
    monkeypatch.setattr(factor, "CHOLMOD_NODES", 0)
    return cholmod.Analysis, "factor"


@pytest.fixture(params=["superlu", "cholmod"])
def sparse_library(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> tuple[object, str]:
    """Use each library for sparse factors of any size; see `use_library`."""
    return use_library(request.param, monkeypatch)


@pytest.fixture(params=["dense", "superlu", "cholmod"])
def path(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Solve small circuits in each way."""
    if request.param != "dense":
        monkeypatch.setattr(factor, "DENSE_NODES", 0)
        use_library(request.param, monkeypatch)
    factor.plan_for.cache_clear()
    yield request.param
    factor.plan_for.cache_clear()


@pytest.fixture(scope="session")
def circuit_of() -> Callable[[int], Circuit]:
    """Return the circuit of a seed; kinds alternate, and every third one has fixed and parallel edges."""

    def make(seed: int) -> Circuit:
        rng = np.random.default_rng(seed)
        t = _graph(seed, rng)
        if seed % 3 == 0:
            pairs = np.array([rng.choice(t.n_nodes, 2, replace=False) for _ in range(4)])
            t = Topology(
                t.n_nodes,
                np.concatenate([t.edges, t.edges[:3, ::-1]]),
                t.inputs,
                t.outputs,
                t.ground,
                fixed_edges=pairs,
                fixed_conductances=10 ** rng.uniform(-6, -2, 4),
            )
        g = 10 ** rng.uniform(-6, -4, t.n_edges)
        return Circuit(t, g, rng.uniform(-1, 1, (3, t.n_inputs)), rng.normal(size=(3, t.n_outputs)))

    return make
