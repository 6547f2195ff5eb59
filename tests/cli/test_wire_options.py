"""``--dry-run`` and ``--wire-log`` on a bench with instruments; ``off`` sends only OFF."""

import json
import re

import pytest
from typer.testing import CliRunner

from hwlearn.cli import app
from hwlearn_sim.bench.bench import VirtualBench
from hwlearn_sim.placed import PlacedSmu

BENCH = """
[network]
kind = "edges"
nodes = 4
edges = [[0, 2], [1, 2], [2, 3], [0, 3]]
inputs = [0, 1]
outputs = [2]
ground = 3
[limits]
voltage = "500 mV"
drop = "1 V"
nudge = "200 mV"
current = "1 mA"
conductance = ["10 uS", "200 uS"]
[backend]
kind = "smu"
channels = [
  {address = "ADDRESS0", model = "2400", node = 0},
  {address = "ADDRESS1", model = "2450", node = 1},
  {address = "ADDRESS2", model = "2612B", channel = "a", node = 2},
]
edges = "100 uS"
settle = 0
slew_V_per_s = 1e6
ramp_step = "500 mV"
[data]
source = "teacher"
samples = 2
amplitude = "300 mV"
[train]
rule = "analytic"
epochs = 1
"""


def run(*words):
    return CliRunner().invoke(app, [str(word) for word in words])


@pytest.fixture
def bench_at(tmp_path):
    """Return a function that writes the bench file for three addresses."""

    def write(*addresses):
        text = BENCH
        for k, address in enumerate(addresses):
            text = text.replace(f"ADDRESS{k}", address)
        path = tmp_path / "bench.toml"
        path.write_text(text, encoding="utf-8")
        return path

    return write


@pytest.fixture
def absent(bench_at):
    """A bench with unreachable instruments."""
    return bench_at("GPIB0::24::INSTR", "TCPIP::192.0.2.1::5025::SOCKET", "USB0::0x05E6::0x2612::1::INSTR")


def test_off_sends_no_query(absent):
    result = run("off", absent, "--set", "backend.dry_run=true")
    assert result.exit_code == 0
    sent = [line.partition(" > ")[2] for line in result.stdout.splitlines() if " > " in line]
    off = [":OUTP 0", ":OUTP 0", "smua.source.output=0", "smub.source.output=0"]
    assert sorted(sent) == sorted([*off, ":ABOR", ":ABOR", "abort", *off])


def test_dry_run_prints_every_command_and_sends_none(absent, tmp_path):
    result = run("train", absent, "--dry-run", "--runs", tmp_path / "runs")
    commands = [line for line in result.stdout.splitlines() if " > " in line]
    by_address = {
        address: [c for c in commands if c.startswith(address)] for address in ("GPIB0", "TCPIP", "USB0")
    }
    for mine in by_address.values():
        switched = [bool(re.search(r"(OUTP|output=) ?1", text)) for text in mine]
        assert any(switched)
        # OFF is sent first, and the limit before the output is switched on
        first_on = switched.index(True)
        assert any(re.search(r"PROT|ILIM|VLIM|limiti|limitv", text) for text in mine[:first_on])
        assert re.search(r"(OUTP|output=) ?0", mine[0])
        assert re.search(r"(OUTP|output=) ?0", " ".join(mine[-3:]))


def test_wire_log_contains_both_directions(bench_at, tmp_path):
    placed = [PlacedSmu("a", "2400", (0,)), PlacedSmu("b", "2450", (1,)), PlacedSmu("c", "2612B", (2,))]
    from hwlearn.lab.bench_file.file import load_bench_file

    path = bench_at("GPIB0::1::INSTR", "GPIB0::2::INSTR", "GPIB0::3::INSTR")
    topology = load_bench_file(path).network.build(tmp_path)
    log = tmp_path / "wire.log"
    with VirtualBench(topology, placed, conductances=1e-4) as virtual:
        path = bench_at(*(virtual.address(name) for name in "abc"))
        result = run("train", path, "--wire-log", log, "--runs", tmp_path / "runs", "--json")
        assert result.exit_code == 0, result.stderr
        assert json.loads(result.stdout.splitlines()[-1])["backend"] == "smu"
    text = log.read_text(encoding="utf-8")
    assert "*IDN?" in text
    assert "MODEL 2400" in text
    assert not virtual.instrument("a").channels[0].settings.output


def test_dry_run_of_a_backend_without_it_is_rejected(tmp_path):
    result = run("train", "iris", "--dry-run", "--runs", tmp_path / "runs")
    assert result.exit_code == 2
    assert "backend.dry_run" in result.stderr
    assert not (tmp_path / "runs").exists()
