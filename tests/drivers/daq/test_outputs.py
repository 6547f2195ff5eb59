"""Outputs of a DAQ device: limits, OFF on every exit path, what a reset does, switches."""

import numpy as np
import pytest
from daq_rig import LIMITS, device, graph, open_daq, terminals

import hwlearn as hl
from hwlearn.errors import LimitError, NetworkError, SetupError
from hwlearn_drivers.daq.calls.calls import DaqCalls
from hwlearn_drivers.daq.instrument import DaqInstrument
from hwlearn_drivers.daq.off import write_off_all
from hwlearn_drivers.errors import (
    HaltedError,
    InputDeviationError,
    LinkError,
    OutputsMayBeOnError,
    OutputStateError,
    UnknownInstrumentError,
)
from hwlearn_drivers.instrument import open_outputs
from hwlearn_drivers.roles.values import ChannelUse
from hwlearn_drivers.transport.connector import Connector
from hwlearn_sim.bench.kinds.daq import DaqServer
from hwlearn_sim.instruments.daq.device import PlacedDaq, VirtualDaq
from hwlearn_sim.instruments.daq.library import VirtualDaqmx
from hwlearn_sim.instruments.daq.models import model_of
from hwlearn_sim.instruments.instrument import Clock
from hwlearn_sim.plane.plane import AnalogPlane

X = np.array([[0.3, -0.2]])


def nudge(k, instrument="daq"):
    return {"source": f"{instrument}:ao{2 + k}", "resistance": "10 kohm", "switch": f"{instrument}:port0/line{k}"}


def with_nudges(**keys):
    """A PCI-6733 with sources and nudge resistors, and a PCI-6225 that reads."""
    lines = ["port0/line0", "port0/line1"]
    return open_daq(
        device("out", "PCI-6733", lines=lines, **keys),
        device("in"),
        wired=terminals("out", "in", [nudge(0, "out"), nudge(1, "out")]),
    )


def alone(product="PCI-6733"):
    """Return a virtual device that is wired to nothing."""
    plane = AnalogPlane(graph(), np.full(6, 1e-4))
    return VirtualDaq(PlacedDaq("daq", model_of(product)), {}, plane, np.random.default_rng(0), 0.0, Clock(), 1)


def test_measurement_is_that_of_the_circuit():
    with open_daq() as network:
        read = network.measure(X)
        true = network.bench.true_outputs(X)
    assert np.abs(read.voltages - true).max() < 2e-4
    assert network.bench.instrument("daq").is_off


def test_every_output_of_the_device_is_at_0_V_before_anything_else():
    virtual = alone()
    with DaqServer(virtual) as server:
        virtual.set_outputs({"ao7": 3.0}, (-10.0, 10.0))
        virtual.written.clear()
        table = DaqInstrument(name="daq", model="nidaqmx", address=server.address)
        opened = table.open(ChannelUse(sources={"ao0": "x"}), LIMITS, Connector())
        assert virtual.written[0] == dict.fromkeys(virtual.outputs, 0.0)
        opened.close()


def test_voltage_beyond_the_limit_is_refused_before_it_is_written():
    virtual = alone()
    with DaqServer(virtual) as server:
        table = DaqInstrument(name="daq", model="nidaqmx", address=server.address)
        opened = table.open(ChannelUse(sources={"ao0": "x", "ao1": "y"}), LIMITS, Connector())
        before = len(virtual.written)
        for volts in (0.51, -0.51, np.nan, np.inf):
            with pytest.raises(LimitError, match=r"nothing was (written|sent)"):
                opened.set_voltages({"ao1": 0.1, "ao0": volts}, True)
        assert len(virtual.written) == before
        opened.close()


def test_nidaqmx_itself_is_told_the_limits_of_the_bench():
    with open_daq() as network:
        task = network.bench.instrument("daq")._holders["ao0"]
        assert task.channels[0].allowed == (-0.5, 0.5)


