"""A network on the reference board: real firmware, a simulated circuit and a real wire.

One file because all tests share the bench of one board and one batch of samples.
"""

import contextlib
import time
from dataclasses import replace

import numpy as np
import pytest
from board_rig import FLAWED, PLAIN, graph
from short_waits import short_waits

import hwlearn as hl
from hwlearn.errors import LimitError, NetworkError, SetupError
from hwlearn.learning.observer import shifted
from hwlearn_drivers.board.backend import BoardBackend
from hwlearn_drivers.board.board import OFF
from hwlearn_drivers.board.protocol import ADC_STEP_V, DAC_STEP_V, NOT_MEASURED, SILENT
from hwlearn_drivers.board.wiring import BoardWiring
from hwlearn_drivers.errors import (
    HaltedError,
    InstrumentError,
    LinkError,
    LinkTimeout,
    OutputStateError,
    UnknownInstrumentError,
)
from hwlearn_drivers.transport.blocks import decode_codes

LIMITS = hl.Limits(voltage=1.0, drop=2.0, nudge=0.3, current=1e-3, conductance=(1.5e-5, 2e-4))
PLACES = tuple(range(31, 17, -1))
TWISTED = {"inputs": (7, 2, 5), "outputs": (3, 1), "edges": PLACES}
CLOSE = 2 * ADC_STEP_V
NUDGE = hl.ResistorNudge(0.5, 1e-4)


@pytest.fixture
def bench(board_rig):
    """Return a function that opens a bench: the network, and the rig of its board."""
    networks = []

    def make(limits=LIMITS, record=FLAWED, timeout=5.0, rig=None, **settings):
        wiring = BoardWiring.of(graph(), **{key: settings.get(key) for key in TWISTED})
        rig = rig or board_rig(record=record, wiring=wiring)
        table = BoardBackend.Settings(address=rig.address, timeout=timeout, **settings)
        networks.append(BoardBackend.open(table, graph(), limits))
        return networks[-1], rig

    yield make
    for network in networks:
        network.close()


@pytest.fixture
def batch():
    """Inputs (20, 3), targets (20, 2), and conductances (14,)."""
    rng = np.random.default_rng(1)
    g = np.exp(rng.uniform(np.log(2e-5), np.log(1.5e-4), 14))
    return rng.uniform(-0.6, 0.6, (20, 3)), rng.uniform(-0.3, 0.3, (20, 2)), g


def free(rig, x):
    return rig.model.solve(x)[:, rig.topology.outputs]


# --- measurements ---------------------------------------------------------------------------------


@pytest.mark.parametrize("settings", [{}, TWISTED], ids=["straight", "twisted"])
def test_every_phase_reads_the_voltages_of_the_circuit(bench, batch, settings):
    network, rig = bench(**settings)
    x, y, g = batch
    network.program(g)
    true = free(rig, x)
    phases = network.two_phase(x, hl.TargetError(y), NUDGE)
    assert b"SEQ:TWOP? 0.500000,#" in bytes(rig.heard)
    np.testing.assert_allclose(network.measure(x).voltages, true, atol=CLOSE)
    np.testing.assert_allclose(phases.free.voltages, true, atol=CLOSE)
    for sign, phase in ((1, phases.plus), (-1, phases.minus)):
        behind = true - sign * 0.5 * (true - y)
        nudged = shifted(rig.model, true, hl.OutputDrive.resistor(behind, rig.kappa))
        np.testing.assert_allclose(phase.voltages, nudged, atol=CLOSE)
        np.testing.assert_allclose(phase.output_currents, rig.kappa * (behind - nudged), atol=1e-4 * 3 * CLOSE)
    assert (phases.free.output_currents == 0).all()
    assert rig.is_safe


def test_board_and_host_compute_the_same_nudges(bench, batch):
    network, rig = bench(**TWISTED)
    x, y, g = batch
    network.program(g)
    by_board = network.two_phase(x, hl.TargetError(y), NUDGE)
    rig.heard.clear()
    by_host = network.two_phase(x, lambda volts: volts - y, NUDGE)
    assert b"SEQ:NUDG?" in bytes(rig.heard)
    assert b"SEQ:TWOP?" not in bytes(rig.heard)
    for part in ("free", "plus", "minus"):
        np.testing.assert_allclose(
            getattr(by_board, part).voltages, getattr(by_host, part).voltages, atol=2 * (ADC_STEP_V + DAC_STEP_V)
        )
    np.testing.assert_allclose(by_board.error, by_host.error, atol=CLOSE)
    assert by_board.strength.tolist() == by_host.strength.tolist() == [0.5] * 20


