"""Ways in which a matrix bench could harm its sample, each tried on virtual instruments with the real drivers.

Judged by what the circuit and its relays really did: no relay closes under voltage, none opens with a current
through it unless its source cannot be switched off, and afterwards everything is off.
"""

import contextlib
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

import hwlearn as hl
from hwlearn.errors import HwlearnError, InUseError, NetworkError, SetupError
from hwlearn_drivers.bench.backend import BenchBackend
from hwlearn_drivers.declared.declaration import BOARDS
from hwlearn_drivers.errors import InputDeviationError, LinkTimeout, OutputsMayBeOnError, OutputStateError
from hwlearn_drivers.instrument import open_outputs
from hwlearn_drivers.roles.values import Crosspoint
from hwlearn_sim.bench.mixed import VirtualMixedBackend, VirtualMixedSettings

LIMITS = hl.Limits(voltage=0.5, drop=1.0, nudge=0.2, current=1e-2, conductance=(1e-5, 1e-3))
CROSSBAR = hl.Topology.crossbar(3, 2)
COLUMNS = {name: k + 1 for k, name in enumerate(CROSSBAR.names)}
MATRIX = {"name": "mat1", "model": "707B", "cards": {"1": "7174A"}, "max_voltage": "200 V", "max_current": "1 A"}
ROWS = {
    "A": {"source": "smu1:a"},
    "B": {"read": "smu1:b"},
    "C": {"read": "smu2:a", "nudge": "smu2:a"},
    "D": {"read": "smu2:b", "nudge": "smu2:b"},
    "H": "ground",
}
X = np.array([[0.4, 0.0, 0.4], [0.0, 0.0, 0.0], [0.0, 0.3, 0.0]])


def table(rows=None, first=(), **keys):
    smus = [{"name": f"smu{k}", "model": "2612B"} for k in (1, 2)]
    matrix = {"instrument": "mat1", "rows": rows or {k: ROWS[k] for k in "ACDH"}, "columns": COLUMNS}
    return VirtualMixedSettings(
        instruments=[*(first or smus), MATRIX],
        noise=0.0,
        **{"edges": "100 uS", "driver": {"timeout": 3.0}, "matrix": matrix, **keys},
    )


def opened(**keys):
    return VirtualMixedBackend().open(table(**keys), CROSSBAR, LIMITS)


def relays_of(bench):
    relays = bench.instrument("mat1").relays
    relays.noticed_A = 1e-4  # the thermal voltages of two contacts in a loop drive 50 uA
    return relays


def smu_is_on(bench, *names):
    return any(one.settings.output for name in names for one in bench.instrument(name).channels)


def at_message(instrument, number, act):
    """Call ``act`` once, when an instrument has executed so many messages from now on, before it answers."""
    execute, left = instrument._execute, [number]

    def executed(message):
        reply = execute(message)
        left[0] -= 1
        if left[0] == 0:
            act()
        return reply

    instrument._execute = executed


def wait_until_off(bench, *names):
    deadline = time.monotonic() + 3
    while smu_is_on(bench, *names) or bench.instrument("mat1").relays.closed:
        assert time.monotonic() < deadline
        time.sleep(0.005)


def drive(rng):
    return hl.OutputDrive.clamp(rng.uniform(-0.1, 0.2, (3, 2)))


@pytest.mark.parametrize("kind", ["Ctrl-C", "off"])
def test_interruption_at_any_message_leaves_all_off_and_moves_no_relay_hot(kind):
    """In the middle of a visit, between the opening and the closing of relays, and while outputs are clamped."""
    rng = np.random.default_rng(4)
    with opened() as network:
        bench, relays = network.bench, relays_of(network.bench)
        for number in rng.integers(1, 40, 8).tolist():
            name = str(rng.choice(["smu1", "smu2", "mat1"]))
            instrument = bench.instrument(name)
            original = instrument._execute
            if kind == "off":
                at_message(instrument, number, lambda: open_outputs.halt_open("a person asked for it"))
            else:
                main = threading.main_thread().ident
                at_message(instrument, number, lambda main=main: signal.pthread_kill(main, signal.SIGINT))
            with contextlib.suppress(HwlearnError, KeyboardInterrupt):
                while True:
                    network.measure(X)
                    network.measure(X, drive(rng))
            instrument._execute = original
            wait_until_off(bench, "smu1", "smu2")
            network.reconnect()
        assert not relays.hot_moves