def test_nearest_step_stays_within_the_limits():
    virtual = alone()
    with DaqServer(virtual) as server:
        table = DaqInstrument(name="daq", model="nidaqmx", address=server.address)
        opened = table.open(ChannelUse(sources={"ao0": "x"}), LIMITS, Connector())
        step = opened.source_range("ao0").step_V
        assert step == pytest.approx(20 / 2**16)
        for volts in (0.5, -0.5, 0.49999, 0.1234):
            nearest = opened.nearest("ao0", volts)
            assert abs(nearest) <= 0.5
            assert abs(nearest - volts) <= 1.01 * step
            opened.set_voltages({"ao0": volts}, True)
            assert virtual.output_volts("ao0") == pytest.approx(nearest, abs=1e-12)
        opened.close()


def test_unipolar_device_refuses_negative_voltages_by_name():
    virtual = alone("USB-6008")
    with DaqServer(virtual) as server:
        table = DaqInstrument(name="daq", model="nidaqmx", address=server.address, samples=4)
        opened = table.open(ChannelUse(sources={"ao0": "x"}), LIMITS, Connector())
        with pytest.raises(LimitError, match=r"0 V to 4\.99"):
            opened.set_voltages({"ao0": -0.1}, True)
        assert "0 V to 5 V" in opened.provenance
        opened.close()


# --- off --------------------------------------------------------------------------------------------


def test_reset_alone_leaves_outputs_of_an_ao_device_on_but_off_does_not():
    virtual = alone("PCI-6733")
    virtual.device = "Dev1"
    library = VirtualDaqmx(virtual)
    virtual.set_outputs({"ao3": 4.0}, (-10.0, 10.0))
    virtual.reset_device()
    assert virtual.outputs["ao3"] == 4.0
    calls = DaqCalls(library, "daq", "Dev1")
    write_off_all(calls, calls.facts(), (), False)
    assert virtual.is_off


def test_off_of_a_device_that_another_program_holds_ends_its_task():
    virtual = alone("PCI-6733")
    with DaqServer(virtual) as server:
        library = VirtualDaqmx(virtual)
        task = library.Task()
        task.ao_channels.add_ao_voltage_chan(f"{server.address}/ao3")
        task.start()
        task.write(4.0)
        table = DaqInstrument(name="daq", model="nidaqmx", address=server.address)
        table.write_off(Connector().for_off(), check=False)
        assert virtual.is_off
        with pytest.raises(library.errors.DaqError, match="-88709"):
            task.write(4.0)


def test_outputs_hold_their_voltage_when_a_task_ends():
    virtual = alone()
    virtual.device = "Dev1"
    task = VirtualDaqmx(virtual).Task()
    task.ao_channels.add_ao_voltage_chan("Dev1/ao0")
    task.write(2.0)
    task.close()
    assert virtual.output_volts("ao0") == pytest.approx(2.0, abs=3e-4)


def test_off_during_a_write_wins():
    with open_daq() as network:
        network.measure(X)
        virtual = network.bench.instrument("daq")
        write = virtual.set_outputs

        def halt_first(volts, limits):
            virtual.set_outputs = write
            open_outputs.halt_open("a person asked for it")
            write(volts, limits)  # the write that was under way reaches the device after OFF

        virtual.set_outputs = halt_first
        with pytest.raises(HaltedError, match="a person asked"):
            network.measure(-X)
        assert virtual.is_off
        with pytest.raises(HaltedError):
            network.measure(X)
        network.reconnect()
        network.measure(X)


def test_off_during_a_reconnection_wins():
    with open_daq() as network:
        network.measure(X)
        virtual = network.bench.instrument("daq")
        open_outputs.halt_open("first")
        with pytest.raises(HaltedError, match="first"):
            network.measure(X)
        write, calls = virtual.set_outputs, []

        def halt(volts, limits):
            write(volts, limits)
            calls.append(volts)
            if len(calls) == 2:  # the first is OFF, before anybody is asked to reconnect
                open_outputs.halt_open("second")

        virtual.set_outputs = halt
        with pytest.raises(HaltedError, match="second"):
            network.reconnect()
        virtual.set_outputs = write
        with pytest.raises(HaltedError, match="stays off until it is reconnected"):
            network.measure(X)
        assert virtual.is_off
        network.reconnect()
        network.measure(X)