def test_driver_computes_the_code_that_the_board_applied(bench, batch, mocker):
    """Therefore the current through the resistor is known without the error of one code."""
    network, rig = bench(**TWISTED)
    network.program(batch[2])
    x, y = batch[0][:1], batch[1][:1]
    seen = mocker.spy(network._codes.nudges.__class__, "dac_volts")
    network.two_phase(x, hl.TargetError(y), NUDGE, symmetric=False)
    computed = np.asarray(seen.call_args.args[1])[0]
    loads = []
    move = rig.native.set_transfer
    mocker.patch.object(rig.native, "set_transfer", lambda *a: (loads.append(rig.native.dac_codes()), move(*a)))
    rig.native.forget_transfers()
    network.two_phase(x, hl.TargetError(y), NUDGE, symmetric=False)
    applied = loads[-1]  # read when the switches had closed
    for channel in (3, 1):
        assert computed[channel] == applied[8 + channel] != 32768


def test_one_sided_phase_equals_that_of_both_sides(bench, batch):
    network, _ = bench()
    x, y, g = batch
    network.program(g)
    for error in (hl.TargetError(y), lambda volts: volts - y):
        both = network.two_phase(x, error, NUDGE)
        one = network.two_phase(x, error, NUDGE, symmetric=False)
        assert one.minus is None
        np.testing.assert_allclose(one.plus.voltages, both.plus.voltages, atol=CLOSE)


def test_batch_longer_than_a_block_is_split(bench, batch):
    network, rig = bench()
    network.program(batch[2])
    rng = np.random.default_rng(2)
    x, y = rng.uniform(-0.6, 0.6, (300, 3)), rng.uniform(-0.2, 0.2, (300, 2))
    counts = []
    network.on_measured = counts.append
    rig.heard.clear()
    phases = network.two_phase(x, hl.TargetError(y), hl.ResistorNudge(0.25, 1e-4))
    assert bytes(rig.heard).count(b"SEQ:TWOP?") == 3
    np.testing.assert_allclose(phases.free.voltages, free(rig, x), atol=CLOSE)
    assert (counts, network.measurements) == ([300, 600], 900)
    assert network.measure(np.zeros((0, 3))).voltages.shape == (0, 2)


def test_nan_in_a_drive_leaves_the_output_floating(bench, batch):
    network, rig = bench(**TWISTED)
    x, _, g = batch
    network.program(g)
    volts = free(rig, x) + 0.1
    volts[:, 1] = np.nan
    read = network.measure(x, hl.OutputDrive.resistor(volts, 1e-4))
    assert (read.output_currents[:, 1] == 0).all()
    expected = rig.model.solve(x, injected=read.output_currents)[:, rig.topology.outputs]
    np.testing.assert_allclose(read.voltages, expected, atol=3 * CLOSE)


def test_reading_at_the_end_of_the_range_is_marked(bench, batch, mocker):
    network, _ = bench()
    readings = np.full((2, 1, 4), 32000, dtype=np.uint16)
    readings[0, 0, 1], readings[1, 0, 0] = 0xFFFF, 0
    status = np.array([2, 2], dtype=np.uint16)
    mocker.patch.object(type(network.board), "sequence", return_value=(status, readings))
    assert network.measure(batch[0][:2]).saturated.tolist() == [[False, True], [True, False]]


def test_network_learns_on_the_board(bench):
    rng = np.random.default_rng(3)
    x = rng.uniform(-0.6, 0.6, (16, 3))
    teacher = np.exp(rng.uniform(np.log(2e-5), np.log(1.5e-4), 14))
    y = hl.Kirchhoff(graph(), teacher).solve(x)[:, graph().outputs]
    network, _ = bench(averages=4)
    rule = hl.GEP(hl.ResistorNudge("auto", 1e-4))
    trainer = hl.Trainer(network, rule, hl.MSE(), hl.Adam(0.05, scale="log"))
    history = trainer.fit(x, y, 60)
    assert history.epochs[-1].train.cost < 0.01 * history.epochs[0].train.cost


# --- edges ----------------------------------------------------------------------------------------


