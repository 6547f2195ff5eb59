"""``hwlearn sim serve``: instruments in a separate process, and the live view."""

from __future__ import annotations

import io
import json
import signal
import socket
import subprocess
import sys

import pytest

pytest.importorskip("hwlearn.cli", reason="the command line is not part of this checkout")

from rich.console import Console
from typer.testing import CliRunner

from hwlearn.circuit.elements import OHMIC, Shockley
from hwlearn.circuit.topology import Topology
from hwlearn.cli import app
from hwlearn_sim.bench.bench import VirtualBench
from hwlearn_sim.commands import picture, watch
from hwlearn_sim.instruments.capability import Meters
from hwlearn_sim.instruments.tsp.keithley2600 import VirtualKeithley2600
from hwlearn_sim.placed import PlacedBoard, PlacedSmu

DIVIDER = Topology(3, [(0, 1), (1, 2)], inputs=[0], outputs=[1], ground=2, names=["in", "out", "gnd"])


@pytest.mark.skipif(sys.platform == "win32", reason="Ctrl-C cannot be sent to one process alone")
def test_serve_prints_addresses_and_stops_with_ctrl_c(connect):
    run = "from hwlearn.cli import main; main()"
    process = subprocess.Popen(
        [sys.executable, "-c", run, "sim", "serve", "virtual-smu", "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    try:
        assert process.stdout is not None
        served = json.loads(process.stdout.readline())
        listed = served["instruments"]
        assert served["edge_laws"]["edges"].startswith("full = ")
        assert [row["model"] for row in listed] == ["2612B", "2612B", "2612B", "edge card"]
        assert set(listed[0]) == {"name", "model", "address", "node"}
        assert b"Model 2612B" in connect(listed[0]["address"]).query(b"*IDN?")
        process.send_signal(signal.SIGINT)
        _, complaints = process.communicate(timeout=20)
    finally:
        process.kill()
        process.communicate()
    assert (process.returncode, complaints) == (0, b"")


def test_unknown_bench_error_is_one_line():
    result = CliRunner().invoke(app, ["sim", "serve", "nosuch"])
    assert result.exit_code == 2
    assert "nosuch" in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1


def shown(bench: VirtualBench) -> str:
    console = Console(file=io.StringIO(), width=160)
    console.print(picture(bench))
    return console.file.getvalue()


def test_live_view_shows_channels_nodes_and_compliance():
    placed = [PlacedSmu("source", "2400", (0,)), PlacedSmu("meter", "2450", (1,))]
    with VirtualBench(DIVIDER, placed, conductances=1e-3, meters=Meters(noise=0.0)) as bench:
        source, meter = bench.instrument("source"), bench.instrument("meter")
        source.execute(b":SOUR:VOLT 1;:SENS:CURR:PROT 1e-2;:OUTP 1")
        meter.execute(b":SOUR:FUNC CURR;:SOUR:CURR 0;:OUTP 1")
        text = shown(bench)
        assert bench.address("source") in text
        assert "out 500 mV" in text
        assert "500 uA" in text
        assert "LIMIT" not in text
        source.execute(b":SENS:CURR:PROT 1e-4")
        assert "LIMIT" in shown(bench)
        meter.execute(b":OUTP:SMOD HIMP;:OUTP 0")
        assert "open" in shown(bench)
        console = Console(file=io.StringIO(), width=160, force_terminal=True)
        watch(bench, console, seconds=0.3)
        assert "meter" in console.file.getvalue()


def test_live_view_shows_channels_of_board():
    with VirtualBench(Topology.crossbar(8, 4), [PlacedBoard("board")], conductances=1e-5) as bench:
        bench.board("board").exchange(b"SOUR:VOLT 9,0.5;:ROUT:CLOS 2\n")
        lines = shown(bench).splitlines()
        assert any("reference board" in line and bench.address("board") in line for line in lines)
        nudging = next(line for line in lines if "board DAC 9" in line)
        assert "nudge of col1" in nudging
        assert "at most 40 mA" in nudging
        assert any("board DAC 10" in line and "open" in line for line in lines)


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_serve_ends_with_an_error_when_an_instrument_failed(options, monkeypatch):
    """Commands of a client raise an exception in the thread of one instrument."""

    def broken(self, message):
        raise MemoryError

    monkeypatch.setattr(VirtualKeithley2600, "execute", broken)
    start = VirtualBench.start

    def with_client(bench):
        started = start(bench)
        _, host, port, _ = bench.instruments[1]["address"].split("::")
        with socket.create_connection((host, int(port)), timeout=10) as client:
            client.sendall(b"*IDN?\n")
            assert client.recv(10) == b""
        return started

    monkeypatch.setattr(VirtualBench, "start", with_client)
    result = CliRunner().invoke(app, ["sim", "serve", "virtual-smu", *options])
    assert result.exit_code == 1
    (line,) = result.stderr.strip().splitlines()
    assert line.startswith("hwlearn: the virtual instrument at TCPIP::127.0.0.1::")
    assert line.endswith("failed: MemoryError")


def test_live_view_names_what_is_wrong_with_a_circuit_without_operating_point():
    """Two diodes that block 20 V: the voltage between them is not determined in double precision."""
    diode = Shockley(0.03)
    top = Topology(4, [(0, 1), (1, 2), (0, 3)], [2], [1], ground=0).with_elements([diode, diode, OHMIC])
    with VirtualBench(top, [PlacedSmu("a", "2450", (2,))], conductances=[1e-11, 1e-11, 1.0]) as bench:
        bench.instrument("a").execute(b":SOUR:VOLT 20;:OUTP ON")
        assert "shunt blocking" in shown(bench)
        bench.instrument("a").execute(b":SOUR:VOLT 0.2")
        assert "200 mV" in shown(bench)
