"""A virtual board that obeys a declaration, opened with the real drivers: readings, nudges, off, reset."""

import numpy as np
import pytest

import hwlearn as hl
from hwlearn.errors import LimitError, NetworkError, SetupError
from hwlearn_drivers.bench.backend import BenchBackend
from hwlearn_drivers.bench.settings import BenchSettings
from hwlearn_drivers.declared.declaration import BOARDS
from hwlearn_drivers.declared.roles import DeclaredOnBench
from hwlearn_drivers.errors import (
    InputDeviationError,
    InstrumentError,
    OutputStateError,
    UnknownInstrumentError,
)
from hwlearn_drivers.roles.values import ChannelReadings
from hwlearn_sim.bench.mixed import VirtualMixedBackend

LIMITS = hl.Limits(voltage=0.5, drop=1.0, nudge=0.2, current=1e-3, conductance=(12e-6, 1e-3))
BOARD = {"name": "board", "model": "declared", "protocol": "example"}


def graph():
    return hl.Topology.random(7, 12, inputs=3, outputs=1, seed=2)


def settings(topology, *, nudged=True, **keys):
    a, b, c = topology.inputs.tolist()
    y = topology.outputs.tolist()[0]
    nudge = {"nudge": {"source": "board:8", "resistance": "10 kohm", "switch": "board:sw0"}} if nudged else {}
    terminals = [
        {"node": a, "source": "board:0", "read": "board:1"},
        {"node": b, "source": "board:1"},
        {"node": c, "source": "board:2"},
        {"node": y, "read": "board:0", **nudge},
    ]
    table = {"instruments": [BOARD], "terminals": terminals, "edges": {"programmer": "board"}}
    return VirtualMixedBackend.Settings(**(table | keys))


@pytest.fixture
def opened():
    made = []

    def make(**keys):
        topology = graph()
        made.append(VirtualMixedBackend().open(settings(topology, **keys), topology, LIMITS))
        return made[-1]

    yield make
    for network in made:
        network.close()


X = np.random.default_rng(3).uniform(-0.3, 0.3, (5, 3))


def truth_of(network):
    return hl.Kirchhoff(network.topology, network.true_conductances)


def test_readings_and_nudges_match_the_circuit(opened):
    network = opened()
    g = np.random.default_rng(1).uniform(5e-5, 5e-4, network.topology.n_edges)
    done = network.program(g)
    assert not done.failed.any()
    np.testing.assert_allclose(done.reached, network.true_conductances, rtol=1e-12)
    truth, out = truth_of(network), network.topology.outputs
    rounded = np.round(X, 4)
    V = truth.solve(rounded)
    free = network.measure(X)
    np.testing.assert_allclose(free.voltages, V[:, out], atol=1e-9)
    assert network.nudges == {"resistor"}
    assert network.dac_step_V == pytest.approx(1e-4)
    drive = np.clip(np.round(free.voltages + 0.1, 4), -0.5, 0.5)
    nudged = network.measure(X, hl.OutputDrive.resistor(drive, 1e-4))
    expected = truth.solve(rounded, injected=nudged.output_currents)[:, out]
    np.testing.assert_allclose(nudged.voltages, expected, atol=1e-9)
    np.testing.assert_allclose(nudged.output_currents, (drive - nudged.voltages) * 1e-4, atol=1e-12)
    again = network.measure(X)
    np.testing.assert_allclose(again.voltages, free.voltages, atol=1e-12)


@pytest.mark.parametrize("volts", [np.nan, 9.9e37])
def test_switch_does_not_close_after_a_reading_that_cannot_be_right(opened, monkeypatch, volts):
    """The source behind it is set to the voltage of its output first; a wrong one would make that jump."""
    network = opened()
    network.measure(X)
    hardware = network.bench.instrument("board").hardware
    closed = []
    found = ChannelReadings(np.array([0.0, volts]))  # of the input that is read back, and of the output
    monkeypatch.setattr(DeclaredOnBench, "read", lambda one, channels: found)
    monkeypatch.setattr(hardware, "set_switch", lambda name, on: closed.append(on))
    with pytest.raises(NetworkError, match=r"channel 0 of .* at node n6 \(sample 0\)"):
        network.measure(X, hl.OutputDrive.resistor(np.full((5, 1), 0.1), 1e-4))
    assert True not in closed


def test_refused_requests_apply_nothing(opened):
    network = opened()
    network.measure(X)
    board = network.bench.instrument("board")
    before = dict(board.hardware._levels)
    with pytest.raises(NetworkError, match="nudge resistors of this bench are 100 uS"):
        network.measure(X, hl.OutputDrive.resistor(np.zeros((5, 1)), 2e-4))
    with pytest.raises(LimitError):
        network.measure(X + 1)
    assert board.hardware._levels == before


def test_switching_off_and_closing_leave_every_output_off(opened):
    network = opened()
    network.measure(X, hl.OutputDrive.resistor(np.full((5, 1), 0.1), 1e-4))
    board = network.bench.instrument("board")
    assert not board.hardware.is_off
    network.switch_off()
    network.measure(X)
    network.close()
    assert board.hardware.is_off


