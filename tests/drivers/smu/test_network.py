"""`SmuNetwork` on virtual instruments of four models, over sockets and a pty, against the circuit model."""

import threading
from itertools import pairwise

import numpy as np
import pytest
from smu_rack import LIMITS, Rack

import hwlearn as hl
from hwlearn.errors import NetworkError, SetupError
from hwlearn_drivers.instrument.pace import Pace
from hwlearn_sim.instruments.capability import Meters
from hwlearn_sim.plane.plane import AnalogPlane
from hwlearn_sim.plane.sources import CurrentSource, VoltageSource

# --- measurement ----------------------------------------------------------------------------------


def test_readings_of_every_phase_match_the_circuit(graph, teacher, inputs):
    """Readings differ from Kirchhoff's laws only by the resolution of the instruments."""
    rng = np.random.default_rng(3)
    with Rack(graph, ramp_step="50 mV") as rack:
        done = rack.network.program(teacher.conductances)
        assert not done.failed.any()
        np.testing.assert_allclose(done.reached, rack.bench.true_conductances, rtol=1e-12)
        truth, network = rack.truth, rack.network
        V = truth.solve(inputs)
        free = network.measure(inputs)
        np.testing.assert_allclose(free.voltages, V[:, graph.outputs], atol=3e-5)
        np.testing.assert_allclose(free.source_currents, truth.source_currents(V), atol=2e-8)
        assert (free.output_currents == 0).all()
        assert not free.saturated.any()

        volts = np.clip(free.voltages + rng.uniform(-0.05, 0.05, free.voltages.shape), -0.5, 0.5)
        volts[1, 0] = volts[2, 1] = np.nan
        clamped = network.measure(inputs, hl.OutputDrive.clamp(volts))
        V = truth.solve(inputs, clamped=volts)
        held = ~np.isnan(volts)
        np.testing.assert_allclose(clamped.voltages, V[:, graph.outputs], atol=5e-5)
        np.testing.assert_allclose(clamped.output_currents[held], truth.output_currents(V)[held], atol=2e-8)
        assert (clamped.output_currents[~held] == 0).all()

        amperes = rng.uniform(-5e-6, 5e-6, free.voltages.shape)
        amperes[0, 1] = np.nan
        pushed = network.measure(inputs, hl.OutputDrive.current(amperes))
        V = truth.solve(inputs, injected=amperes)
        np.testing.assert_allclose(pushed.voltages, V[:, graph.outputs], atol=5e-5)
        np.testing.assert_array_equal(pushed.output_currents, np.nan_to_num(amperes))

        again = network.measure(inputs)
        np.testing.assert_allclose(again.voltages, free.voltages, atol=3e-5)
        assert (again.voltage_sigma, again.current_sigma) == (2e-5, 5e-9)
        assert network.measurements == 4 * len(inputs)


def test_resistor_nudge_is_rejected(graph, inputs):
    with Rack(graph) as rack, pytest.raises(NetworkError, match="clamp, current"):
        rack.network.measure(inputs, hl.OutputDrive.resistor(np.zeros((4, 2)), 1e-4))


@pytest.mark.slow
@pytest.mark.parametrize(
    "rule",
    [
        pytest.param(hl.EquilibriumPropagation(), id="ep", marks=pytest.mark.slow),
        pytest.param(hl.CoupledLearning(), id="cl"),
    ],
)
def test_training_over_sockets_reduces_the_error(graph, teacher, inputs, rule):
    """With 20 % device spread, noisy meters and only the outputs read, training reduces the error tenfold."""
    inputs = inputs[:2]
    targets = teacher.solve(inputs)[:, graph.outputs]
    with Rack(graph, meters=Meters(), spread=0.2) as rack:
        trainer = hl.Trainer(rack.network, rule, hl.MSE(), hl.Adam(0.05))
        before = trainer.evaluate(inputs, targets).rms_error_V
        history = trainer.fit(inputs, targets, hl.Schedule(40, anneal=0.05))
        assert history.stopped == "finished"
        after = trainer.evaluate(inputs, targets).rms_error_V
        assert before > 5e-3
        assert after < before / 10


# --- node voltages of the circuit -----------------------------------------------------------------


def test_no_node_changes_by_more_than_a_ramp_step(graph, teacher, inputs, monkeypatch):
    """Node voltages of the circuit, during ramps and while one kind of source replaces the other."""
    seen, one_at_a_time = [], threading.Lock()
    drive = AnalogPlane.drive

    def watched(plane, channel, source):
        with one_at_a_time:  # each instrument has its own thread
            drive(plane, channel, source)
            seen.append(plane.node_voltages())

    with Rack(graph, ramp_step="20 mV") as rack:
        rack.network.program(teacher.conductances)
        rack.network.measure(np.zeros((1, 3)))
        monkeypatch.setattr(AnalogPlane, "drive", watched)
        free = rack.network.measure(inputs)
        rack.network.measure(inputs, hl.OutputDrive.clamp(np.clip(free.voltages + 0.1, -0.5, 0.5)))
        rack.network.measure(inputs, hl.OutputDrive.current(np.full((4, 2), 3e-6)))
        rack.network.measure(inputs)
        jumps = [np.abs(later - sooner).max() for sooner, later in pairwise(seen)]
        monkeypatch.undo()
    assert len(jumps) > 200
    assert max(np.abs(seen[-1])) > 0.1, "the voltages did change"
    assert max(jumps) < 21e-3


def test_ramp_duration_follows_the_slew_rate(graph, monkeypatch):
    slept = []
    with Rack(graph, ramp_step="50 mV", slew_V_per_s=10) as rack:
        rack.network.measure([[0.0, 0.0, 0.0]])
        monkeypatch.setattr("hwlearn_drivers.smu.network.time.sleep", slept.append)
        rack.network.measure([[0.4, -0.2, 0.0]])
        monkeypatch.undo()
    # 0.4 V in 8 steps of 50 mV, 5 ms each, the settling of 0 s after the last
    assert len(slept) == 8
    assert all(0 <= seconds <= 5e-3 for seconds in slept)


def test_source_limits_are_the_limits_of_the_bench(graph, teacher, inputs):
    with Rack(graph) as rack:
        rack.network.program(teacher.conductances)
        rack.network.measure(inputs)
        for channel in rack.bench.plane.channels():
            if isinstance(channel.source, VoltageSource):
                assert channel.source.limit_A <= LIMITS.current * (1 + 1e-9)
            if isinstance(channel.source, CurrentSource):
                assert channel.source.limit_V <= LIMITS.voltage * (1 + 1e-9)


def test_separate_instruments_are_read_in_parallel(graph, inputs):
    """Each of two instruments delays its reply until the other one has received its query."""
    meet = threading.Barrier(2, timeout=10)
    with Rack(graph) as rack:
        rack.network.measure(inputs)
        for name in ("one", "three"):
            smu = rack.bench.instrument(name)
            plain = smu.execute

            def execute(message, plain=plain):
                if b":READ?" in message or b":MEAS?" in message:
                    meet.wait()
                return plain(message)

            smu.execute = execute
        rack.network.measure(inputs)
        for name in ("one", "three"):
            del rack.bench.instrument(name).execute


@pytest.mark.parametrize("wrong", [{"slew_V_per_s": 0.0}, {"ramp_step_V": -1.0}, {"settle_s": np.nan}])
def test_invalid_pace_is_rejected(wrong):
    with pytest.raises(SetupError, match=next(iter(wrong))):
        Pace(**wrong)
