"""The table of a DAQ device: dry run, wire log, status, off, and what a missing package says."""

import re
import sys

import numpy as np
import pytest
from daq_rig import EDGES, LIMITS, device, graph, open_daq, terminals

from hwlearn.errors import InUseError, SetupError
from hwlearn.lab.bench.bench import Bench
from hwlearn.lab.bench_file.file import parse_bench_file
from hwlearn_drivers.bench.backend import BenchBackend
from hwlearn_drivers.bench.settings import BenchSettings
from hwlearn_drivers.daq import library as daq_library
from hwlearn_drivers.daq.examples import DAQ
from hwlearn_drivers.daq.instrument import DaqInstrument
from hwlearn_drivers.errors import LinkError, LinkTimeout, OutputsMayBeOnError
from hwlearn_sim.bench.mixed import VirtualMixedSettings

X = np.array([[0.3, -0.2]])


def settings(address="Dev1", **keys):
    """Return the table of a real bench."""
    own = {key: value for key, value in device().items() if key != "product"}
    return BenchSettings(instruments=[{**own, "address": address}], terminals=terminals(), edges=EDGES, **keys)


def served(**keys):
    """Return a virtual bench with one device, not opened by the driver."""
    table = VirtualMixedSettings(instruments=[device(**keys)], terminals=terminals(), edges=EDGES, noise=0.0)
    return table.bench(graph(), LIMITS)


def test_missing_package_is_one_line_that_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "nidaqmx", None)
    monkeypatch.setitem(sys.modules, "nidaqmx.system", None)
    for call in (
        lambda: BenchBackend.open(settings(), graph(), LIMITS),
        lambda: BenchBackend.prepare_off(settings()),
    ):
        with pytest.raises(
            SetupError, match=r"pip install 'hwlearn\[daq\]', and the driver NI-DAQmx of NI"
        ) as caught:
            call()
        assert "\n" not in str(caught.value)


def test_unknown_device_is_named():
    with served() as bench:
        library = daq_library.load_library(bench.address("daq"))
        known = pytest.raises(
            LinkError, match=r"daq \(NI-DAQmx device Dev7\): .* no device.*NI-DAQmx knows: virtualDev"
        )
        with daq_library.provided(["Dev7"], library), known:
            BenchBackend.open(settings("Dev7"), graph(), LIMITS)


def test_dry_run_prints_every_call_and_needs_no_package(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "nidaqmx", None)
    with BenchBackend.open(settings(dry_run=True), graph(), LIMITS) as network:
        network.measure(X)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "Dev1 > write(0 V) to every output"
    assert lines[1] == "Dev1 > outputs ao0, ao1: -0.5 V to 0.5 V"
    assert "Dev1 > write(0.29998779296875, -0.19989013671875) to ao0, ao1" in lines
    assert lines[-1] == "Dev1 > write(0.0, 0.0) to ao0, ao1"
    BenchBackend.off(settings(dry_run=True))
    assert capsys.readouterr().out.splitlines()[-1] == "Dev1 > write(0 V) to every output"


def test_wire_log_has_every_call(tmp_path):
    log = tmp_path / "wire.log"
    with open_daq(wire_log=str(log)) as network:
        network.measure(X)
    calls = [line.split("\t")[3].removesuffix(r"\n") for line in log.read_text(encoding="ascii").splitlines()]
    assert "write(0.29998779296875, -0.19989013671875) to ao0, ao1" in calls
    assert calls.count("start(); read(8); stop()") == 2  # the reading, and 0 V that is read back at the end


def replayed(log):
    """Open a bench whose device is the one of a log, with the pace of a virtual bench."""
    address = log.read_text(encoding="ascii").partition("Device('")[2].partition("'")[0]
    table = VirtualMixedSettings(instruments=[device()], terminals=terminals(), edges=EDGES).table(LIMITS)
    table |= {"instruments": [{**device(), "address": address}], "replay": log}
    return BenchBackend.open(BenchSettings(**table), graph(), LIMITS)


def test_recorded_calls_stand_in_for_the_device(tmp_path, monkeypatch):
    """The same measurements get the same readings, without device and package; others are refused."""
    log, other = tmp_path / "wire.log", np.array([[0.1, 0.4]])
    with open_daq(wire_log=str(log), noise=1.0) as network:
        measured = [network.measure(x).voltages for x in (X, other)]
    monkeypatch.setitem(sys.modules, "nidaqmx", None)
    with replayed(log) as network:
        for x, before in zip((X, other), measured, strict=True):
            np.testing.assert_array_equal(network.measure(x).voltages, before)
    network = replayed(log)
    with pytest.raises(OutputsMayBeOnError, match=r"is to be sent, but the log has .*write\(0.29998779296875"):
        network.measure(other)
    with pytest.raises(OutputsMayBeOnError):  # the log has no answer to what was never sent
        network.close()