def test_edges_take_the_nearest_code_within_the_limits(bench, batch):
    network, rig = bench(**TWISTED)
    done = network.program(batch[2])
    assert not done.failed.any()
    np.testing.assert_allclose(done.reached, rig.conductances, rtol=1e-9)
    assert np.abs(done.reached / batch[2] - 1).max() < 0.03
    for end in LIMITS.conductance:
        reached = network.program(np.full(14, end)).reached
        assert (reached >= LIMITS.conductance[0]).all()
        assert (reached <= LIMITS.conductance[1]).all()
    low, high = network.edges.codes
    assert rig.do("SOUR:LIM:EDGE?").decode() == f"{low},{high}\n"
    assert (rig.native.edge_codes()[:18] == high).all(), "unused edges have the highest resistance allowed"
    before = rig.native.edge_codes()
    with pytest.raises(LimitError, match=r"outside limits\.conductance"):
        network.program(np.full(14, 1e-3))
    assert rig.native.edge_codes().tolist() == before.tolist()


def test_conductance_limits_outside_the_range_of_codes_are_refused(bench):
    for wrong in ((1e-6, 1e-4), (1.5e-5, 0.1)):
        with pytest.raises(SetupError, match=r"the edges of REFBOARD .* have .* but limits\.conductance is"):
            bench(replace(LIMITS, conductance=wrong))
    record = replace(FLAWED, edge_low=100)
    with pytest.raises(SetupError, match=r"have .* but limits\.conductance"):
        bench(record=record)


def test_edge_that_does_not_take_its_code_has_failed(bench, batch, mocker):
    network, _ = bench()
    network.program(batch[2])
    codes = network.board.read_codes()
    codes[4] = 7
    mocker.patch.object(type(network.board), "read_codes", return_value=codes)
    done = network.program(batch[2])
    assert np.flatnonzero(done.failed).tolist() == [4]
    mocker.stopall()


# --- refused requests -----------------------------------------------------------------------------


def test_request_outside_the_limits_is_not_sent(bench, batch):
    network, rig = bench(replace(LIMITS, drop=1.1))
    x, y, _ = batch
    before = len(rig.heard)
    with pytest.raises(LimitError, match=r"exceeds limits\.voltage"):
        network.measure(2 * np.ones((1, 3)))
    with pytest.raises(LimitError, match=r"limits\.drop"):
        network.two_phase([[-0.6, 0.6, 0]], hl.TargetError(y[:1]), NUDGE)
    with pytest.raises(LimitError, match=r"exceeds limits\.voltage"):
        network.measure(0 * x, hl.OutputDrive.resistor(np.full((20, 2), 1.5), 1e-4))
    with pytest.raises(NetworkError, match="does not support a 'clamp' drive; it supports: resistor"):
        network.measure(0 * x, hl.OutputDrive.clamp(0 * y))
    assert len(rig.heard) == before


@pytest.mark.parametrize("kappa", [9e-5, 1.02e-4])
def test_other_nudge_conductance_is_refused(bench, batch, kappa):
    network, rig = bench()
    x, y, _ = batch
    nudge = hl.ResistorNudge(0.5, kappa)
    with pytest.raises(NetworkError, match=r'are 100 uS, not .*; set train.kappa = "100 uS"'):
        network.two_phase(x, hl.TargetError(y), nudge)
    assert b"#" not in bytes(rig.heard)


def test_fixed_strength_above_the_limit_is_refused_before_the_nudge(bench, batch):
    network, rig = bench()
    x, y, g = batch
    network.program(g)
    with pytest.raises(LimitError, match=r"strength 3 exceeds what the hardware supports for sample"):
        network.two_phase(x, lambda volts: volts - y, hl.ResistorNudge(3.0, 1e-4))
    assert b"SEQ:NUDG?" not in bytes(rig.heard)


def test_samples_that_the_board_refuses_to_nudge_are_skipped(bench, batch):
    network, rig = bench()
    x, y, g = batch
    network.program(g)
    phases = network.two_phase(x, hl.TargetError(y), hl.ResistorNudge(1.0, 1e-4))
    distance = np.abs(free(rig, x) - y).max(axis=1)
    assert phases.skipped.any()
    assert not phases.skipped.all()
    clear = np.abs(distance - 0.3) > 1e-3
    assert (phases.skipped == (distance > 0.3))[clear].all()
    for part in (phases.plus, phases.minus):
        np.testing.assert_array_equal(part.voltages[phases.skipped], phases.free.voltages[phases.skipped])
        assert (part.output_currents[phases.skipped] == 0).all()
    assert network.measurements == 20 + 2 * int((~phases.skipped).sum())


