"""True wires of a twin that differ from the declared ones, against the solver for crossbars."""

import numpy as np
import pytest

import hwlearn as hl
from hwlearn.circuit.crossbar import solve_crossbar
from hwlearn.errors import SetupError
from hwlearn_sim import Imperfections, KirchhoffTwin

M, N, TRUE = 4, 3, (3.0, 40.0)
DECLARED = {"both": (2.0, 2.0), "rows": (2.0, 0.0), "columns": (0.0, 2.0), "none": (0.0, 0.0)}


@pytest.fixture
def twin_of(wide_limits):
    def make(declared, seed=0, **flaws):
        top = hl.Topology.crossbar(M, N, wire_resistance=declared)
        return KirchhoffTwin(top, wide_limits, Imperfections(**flaws), seed=seed)

    return make


@pytest.mark.parametrize("declared", DECLARED.values(), ids=DECLARED)
def test_readings_are_those_of_the_true_wires(twin_of, declared):
    twin = twin_of(declared, wire_resistance_ohm=TRUE)
    rng = np.random.default_rng(1)
    g = rng.uniform(*twin.limits.conductance, M * N)
    x = rng.uniform(-0.4, 0.4, (3, M))
    twin.program(g)
    read = twin.measure(x)
    expected = solve_crossbar(g.reshape(M, N), x, TRUE, bottom_voltages=np.full(N, np.nan))
    np.testing.assert_allclose(read.voltages, expected.column_voltages, rtol=1e-9, atol=1e-12)


def test_all_nodes_keep_their_order(wide_limits):
    """A twin that reads every node of a declared crossbar without row segments reads the column nodes."""
    top = hl.Topology.crossbar(M, N, wire_resistance=(0.0, 2.0))
    ideal = KirchhoffTwin(top, wide_limits, node_readout=True)
    close = KirchhoffTwin(top, wide_limits, Imperfections(wire_resistance_ohm=(1e-6, 2.0)), node_readout=True)
    x = np.array([[0.1, -0.2, 0.3, 0.4]])
    np.testing.assert_allclose(close.measure(x).nodes, ideal.measure(x).nodes, atol=1e-9)


def test_spread_changes_segments_and_nothing_else(twin_of):
    plain, spread = (twin_of((2.0, 2.0), seed=5, device_spread=0.2, wire_spread=s) for s in (0.0, 0.1))
    np.testing.assert_array_equal(plain.true_conductances, spread.true_conductances)
    ratio = spread._circuit.fixed_conductances / plain._circuit.fixed_conductances
    assert 0.05 < np.log(ratio).std() < 0.2
    assert spread.topology == plain.topology


@pytest.mark.parametrize(
    ("flaws", "message"),
    [
        ({"wire_resistance_ohm": (0.0, 2.0)}, "true wire resistance of a row segment is 0"),
        ({"wire_resistance_ohm": (-1.0, 2.0)}, "zero or a positive number"),
        ({"wire_resistance_ohm": (1.0, float("nan"))}, "zero or a positive number"),
        ({"wire_resistance_ohm": (1.0,)}, "two numbers"),
        ({"wire_spread": -0.1}, "wire_spread is -0.1"),
    ],
)
def test_impossible_wires_are_refused(twin_of, flaws, message):
    with pytest.raises(SetupError, match=message):
        twin_of((2.0, 2.0), **flaws)


def test_wires_of_another_network_are_refused(small, wide_limits):
    with pytest.raises(SetupError, match="need a crossbar"):
        KirchhoffTwin(small[0], wide_limits, Imperfections(wire_spread=0.1))


@pytest.mark.parametrize("given", ["3 ohm", ["3 ohm", "3 ohm"], 3])
def test_bench_file_states_the_true_wires(given):
    keys = {"network.rows": M, "network.columns": N, "backend.wire_resistance": given, "backend.wire_spread": 0.0}
    with hl.open_bench("crossbar-wires", keys) as bench:
        wires = bench.raw_network._circuit.wires
    assert (wires.row_ohms, wires.column_ohms) == (3.0, 3.0)
    assert bench.topology.wires.row_ohms == 2.0
