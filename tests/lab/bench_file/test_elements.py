"""Bench files with diodes and other nonlinear elements."""

import re

import numpy as np
import pytest

from hwlearn.circuit.elements import OHMIC, IdealDiode, Shockley, Sinh
from hwlearn.circuit.kirchhoff import Kirchhoff
from hwlearn.errors import HwlearnError, SetupError
from hwlearn.lab.bench.bench import open_bench
from hwlearn.lab.checks import check_bench

LAYERS = """
[network]
kind = "layered"
sizes = [4, 6, 3]

[network.rectifiers]
kind = "ideal"
conductance = "10 mS"

[limits]
voltage = "2 V"
drop = "4 V"
nudge = "300 mV"
current = "10 mA"
conductance = ["1 uS", "100 uS"]

[backend]
kind = "sim"
read_noise = "1 mV"

[data]
source = "teacher"
samples = 6
amplitude = "1 V"

[train]
initial = "random"
epochs = 2
"""


@pytest.fixture
def layers(tmp_path):
    path = tmp_path / "layers.toml"
    path.write_text(LAYERS)
    return path


def test_rectifiers_are_connected_to_hidden_nodes(layers):
    top = open_bench(layers).topology
    assert top.n_nodes == 14
    assert len(top.fixed_edges) == 6
    assert set(top.fixed_edge_elements) == {IdealDiode(0.0, 1e-6)}
    assert top.fixed_conductances.tolist() == [1e-2] * 6
    assert set(top.edge_elements) == {OHMIC}


def test_junction_diodes_combine_with_sinh_edges(layers):
    table = {"kind": "shockley", "conductance": "4 nS", "nVt": "27 mV"}
    changes = {"network.rectifiers": table, "network.element": {"kind": "sinh", "V0": "500 mV"}}
    top = open_bench(layers, changes).topology
    assert set(top.fixed_edge_elements) == {Shockley(0.027)}
    assert top.fixed_conductances.tolist() == [4e-9] * 6
    assert set(top.edge_elements) == {Sinh(0.5)}


@pytest.mark.parametrize(
    ("table", "element"),
    [
        ({"kind": "ohmic"}, OHMIC),
        ({"kind": "sinh", "V0": 0.2}, Sinh(0.2)),
        ({"kind": "shockley"}, Shockley(0.02585)),
        ({"kind": "ideal", "threshold": "300 mV", "leak": 0.1}, IdealDiode(0.3, 0.1)),
    ],
)
def test_element_applies_to_every_programmable_edge(bench_path, table, element):
    assert set(open_bench(bench_path, {"network.element": table}).topology.edge_elements) == {element}


def test_diodes_of_a_graph_given_by_its_edges(layers):
    graph = {
        "nodes": 7,
        "edges": [[0, 4], [1, 4], [2, 5], [3, 5], [4, 5]],
        "inputs": [0, 1, 2, 3],
        "outputs": [4, 5],
        "ground": 6,
        "diodes": [[4, 6], [6, 5]],
        "diode": {"kind": "ideal", "conductance": "1 mS"},
    }
    text = LAYERS.replace(
        'kind = "layered"\nsizes = [4, 6, 3]\n\n[network.rectifiers]\nkind = "ideal"\nconductance = "10 mS"\n',
        'kind = "edges"\n',
    )
    layers.write_text(text)
    top = open_bench(layers, {f"network.{key}": value for key, value in graph.items()}).topology
    assert top.fixed_edges.tolist() == [[4, 6], [6, 5]]
    assert set(top.fixed_edge_elements) == {IdealDiode()}
    del graph["diode"]
    with pytest.raises(SetupError, match=r"network\.diodes .* give both or neither"):
        open_bench(layers, {f"network.{key}": value for key, value in graph.items()})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"network.rectifiers": {"kind": "ideal"}}, r"network\.rectifiers\.conductance is missing"),
        (
            {"network.rectifiers": {"kind": "zener", "conductance": 1.0}},
            r"network\.rectifiers = .*'shockley', 'ideal'",
        ),
        ({"network.rectifiers": {"kind": "ideal", "conductance": "1 V"}}, r"network\.rectifiers.*not in S"),
        ({"network.element": {"kind": "sinh"}}, r"network\.element\.V0 is missing"),
        ({"network.element": {"kind": "sinh", "V0": "0 V"}}, r"network\.element.*greater than 0"),
        ({"network.element": {"kind": "ideal", "leek": 1}}, r"unknown key network\.element\.leek = 1"),
        ({"network.element": "sinh"}, r"network\.element = 'sinh'"),
    ],
)
def test_wrong_element_is_named_in_one_line(layers, change, message):
    with pytest.raises(HwlearnError) as caught:
        open_bench(layers, change)
    line = str(caught.value)
    assert "\n" not in line
    assert re.search(message, line)


def test_written_bench_with_elements_reads_the_same(layers, tmp_path):
    bench = open_bench(layers, {"network.element": {"kind": "sinh", "V0": "500 mV"}})
    again = tmp_path / "again.toml"
    again.write_text(bench.text())
    assert open_bench(again).topology == bench.topology
    assert open_bench(again).text() == bench.text()


def test_bench_with_rectifiers_trains_and_passes_its_checks(layers):
    bench = open_bench(layers)
    with bench:
        history = bench.train()
        assert len(history.epochs) == 2
        assert np.isfinite(bench.evaluate().measured.cost)
    checks = {check.name: check for check in check_bench(open_bench(layers))}
    assert {checks[name].result for name in ("superposition", "reciprocity")} == {"not applicable"}
    assert {check.result for check in checks.values()} == {"pass", "not applicable"}


def test_source_resistance_keeps_the_diodes(layers):
    with open_bench(layers, {"backend.source_resistance": "100 ohm", "backend.read_noise": 0.0}) as bench:
        x = bench.data.inputs
        with_resistance = bench.network.true_outputs(x)
    with open_bench(layers, {"backend.read_noise": 0.0}) as bench:
        ideal = bench.network.true_outputs(x)
    assert 0 < np.abs(with_resistance - ideal).max() < 0.1 * np.abs(ideal).max()


def test_calibration_that_assumes_superposition_is_refused(layers):
    with open_bench(layers) as bench:
        with pytest.raises(SetupError, match=r"resistors only.* name only the steps noise and pulses"):
            bench.calibrate()
        assert bench.calibrate("noise").noise is not None


def test_virtual_instruments_are_connected_to_diodes(layers):
    text = LAYERS.replace('kind = "sim"\nread_noise = "1 mV"', 'kind = "virtual-smu"')
    layers.write_text(text)
    with open_bench(layers) as bench:
        x, g = bench.data.inputs[:2], np.random.default_rng(0).uniform(1e-5, 9e-5, bench.topology.n_edges)
        reached = bench.network.program(g).reached
        read = bench.network.measure(x)
    V = Kirchhoff(bench.topology, reached).solve(x)
    np.testing.assert_allclose(read.voltages, V[:, bench.topology.outputs], atol=2e-3)