def test_unplugged_device_is_named_and_can_be_reconnected():
    with open_daq() as network:
        network.measure(X)
        virtual = network.bench.instrument("daq")
        virtual.inject("gone", 1, of="write")
        with pytest.raises((LinkError, OutputsMayBeOnError), match="AO0, AO1 OF DAQ"):
            network.measure(np.array([[0.1, 0.1], [-0.3, 0.2], [0.2, 0.2]]))
        virtual.plug_in()
        network.reconnect()
        assert virtual.is_off
        network.measure(X)


def test_another_device_of_the_same_name_is_refused():
    with open_daq() as network:
        network.measure(X)
        virtual = network.bench.instrument("daq")
        virtual.inject("gone", 0)
        with pytest.raises((LinkError, OutputsMayBeOnError)):
            network.measure(-X)
        virtual.plug_in()
        virtual.serial_num = 0x1C0FFEE
        with pytest.raises(UnknownInstrumentError, match="1C0FFEE"):
            network.reconnect()
        virtual.serial_num = 0
        network.reconnect()


def test_device_that_another_program_resets_is_noticed():
    with open_daq() as network:
        network.measure(X)
        network.bench.instrument("daq").inject("reset", 0)
        with pytest.raises(LinkError, match="removed or reset"):
            network.measure(-X)
        assert network.bench.instrument("daq").is_off


def test_output_that_is_not_at_its_level_is_noticed_by_its_readback():
    with open_daq() as network:
        network.measure(X)
        virtual = network.bench.instrument("daq")
        virtual.outputs["ao0"] = 0.0
        with pytest.raises(OutputStateError, match=r"output ao0 of daq .* is at"):
            network.measure(X)
        assert virtual.is_off


def test_output_of_a_device_without_readback_is_noticed_by_a_wired_input():
    wired = terminals("out", "in")
    wired[0]["read"] = "in:ai5"
    with open_daq(device("out", "PCI-6733"), device("in"), wired=wired) as network:
        network.measure(X)
        virtual = network.bench.instrument("out")
        virtual.outputs["ao0"] = 0.0
        virtual._drive("ao0")
        with pytest.raises(InputDeviationError, match="out"):
            network.measure(X)


def test_close_that_reads_another_voltage_back_says_so():
    network = open_daq()
    network.measure(X)
    virtual = network.bench.instrument("daq")
    virtual.set_outputs = lambda volts, limits: None  # an output that does not follow
    with pytest.raises(OutputsMayBeOnError, match="0 V was written, but output ao0"):
        network.close()


# --- switches ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("level", ["high", "low"])
def test_nudge_through_a_switch(level):
    with with_nudges(switch_closed=level) as network:
        virtual = network.bench.instrument("out")
        free = network.measure(X).voltages
        assert virtual.lines["port0/line0"] is (level == "low")
        drive = hl.OutputDrive("resistor", np.array([[0.4, np.nan]]), np.full(2, 1e-4))
        with pytest.raises(NetworkError):  # a switch each, but one conductance is not that of the bench
            network.measure(X, hl.OutputDrive("resistor", np.array([[0.4, 0.1]]), np.full(2, 2e-4)))
        nudged = network.measure(X, drive).voltages
        assert nudged[0, 0] > free[0, 0] + 0.01
        assert virtual.lines["port0/line0"] is (level == "high")
        assert virtual.lines["port0/line1"] is (level == "low")
        network.switch_off()
        assert virtual.is_off
        assert virtual.lines["port0/line0"] is (level == "low")


def test_switch_that_off_does_not_know_is_refused():
    with pytest.raises(SetupError, match=r"port0/line0 is not in lines"):
        open_daq(
            device("out", "PCI-6733"),
            device("in"),
            wired=terminals("out", "in", [nudge(0, "out"), nudge(1, "out")]),
        )
