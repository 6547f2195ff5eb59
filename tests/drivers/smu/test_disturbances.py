"""Somebody else changes an instrument: one named error within the batch, outputs off, nothing on again."""

import re
import socket

import numpy as np
import pytest
from idle_smu import MODELS, opened
from smu_rack import Rack

import hwlearn as hl
from hwlearn.errors import NetworkError
from hwlearn_drivers.errors import HaltedError, OutputStateError
from hwlearn_drivers.instrument import open_outputs
from hwlearn_drivers.smu import ChannelLimit, open_smu
from hwlearn_drivers.smu.backend import SmuBackend
from hwlearn_drivers.smu.channel import SmuChannel
from hwlearn_sim.bench.bench import VirtualBench
from hwlearn_sim.placed import PlacedSmu

CHANGES = {
    "one": {
        "off": b":OUTP 0",
        "reset": b"*RST",
        "limit": b":SENS:CURR:PROT 2e-4",
        "source": b":SOUR:FUNC CURR",
        "level": b":SOUR:VOLT 0.123",
    },
    "two": {
        "off": b"smub.source.output=0",
        "reset": b"reset()",
        "limit": b"smub.source.limitv=0.4",
        "source": b"smub.source.func=1",
        "level": b"smub.source.leveli=1e-6",
    },
    "three": {
        "off": b":OUTP1 0",
        "reset": b"*RST",
        "limit": b":SENS1:CURR:PROT 2e-4",
        "source": b":SOUR1:FUNC:MODE CURR",
        "level": b":SOUR1:VOLT 0.123",
    },
    "four": {
        "off": b":OUTP 0",
        "reset": b"*RST",
        "limit": b":SOUR:CURR:VLIM 0.4",
        "source": b":SOUR:FUNC VOLT",
        "level": b":SOUR:CURR 1e-6",
    },
}
"""Messages of another client, by instrument of the rack: 2400, 2612B, B2902A (inputs) and 2450 (output)."""

FOUND = {
    "off": "its output is OFF, it was left ON",
    "reset": "its output is OFF",
    "limit": r"its (current|voltage) limit is \d+ [um]?[AV], .* was set",
    "source": r"it sources (current|voltage), it was set to source (voltage|current)",
    "level": r"its (current|voltage) level is .* was set",
}
EVERY_CHANGE = [
    pytest.param(name, kind, marks=() if kind == "off" or (kind == name_kind) else pytest.mark.slow)
    for name, name_kind in zip(CHANGES, ("limit", "reset", "source", "level"), strict=True)
    for kind in CHANGES[name]
]
READING = re.compile(rb"READ\?|MEAS\?|measure\.iv")
FUNCTION = re.compile(rb"FUNC (VOLT|CURR)|FUNC:MODE (VOLT|CURR)|then smu.\.source\.func=")


def interject(instrument, pattern, number, message, after=False):
    """Execute a message of another client before (or after) the n-th message that fits the pattern."""
    seen, execute = [], instrument.execute

    def executed(own):
        seen.extend(pattern.findall(own)[:1])
        due = len(seen) == number and pattern.search(own)
        if due and not after:
            execute(message)
        reply = execute(own)
        if due and after:
            execute(message)
        return reply

    instrument.execute = executed


def switched(rack):
    """Return the record of output changes of every channel, as kept by the instruments."""
    smus = (rack.bench.instrument(name) for name in ("one", "two", "three", "four"))
    return [list(channel.switched) for smu in smus for channel in smu.channels]


def check_void(rack, inputs, kind, raised):
    """The error names channel, node and change; all outputs are off and stay off until the reconnection."""
    assert re.search(FOUND[kind], str(raised.value))
    assert re.search(r"(channel 1|smu[ab]) of .* at node n\d is not as", str(raised.value))
    assert re.search(
        r"phase is void and all outputs are off.*reconnected, or the bench is opened", str(raised.value)
    )
    assert rack.goes_off()
    assert all(changes in ([], [True, False]) for changes in switched(rack)), "nothing was switched on again"
    with pytest.raises(OutputStateError, match=FOUND[kind]):
        rack.network.measure(inputs)
    assert rack.on == []
    rack.network.reconnect()
    again = rack.network.measure(inputs)
    np.testing.assert_allclose(again.voltages, rack.bench.true_outputs(inputs), atol=3e-5)