def test_relays_wait_until_a_slow_board_has_set_zero(tmp_path):
    """It acknowledges nothing: without its answer to a later query, the relays would move while it is at 0.4 V."""
    text = (BOARDS / "example.toml").read_text(encoding="ascii")
    for line in ('commands_are_acknowledged = "OK"', 'ask = "DAC? {channel}"', 'reply = "{volts}"', "set_all = "):
        at = text.index(line)
        text = text[:at] + "# " + text[at:]
    (tmp_path / "board.toml").write_text(text, encoding="ascii")
    board = {"name": "board", "model": "declared", "protocol": str(tmp_path / "board.toml")}
    rows = {"A": {"source": "board:0"}, "B": {"read": "smu1:a"}, "H": "ground"}
    with opened(rows=rows, first=[board, {"name": "smu1", "model": "2450"}]) as network:
        slow, relays = network.bench.instrument("board"), relays_of(network.bench)
        execute = slow._execute

        def late(message):
            time.sleep(0.05 if message.startswith(b"DAC ") else 0.0)
            return execute(message)

        slow._execute = late
        found = network.measure(X)
        np.testing.assert_allclose(found.voltages, network.true_outputs(X), atol=2e-3)
        assert relays.moves > 10
        assert not relays.hot_moves


def test_source_that_confirms_nothing_is_refused(tmp_path):
    lines = '[source]\nset = "V {channel} {volts:.3f}"\nchannels = 2\nrange = ["-1 V", "1 V"]\n'
    (tmp_path / "board.toml").write_text(f'{lines}[off]\nsend = ["V 0 0", "V 1 0"]\n', encoding="ascii")
    board = {"name": "board", "model": "declared", "protocol": str(tmp_path / "board.toml")}
    rows = {"A": {"source": "board:0"}, "B": {"read": "smu1:a"}, "H": "ground"}
    with pytest.raises(SetupError, match=r"rows\.A: board confirms no level"):
        opened(rows=rows, first=[board, {"name": "smu1", "model": "2450"}])


@pytest.mark.parametrize("what", ["level", "reset"])
def test_source_that_somebody_changed_is_noticed_before_a_relay_moves(what):
    """The driver has it at 0 V, and would send it nothing before the relays move."""
    with opened() as network:
        network.measure(X[1:2])
        source, relays = network.bench.instrument("smu1"), relays_of(network.bench)
        source.execute(b"smua.source.levelv=0.3" if what == "level" else b"reset()")
        moves = relays.moves
        with pytest.raises(OutputStateError, match="Model 2612B"):
            network.measure([[0.0, 0.0, 0.4]] if what == "level" else X[:1])
        assert not relays.hot_moves
        assert relays.moves <= moves + 5  # OFF opened those that were closed
        wait_until_off(network.bench, "smu1", "smu2")


@pytest.mark.parametrize("kind", ["power lost", "relay closed by hand"])
def test_matrix_that_changes_in_a_visit_voids_the_batch(kind):
    with opened() as network:
        network.measure(X)
        bench, relays = network.bench, network.bench.instrument("mat1").relays

        def change():
            if kind == "power lost":
                relays.move(set(relays.closed), ())
            else:
                relays.move((), {Crosspoint("A", "5")})

        at_message(bench.instrument("smu1"), 3, change)
        with pytest.raises(NetworkError):
            network.measure(X)
        wait_until_off(bench, "smu1", "smu2")


def test_contact_that_opens_in_a_batch_is_noticed_in_it():
    """Whenever it opens, the batch is refused, or its readings are those of closed contacts."""
    rows = {"A": {"source": "smu1:a"}, "B": {"read": "smu1:b"}, "H": "ground"}
    matrix = {"instrument": "mat1", "columns": COLUMNS, "read_inputs": True, "rows": rows}
    fault, x = Crosspoint("A", "1"), np.array([[0.4, 0.0, 0.0], [0.0, 0.4, 0.0], [0.4, 0.4, 0.0]])
    with opened(matrix=matrix, first=[{"name": "smu1", "model": "2612B"}]) as network:
        relays, counted = relays_of(network.bench), [0]
        execute = network.bench.instrument("smu1")._execute
        network.bench.instrument("smu1")._execute = lambda message: (counted.append(0), execute(message))[1]
        true = network.measure(x).voltages
        refused = 0
        for number in range(1, len(counted), 7):
            at_message(network.bench.instrument("smu1"), number, lambda: relays.set_fault(fault, "stuck open"))
            try:
                np.testing.assert_allclose(network.measure(x).voltages, true, atol=1e-4)
            except InputDeviationError:
                refused += 1
                network.reconnect()
            relays.set_fault(fault, None)
        assert refused > 5


def test_source_that_cannot_be_reached_is_cut_off_by_the_matrix():
    """It stays at its level, so that only the relays take the voltage off the sample: they open under voltage."""
    network = opened(edges="800 uS")
    network.measure(X[:1])
    bench, relays = network.bench, relays_of(network.bench)
    bench._servers["smu1"].close()
    with pytest.raises(OutputsMayBeOnError, match="SMUA, SMUB OF MODEL 2612B"):
        network.close()
    deadline = time.monotonic() + 3
    while relays.closed:
        assert time.monotonic() < deadline
    assert smu_is_on(bench, "smu1")
    assert not smu_is_on(bench, "smu2")
    np.testing.assert_allclose(bench.plane.node_voltages()[: CROSSBAR.n_nodes], 0.0, atol=1e-9)
    assert relays.hot_moves
    assert max(one.amperes for one in relays.hot_moves) <= LIMITS.current
    assert not any(one.volts for one in relays.hot_moves)  # none closes


