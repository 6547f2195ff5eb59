from __future__ import annotations

import dataclasses
import pickle

import networkx as nx
import numpy as np
import pytest

from hwlearn import Topology
from hwlearn.circuit.graphs import component_labels
from hwlearn.errors import HwlearnError, TopologyError

# --- constructors ---------------------------------------------------------------------------------------


def test_topology_stores_its_arguments():
    t = Topology(4, [(0, 1), (2, 1), (1, 3)], [0, 2], [1], ground=3, names=list("abcd"))
    assert (t.n_nodes, t.n_edges, t.n_inputs, t.n_outputs, t.ground) == (4, 3, 2, 1, 3)
    assert t.edges.tolist() == [[0, 1], [2, 1], [1, 3]]
    assert t.driven.tolist() == [0, 2, 3]
    assert t.edge_name(1) == "edge 1 (c-b)"
    assert repr(t) == "<Topology of 4 nodes, 3 edges, 2 inputs, 1 outputs, ground d>"


def test_incidence_is_plus_one_at_a_and_minus_one_at_b():
    t = Topology(3, [(0, 1), (2, 1)], [0], [1], fixed_edges=[(2, 0)], fixed_conductances=[1.0])
    assert t.incidence.toarray().tolist() == [[1, -1, 0], [0, -1, 1]]
    assert t.all_incidence.toarray().tolist() == [[1, -1, 0], [0, -1, 1], [-1, 0, 1]]


def test_ground_listed_in_inputs_has_no_column():
    t = Topology(3, [(0, 1), (1, 2)], [0, 2], [1], ground=2)
    assert t.inputs.tolist() == [0]
    assert t.driven.tolist() == [0, 2]


def test_arrays_are_read_only_copies():
    edges = np.array([(0, 1), (1, 2)])
    t = Topology(3, edges, [0], [1], ground=2)
    edges[:] = 0
    assert t.edges.tolist() == [[0, 1], [1, 2]]
    with pytest.raises(ValueError, match="read-only"):
        t.edges[0, 0] = 2
    with pytest.raises(dataclasses.FrozenInstanceError):
        t.ground = None


def test_crossbar_connects_every_row_to_every_column():
    t = Topology.crossbar(3, 2, inputs=[0, 2], outputs=[1])
    assert t.edges.tolist() == [[0, 3], [0, 4], [1, 3], [1, 4], [2, 3], [2, 4]]
    assert t.inputs.tolist() == [0, 2]
    assert t.outputs.tolist() == [4]
    assert t.names == ("row0", "row1", "row2", "col0", "col1")


def test_crossbar_drives_ungrounded_rows_and_reads_all_columns_by_default():
    t = Topology.crossbar(3, 2, ground=1)
    assert (t.inputs.tolist(), t.outputs.tolist(), t.ground) == ([0, 2], [3, 4], 1)


def test_grid_connects_right_and_lower_neighbours():
    t = Topology.grid(2, 3, ground=2)
    assert t.edges.tolist() == [[0, 1], [1, 2], [3, 4], [4, 5], [0, 3], [1, 4], [2, 5]]
    assert (t.inputs.tolist(), t.outputs.tolist()) == ([0, 3], [5])
    assert t.names[4] == "r1c1"


def test_layered_connects_each_layer_to_the_next():
    t = Topology.layered([2, 3, 1], ground=1)
    expected = nx.complete_multipartite_graph(2, 3, 1)
    expected.remove_edges_from([(0, 5), (1, 5)])
    assert sorted(map(tuple, t.edges.tolist())) == sorted(expected.edges)
    assert (t.inputs.tolist(), t.outputs.tolist(), t.ground) == ([0], [5], 1)


@pytest.mark.parametrize(("nodes", "edges"), [(10, 9), (10, 20), (10, 44), (10, 45), (2, 1)])
def test_random_is_simple_and_connected(nodes: int, edges: int):
    t = Topology.random(nodes, edges, 1, 1, seed=7)
    graph = nx.Graph(t.edges.tolist())
    assert graph.number_of_nodes() == nodes
    assert graph.number_of_edges() == edges == t.n_edges
    assert nx.is_connected(graph)
    assert t == Topology.random(nodes, edges, 1, 1, seed=7)