@pytest.mark.share(4)
@pytest.mark.parametrize(("name", "kind"), EVERY_CHANGE)
def test_change_between_batches_is_found_by_the_next_batch(graph, inputs, name, kind):
    with Rack(graph) as rack:
        rack.network.measure(inputs)
        rack.bench.instrument(name).execute(CHANGES[name][kind])
        with pytest.raises(OutputStateError) as raised:
            rack.network.measure(inputs[:1])
        check_void(rack, inputs, kind, raised)


@pytest.mark.share(4)
@pytest.mark.parametrize(("name", "kind"), EVERY_CHANGE)
@pytest.mark.parametrize(
    ("number", "after"),
    [
        pytest.param(2, False, marks=pytest.mark.slow, id="second sample"),
        pytest.param(4, True, id="after last reading"),
    ],
)
def test_change_during_a_batch_is_found_in_this_batch(graph, inputs, name, kind, number, after):
    """Also directly after the last reading of the instrument, when other instruments may not have read yet."""
    with Rack(graph) as rack:
        if name == "two":
            number *= 2  # two channels, one reading each
        interject(rack.bench.instrument(name), READING, number, CHANGES[name][kind], after)
        with pytest.raises(OutputStateError) as raised:
            rack.network.measure(inputs)
        check_void(rack, inputs, kind, raised)


@pytest.mark.parametrize("name", ["two", "four"])
@pytest.mark.parametrize(
    "kind", [pytest.param(kind, marks=() if kind == "off" else pytest.mark.slow) for kind in FOUND]
)
@pytest.mark.parametrize("quirk", [None, "off when the source changes"])
def test_change_before_the_source_changes_is_not_undone(graph, inputs, name, kind, quirk):
    """Outputs change from current to voltage source; an output that somebody switched off stays off."""
    with Rack(graph) as rack:
        free = rack.network.measure(inputs)
        (*_, channel) = rack.bench.instrument(name).channels
        if quirk is not None:
            channel.quirks.add(quirk)
        interject(rack.bench.instrument(name), FUNCTION, 1, CHANGES[name][kind])
        with pytest.raises(OutputStateError) as raised:
            rack.network.measure(inputs, hl.OutputDrive.clamp(free.voltages))
        assert re.search(FOUND[kind], str(raised.value))
        assert rack.goes_off()
        last = list(channel.switched)
        assert last in ([True, False], [True, False, True, False] if kind not in ("off", "reset") else [])


@pytest.mark.parametrize("name", ["two", "four"])
def test_model_that_switches_off_when_the_source_changes_is_switched_on_again(graph, teacher, inputs, name):
    with Rack(graph) as rack:
        rack.network.program(teacher.conductances)
        (*_, channel) = rack.bench.instrument(name).channels
        channel.quirks.add("off when the source changes")
        free = rack.network.measure(inputs)
        volts = np.clip(free.voltages + 0.02, -0.5, 0.5)
        clamped = rack.network.measure(inputs, hl.OutputDrive.clamp(volts))
        np.testing.assert_allclose(clamped.voltages, volts, atol=5e-5)
        assert list(channel.switched) == [True, False, True]


def test_output_that_somebody_switched_on_is_refused(graph, inputs):
    with Rack(graph) as rack:
        rack.bench.instrument("three").execute(b":OUTP1 1")
        with pytest.raises(OutputStateError, match=r"its output is ON, it was left OFF"):
            rack.network.measure(inputs)
        assert rack.goes_off()


def test_off_by_another_client_over_a_second_connection(graph, inputs):
    with Rack(graph) as rack:
        rack.network.measure(inputs)
        port = int(rack.bench.address("one").split("::")[2])
        with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
            client.sendall(b":OUTP 0\n*IDN?\n")
            assert b"2400" in client.recv(200)
        with pytest.raises(OutputStateError, match="OFF, it was left ON"):
            rack.network.measure(inputs)
        assert rack.goes_off()


