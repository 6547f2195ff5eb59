"""The figures of large graphs: their measurement on small ones, and the growth of cost up to a million edges."""

import numpy as np
import pytest
from large_graphs import GRAPHS, MOST_EXPONENT, chain, compared, lattice, measured, star, wired_grid
from ratios.growth import exponent

import hwlearn as hl
from hwlearn.circuit.linear import cholmod


@pytest.mark.parametrize(
    ("topology", "edges"),
    [
        (lattice(4), 3 * 3 * 16),
        (chain(50), 49),
        (star(1500), 1500),
        (wired_grid(12), 237),
        (hl.Topology.grid(9, 9), 144),
    ],
    ids=["lattice", "chain", "star", "wires", "grid"],
)
def test_graphs_are_measured(topology, edges):
    found, V = measured(topology, (-6, -4), 1)
    assert found["edges"] == edges
    assert all(found[kind] > 0 for kind in ("first", "re-solve", "solve 8", "gradient", "peak", "error"))
    held = V[0, topology.inputs]
    assert V.shape == (1, topology.n_nodes)
    assert held.min() - 1e-9 <= V.min() <= V.max() <= held.max() + 1e-9  # without currents, between the sources


@pytest.mark.slow
def test_each_library_is_measured_in_a_process_of_its_own(capsys):
    found = compared("12", ("superlu",), 1, 60)
    assert found["superlu"]["edges"] == 264
    assert "re-solve" in capsys.readouterr().out


def test_process_that_takes_too_long_is_reported(capsys):
    compared(next(iter(GRAPHS)), ("superlu",), 1, 0.01)
    assert "stopped after 0.01 s" in capsys.readouterr().out


@pytest.mark.slow
def test_cost_grows_with_a_small_power_of_the_number_of_edges(figure):
    if not cholmod.is_installed():
        pytest.skip("the extra `fast` (cvxopt) is not installed")
    found = [compared(str(side), ("cholmod",), 3, 120)["cholmod"] for side in (71, 225, 708)]
    edges = np.array([float(one["edges"]) for one in found])
    for kind in ("first", "re-solve"):
        seconds = np.array([float(one[kind]) for one in found])
        power = exponent(edges, seconds)
        figure(
            f"{kind} of grids of 10^4 to 10^6 edges with `fast`: exponent {power:.2f} (required {MOST_EXPONENT}), "
            f"{seconds[-1]:.2f} s of processor time at a million"
        )
        assert power <= MOST_EXPONENT