def test_mute_source_obeys_before_the_matrix_opens():
    with opened(driver={"timeout": 1.0}) as network:
        network.measure(X[:1])
        bench, relays = network.bench, relays_of(network.bench)
        bench.faults("smu1").muted = True
        with pytest.raises(HwlearnError, match="no answer within"):
            network.measure(X)
        wait_until_off(bench, "smu1", "smu2")
        assert not relays.hot_moves
        bench.faults("smu1").muted = False


def test_second_bench_on_the_same_matrix_is_refused_before_a_message():
    with contextlib.closing(table().bench(CROSSBAR, LIMITS).start()) as virtual:
        settings = BenchBackend.Settings(**table().driver_settings(virtual, LIMITS))
        with contextlib.closing(table().bench(CROSSBAR, LIMITS).start()) as other:
            mixed = table().driver_settings(other, LIMITS)
            mixed["instruments"][2]["address"] = virtual.address("mat1")
            with BenchBackend.open(settings, CROSSBAR, LIMITS) as network:
                network.measure(X[:1])
                closed = set(virtual.instrument("mat1").relays.closed)
                with pytest.raises(InUseError):
                    BenchBackend.open(BenchBackend.Settings(**mixed), CROSSBAR, LIMITS)
                assert virtual.instrument("mat1").relays.closed == closed
                assert other.faults("smu1").replies == 0


def test_sources_of_every_bench_of_a_process_are_off_before_a_matrix_opens():
    with opened() as one, opened() as two:
        order = []
        for bench in (one.bench, two.bench):
            for name in ("smu1", "smu2", "mat1"):
                instrument = bench.instrument(name)
                execute = instrument._execute

                def executed(message, name=name, execute=execute):
                    order.append(name)
                    return execute(message)

                instrument._execute = executed
        one.measure(X[:1])
        two.measure(X[:1])
        order.clear()
        open_outputs.halt_open("somebody asked for it")
        wait_until_off(one.bench, "smu1", "smu2")
        wait_until_off(two.bench, "smu1", "smu2")
        first = order.index("mat1")
        assert not {name for name in order[first:] if name.startswith("smu")}
        for network in (one, two):
            assert not relays_of(network.bench).hot_moves


def test_bench_that_cannot_be_opened_leaves_nothing_on():
    """Another process was killed before; the first source is mute now, and the matrix would never be opened."""
    with contextlib.closing(table().bench(CROSSBAR, LIMITS).start()) as bench:
        settings = {**table().driver_settings(bench, LIMITS), "timeout": 1.0}
        for name in ("smu1", "smu2"):
            for line in (b"smua.source.levelv=0.4", b"smua.source.output=1"):
                bench.instrument(name).execute(line)
        relays = relays_of(bench)
        bench.faults("smu1").muted = True
        relays.closed.update((Crosspoint("A", "1"), Crosspoint("C", "4")))
        with pytest.raises(LinkTimeout):
            BenchBackend.open(BenchBackend.Settings(**settings), CROSSBAR, LIMITS)
        wait_until_off(bench, "smu1", "smu2")
        assert not relays.hot_moves


@pytest.mark.slow
@pytest.mark.parametrize("then", ["off", "open"])
def test_relays_stay_until_the_sources_of_a_killed_process_are_off(tmp_path, then):
    """A killed process leaves a source on and relays closed: OFF and a new opening move none under voltage."""
    with contextlib.closing(table(edges="800 uS").bench(CROSSBAR, LIMITS).start()) as bench:
        settings = table(edges="800 uS").driver_settings(bench, LIMITS)
        script = tmp_path / "measure.py"
        script.write_text(_MEASURE.format(settings=settings), encoding="utf-8")
        child = subprocess.Popen([sys.executable, str(script)])
        relays = relays_of(bench)
        deadline = time.monotonic() + 60
        while not (relays.closed and np.abs(bench.plane.node_voltages()).max() > 0.3):
            assert time.monotonic() < deadline
            assert child.poll() is None
            time.sleep(0.002)
        child.kill()
        child.wait()
        assert smu_is_on(bench, "smu1")
        if then == "off":
            BenchBackend.off(BenchBackend.Settings(**settings))
        else:
            with BenchBackend.open(BenchBackend.Settings(**settings), CROSSBAR, LIMITS) as network:
                network.measure(X)
        wait_until_off(bench, "smu1", "smu2")
        assert not relays.hot_moves


_MEASURE = """
import hwlearn as hl
from hwlearn_drivers.bench.backend import BenchBackend

limits = hl.Limits(voltage=0.5, drop=1.0, nudge=0.2, current=1e-2, conductance=(1e-5, 1e-3))
network = BenchBackend.open(BenchBackend.Settings(**{settings!r}), hl.Topology.crossbar(3, 2), limits)
while True:
    network.measure([[0.4, 0.0, 0.4], [0.0, 0.4, 0.0]])
"""