def test_random_counts_select_first_nodes_as_inputs_and_last_as_outputs():
    t = Topology.random(8, 12, 2, np.int64(3), ground=1)
    assert (t.inputs.tolist(), t.outputs.tolist()) == ([0, 2], [5, 6, 7])
    t = Topology.random(8, 12, [4], (5, 6))
    assert (t.inputs.tolist(), t.outputs.tolist()) == ([4], [5, 6])


def test_from_networkx_keeps_labels_as_names_and_parallel_edges():
    graph = nx.MultiGraph([("in", "mid"), ("mid", "in"), ("mid", ("out", 1)), (("out", 1), 0)])
    t = Topology.from_networkx(graph, ["in"], [("out", 1)], ground=0)
    assert t.names == ("in", "mid", "('out', 1)", "0")
    assert sorted(map(sorted, t.edges.tolist())) == [[0, 1], [0, 1], [1, 2], [2, 3]]
    assert (t.inputs.tolist(), t.outputs.tolist(), t.ground) == ([0], [2], 3)


def test_fingerprint_differs_between_graphs_and_equality_includes_names():
    t = Topology(3, [(0, 1), (1, 2)], [0], [1], ground=2)
    same = Topology(3, np.array([(0, 1), (1, 2)]), np.array([0, 2]), [1], ground=2)
    assert t == same
    assert hash(t) == hash(same)
    others = [
        Topology(3, [(0, 1), (2, 1)], [0], [1], ground=2),
        Topology(3, [(0, 1), (1, 2)], [0], [1]),
        Topology(3, [(0, 1), (1, 2)], [2], [1], ground=0),
        Topology(3, [(0, 1), (1, 2)], [0], [1], ground=2, fixed_edges=[(0, 2)], fixed_conductances=[1.0]),
    ]
    assert len({t.fingerprint, *(o.fingerprint for o in others)}) == 5
    renamed = Topology(3, [(0, 1), (1, 2)], [0], [1], ground=2, names=["a", "b", "c"])
    assert renamed != t
    assert renamed.fingerprint == t.fingerprint
    assert t != "a graph"


def test_topology_can_be_pickled():
    t = Topology.grid(2, 3)
    assert pickle.loads(pickle.dumps(t)) == t


def test_nodes_without_a_path_to_a_source_float():
    t = Topology(6, [(0, 1), (2, 3), (4, 5)], [0, 4], [1])
    assert t.floating.tolist() == [2, 3]
    assert t.floating_nodes(np.array([True, True, False])).tolist() == [2, 3, 5]
    assert len(set(component_labels(t.all_edges, t.n_nodes).tolist())) == 3


def test_a_fixed_edge_is_a_path():
    t = Topology(3, [(0, 1)], [0], [2], fixed_edges=[(1, 2)], fixed_conductances=1.0)
    assert t.floating.size == 0
    assert t.floating_nodes(np.array([False])).tolist() == [1, 2]


# --- error messages name the place ----------------------------------------------------------------------

