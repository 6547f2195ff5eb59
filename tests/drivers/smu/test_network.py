"""`SmuNetwork` on virtual instruments of four models, over sockets and a pty, against the circuit model."""

import signal
import sys
import threading
import time
from itertools import pairwise

import numpy as np
import pytest

import hwlearn as hl
from hwlearn.errors import ComplianceError, NetworkError, SetupError
from hwlearn.network.edge_codes import EvenSteps
from hwlearn_drivers.errors import LinkError, LinkTimeout, OutputsMayBeOnError
from hwlearn_drivers.smu.backend import SmuBackend
from hwlearn_drivers.smu.pace import Pace
from hwlearn_sim.bench.bench import PlacedCard, PlacedSmu, VirtualBench
from hwlearn_sim.devices.imperfections import Imperfections
from hwlearn_sim.instruments.capability import Meters
from hwlearn_sim.plane.plane import AnalogPlane
from hwlearn_sim.plane.sources import CurrentSource, VoltageSource

LIMITS = hl.Limits(voltage=0.5, drop=1.0, nudge=0.2, current=1e-3, conductance=(1e-5, 2e-4))
PTY = "pty" if sys.platform != "win32" else "tcp"
QUIET = Meters(noise=0.0)


@pytest.fixture
def graph():
    """Eight nodes, ground at 0, three inputs, two outputs."""
    return hl.Topology.random(8, 14, inputs=3, outputs=2, ground=0, seed=3)


@pytest.fixture
def teacher(graph):
    return hl.Kirchhoff(graph, np.random.default_rng(1).uniform(3e-5, 1.5e-4, graph.n_edges))


class Rack:
    """A virtual bench and the `SmuNetwork` on its instruments. Ramps have one step by default."""

    def __init__(self, graph, meters=QUIET, limits=LIMITS, spread=0.0, **settings):
        a, b, c = graph.inputs.tolist()
        y, z = graph.outputs.tolist()
        placed = [
            PlacedSmu("one", "2400", (a,)),
            PlacedSmu("two", "2612B", (b, y)),
            PlacedSmu("three", "B2902A", (c,)),
            PlacedSmu("four", "2450", (z,), wire=PTY),
            PlacedCard("card", EvenSteps(*LIMITS.conductance, 1024)),
        ]
        flaws = Imperfections(device_spread=spread)
        self.bench = VirtualBench(graph, placed, conductances=1e-4, imperfections=flaws, meters=meters, seed=4)
        self.bench.start()
        places = {"one": [(1, a)], "two": [("a", b), ("b", y)], "three": [(1, c)], "four": [(1, z)]}
        models = {"one": "2400", "two": "2612B", "three": "auto", "four": "2450"}
        table = {
            "channels": [
                {"address": self.bench.address(name), "model": models[name], "channel": channel, "node": node}
                for name, wired in places.items()
                for channel, node in wired
            ],
            "edges": {
                "address": self.bench.address("card"),
                "linear": [f"{siemens} S" for siemens in LIMITS.conductance],
                "positions": 1024,
            },
            "settle": 0,
            "slew_V_per_s": 1e5,
            "ramp_step": "1 V",
            "voltage_sigma": "20 uV",
            "current_sigma": "5 nA",
            "timeout": 5,
        }
        self.settings = SmuBackend.Settings(**(table | settings))
        try:
            self.network = SmuBackend.open(self.settings, graph, limits)
        except BaseException:
            self.bench.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        try:
            self.network.close()
        finally:
            self.bench.close()

    @property
    def on(self):
        """Channels whose output is on."""
        smus = (self.bench.instrument(name) for name in ("one", "two", "three", "four"))
        return [channel.label for smu in smus for channel in smu.channels if channel.settings.output]

    def goes_off(self):
        """Wait until every output is off, because OFF has no reply and may not have been processed yet."""
        deadline = time.monotonic() + 10
        while self.on:
            assert time.monotonic() < deadline, f"still on: {self.on}"
        return True

    @property
    def truth(self):
        return hl.Kirchhoff(self.bench.topology, self.bench.true_conductances)


@pytest.fixture
def inputs():
    return np.random.default_rng(2).uniform(-0.4, 0.4, (4, 3))


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


