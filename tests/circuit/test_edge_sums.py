"""Sums over edges by matrix products against sums over all drops (S, E), on graphs of all kinds."""

import subprocess
import sys
from collections.abc import Iterator

import numpy as np
import pytest

from hwlearn import Kirchhoff, Topology
from hwlearn.circuit.drops import drop_products
from hwlearn.circuit.edge_blocks import LEAST_DENSITY, EdgeBlocks
from hwlearn.circuit.elements import OHMIC, IdealDiode, Shockley, Sinh
from hwlearn.circuit.outflow import Outflow, power

SAMPLES = 7


def shuffled(edges: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return the edges in random order and direction."""
    edges = edges[rng.permutation(len(edges))]
    turned = rng.random(len(edges)) < 0.5
    return np.where(turned[:, None], edges[:, ::-1], edges)


def graphs() -> Iterator[tuple[str, Topology, bool]]:
    """Yield names and topologies, and whether most edges must be in blocks."""
    rng = np.random.default_rng(14)
    layered = Topology.layered([40, 30, 20, 5])
    yield "layered", layered, True
    yield "rectified", Topology.layered([40, 30, 5], rectifier=IdealDiode()), True
    yield "crossbar", Topology.crossbar(30, 25), True
    yield "crossbar with floating rows", Topology.crossbar(30, 25, inputs=range(10)), True
    yield "wired crossbar", Topology.crossbar(20, 15, wire_resistance=2.0), False
    yield "grid", Topology.grid(18, 17), False
    yield "sparse", Topology.random(300, 900, 10, 5), False
    yield "dense", Topology.random(60, 1500, 10, 5), True
    inputs, outputs, n = layered.inputs, layered.outputs, layered.n_nodes
    yield "reversed", Topology(n, layered.edges[:, ::-1], inputs, outputs), True
    yield "shuffled", Topology(n, shuffled(layered.edges, rng), inputs, outputs), True
    number = rng.permutation(n)
    yield "renumbered", Topology(n, number[layered.edges], number[inputs], number[outputs]), True
    twice = np.concatenate([layered.edges, layered.edges[::3, ::-1]])
    yield "parallel", Topology(n, shuffled(twice, rng), inputs, outputs), True
    kept = layered.edges[rng.random(layered.n_edges) < 0.6]
    yield "pruned", Topology(n, kept, inputs, outputs), True
    skip = np.stack(np.meshgrid(inputs, outputs), axis=-1).reshape(-1, 2)
    yield "skipping", Topology(n, np.concatenate([layered.edges, skip]), inputs, outputs), True
    chain = np.stack([np.arange(n, n + 50), np.arange(n - 1, n + 49)], axis=1)
    yield "with a tail", Topology(n + 50, np.concatenate([layered.edges, chain]), inputs, outputs), True


GRAPHS = {name: (topology, in_blocks) for name, topology, in_blocks in graphs()}
each_graph = pytest.mark.parametrize("name", GRAPHS)


def voltages(t: Topology, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return two sets of node voltages (S, N) and conductances (E + F,)."""
    rng = np.random.default_rng(seed)
    shape = SAMPLES, t.n_nodes
    g = np.exp(rng.uniform(-12, -8, len(t.all_edges)))
    return rng.normal(size=shape), 0.3 + rng.normal(size=shape), g


def all_drops(edges: np.ndarray, V: np.ndarray) -> np.ndarray:
    return V[:, edges[:, 0]] - V[:, edges[:, 1]]


def allow(actual: np.ndarray, expected: np.ndarray, of: np.ndarray | float, relative: float) -> None:
    error = np.abs(actual - expected)
    assert (error <= relative * of).all(), f"{np.max(error / np.maximum(of, 1e-300)):.2g} of the scale"


@each_graph
def test_blocks_and_remaining_edges_are_all_edges(name):
    t, in_blocks = GRAPHS[name]
    blocks = t.all_edge_blocks
    rest = blocks.rest
    every = np.concatenate([rest, *(block.edges for block in blocks.blocks)])
    np.testing.assert_array_equal(np.sort(every), np.arange(len(t.all_edges)))
    if in_blocks:
        assert len(rest) < 0.2 * len(t.all_edges)
    for block in blocks.blocks:
        assert len(block.edges) >= LEAST_DENSITY * block.first.size * block.second.size


@each_graph
def test_products_of_drops(name):
    t, _ = GRAPHS[name]
    U, V, _ = voltages(t, 0)
    du, dv = all_drops(t.edges, U), all_drops(t.edges, V)
    scale = np.linalg.norm(du, axis=0) * np.linalg.norm(dv, axis=0)
    allow(drop_products(t.edge_blocks, U, V), (du * dv).sum(axis=0), scale, 1e-10)
    U[:, t.inputs] = 0  # as an adjoint, whose inputs are held
    allow(drop_products(t.edge_blocks, U, V), (all_drops(t.edges, U) * dv).sum(axis=0), scale, 1e-10)


@pytest.mark.share(15)
@each_graph
@pytest.mark.parametrize("spread", [1e-4, 1e-8, 1e-12])
def test_products_of_drops_far_smaller_than_voltages(name, spread):
    t, _ = GRAPHS[name]
    rng = np.random.default_rng(1)
    # a few far voltages per sample, and all others close together
    U, V = (rng.choice([0.0, 1.0], (SAMPLES, t.n_nodes)) for _ in range(2))
    U[:, 3:], V[:, 3:] = U[:, :1] + spread * U[:, 3:], V[:, 1:2] + spread * V[:, 3:]
    du, dv = all_drops(t.edges, U), all_drops(t.edges, V)
    scale = np.linalg.norm(du, axis=0) * np.linalg.norm(dv, axis=0)
    allow(drop_products(t.edge_blocks, U, V), (du * dv).sum(axis=0), scale, 1e-10)


@pytest.mark.share(15)
@each_graph
@pytest.mark.parametrize("spread", [1.0, 1e-6, 1e-12])
def test_power_and_node_currents(name, spread):
    t, _ = GRAPHS[name]
    _, V, g = voltages(t, 2)
    V = 1.0 + spread * V
    v = all_drops(t.all_edges, V)
    expected = v**2 @ g
    allow(power(t.all_edge_blocks, V, g), expected, expected, 1e-11)
    out = np.zeros_like(V)
    for edge, (a, b) in enumerate(t.all_edges):
        out[:, a] += g[edge] * v[:, edge]
        out[:, b] -= g[edge] * v[:, edge]
    for nodes in (np.arange(t.n_nodes), t.inputs, t.outputs[::-1]):
        scale = np.abs(out[:, nodes]).max()
        allow(Outflow(t.all_edge_blocks, nodes).currents(V, g), out[:, nodes], scale, 1e-11)


def test_currents_into_inner_nodes_vanish_beside_large_conductances():
    """A few devices of 1 kS beside microsiemens: products of sums lose the small currents, drops do not."""
    t = Topology.layered([20, 20, 20])
    rng = np.random.default_rng(3)
    g = rng.uniform(1e-5, 1e-4, t.n_edges)
    g[::37] = 1e3
    k = Kirchhoff(t, g)
    V = k.solve(rng.uniform(-1, 1, (4, 20)))
    currents = k.node_currents(V)
    inner = np.setdiff1d(np.arange(60), t.driven)
    from_drops = np.zeros_like(V)
    flow = all_drops(t.edges, V) * g
    np.add.at(from_drops.T, t.edges[:, 0], flow.T)
    np.subtract.at(from_drops.T, t.edges[:, 1], flow.T)
    allow(currents[:, inner], from_drops[:, inner], np.abs(from_drops).max(), 1e-12)


MIXES = {
    "resistors": OHMIC,
    "sinh": Sinh(0.2),
    "sinh, diodes and resistors": [Sinh(0.2), Shockley(0.2), OHMIC],
}


@pytest.mark.parametrize("mix", MIXES)
@pytest.mark.parametrize("rectifier", [None, IdealDiode(leak=1e-3)])
def test_gradient_contrast_and_power_of_layers_with_nonlinear_edges(mix, rectifier):
    """Reductions of the circuit against the laws of its elements, edge by edge, over all drops."""
    t = Topology.layered([24, 18, 4], rectifier=rectifier)
    element = MIXES[mix]
    if isinstance(element, list):
        element = (element * t.n_edges)[: t.n_edges]
    t = t.with_elements(element)
    rng = np.random.default_rng(5)
    g = rng.uniform(1e-5, 1e-4, t.n_edges)
    k = Kirchhoff(t, g)
    x, e = rng.uniform(-1, 1, (SAMPLES, 24)), rng.normal(size=(SAMPLES, 4))
    V, lam = k.solve(x), k.adjoint(e, k.solve(x))
    v, back = all_drops(t.edges, V), all_drops(t.edges, lam)
    table = t.edge_elements
    by_theta = np.stack([el.sensitivity(v[:, i], g[i]) for i, el in enumerate(table)], axis=1)
    expected = -(back * by_theta).mean(axis=0)
    np.testing.assert_allclose(k.gradient(x, e), expected, rtol=1e-9, atol=1e-12 * np.abs(expected).max())
    low, weights = 0.7 * V, rng.uniform(0.5, 1.5, SAMPLES)
    rise = [el.cocontent(v[:, i], g[i]) - el.cocontent(0.7 * v[:, i], g[i]) for i, el in enumerate(table)]
    np.testing.assert_allclose(k.contrast(V, low, weights), np.stack(rise) @ weights, rtol=1e-9)
    squares = np.zeros(t.n_edges)
    for unit in np.eye(4):
        alone = all_drops(t.edges, k.adjoint(np.broadcast_to(unit, e.shape), V))
        squares += ((alone * by_theta) ** 2).mean(axis=0)
    np.testing.assert_allclose(k.output_power(x), squares, rtol=1e-8, atol=1e-12 * squares.max())
    watts = np.einsum("se,se->s", v, k.edge_currents(V))
    delivered = np.einsum("sn,sn->s", V, k.node_currents(V))
    np.testing.assert_allclose(k.power(V), delivered, rtol=1e-9)
    assert (k.power(V) >= watts * (1 - 1e-12)).all()


def test_sparse_graph_of_many_nodes_has_no_matrix_of_its_nodes():
    t = Topology.grid(120, 110)
    blocks = EdgeBlocks(t.edges, t.n_nodes, t.driven)
    assert not blocks.blocks
    mixed = Topology.random(4_000, 24_000, 50, 5, seed=1)
    assert all(b.first.size * b.second.size <= 16 * len(b.edges) for b in mixed.edge_blocks.blocks)


MEMORY = """
import tracemalloc
import numpy as np
import hwlearn as hl
from hwlearn.circuit.elements import IdealDiode

def share(sizes, rectifier, samples=96):
    top = hl.Topology.layered(sizes, rectifier=rectifier)
    rng = np.random.default_rng(0)
    tracemalloc.start()
    k = hl.Kirchhoff(top, rng.uniform(1e-6, 1e-4, top.n_edges))
    x, e = rng.uniform(-1, 1, (samples, sizes[0])), rng.normal(size=(samples, sizes[-1]))
    V = k.solve(x)
    k.gradient(x, e), k.contrast(V, 0.9 * V, np.ones(samples))
    k.power(V), k.source_currents(V), k.node_currents(V)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak / (8 * samples * top.n_edges)

for rectifier in (None, IdealDiode()):
    share([40, 40, 3], rectifier)  # imports
    print(share([200, 150, 10], rectifier))
"""


@pytest.mark.slow
def test_peak_memory_stays_below_one_array_of_samples_and_edges():
    """A fresh process makes circuits, solves and differentiates them within half an (S, E) array."""
    done = subprocess.run([sys.executable, "-c", MEMORY], capture_output=True, text=True, check=True)
    shares = [float(line) for line in done.stdout.split()]
    assert len(shares) == 2
    assert max(shares) < 0.5, shares
