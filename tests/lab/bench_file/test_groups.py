"""Networks of named groups: which nodes are connected, and which tables are refused."""

import pytest

from hwlearn.errors import SetupError, TopologyError
from hwlearn.lab.bench_file.networks import GroupsNetwork

GROUPS = {"pixel": 12, "hidden": 2, "line": 2}


def network(*connections, **keys):
    table = {"kind": "groups", "groups": GROUPS, "inputs": ["pixel"], "outputs": ["line"]}
    return GroupsNetwork.model_validate(table | {"connections": list(connections)} | keys)


def test_windows_whole_groups_and_listed_nodes_are_connected(tmp_path):
    top = network(
        {"from": "pixel", "to": "hidden", "image": [3, 4], "window": [3, 2], "stride": 2},
        {"from": "hidden", "to": "line"},
        {"from": "pixel", "to": "line", "nodes": [11]},
    ).build(tmp_path)
    left, right = [0, 1, 4, 5, 8, 9], [2, 3, 6, 7, 10, 11]
    windows = [(k, 12) for k in left] + [(k, 13) for k in right]
    others = [(12, 14), (13, 14), (12, 15), (13, 15), (11, 14), (11, 15)]
    assert top.edges.tolist() == [list(edge) for edge in windows + others]
    assert top.inputs.tolist() == list(range(12))
    assert top.outputs.tolist() == [14, 15]
    assert top.names[12:14] == ("hidden0", "hidden1")


@pytest.mark.parametrize(
    ("connection", "message"),
    [
        ({"to": "hiden"}, "no group 'hiden', did you mean 'hidden'"),
        ({"nodes": [12]}, "lists node 12, but 'pixel' has nodes 0 to 11"),
        ({"nodes": [3, 3]}, "lists a node twice"),
        ({"image": [3, 4]}, "give image and window, or neither"),
        ({"stride": 2}, "stride is for windows"),
        ({"image": [4, 4], "window": [2, 2]}, "but 'pixel' has 12 nodes"),
        ({"image": [3, 4], "window": [4, 2]}, "is larger than image"),
        (
            {"image": [3, 4], "window": [2, 2]},
            "6 windows, but 'hidden' has 2 nodes; give it as many, or a multiple",
        ),
    ],
)
def test_connection_that_cannot_be_made_is_refused(tmp_path, connection, message):
    table = {"from": "pixel", "to": "hidden"} | connection
    with pytest.raises(SetupError, match=message):
        network(table, {"from": "hidden", "to": "line"}).build(tmp_path)


def test_unknown_group_of_outputs_and_wide_ground_are_refused(tmp_path):
    both = {"from": "pixel", "to": "hidden"}, {"from": "hidden", "to": "line"}
    with pytest.raises(SetupError, match=r"network\.outputs names no group 'lines'"):
        network(*both, outputs=["lines"]).build(tmp_path)
    with pytest.raises(SetupError, match="ground is one node"):
        network(*both, ground="hidden").build(tmp_path)


def test_too_many_edges_are_refused_before_they_are_made(tmp_path):
    wide = network({"from": "a", "to": "line"}, groups={"a": 9_000_000, "line": 2}, inputs=["a"])
    with pytest.raises(TopologyError, match="at most"):
        wide.build(tmp_path)