LINE = [(0, 1), (1, 2)]
ABC = ["a", "b", "c"]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Topology(3, [(0, 1), (1, 5)], [0], [1]), r"edge 1 joins nodes 1 and 5, but the nodes are 0 to 2"),
        (lambda: Topology(3, [(0, 1), (-1, 2)], [0], [1]), r"edge 1 joins nodes -1 and 2"),
        (lambda: Topology(3, [*LINE, (2, 2)], [0], [1], names=ABC), r"edge 2 is a self-loop at node 2 \(c\)"),
        (lambda: Topology(3, LINE, [7], [1]), r"inputs names node 7, but the nodes are 0 to 2"),
        (lambda: Topology(3, LINE, [0], [-1]), r"outputs names node -1"),
        (lambda: Topology(3, LINE, [0], [1], ground=3), r"ground names node 3"),
        (lambda: Topology(3, LINE, [0, 0], [1], names=ABC), r"inputs lists node 0 \(a\) twice"),
        (lambda: Topology(3, LINE, [0], [1, 1], names=ABC), r"outputs lists node 1 \(b\) twice"),
        (lambda: Topology(3, LINE, [0, 1], [1], names=ABC), r"node 1 \(b\) is both input and output"),
        (lambda: Topology(3, LINE, [0], [2], ground=2, names=ABC), r"node 2 \(c\) is both ground and output"),
        (lambda: Topology(4, LINE, [0], [1], names="abcd"), r"node 3 \(d\) is isolated"),
        (
            lambda: Topology(4, [(0, 1), (2, 3)], [0], [1, 3], names="abcd"),
            r"output node 3 \(d\) has no path to any input or ground",
        ),
        (lambda: Topology(3, LINE, [], [1]), r"no inputs"),
        (lambda: Topology(3, LINE, [2], [1], ground=2), r"no inputs"),
        (lambda: Topology(3, LINE, [0], []), r"no outputs"),
        (lambda: Topology(2, [], [0], [1], fixed_edges=[(0, 1)], fixed_conductances=[1]), r"no edges"),
        (lambda: Topology(3, LINE, [0], [1], names=["a", "b", "a"]), r"duplicate node name 'a': nodes 0 and 2"),
        (lambda: Topology(3, LINE, [0], [1], names=[1, "x", "1"]), r"duplicate node name '1': nodes 0 and 2"),
        (lambda: Topology(3, LINE, [0], [1], names=["a"]), r"3 nodes need 3 names, got 1"),
        (lambda: Topology(1, [], [0], [0]), r"at least 2 nodes, got n_nodes=1"),
        (lambda: Topology(2.5, [(0, 1)], [0], [1]), r"n_nodes=2.5"),
        (lambda: Topology("two", [(0, 1)], [0], [1]), r"n_nodes='two'"),
        (lambda: Topology(True, [(0, 1)], [0], [1]), r"n_nodes=True"),
        (lambda: Topology(3, [(0, 1, 2)], [0], [1]), r"edges must be pairs of node numbers.*\(1, 3\)"),
        (lambda: Topology(3, [(0, 1), (1,)], [0], [1]), r"edges must be pairs of node numbers"),
        (lambda: Topology(3, [(0.0, 1.0)], [0], [1]), r"edges must be pairs of node numbers"),
        (lambda: Topology(3, 4, [0], [1]), r"edges must be pairs of node numbers"),
        (lambda: Topology(3, LINE, 0, [1]), r"inputs must be a list of node numbers, got 0"),
        (lambda: Topology(3, LINE, [0.5], [1]), r"inputs must be a list of node numbers, got \[0.5\]"),
        (lambda: Topology(3, LINE, [[0], [1, 2]], [1]), r"inputs must be a list of node numbers"),
        (lambda: Topology(3, LINE, [0], "b"), r"outputs must be a list of node numbers"),
        (lambda: Topology(3, LINE, [0], [1], ground=True), r"ground must be a list of node numbers, got \[True\]"),
        (
            lambda: Topology(3, LINE, [0], [1], fixed_edges=[(0, 2)]),
            r"1 fixed edges need 1 conductances, got 0",
        ),
        (
            lambda: Topology(3, LINE, [0], [1], fixed_edges=[(0, 2)], fixed_conductances=["x"]),
            r"fixed conductances must be numbers",
        ),
        (
            lambda: Topology(3, LINE, [0], [1], fixed_edges=[(0, 2), (0, 1)], fixed_conductances=[1, 0]),
            r"fixed edge 1 has conductance 0.0 S",
        ),
        (
            lambda: Topology(3, LINE, [0], [1], fixed_edges=[(0, 2)], fixed_conductances=[np.nan]),
            r"fixed edge 0 has conductance nan S",
        ),
        (
            lambda: Topology(3, LINE, [0], [1], fixed_edges=[(2, 2)], fixed_conductances=[1]),
            r"fixed edge 0 is a self-loop at node 2",
        ),
        (lambda: Topology.crossbar(3, 2, inputs=[3]), r"3 rows has no row 3; use 0 to 2"),
        (lambda: Topology.crossbar(3, 2, outputs=[-1]), r"2 columns has no column -1; use 0 to 1"),
        (lambda: Topology.crossbar(3, 2, ground=3), r"3 rows has no row 3 to ground"),
        (lambda: Topology.crossbar(0, 2), r"rows must be a whole number of at least 1, got 0"),
        (lambda: Topology.crossbar(2, 1.5), r"columns must be a whole number of at least 1, got 1.5"),
        (lambda: Topology.grid(2, "x"), r"columns must be a whole number of at least 1, got 'x'"),
        (lambda: Topology.grid(2, 1), r"node 0 \(r0c0\) is both input and output"),
        (lambda: Topology.layered([3]), r"at least 2 layers, got sizes=\[3\]"),
        (lambda: Topology.layered([3, 0, 2]), r"layer_size must be .*, got 0"),
        (lambda: Topology.random(5, 3, 1, 1), r"graph of 5 nodes has 4 to 10 edges, requested: 3"),
        (lambda: Topology.random(5, 11, 1, 1), r"graph of 5 nodes has 4 to 10 edges, requested: 11"),
        (lambda: Topology.random(5, 6, -1, 1), r"-1 inputs requested"),
        (lambda: Topology.random(5, 6, 1, 6), r"6 outputs requested"),
        (lambda: Topology.random(5, 6, 3, 3), r"is both input and output"),
        (lambda: Topology.from_networkx(nx.path_graph(3), [0], [9]), r"outputs names node 9"),
        (lambda: Topology.from_networkx(nx.path_graph(3), ["0"], [1]), r"inputs names node '0'"),
        (lambda: Topology.from_networkx(nx.path_graph(3), [0], [1], ground="x"), r"ground names node 'x'"),
        (
            lambda: Topology.from_networkx(nx.Graph([(1, "1"), ("1", 2)]), [1], [2]),
            r"duplicate node name '1': nodes 0 and 1",
        ),
        (
            lambda: Topology.from_networkx(nx.Graph([("a", "b"), ("b", "b")]), ["a"], ["b"]),
            r"edge 1 is a self-loop at node 1 \(b\)",
        ),
    ],
)
def test_invalid_topology_is_refused_with_the_place(make, message: str):
    with pytest.raises(TopologyError, match=message) as caught:
        make()
    assert "\n" not in str(caught.value)
    assert isinstance(caught.value, HwlearnError)