def test_recorded_errors_are_raised_again(tmp_path):
    log = tmp_path / "wire.log"
    network = open_daq(wire_log=str(log))
    virtual = network.bench.instrument("daq")
    virtual.inject("late", 0)
    with pytest.raises(LinkTimeout) as first:
        network.measure(X)
    network.close()
    with replayed(log) as again, pytest.raises(LinkTimeout, match=re.escape(str(first.value))):
        again.measure(X)


def test_status_reads_outputs_back_and_writes_nothing():
    with served() as bench:
        table, virtual = settings(bench.address("daq")), bench.instrument("daq")
        virtual.set_outputs({"ao1": 0.25}, (-10.0, 10.0))
        before = len(virtual.written), dict(virtual.lines), dict(virtual.outputs)
        (report,) = BenchBackend.status(table)
        assert (len(virtual.written), dict(virtual.lines), dict(virtual.outputs)) == before
        assert not virtual._holders
    off, on = report.outputs
    assert (off.name, off.on, off.node) == ("ao0", False, "0")
    assert (on.name, on.on) == ("ao1", True)
    assert on.level == pytest.approx(0.25, abs=5e-3)
    assert report.facts["inputs"] == "80, ±200 mV, ±1 V, ±5 V, ±10 V"
    assert report.identity == "NI PCI-6225 (serial 0)"


def test_status_says_where_an_output_cannot_be_read_back():
    wired = terminals("out", "in")
    table = VirtualMixedSettings(
        instruments=[device("out", "PCI-6733"), device("in")], terminals=wired, edges=EDGES
    )
    with table.bench(graph(), LIMITS) as bench:
        own = BenchSettings(
            instruments=[
                {"name": name, "model": "nidaqmx", "address": bench.address(name)} for name in ("out", "in")
            ],
            terminals=wired,
            edges=EDGES,
        )
        out, _ = BenchBackend.status(own)
    assert {one.on for one in out.outputs} == {None}
    assert "cannot be read back" in out.note


def test_status_of_a_device_in_use_asks_its_owner():
    with open_daq() as network:
        network.measure(X)
        (report,) = BenchBackend.status(settings(network.bench.address("daq")))
    assert report.reported_by == "owner"
    assert [one.on for one in report.outputs] == [True, True]
    assert report.outputs[0].level == pytest.approx(0.3, abs=1e-3)


def test_device_is_claimed_by_its_name_without_regard_to_case():
    with open_daq() as network:
        address = network.bench.address("daq")
        with pytest.raises(InUseError):
            BenchBackend.open(settings(address.upper()), graph(), LIMITS)


def test_off_asks_the_process_that_holds_the_device():
    with open_daq() as network:
        network.measure(X)
        virtual = network.bench.instrument("daq")
        (done,) = BenchBackend.off(settings(network.bench.address("daq")))
        assert virtual.is_off
        assert done.way == "owner"


def test_off_that_cannot_be_written_names_the_device():
    with served() as bench:
        bench.instrument("daq").unplug()
        with pytest.raises(OutputsMayBeOnError, match=r"OUTPUTS MAY BE ON: .* was removed"):
            BenchBackend.off(settings(bench.address("daq")))


@pytest.mark.parametrize(
    ("keys", "text"),
    [
        ({"address": "Dev1/ao0"}, "address"),
        ({"terminal_configuration": "differential"}, "RSE"),
        ({"lines": ["line0"]}, "lines"),
        ({"samples": 0}, "samples"),
        ({"mains": 55}, "mains"),
        ({"nplc": 1}, "nplc"),
    ],
)
def test_wrong_keys_are_named(keys, text):
    with pytest.raises(ValueError, match=text):
        DaqInstrument(**{"name": "daq", "model": "nidaqmx", "address": "Dev1", **keys})


def test_channel_names():
    table = DaqInstrument(name="daq", model="nidaqmx", address="Dev1", lines=["port0/line1"])
    assert [sorted(table.channel_roles(one)) for one in ("ao0", "ai10", "port0/line1")] == [
        ["source"],
        ["read"],
        ["switch"],
    ]
    for wrong in ("ao", "ai01", "AO0", "port0", "_ao0_vs_aognd", "ai0:3"):
        with pytest.raises(SetupError, match="its channels are called ao0, ai3, port0/line1"):
            table.channel_roles(wrong)


def test_template_is_a_complete_bench_file(tmp_path):
    """Its wiring is complete; with its commented keys in force, every one of them is known."""
    text = DAQ.read_text(encoding="utf-8")
    every = re.sub(r"^# (?=[a-z_]+ = )(?!nudge)", "", text, flags=re.MULTILINE)
    assert every.count("\n# ") < text.count("\n# ")
    for edited in (text, every):
        bench = Bench(parse_bench_file(edited, "daq", tmp_path))
        assert bench.file.tables["safety"]["guardian"] is True
        assert bench.topology.n_edges == 24