def test_board_that_was_reset_is_noticed(opened):
    network = opened()
    network.measure(X)
    network.bench.instrument("board").reset()
    with pytest.raises((OutputStateError, InputDeviationError)):
        network.measure(X[-1:])
    network.reconnect()
    network.measure(X)


def test_input_that_is_not_at_its_level_is_named(opened):
    network = opened(gain=0.0, offset="0 V")
    network.measure(X)
    hardware = network.bench.instrument("board").hardware
    hardware._gains["0"] = 0.5
    with pytest.raises(InputDeviationError, match=r"channel 1 of board.*node .*was set by channel 0 of board"):
        network.measure(np.full((1, 3), 0.4))


def test_missing_nudge_is_refused_before_anything_is_opened():
    topology = graph()
    made = settings(topology, nudged=False)
    with pytest.raises(SetupError, match=r"output .* has no nudge: train with rule = 'analytic' or 'spsa'"):
        VirtualMixedBackend().check_wiring(made, topology, LIMITS, "clamp")
    with pytest.raises(SetupError, match=r"can only be nudged by resistor.*train.nudge = 'resistor'"):
        VirtualMixedBackend().check_wiring(settings(topology), topology, LIMITS, "clamp")
    VirtualMixedBackend().check_wiring(settings(topology), topology, LIMITS, "resistor")


def test_limits_that_the_edges_cannot_cover_are_refused_before_anything_is_opened():
    topology = graph()
    wide = hl.Limits(voltage=0.5, drop=1.0, nudge=0.2, current=1e-3, conductance=(1e-6, 1e-3))
    with pytest.raises(SetupError, match=r"the edges of board cover 10\.03 uS to 7\.692 mS, but limits"):
        VirtualMixedBackend().check_wiring(settings(topology), topology, wide, None)


def test_equilibrium_propagation_trains_through_a_nudge_resistor(opened):
    """A rule that needs nudges, on a board: the error falls without a model of the network."""
    network = opened()
    topology = network.topology
    teacher = np.random.default_rng(5).uniform(5e-5, 5e-4, topology.n_edges)
    x = np.random.default_rng(6).uniform(-0.4, 0.4, (4, 3))
    targets = hl.Kirchhoff(topology, teacher).solve(x)[:, topology.outputs]
    first = np.exp(np.random.default_rng(9).uniform(np.log(2e-5), np.log(9e-4), topology.n_edges))
    model = hl.Kirchhoff(topology, first)
    rule = hl.GEP(hl.ResistorNudge("auto", 1e-4))
    trainer = hl.Trainer(network, rule, hl.MSE(), hl.Adam(0.05, scale="log"), model=model, seed=1)
    history = trainer.fit(x, targets, 25)
    costs = [epoch.train.cost for epoch in history.epochs]
    assert min(costs) < 0.2 * costs[0]


def test_board_with_commands_to_switch_on_and_a_query_of_errors(opened, tmp_path, wait_until):
    """Nothing is acknowledged; errors are asked for after each group; the outputs are switched on first."""
    text = (BOARDS / "example.toml").read_text(encoding="ascii")
    text = text.replace('commands_are_acknowledged = "OK"', "").replace(
        'pattern = "ERR .*"', 'ask = "E?"\nnone = "0.*"'
    )
    text += '\n[on]\nsend = ["ENABLE"]\n'
    (tmp_path / "quiet.toml").write_text(text, encoding="ascii")
    network = opened(instruments=[{**BOARD, "protocol": str(tmp_path / "quiet.toml")}])
    board, heard = network.bench.instrument("board"), []
    execute = board.execute
    board.execute = lambda line: heard.append(line) or execute(line)
    network.measure(X)
    assert heard.index(b"ENABLE") > heard.index(
        b"DACS 0.0000,0.0000,0.0000,0.0000,0.0000,0.0000,0.0000,0.0000,0.0000"
    )
    assert heard.count(b"E?") > 3
    board._interpreter._refused("range")  # an error that the board keeps until it is asked
    with pytest.raises(InstrumentError, match="-1 range"):
        network.measure(-X)
    wait_until(lambda: board.hardware.is_off)  # OFF is only written


def test_another_board_gets_nothing_but_off(tmp_path):
    text = (BOARDS / "example.toml").read_text(encoding="ascii").replace("MYBOARD .*", "OTHER .*")
    (tmp_path / "other.toml").write_text(text, encoding="ascii")
    topology = graph()
    bench = settings(topology).bench(topology, LIMITS)
    with bench:
        board, heard = bench.instrument("board"), []
        execute = board.execute
        board.execute = lambda line: heard.append(line) or execute(line)
        table = settings(topology, instruments=[{**BOARD, "protocol": str(tmp_path / "other.toml")}])
        drivers = BenchSettings(**table.table(LIMITS, {"board": bench.address("board")}))
        with pytest.raises(UnknownInstrumentError, match=r"OTHER \.\*"):
            BenchBackend.open(drivers, topology, LIMITS)
        assert {line for line in heard if line != b"ID?"} == {b"DACS 0,0,0,0,0,0,0,0,0", b"SW sw0 OFF"}
