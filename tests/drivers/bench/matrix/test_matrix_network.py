"""`MatrixNetwork` on simulated instruments, against Kirchhoff's laws and against what may never happen."""

import numpy as np
import pytest
from matrix_desk import desk, settings

import hwlearn as hl
from hwlearn.errors import NetworkError, SetupError
from hwlearn_drivers.bench.matrix.network import MatrixNetwork
from hwlearn_drivers.bench.matrix.reading import MatrixReading
from hwlearn_drivers.bench.wiring import check_drive, make_wiring
from hwlearn_drivers.errors import InputDeviationError, OutputStateError
from hwlearn_drivers.instrument.pace import Pace
from hwlearn_drivers.roles.values import Crosspoint

LIMITS = hl.Limits(voltage=0.5, drop=1.0, nudge=0.2, current=1e-3, conductance=(1e-6, 1e-3))
TOP = hl.Topology.random(9, 20, inputs=4, outputs=3, seed=4)
G = np.random.default_rng(8).uniform(2e-5, 1e-4, TOP.n_edges)
COLUMNS = {TOP.names[node]: k + 1 for k, node in enumerate([*TOP.inputs, *TOP.outputs])}
TWO_AND_METER = {"A": {"source": "smu1:a"}, "B": {"source": "smu1:b"}, "C": {"read": "dmm1:a"}, "G": "ground"}
NUDGED = {
    "A": {"source": "smu1:a"},
    "G": "ground",
    **{row: {"read": f"smu2:{row.lower()}", "nudge": f"smu2:{row.lower()}"} for row in "CDE"},
}
FAST = Pace(1e6, 2.0, 0.0)


def bench(names, rows, columns=COLUMNS, terminals=(), **more):
    matrix = {"instrument": "mat1", "rows": rows, "columns": columns}
    return desk(TOP, LIMITS, names, matrix, terminals, G, MatrixNetwork, pace=FAST, **more)


def true(x, drive=None):
    return hl.Kirchhoff(TOP, G).solve(x)[:, TOP.outputs]


def levels(rng, samples, values):
    return rng.choice(values, (samples, TOP.n_inputs))


def test_outputs_of_samples_with_two_levels_are_those_of_the_circuit():
    x = levels(np.random.default_rng(0), 20, [0.0, 0.3, -0.2])
    network, circuit = bench(["smu1", "dmm1", "mat1"], TWO_AND_METER)
    with network:
        np.testing.assert_allclose(network.measure(x).voltages, true(x), atol=1e-9)
        moves = network.relay_moves
        again = network.measure(x[::-1])
        np.testing.assert_allclose(again.voltages, true(x[::-1]), atol=1e-9)
        assert again.source_currents is None
        assert (again.output_currents == 0).all()
        assert network.relay_moves < 2 * moves
    assert not circuit.sources
    assert not circuit.closed


def test_input_readback_and_one_smu_as_reader():
    x = levels(np.random.default_rng(0), 6, [0.0, 0.4])
    rows = {"A": {"source": "smu1:a"}, "B": {"read": "smu1:b"}, "G": "ground"}
    network, circuit = bench(["smu1", "mat1"], rows, reading=MatrixReading(read_inputs=True))
    with network:
        np.testing.assert_allclose(network.measure(x).voltages, true(x), atol=1e-9)
        circuit.stuck.add(Crosspoint("A", str(COLUMNS[TOP.names[TOP.inputs[0]]])))
        with pytest.raises(InputDeviationError, match=rf"node {TOP.names[TOP.inputs[0]]} on column 1"):
            network.measure([[0.4, 0.0, 0.0, 0.0]])
        assert not circuit.sources
        assert not circuit.closed


@pytest.mark.parametrize("kind", ["clamp", "current"])
def test_nudges_through_the_matrix_are_those_of_direct_sources(kind):
    x = levels(np.random.default_rng(0), 5, [0.0, 0.3])
    values = np.random.default_rng(1).uniform(-1, 1, (5, 3)) * (0.1 if kind == "clamp" else 2e-6)
    values[2, 1] = np.nan
    drive = getattr(hl.OutputDrive, kind)(values)
    network, _ = bench(["smu1", "smu2", "mat1"], NUDGED)
    twin = make_twin()
    with network, twin:
        assert network.nudges == {"clamp", "current"}
        free = network.measure(x).voltages
        found, wanted = network.measure(x, drive), twin.measure(x, drive)
        np.testing.assert_allclose(free, true(x), atol=1e-9)
        np.testing.assert_allclose(found.voltages, wanted.voltages, atol=1e-8)
        np.testing.assert_allclose(found.output_currents, wanted.output_currents, atol=1e-11)
        np.testing.assert_allclose(network.measure(x).voltages, free, atol=1e-9)


def make_twin():
    from hwlearn_sim.twin.twin import KirchhoffTwin

    twin = KirchhoffTwin(TOP, LIMITS)
    twin.program(G)
    return twin


def test_terminals_on_columns_and_direct_ones_mix():
    a, *rest = TOP.inputs.tolist()
    y = int(TOP.outputs[0])
    columns = {TOP.names[node]: k + 1 for k, node in enumerate([*rest, *TOP.outputs[1:]])}
    terminals = [{"node": a, "source": "dac1:a"}, {"node": y, "read": "dmm1:b"}]
    rows = {"A": {"source": "smu1:a"}, "C": {"read": "dmm1:a"}, "G": "ground"}
    network, _ = bench(["smu1", "dac1", "dmm1", "mat1"], rows, columns, terminals)
    x = levels(np.random.default_rng(0), 8, [0.0, 0.4])
    x[:, list(TOP.inputs).index(a)] = np.linspace(-0.4, 0.5, 8)
    with network:
        np.testing.assert_allclose(network.measure(x).voltages, true(x), atol=1e-9)


