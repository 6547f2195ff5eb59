"""Circuit, conductances and inputs for tests of `SmuNetwork`."""

import numpy as np
import pytest

import hwlearn as hl


@pytest.fixture
def graph():
    """Eight nodes, ground at 0, three inputs, two outputs."""
    return hl.Topology.random(8, 14, inputs=3, outputs=2, ground=0, seed=3)


@pytest.fixture
def teacher(graph):
    return hl.Kirchhoff(graph, np.random.default_rng(1).uniform(3e-5, 1.5e-4, graph.n_edges))


@pytest.fixture
def inputs():
    return np.random.default_rng(2).uniform(-0.4, 0.4, (4, 3))
