"""`SmuNetwork` switches all outputs off after errors, compliance, Ctrl-C and lost connections."""

import signal
import sys

import numpy as np
import pytest
from short_waits import short_waits
from smu_rack import LIMITS, Rack

import hwlearn as hl
from hwlearn.errors import ComplianceError, NetworkError
from hwlearn_drivers.errors import LinkError, LinkTimeout, OutputsMayBeOnError
from hwlearn_drivers.smu.backend import SmuBackend


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


@pytest.mark.share(4)
@pytest.mark.parametrize("name", ["one", "two", "three", "four"])
@pytest.mark.parametrize("kind", ["dropped", "garbled"])
def test_lost_or_garbled_reply_switches_all_outputs_off(graph, inputs, name, kind):
    with Rack(graph) as rack:
        rack.network.measure(inputs)
        # reply 3: in the middle of the batch, on every instrument
        rack.bench.faults(name).inject(kind, after=3)
        with rack.short_waits(), pytest.raises((LinkError, NetworkError, ComplianceError)):
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
    with Rack(graph) as rack:
        rack.network.measure(inputs)
        rack.bench.faults("one").inject("late", after=5, seconds=0.6)
        with rack.short_waits(), pytest.raises(LinkTimeout):
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
    rack = Rack(graph)
    rack.network.measure(inputs)
    rack.bench.faults("one").muted = True
    with rack.short_waits(), pytest.raises(LinkTimeout):
        rack.network.measure(inputs)
    assert rack.goes_off()
    with (
        rack.short_waits(),
        pytest.raises(OutputsMayBeOnError, match="OUTPUTS MAY BE ON: CHANNEL 1 OF MODEL 2400"),
    ):
        rack.network.close()
    assert rack.goes_off()
    rack.bench.close()


def test_failing_edge_card_switches_all_outputs_off(graph, teacher, inputs):
    with Rack(graph) as rack:
        rack.network.measure(inputs)
        rack.bench.faults("card").inject("dropped")
        with short_waits(rack.network.edges._card.transport), pytest.raises(LinkTimeout):
            rack.network.program(teacher.conductances)
        assert rack.goes_off()
        done = rack.network.program(teacher.conductances)
        np.testing.assert_allclose(done.reached, rack.bench.true_conductances, rtol=1e-12)