def test_too_many_levels_are_refused_before_anything_is_applied():
    network, circuit = bench(["smu1", "dmm1", "mat1"], TWO_AND_METER)
    with network:
        before = len(circuit.log)
        with pytest.raises(NetworkError, match=r"sample 1 has 3 different voltages besides 0 V.* 2 source rows"):
            network.measure([[0.1, 0.1, 0.2, 0.0], [0.1, 0.2, 0.3, 0.0]])
        assert len(circuit.log) == before
        assert not circuit.sources


def test_off_reaches_the_sources_before_the_matrix():
    network, circuit = bench(["mat1", "smu1", "dmm1"], TWO_AND_METER)
    network.measure(np.full((1, 4), 0.2))
    circuit.log.clear()
    network.switch_off()
    assert circuit.log.index("off smu1") < circuit.log.index("off mat1")
    assert not circuit.closed
    network.close()


def test_interrupt_at_any_step_ends_off_and_open():
    """Ctrl-C at each call of an instrument in turn: no source is left on and no relay closed."""
    x = levels(np.random.default_rng(3), 2, [0.0, 0.3])
    for step in range(200):
        network, circuit = bench(["smu1", "smu2", "mat1"], NUDGED)
        count = 0

        def stop(one, name, original, at=step):
            def call(*args, **named):
                nonlocal count
                count += 1
                if count == at + 1:
                    raise KeyboardInterrupt
                return original(*args, **named)

            setattr(one, name, call)

        for one in network._instruments:
            for name in ("set_voltages", "change_drives", "set_outputs", "read", "change", "prepare_sources"):
                if hasattr(one, name):
                    stop(one, name, getattr(one, name))
        try:
            network.measure(x, hl.OutputDrive.clamp(np.full((2, 3), 0.05)))
        except KeyboardInterrupt:
            assert not circuit.sources
            assert not circuit.closed
            count = 10**6
            np.testing.assert_allclose(network.measure(x).voltages, true(x), atol=1e-9)
            network.close()
        else:
            network.close()
            assert step > 20
            return
    raise AssertionError


def test_stuck_relay_ends_off_until_reconnect():
    network, circuit = bench(["smu1", "dmm1", "mat1"], TWO_AND_METER)
    with network:
        network._matrix.sticks = Crosspoint("A", "1")
        with pytest.raises(OutputStateError, match="row A, column 1"):
            network.measure(np.full((1, 4), 0.2))
        assert not circuit.sources
        network._matrix.sticks = None
        with pytest.raises(OutputStateError):
            network.measure(np.full((1, 4), 0.2))
        network.reconnect()
        network.measure(np.full((1, 4), 0.2))


def problems(names, rows, columns, terminals=(), instrument="mat1"):
    matrix = {"instrument": instrument, "rows": rows, "columns": columns}
    with pytest.raises(SetupError) as caught:
        make_wiring(settings(names, matrix, terminals), TOP, LIMITS)
    return str(caught.value)


def test_missing_roles_of_a_matrix_are_named_together():
    a, b, c, d = (TOP.names[k] for k in TOP.inputs)
    y, z, w = (TOP.names[k] for k in TOP.outputs)
    text = problems(
        ["smu1", "dac1", "mat1"],
        {
            "A": {"read": "dac1:a"},
            "B": {"source": "smu1:a", "nudge": "smu1:a"},
            "C": {},
            "G": "ground",
            "H": "ground",
        },
        {a: 1, b: 1, c: 2, "n99": 3, y: 4, z: 5},
        [{"node": a, "source": "smu1:a"}],
        "dac1",
    )
    for part in (
        "backend.matrix.instrument = 'dac1': a desk is no switch matrix",
        f"node {a} is on column 1 of the matrix and in backend.terminals[0]",
        f"column 1 of the matrix is connected to two nodes, {a} and {b}",
        "backend.matrix.columns.n99: the network has no such node",
        "backend.matrix.rows.A: dac1:a at row A cannot read",
        "backend.matrix.rows.B: smu1:a cannot be a source",
        "backend.matrix.rows.C is connected to nothing",
        "rows G and H of backend.matrix are both 'ground'",
        f"input {d} has no source",
        f"output {w} has no reader",
    ):
        assert part in text
    text = problems(["smu1", "mat1"], {"G": "ground"}, COLUMNS)
    assert f"no row of backend.matrix has a source: inputs {a}, {b}, {c}, {d} cannot be driven" in text
    assert f"no row of backend.matrix has a reader: outputs {y}, {z}, {w} cannot be measured" in text


def test_outputs_without_a_nudge_row_are_named():
    rows = {key: NUDGED[key] for key in ("A", "G", "C")}
    matrix = {"instrument": "mat1", "rows": rows, "columns": COLUMNS}
    wiring = make_wiring(settings(["smu1", "smu2", "mat1"], matrix), TOP, LIMITS)
    names = [TOP.names[k] for k in TOP.outputs]
    with pytest.raises(
        SetupError, match=rf"output {names[1]} has no nudge; output {names[2]} has no nudge: train"
    ):
        check_drive(wiring, "current")
    network, _ = bench(["smu1", "smu2", "mat1"], rows)
    with network:
        assert not network.nudges


def test_interrupt_while_a_batch_is_planned_switches_off_what_the_last_one_left_on(monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    network, circuit = bench(["smu1", "dmm1", "mat1"], TWO_AND_METER)
    network.measure(np.full((1, 4), 0.2))
    assert circuit.sources
    monkeypatch.setattr("hwlearn_drivers.bench.matrix.network.plan_batch", interrupted)
    with pytest.raises(KeyboardInterrupt):
        network.measure(np.full((1, 4), 0.3))
    assert not circuit.sources
    assert not circuit.closed
    network.close()
