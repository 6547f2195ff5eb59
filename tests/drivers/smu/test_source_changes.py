"""Changes of the source, and readings of channels that are off, on each virtual model."""

import time

import pytest
from idle_smu import CHANNEL_LIMIT

import hwlearn as hl
from hwlearn_drivers.errors import InstrumentError, OutputStateError
from hwlearn_drivers.smu import open_smu
from hwlearn_drivers.transport.addresses import open_link
from hwlearn_drivers.transport.transport import Transport
from hwlearn_sim.bench.bench import VirtualBench
from hwlearn_sim.placed import PlacedSmu
from hwlearn_sim.plane.plane import AnalogPlane

GRAPH = hl.Topology(3, [(0, 1), (1, 2)], [0], [1], ground=2)
MODELS = ["2400", "2450", "2612B", "B2902A"]


@pytest.fixture(params=MODELS)
def channel(request):
    """Return a channel of a virtual instrument, and the same channel of the model."""
    with (
        VirtualBench(GRAPH, [PlacedSmu("smu", request.param, (0,))], conductances=1e-4) as bench,
        open_smu(bench.address("smu"), {1: CHANNEL_LIMIT}, model=request.param) as smu,
    ):
        yield smu.channel(1), bench.instrument("smu").channels[0]


def test_reading_of_a_channel_that_is_off_is_answered_at_once(channel):
    ours, _ = channel
    ours.voltage_source(0.1, 1e-3)
    began = time.monotonic()
    if "2400" in ours.name:
        with pytest.raises(InstrumentError, match="803") as refused:
            ours.read()
        assert refused.value.code == 803
    else:
        assert abs(ours.read().volts) < 1e-3
    assert time.monotonic() - began < 2.0
    ours.on()
    assert ours.read().volts == pytest.approx(0.1, abs=1e-3)


def test_channel_that_somebody_switched_on_is_found_by_a_reading(channel):
    ours, theirs = channel
    ours.voltage_source(0.1, 1e-3)
    theirs.settings.output = True
    with pytest.raises(OutputStateError, match="it was left OFF"):
        ours.read()


def test_measure_function_is_set_before_the_source_function(channel, monkeypatch):
    """On the 2450 and its sisters the measure function may change the source function."""
    ours, _ = channel
    sent = []
    write, query = Transport.write, Transport.query
    monkeypatch.setattr(Transport, "write", lambda own, *a: (sent.extend(a), write(own, *a))[1])
    monkeypatch.setattr(Transport, "query", lambda own, a, *b: (sent.append(a), query(own, a, *b))[1])
    for change in (lambda: ours.voltage_source(0.1, 1e-3), ours.on, lambda: ours.current_source(1e-6, 0.9)):
        change()
    text = ";".join(sent)
    if "2450" in ours.name:
        measures = [text.index(':SENS:FUNC "CURR"'), text.index(':SENS:FUNC "VOLT"')]
        sources = [text.index(":SOUR:FUNC VOLT"), text.index(":SOUR:FUNC CURR")]
        assert measures[0] < sources[0] < measures[1] < sources[1]
    assert ours.source == "current"
    ours.check_state()


def test_change_of_the_source_causes_no_jump(channel, monkeypatch):
    """Whatever a model does in between, the terminal stays between 0 V and the voltage that it had."""
    ours, _ = channel
    seen = []
    drive = AnalogPlane.drive

    def watched(plane, channel, source):
        drive(plane, channel, source)
        seen.append(plane.node_voltages()[0])

    ours.voltage_source(0.2, 1e-3)
    ours.on()
    now = ours.read()
    monkeypatch.setattr(AnalogPlane, "drive", watched)
    ours.current_source(now.amperes, 0.9)
    assert ours.read().volts == pytest.approx(now.volts, abs=5e-3)
    ours.voltage_source(now.volts, 1e-3)
    assert ours.read().volts == pytest.approx(now.volts, abs=5e-3)
    assert len(seen) >= 2
    assert -1e-3 <= min(seen) <= max(seen) <= now.volts + 5e-3


@pytest.mark.parametrize("wire", ["tcp", "pty"])
@pytest.mark.parametrize("model", ["2612B", "2600 family", "auto"])
def test_virtual_2612b_whose_prompts_are_on_is_used_and_switched_off(wire, model):
    with VirtualBench(GRAPH, [PlacedSmu("smu", "2612B", (0, 1), wire=wire)], conductances=1e-4) as bench:
        link = open_link(bench.address("smu"))
        link.write(b"localnode.prompts=1 localnode.showerrors=1\n")
        assert link.read_line(5.0) == b"TSP>"
        link.close()
        with open_smu(bench.address("smu"), {1: CHANNEL_LIMIT}, model=model) as smu:
            channel = smu.channel(1)
            channel.voltage_source(0.1, 1e-3)
            channel.on()
            assert channel.read().volts == pytest.approx(0.1, abs=1e-3)
            smu.off()
        assert not bench.instrument("smu").channels[0].settings.output