@pytest.mark.parametrize("rule", [hl.EquilibriumPropagation(), hl.CoupledLearning()], ids=["ep", "cl"])
def test_training_over_sockets_reduces_the_error(graph, teacher, inputs, rule):
    """With 20 % device spread, noisy meters and only the outputs read, training reduces the error tenfold."""
    targets = teacher.solve(inputs)[:, graph.outputs]
    with Rack(graph, meters=Meters(), spread=0.2) as rack:
        trainer = hl.Trainer(rack.network, rule, hl.MSE(), hl.Adam(0.05))
        before = trainer.evaluate(inputs, targets).rms_error_V
        history = trainer.fit(inputs, targets, 40, anneal=0.05)
        assert history.stopped == "finished"
        after = trainer.evaluate(inputs, targets).rms_error_V
        assert before > 5e-3
        assert after < before / 10


# --- node voltages of the circuit -----------------------------------------------------------------


def test_no_node_changes_by_more_than_a_ramp_step(graph, teacher, inputs, monkeypatch):
    """Node voltages of the circuit, during ramps and while one kind of source replaces the other."""
    seen = []
    drive = AnalogPlane.drive

    def watched(plane, channel, source):
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


# --- errors and shutdown --------------------------------------------------------------------------


def test_outputs_are_on_from_first_measurement_to_close(graph, inputs):
    with Rack(graph) as rack:
        assert rack.on == []
        rack.network.measure(inputs)
        assert len(rack.on) == 5
        rack.network.close()
        assert rack.on == [], "close waits until OFF is confirmed"
        rack.network.close()
        with pytest.raises(NetworkError, match="closed"):
            rack.network.measure(inputs)


@pytest.mark.skipif(sys.platform == "win32", reason="the pty is replaced by a socket there, with one connection")
def test_backend_off_reaches_every_instrument(graph, inputs):
    with Rack(graph) as rack:
        rack.network.measure(inputs)
        SmuBackend.off(rack.settings)
        assert rack.goes_off()


def test_source_in_compliance_voids_the_phase_and_is_named(graph, inputs):
    tight = hl.Limits(voltage=0.5, drop=1.0, nudge=0.2, current=5e-6, conductance=LIMITS.conductance)
    with Rack(graph, limits=tight) as rack:
        with pytest.raises(
            ComplianceError, match=r"(channel 1|sma|smu[ab]) of .* at node n\d reached its current"
        ) as raised:
            rack.network.measure(inputs)
        assert "limit of 5 uA" in str(raised.value)
        assert rack.goes_off()
        quiet = rack.network.measure(inputs * 1e-3)
        assert np.abs(quiet.voltages).max() < 1e-3
        assert len(rack.on) == 5


def test_floating_output_at_its_voltage_limit_voids_the_phase(graph, inputs):
    with Rack(graph) as rack:
        rack.network.measure(inputs)
        with pytest.raises(ComplianceError, match=r"reached its voltage limit of 500 mV"):
            rack.network.measure(inputs, hl.OutputDrive.current(np.full((4, 2), 4e-4)))
        assert rack.goes_off()


def test_ctrl_c_between_two_points_switches_all_outputs_off(graph, inputs, monkeypatch):
    points = []

    def settle(seconds):
        points.append(seconds)
        if len(points) == 3:
            signal.raise_signal(signal.SIGINT)

    with Rack(graph, ramp_step="500 mV") as rack:
        rack.network.measure(inputs)
        monkeypatch.setattr("hwlearn_drivers.smu.network.time.sleep", settle)
        with pytest.raises(KeyboardInterrupt):
            rack.network.measure(inputs)
        assert rack.goes_off(), "without leaving the with block"
        monkeypatch.undo()
        again = rack.network.measure(inputs)
        assert len(rack.on) == 5
        np.testing.assert_allclose(again.voltages, rack.bench.true_outputs(inputs), atol=3e-5)