def test_drive_too_far_from_the_free_output_is_refused_by_the_board(bench, batch):
    network, rig = bench()
    x, _, g = batch
    network.program(g)
    volts = free(rig, x) + 0.1
    volts[7] += 0.3
    with pytest.raises(LimitError, match=r"did not nudge sample 7: its drive is more than limits\.nudge = 300 mV"):
        network.measure(x, hl.OutputDrive.resistor(volts, 1e-4))
    assert rig.is_safe


def test_auto_strengths_are_accepted_by_the_board(bench, batch):
    sigma = 2e-3
    network, rig = bench(voltage_sigma=sigma)
    x, y, g = batch
    network.program(g)
    rig.native.set_converters(*([c * 0 for c in (np.zeros(16), np.zeros(16), np.zeros(8), np.zeros(8))]), sigma, 1)
    nudge = hl.ResistorNudge("auto", 1e-4).bound(rig.model.output_impedance())
    for _ in range(20):
        phases = network.two_phase(x, hl.TargetError(y), nudge)
        assert not phases.skipped.any()
        assert (phases.strength * np.abs(phases.error).max(axis=1) < 0.3).all()


def test_nudge_limit_below_the_noise_is_refused(bench):
    with pytest.raises(SetupError, match=r"limits\.nudge = 1 mV is below the read noise"):
        bench(replace(LIMITS, nudge=1e-3), voltage_sigma=1e-3)


def test_limits_unknown_to_the_board_are_kept_by_the_host(bench, batch):
    """If nudges of the board could exceed them, the host computes the nudges."""
    x, y, g = batch
    network, rig = bench(replace(LIMITS, drop=1.3))
    network.program(g)
    assert not network.two_phase(x, hl.TargetError(y), NUDGE).skipped.any()
    assert b"SEQ:TWOP?" not in bytes(rig.heard)
    network.two_phase(0.1 * x, hl.TargetError(0.1 * y), NUDGE)
    assert b"SEQ:TWOP?" in bytes(rig.heard)
    network, rig = bench(replace(LIMITS, current=8e-5))
    with pytest.raises(LimitError, match=r"exceeds limits\.current"):
        network.two_phase(x, hl.TargetError(y), NUDGE)
    assert b"SEQ:TWOP?" not in bytes(rig.heard)
    network.two_phase(0.1 * x, hl.TargetError(0.1 * y), NUDGE)
    assert b"SEQ:TWOP?" in bytes(rig.heard)


@pytest.mark.parametrize(
    ("strength", "target", "refused"),
    [(1e-5, 0.0, False), (9.0, 0.0, True), (0.5, 3.0, True)],
    ids=["weak", "strong", "far"],
)
def test_host_computes_nudges_that_the_board_cannot(bench, batch, strength, target, refused):
    network, rig = bench()
    x, y, g = batch
    network.program(g)
    y = y.copy()
    y[3, 1] = target
    with pytest.raises(LimitError) if refused else contextlib.nullcontext():
        network.two_phase(x, hl.TargetError(y), hl.ResistorNudge(strength, 1e-4))
    assert b"SEQ:FREE?" in bytes(rig.heard)
    assert b"SEQ:TWOP?" not in bytes(rig.heard)
    assert (b"SEQ:NUDG?" in bytes(rig.heard)) != refused


# --- faults ---------------------------------------------------------------------------------------


def test_disconnect_during_a_batch(bench, batch):
    network, rig = bench(timeout=1.0)
    x, y, g = batch
    network.program(g)
    codes = rig.native.edge_codes()
    rig.answer_instead[b"SEQ:FREE?"] = b"#41002"
    began = time.monotonic()
    with pytest.raises(LinkTimeout) as raised:
        network.measure(x)
    assert time.monotonic() - began < 3.0
    assert "\n" not in str(raised.value)
    rig.answer_instead.clear()
    rig.drop()
    rig.wait_until(lambda: rig.is_safe)
    network.board.transport.close()
    with pytest.raises(LinkError, match="reconnect"):
        network.measure(x)
    rig.do("EDGE:CODE 3,77")
    network.reconnect()
    assert rig.native.edge_codes().tolist() == codes.tolist(), "edges are restored"
    np.testing.assert_allclose(network.measure(x).voltages, free(rig, x), atol=CLOSE)
    assert not network.two_phase(x, hl.TargetError(y), NUDGE).skipped.all()


