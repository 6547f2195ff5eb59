"""The package nidaqmx of NI as referee: signatures and constants, and the driver through its real classes.

The package is imported without its driver; `daq_interpreter` stands in for that.
"""

import inspect
import re
from pathlib import Path

import numpy as np
import pytest
from daq_interpreter import Interpreter
from daq_rig import device, open_daq, terminals

import hwlearn as hl
from hwlearn.errors import SetupError
from hwlearn_drivers.daq import library as daq_library
from hwlearn_drivers.daq.errors import _HINTS, _LOST, _RESERVED, _TIMEOUT, NO_SUCH_CHANNEL
from hwlearn_drivers.daq.instrument import DaqInstrument
from hwlearn_drivers.errors import LinkError, OutputsMayBeOnError
from hwlearn_drivers.roles.values import ChannelUse
from hwlearn_drivers.transport.connector import Connector
from hwlearn_sim.bench.kinds.daq import DaqServer
from hwlearn_sim.instruments.daq import constants, errors, system, task

nidaqmx = pytest.importorskip("nidaqmx", reason="the package nidaqmx is not installed: pip install nidaqmx")


def parameters(function):
    """Return names and defaults, without self; sentinels and enumerations by their names."""
    listed = list(inspect.signature(function).parameters.values())
    return [(one.name, getattr(one.default, "name", one.default)) for one in listed if one.name != "self"]


# --- signatures, names and values -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (task.AOChannels.add_ao_voltage_chan, "task.collections.AOChannelCollection.add_ao_voltage_chan"),
        (task.AIChannels.add_ai_voltage_chan, "task.collections.AIChannelCollection.add_ai_voltage_chan"),
        (task.DOChannels.add_do_chan, "task.collections.DOChannelCollection.add_do_chan"),
        (task.Timing.cfg_samp_clk_timing, "task.Timing.cfg_samp_clk_timing"),
        (task.Task.start, "task.Task.start"),
        (task.Task.stop, "task.Task.stop"),
        (task.Task.close, "task.Task.close"),
        (task.Task.control, "task.Task.control"),
        (system.Device.reset_device, "system.Device.reset_device"),
        (errors.DaqError, "errors.DaqError"),
    ],
    ids=lambda one: one if isinstance(one, str) else "",
)
def test_signature_is_that_of_the_package(ours, theirs):
    found = nidaqmx
    __import__("nidaqmx.system")
    for part in theirs.split("."):
        found = getattr(found, part) if hasattr(found, part) else getattr(nidaqmx.task._timing, part)
    assert parameters(ours) == parameters(found)


@pytest.mark.parametrize("name", ["read", "write"])
def test_read_and_write_take_the_same_arguments(name):
    """Their defaults are sentinels in the package; the driver gives all of them."""
    found = parameters(getattr(nidaqmx.Task, name))
    assert [one for one, _ in parameters(getattr(task.Task, name))] == [one for one, _ in found]
    assert dict(found)["timeout"] == 10.0


@pytest.mark.parametrize(
    "ours", [one for _, one in inspect.getmembers(constants, inspect.isclass) if one.__members__]
)
def test_enumeration_has_the_names_and_values_of_the_package(ours):
    from nidaqmx import constants as theirs

    known = getattr(theirs, ours.__name__)
    assert {one.name: one.value for one in ours}.items() <= {one.name: one.value for one in known}.items()


def test_every_property_that_the_driver_reads_exists():
    from nidaqmx.system import Device, PhysicalChannel, System
    from nidaqmx.system._collections.device_collection import DeviceCollection
    from nidaqmx.task.channels import AIChannel, AOChannel

    text = "".join(
        (Path(daq_library.__file__).parent / name).read_text(encoding="utf-8")
        for name in ("facts.py", "calls/calls.py")
    )
    asked = set(re.findall(r"found\.([a-z_]+)", text)) - {"shape"}
    assert {"product_type", "ai_max_multi_chan_rate", "ao_voltage_rngs"} <= asked
    assert {one for one in asked if not isinstance(getattr(Device, one, None), property)} == set()
    assert isinstance(PhysicalChannel.ai_term_cfgs, property)
    assert isinstance(System.devices, property)
    assert parameters(System.local) == []
    assert isinstance(DeviceCollection.device_names, property)
    for kind, names in (
        (AOChannel, re.findall(r'"(ao_[a-z_]+)"', text)),
        (AIChannel, re.findall(r'"(ai_[a-z_]+)"', text)),
    ):
        assert len(names) == 3
        assert all(isinstance(getattr(kind, name), property) for name in names)
    virtual = {
        name for name, one in inspect.getmembers(system.Device) if isinstance(one, property) and name[0] != "_"
    }
    assert asked <= virtual