def test_ctrl_c_during_training_switches_all_outputs_off(graph, teacher, inputs):
    targets = teacher.solve(inputs)[:, graph.outputs]

    class Press(hl.Callback):
        def on_step(self, step):
            if step.number == 1:
                signal.raise_signal(signal.SIGINT)

    with Rack(graph) as rack:
        trainer = hl.Trainer(rack.network, hl.CoupledLearning(), hl.MSE(), hl.Adam(0.05))
        history = trainer.fit(inputs, targets, 50, callbacks=[Press()])
        assert history.stopped == "interrupted"
        rack.network.close()
        assert rack.goes_off()


@pytest.mark.parametrize("name", ["one", "two", "three", "four"])
@pytest.mark.parametrize("kind", ["dropped", "garbled"])
def test_lost_or_garbled_reply_switches_all_outputs_off(graph, inputs, name, kind):
    with Rack(graph, timeout=0.5) as rack:
        rack.network.measure(inputs)
        # reply 5: this instrument's reading of the second sample
        rack.bench.faults(name).inject(kind, after=5)
        with pytest.raises((LinkError, NetworkError, ComplianceError)):
            rack.network.measure(inputs)
        assert rack.goes_off()
        # no late reply is read in the next measurement
        again = rack.network.measure(inputs)
        np.testing.assert_allclose(again.voltages, rack.bench.true_outputs(inputs), atol=3e-5)


@pytest.mark.parametrize("name", ["one", "two", "three", "four"])
def test_late_and_fragmented_replies_are_read_correctly(graph, inputs, name):
    with Rack(graph) as rack:
        rack.bench.faults(name).inject("fragmented", count=5, seconds=0.005, pieces=3)
        rack.bench.faults(name).inject("late", count=3, seconds=0.02)
        readout = rack.network.measure(inputs)
        np.testing.assert_allclose(readout.voltages, rack.bench.true_outputs(inputs), atol=3e-5)


def test_reply_after_the_timeout_is_not_read_by_a_later_query(graph, inputs):
    with Rack(graph, timeout=0.3) as rack:
        rack.network.measure(inputs)
        rack.bench.faults("one").inject("late", after=5, seconds=0.6)
        with pytest.raises(LinkTimeout):
            rack.network.measure(inputs)
        assert rack.goes_off()
        again = rack.network.measure(inputs)
        np.testing.assert_allclose(again.voltages, rack.bench.true_outputs(inputs), atol=3e-5)


@pytest.mark.parametrize("name", ["one", "two", "three"])
def test_dropped_connection_switches_off_and_requires_reconnect(graph, inputs, name):
    with Rack(graph, nplc=0.5) as rack:
        rack.network.measure(inputs)
        rack.bench.faults(name).inject("reset", after=4)
        with pytest.raises(LinkError):
            rack.network.measure(inputs)
        assert rack.goes_off(), "OFF was sent over a new connection"
        with pytest.raises(LinkError, match="reconnect"):
            rack.network.measure(inputs)
        rack.network.reconnect()
        again = rack.network.measure(inputs)
        np.testing.assert_allclose(again.voltages, rack.bench.true_outputs(inputs), atol=3e-5)
        smu = rack.bench.instrument(name)
        assert smu.channels[0].settings.nplc["current"] == 0.5, "settings were restored"


def test_mute_instrument_is_off_and_reported_at_close(graph, inputs):
    rack = Rack(graph, timeout=0.3)
    rack.network.measure(inputs)
    rack.bench.faults("one").muted = True
    with pytest.raises(LinkTimeout):
        rack.network.measure(inputs)
    assert rack.goes_off()
    with pytest.raises(OutputsMayBeOnError, match="OUTPUTS MAY BE ON: CHANNEL 1 OF MODEL 2400"):
        rack.network.close()
    assert rack.goes_off()
    rack.bench.close()


def test_failing_edge_card_switches_all_outputs_off(graph, teacher, inputs):
    with Rack(graph, timeout=0.5) as rack:
        rack.network.measure(inputs)
        rack.bench.faults("card").inject("dropped")
        with pytest.raises(LinkTimeout):
            rack.network.program(teacher.conductances)
        assert rack.goes_off()
        done = rack.network.program(teacher.conductances)
        np.testing.assert_allclose(done.reached, rack.bench.true_conductances, rtol=1e-12)


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
