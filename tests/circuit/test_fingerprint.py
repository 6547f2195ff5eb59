"""Fingerprints are equal to those that run folders and calibration files have stored."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

from hwlearn import Topology
from hwlearn.circuit import fingerprint as module
from hwlearn.circuit.elements import Shockley

GRAPHS = {
    "divider": Topology(3, [(0, 1), (1, 2)], [0], [1], ground=2),
    "ten nodes": Topology.grid(2, 5),
    "eleven nodes, numbers of one and two digits": Topology(11, [(k, k + 1) for k in range(10)], [0], [10]),
    "over a thousand nodes": Topology.grid(32, 32, ground=5),
    "wires": Topology.crossbar(3, 4, wire_resistance=(1.5, 0.3)),
    "rectifiers": Topology.layered([2, 3, 2], rectifier=Shockley()),
    "uneven fixed conductances": Topology(
        3, [(0, 1)], [0], [1], fixed_edges=[(1, 2), (0, 2), (2, 1)], fixed_conductances=[1e-7, 123456.0, 1e-7]
    ),
}


@pytest.mark.parametrize("topology", GRAPHS.values(), ids=GRAPHS.keys())
@pytest.mark.parametrize("rows", [1, 3, 1 << 15])
def test_fingerprint_is_the_hash_of_printed_lists(topology: Topology, rows: int, monkeypatch):
    monkeypatch.setattr(module, "_ROWS_AT_ONCE", rows)
    text = (
        f"{topology.n_nodes}|{topology.edges.tolist()}|{topology.inputs.tolist()}|{topology.outputs.tolist()}|"
        f"{topology.ground}|{topology.fixed_edges.tolist()}|{topology.fixed_conductances.tolist()}"
    )
    if topology.elements is not None:
        text += "|" + topology.elements.text()
    again = topology.with_elements(topology.edge_elements + topology.fixed_edge_elements)  # without a cached value
    assert again.fingerprint == hashlib.sha256(text.encode()).hexdigest()[:16]


def test_stored_fingerprints_are_reproduced():
    assert Topology.grid(3, 3).fingerprint == "e65eff06751f842e"
    assert Topology.crossbar(14, 11, range(10), range(3)).fingerprint == "19a78921531459cb"
    assert Topology.crossbar(4, 4, wire_resistance=2.0).fingerprint == "be9161a86e7c363b"


def test_numbers_of_nodes_take_any_number_of_digits():
    for n in (9, 10, 11, 99, 100, 101, 1000, 1001):
        edges = np.stack([np.arange(n - 1), np.arange(1, n)], axis=1)
        t = Topology(n, edges, [0], [n - 1])
        text = f"{n}|{t.edges.tolist()}|[0]|[{n - 1}]|None|[]|[]"
        assert t.fingerprint == hashlib.sha256(text.encode()).hexdigest()[:16]