def test_off_of_the_backend_is_final_until_reconnection(graph, inputs):
    """`SmuBackend.off` in this process asks the owner of the instruments, which is this process."""
    with Rack(graph) as rack:
        rack.network.measure(inputs)
        SmuBackend.off(rack.settings)
        for _ in range(2):
            with pytest.raises((HaltedError, OutputStateError), match="stay off until"):
                rack.network.measure(inputs)
        assert rack.goes_off()
        rack.network.reconnect()
        rack.network.measure(inputs)
        assert len(rack.on) == 5


def test_halt_by_this_program_is_final_until_reconnection(graph, inputs):
    with Rack(graph) as rack:
        rack.network.measure(inputs)
        open_outputs.halt_open("requested by `hwlearn off` of process 7")
        for _ in range(2):
            with pytest.raises(HaltedError, match=r"process 7.*stay off until"):
                rack.network.measure(inputs)
        assert rack.goes_off()
        rack.network.reconnect()
        again = rack.network.measure(inputs)
        np.testing.assert_allclose(again.voltages, rack.bench.true_outputs(inputs), atol=3e-5)


def test_halt_while_a_state_is_read_back_is_named_as_the_cause(graph, inputs, monkeypatch):
    with Rack(graph) as rack:
        rack.network.measure(inputs)
        compare = SmuChannel._compare

        def halted_before_the_comparison(channel, *found):
            open_outputs.halt_open("requested by `hwlearn off` of process 7")
            compare(channel, *found)

        monkeypatch.setattr(SmuChannel, "_compare", halted_before_the_comparison)
        with pytest.raises(HaltedError, match="process 7"):
            rack.network.measure(inputs)
        assert rack.goes_off()


# --- limits ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["one", "two", "three", "four"])
def test_limit_that_an_instrument_ignores_is_refused(graph, inputs, name):
    with Rack(graph) as rack:
        for channel in rack.bench.instrument(name).channels:
            channel.quirks.add("ignores limits")
        with pytest.raises(OutputStateError, match=r"at node n\d did not accept the .* limit of .*reads back"):
            rack.network.measure(inputs)
        assert all(True not in changes for changes in switched(rack)), "no output was switched on"


@pytest.mark.parametrize("model", MODELS)
def test_small_limit_that_becomes_the_minimum_is_refused(model):
    divider = hl.Topology(3, [(0, 1), (1, 2)], inputs=[0], outputs=[1], ground=2)
    with VirtualBench(divider, [PlacedSmu("one", model, (0,))], conductances=1e-5) as bench:
        (virtual, *_) = bench.instrument("one").channels
        virtual.quirks.add("raises small limits")
        with open_smu(bench.address("one"), {1: ChannelLimit(2.0, 1e-3)}, model=model) as smu:
            channel = smu.channel(1)
            with pytest.raises(OutputStateError, match=r"did not accept the current limit of 100 pA: .*Choose"):
                channel.voltage_source(0.0, 1e-10)
            with pytest.raises(NetworkError, match="with its limit"):
                channel.on()
            smu.rearm()
            channel.voltage_source(0.0, 1e-4)
            channel.on()
            assert list(virtual.switched) == [True]


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("volts", [1e-9, 0.19999999, 0.2000001, 1 / 3, -1.2345678])
def test_values_that_agree_within_the_resolution_are_accepted(model, volts):
    """Instruments report settings with seven digits, or rounded to their resolution."""
    smu, channel, link = opened(model, ChannelLimit(2.0, 1e-3))
    channel.voltage_source(volts, 1e-3 / 3)
    real = link._answer

    def rounded(message):
        reply = real(message)
        step = 5e-6 if abs(volts) < 0.2 else 5e-5
        near = f"{round(volts / step) * step if model != 'B2902A' else volts:.6E}"
        return reply if reply is None else reply.replace(repr(volts).encode(), near.encode())

    link._answer = rounded
    channel.on()
    assert channel.is_on
    smu.close()


def test_error_that_an_earlier_program_left_does_not_prevent_opening(graph, inputs):
    """A 2400 that was switched off has queued error 803 for the reading that was not possible."""
    with Rack(graph) as rack:
        interject(rack.bench.instrument("one"), READING, 2, b":OUTP 0")
        with pytest.raises(OutputStateError):
            rack.network.measure(inputs)
        rack.network.close()
        assert len(rack.bench.instrument("one").errors)
        with SmuBackend.open(rack.settings, graph, rack.network.limits) as again:
            again.measure(inputs)