# --- row 15: networkx graphs that may mean two circuits ---------------------------------------------------


@pytest.mark.parametrize("kind", [nx.DiGraph, nx.MultiDiGraph])
def test_row_15_both_directions_of_a_directed_graph_are_refused(kind):
    graph = kind([("in", "mid"), ("mid", "out"), ("out", "mid")])
    with pytest.raises(
        TopologyError, match=r"edges from 'mid' to 'out' and back, which may mean one resistor or two"
    ):
        Topology.from_networkx(graph, ["in"], ["out"])
    with pytest.raises(TopologyError, match="and back"):
        Topology.from_networkx(nx.path_graph(3).to_directed(), [0], [2])
    assert Topology.from_networkx(graph.to_undirected(), ["in"], ["out"]).n_edges == 2
    assert Topology.from_networkx(nx.MultiGraph(graph.edges()), ["in"], ["out"]).n_edges == 3


def test_row_15_single_directions_keep_the_direction_of_their_drop():
    t = Topology.from_networkx(nx.DiGraph([("b", "a"), ("b", "c")]), ["a"], ["c"])
    assert [(t.names[a], t.names[b]) for a, b in t.edges] == [("b", "a"), ("b", "c")]


def test_row_15_parallel_edges_of_a_multigraph_are_resistors_of_their_own():
    t = Topology.from_networkx(nx.MultiGraph([(1, 2), (2, 1), (2, 3)]), [1], [3])
    assert t.n_edges == 3


@pytest.mark.parametrize(
    ("make", "roles", "message"),
    [
        (lambda: nx.Graph([("a", "b"), ("b", "b")]), (["a"], ["b"]), "self-loop at node 1"),
        (lambda: nx.DiGraph([("a", "b"), ("b", "b")]), (["a"], ["b"]), "self-loop at node 1"),
        (lambda: nx.Graph({"a": ["b"], "c": []}), (["a"], ["b"]), "'?c'? is isolated|is isolated"),
        (lambda: nx.Graph([(1, "1"), ("1", 2)]), ([1], [2]), "duplicate node name '1'"),
        (lambda: nx.Graph([(1, 2.0), (2, 3)]), ([[1]], [3]), r"inputs names node \[1\]"),
        (lambda: nx.Graph([("in", "out")]), ("in", ["out"]), r"inputs must be a list of nodes, got 'in'"),
        (lambda: nx.Graph([(1, 2)]), (1, [2]), r"inputs must be a list of nodes, got 1"),
        (lambda: [(1, 2)], ([1], [2]), "list is no networkx graph"),
        (lambda: nx.Graph(), ([], []), "at least 2 nodes"),
    ],
)
def test_row_15_other_graphs_are_refused_by_name(make, roles, message):
    with pytest.raises(TopologyError, match=message):
        Topology.from_networkx(make(), *roles)
