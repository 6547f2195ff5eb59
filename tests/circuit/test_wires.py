"""Wired crossbars: their graph, how it is recognised, and agreement of the two solvers."""

import numpy as np
import pytest

import hwlearn as hl
from hwlearn.errors import TopologyError


@pytest.mark.parametrize("ohms", [2.0, (2.0, 3.0), (0.0, 3.0), (2.0, 0.0)])
@pytest.mark.parametrize(("rows", "columns"), [(1, 1), (1, 5), (5, 1), (3, 4), (4, 3), (6, 6)])
def test_wired_crossbar_is_recognised_with_its_resistances(ohms, rows, columns):
    topology = hl.Topology.crossbar(rows, columns, wire_resistance=ohms)
    wires = topology.wires
    assert wires is not None
    assert (wires.rows, wires.columns) == (rows, columns)
    assert (wires.row_ohms, wires.column_ohms) == pytest.approx(np.broadcast_to(ohms, 2), rel=1e-15)
    assert topology.n_edges == rows * columns
    assert topology.n_nodes == rows + columns + rows * columns * np.count_nonzero(np.broadcast_to(ohms, 2))


@pytest.mark.parametrize("ohms", [2.0, (2.0, 3.0), (0.0, 3.0), (2.0, 0.0)])
def test_general_solver_agrees_with_the_crossbar_engine_with_floating_columns(ohms):
    rng = np.random.default_rng(5)
    g, x = rng.uniform(1e-5, 1e-3, (5, 7)), rng.uniform(-1, 1, (4, 5))
    topology = hl.Topology.crossbar(5, 7, wire_resistance=ohms)
    V = hl.Kirchhoff(topology, g.ravel()).solve(x)
    engine = hl.solve_crossbar(g, x, ohms, bottom_voltages=np.full(7, np.nan))
    np.testing.assert_allclose(V[:, topology.outputs], engine.column_voltages, rtol=0, atol=1e-12)
    wires = topology.wires
    assert wires is not None
    np.testing.assert_allclose(V[:, wires.row_nodes], engine.row_nodes, rtol=0, atol=1e-12)
    np.testing.assert_allclose(V[:, wires.column_nodes], engine.column_nodes, rtol=0, atol=1e-12)


def test_other_graphs_are_not_recognised_as_wired_crossbars():
    wired = hl.Topology.crossbar(3, 4, wire_resistance=2.0)
    assert hl.Topology.crossbar(3, 4).wires is None
    assert hl.Topology.grid(4, 4).wires is None
    siemens = wired.fixed_conductances.copy()
    siemens[5] *= 1.0001
    arguments = (wired.n_nodes, wired.edges, wired.inputs, wired.outputs)
    uneven = hl.Topology(*arguments, fixed_edges=wired.fixed_edges, fixed_conductances=siemens)
    assert uneven.wires is None
    turned = wired.fixed_edges.copy()
    turned[3] = turned[3, ::-1]
    other = hl.Topology(*arguments, fixed_edges=turned, fixed_conductances=wired.fixed_conductances)
    assert other.wires is None


def test_crossbar_read_inside_its_lines_is_not_recognised():
    wired = hl.Topology.crossbar(3, 4, wire_resistance=2.0)
    inside = hl.Topology(
        wired.n_nodes,
        wired.edges,
        wired.inputs,
        [20, 21],
        fixed_edges=wired.fixed_edges,
        fixed_conductances=wired.fixed_conductances,
    )
    assert inside.wires is None


def test_without_wires_is_the_ideal_crossbar_with_the_same_lines():
    wired = hl.Topology.crossbar(4, 3, inputs=[0, 2, 3], outputs=[1, 2], ground=1, wire_resistance=(1.0, 2.0))
    assert wired.without_wires() == hl.Topology.crossbar(4, 3, inputs=[0, 2, 3], outputs=[1, 2], ground=1)
    with pytest.raises(TopologyError, match="wire_resistance"):
        hl.Topology.crossbar(4, 3).without_wires()


@pytest.mark.parametrize("ohms", [-1.0, np.nan, np.inf, (1.0, -2.0), (1.0, 2.0, 3.0), "2 ohm", True, 1e-320])
def test_wrong_wire_resistance_is_refused(ohms):
    with pytest.raises(TopologyError, match="wire_resistance"):
        hl.Topology.crossbar(3, 3, wire_resistance=ohms)


def test_each_device_carries_its_own_name_and_number():
    wired = hl.Topology.crossbar(2, 3, wire_resistance=1.0)
    assert wired.edge_name(5) == "edge 5 (row1_2-col2_1)"