def test_every_error_code_is_known_to_the_package():
    from nidaqmx.error_codes import DAQmxErrors

    known = {one.value for one in DAQmxErrors}
    assert {*_LOST, *_RESERVED, *_HINTS, *_TIMEOUT, NO_SUCH_CHANNEL} <= known
    ours = {value for name, value in vars(task).items() if name.isupper() and isinstance(value, int) and value < 0}
    assert len(ours) >= 9
    assert ours <= known


def test_errors_are_of_the_same_family():
    from nidaqmx import errors as theirs

    assert issubclass(theirs.DaqError, theirs.Error)
    assert issubclass(theirs.DaqNotFoundError, theirs.Error)
    assert theirs.DaqError("text", -88705).error_code == errors.DaqError("text", -88705).error_code


def test_missing_driver_is_one_line_that_says_what_to_install():
    """The real package, on a computer without NI-DAQmx."""
    table = DaqInstrument(name="daq", model="nidaqmx", address="Dev1")
    with pytest.raises(SetupError, match="NI-DAQmx of NI") as caught:
        table.open(ChannelUse(sources={"ao0": "x"}), hl.Limits(0.5, 1.0, 0.2, 1e-3, (1e-5, 1e-3)), Connector())
    assert "\n" not in str(caught.value)
    with pytest.raises(SetupError, match="NI-DAQmx of NI"):
        table.prepare_off(Connector())
    with pytest.raises(LinkError, match="NI-DAQmx of NI"):
        table.write_off(Connector(), check=False)


# --- the driver through the real classes ------------------------------------------------------------


@pytest.fixture
def through_the_package(monkeypatch):
    """Let virtual devices be reached through the classes of the package."""
    served = DaqServer.__init__

    def init(self, virtual):
        served(self, virtual)
        interpreter = Interpreter(self._library)
        monkeypatch.setattr(nidaqmx.utils, "_select_interpreter", lambda *_: interpreter)
        self._library = daq_library.load_library("a device that only NI-DAQmx knows")

    monkeypatch.setattr(DaqServer, "__init__", init)


@pytest.mark.usefixtures("through_the_package")
def test_bench_is_measured_and_switched_off_through_the_classes_of_the_package():
    x = np.array([[0.3, -0.2], [0.1, 0.4]])
    with open_daq() as network:
        read = network.measure(x)
        assert np.abs(read.voltages - network.bench.true_outputs(x)).max() < 2e-4
        assert "outputs ±10 V, read back internally; inputs ±1 V RSE, mean of 8 samples" in network.instruments[0]
        virtual = network.bench.instrument("daq")
        virtual.inject("gone", 0)
        with pytest.raises((LinkError, OutputsMayBeOnError), match="the device was removed"):
            network.measure(-x)
        virtual.plug_in()
        network.reconnect()
        network.measure(x)
    assert virtual.is_off


@pytest.mark.usefixtures("through_the_package")
def test_switches_move_through_the_classes_of_the_package():
    lines = ["port0/line0", "port0/line1"]
    nudges = [
        {"source": f"daq:ao{2 + k}", "resistance": "10 kohm", "switch": f"daq:port0/line{k}"} for k in range(2)
    ]
    with pytest.raises(SetupError, match=r"there is no analog output ao2.*it has ao0 to ao1"):
        open_daq(device(lines=lines), wired=terminals(nudges=nudges))
    single = {"source": "daq:ao1", "resistance": "10 kohm", "switch": "daq:port0/line0"}
    wired = [
        {"node": 0, "source": "daq:ao0"},
        {"node": 1, "read": "daq:ai0", "nudge": single},
    ]
    from hwlearn_sim.bench.mixed import VirtualMixedBackend, VirtualMixedSettings

    topology = hl.Topology(3, [(0, 1), (1, 2)], inputs=[0], outputs=[1], ground=2)
    table = VirtualMixedSettings(
        instruments=[device(lines=["port0/line0"])], terminals=wired, edges=1e-4, noise=0.0
    )
    limits = hl.Limits(voltage=0.5, drop=1.0, nudge=0.2, current=1e-3, conductance=(1.5e-5, 2e-4))
    with VirtualMixedBackend().open(table, topology, limits) as network:
        free = network.measure([[0.2]]).voltages[0, 0]
        nudged = network.measure([[0.2]], hl.OutputDrive("resistor", np.array([[0.5]]), np.array([1e-4])))
        assert free == pytest.approx(0.1, abs=1e-3)
        assert nudged.voltages[0, 0] == pytest.approx(0.7 / 3, abs=1e-3)
        assert network.bench.instrument("daq").lines["port0/line0"] is True
    assert network.bench.instrument("daq").is_off