def test_outputs_are_switched_off_if_the_board_stops_replying(bench, batch):
    network, rig = bench()
    rig.lost_after = 300
    began = time.monotonic()
    with short_waits(network.board.transport), pytest.raises(LinkTimeout, match="then nothing for"):
        network.measure(np.tile(batch[0], (9, 1)))
    assert time.monotonic() - began < 2.0
    rig.wait_until(lambda: bytes(rig.heard).endswith(OFF.encode() + b"\n"))
    with pytest.raises(HaltedError):
        network.board.write("SOUR:VOLT 0,0.1")
    rig.lost_after = None
    np.testing.assert_allclose(network.measure(batch[0]).voltages, free(rig, batch[0]), atol=CLOSE)


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit])
def test_interrupt_while_waiting_for_a_batch_switches_outputs_off(bench, batch, mocker, kind):
    network, rig = bench()
    mocker.patch.object(type(network.board.transport._link), "read_exactly", side_effect=kind)
    with pytest.raises(kind):
        network.measure(np.zeros((500, 3)))
    mocker.stopall()
    rig.wait_until(lambda: bytes(rig.heard).endswith(OFF.encode() + b"\n"))
    assert bytes(rig.heard).count(b"SEQ:FREE?") == 1
    assert network.board.transport.halted
    np.testing.assert_allclose(network.measure(batch[0]).voltages, free(rig, batch[0]), atol=CLOSE)


def test_watchdog_switches_outputs_off_in_a_pause_and_the_next_batch_continues(bench, batch, caplog):
    network, rig = bench(watchdog=0.5)
    network.board.write("SOUR:VOLT 7,0.5")
    rig.advance(0.6)
    rig.wait_until(lambda: rig.is_safe)
    np.testing.assert_allclose(network.measure(batch[0]).voltages, free(rig, batch[0]), atol=CLOSE)
    assert caplog.text.count("watchdog switched the outputs off") == 1


@pytest.mark.parametrize(
    ("bit", "words"), [(NOT_MEASURED, "sample 1, then the sequence was ended"), (SILENT, "its ADC did not answer")]
)
def test_status_of_a_failed_sequence_is_an_error(bench, batch, mocker, bit, words):
    network, rig = bench()
    status = np.array([0, bit | NOT_MEASURED if bit == SILENT else bit], dtype=np.uint16)
    mocker.patch.object(
        type(network.board), "sequence", return_value=(status, np.zeros((2, 1, 4), dtype=np.uint16))
    )
    with pytest.raises(NetworkError, match=words):
        network.measure(batch[0][:2])
    mocker.stopall()
    rig.wait_until(lambda: bytes(rig.heard).endswith(OFF.encode() + b"\n"))


def test_refused_edge_block_switches_outputs_off(bench, batch):
    network, rig = bench()
    rig.do("SOUR:LIM:EDGE 40,41")
    with pytest.raises(OutputStateError, match="SOUR:LIM:EDGE was set to 13,174 and is 40,41") as raised:
        network.program(batch[2])
    assert isinstance(raised.value.__cause__, InstrumentError)
    assert network.board.transport.halted


def test_reconnect_refuses_another_board(bench, batch):
    network, rig = bench()
    network.program(batch[2])
    rig.provision(replace(PLAIN, serial="T-0009"))
    rig.native.power_on()
    with pytest.raises(UnknownInstrumentError, match="T-0009"):
        network.reconnect()
    rig.provision(FLAWED)
    rig.native.power_on()
    network.reconnect()


def test_wire_log_is_closed_with_the_network(bench, tmp_path):
    log = tmp_path / "wire.txt"
    network, rig = bench(wire_log=log)
    network.measure(np.zeros((1, 3)))
    network.close()
    text = log.read_text(encoding="ascii")
    assert f"{rig.address}\t>\t\\x18OUTP OFF" in text
    assert "SEQ:FREE? #" in text
    assert text.rstrip().endswith("closed")


def test_unused_inputs_stay_at_0_V(bench):
    network, rig = bench(**TWISTED)
    network.measure([[0.5, 0.5, 0.5]])
    sent = bytes(rig.heard).partition(b"SEQ:FREE? #218")[2][:18]
    volts = network._codes.inputs.dac_volts(decode_codes(sent))
    used = [7, 2, 5]
    np.testing.assert_allclose(volts[used], 0.5, atol=DAC_STEP_V)
    np.testing.assert_allclose(np.delete(volts, used), 0.0, atol=DAC_STEP_V)
