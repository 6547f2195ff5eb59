"""`hwlearn status` and what `hwlearn off` says about outputs."""

from __future__ import annotations

import json

import pytest

from hwlearn.errors import NetworkError
from hwlearn.lab.bench import backends
from hwlearn.network.reports import InstrumentReport, OutputReport
from hwlearn_sim import VirtualBench
from hwlearn_sim.placed import PlacedSmu
from hwlearn_sim.twin.backend import SimBackend

BENCH = """
[network]
nodes = 3
edges = [[0, 1], [1, 2]]
inputs = [1]
outputs = [2]
ground = 0
kind = "explicit"

[backend]
kind = "smu"
edges = "30 uS"
timeout = "1 s"
channels = [
    {{ address = "{source}", node = 1, model = "2450" }},
    {{ address = "{meter}", node = 2, model = "2400" }},
]
"""


class Point:
    """An installed entry point that loads a given backend."""

    def __init__(self, thing):
        self.name, self._thing = "sim", thing

    def load(self):
        return self._thing


@pytest.fixture
def rack(tmp_path):
    """A served bench of two source-measure units, and its bench file."""
    import hwlearn as hl

    ladder = hl.Topology(3, [(0, 1), (1, 2)], inputs=[1], outputs=[2], ground=0)
    smus = [PlacedSmu("source", "2450", (1,)), PlacedSmu("meter", "2400", (2,))]
    with VirtualBench(ladder, smus, conductances=3e-5) as bench:
        path = tmp_path / "rack.toml"
        path.write_text(BENCH.format(source=bench.address("source"), meter=bench.address("meter")))
        yield bench, str(path)


def test_state_of_a_bench_that_nobody_uses(hwlearn, rack):
    bench, path = rack
    bench.instrument("source").execute(b":SOUR:VOLT 0.25;:OUTP 1")
    ended = hwlearn("status", path)
    assert (ended.code, ended.err) == (0, [])
    assert "KEITHLEY INSTRUMENTS MODEL 2450" in ended.out[0]
    assert ended.out[1] == "  channel 1 (node 1): ON, voltage source, set to 250 mV, limit 105 uA"
    assert ended.out[2] == "  interlock closed: yes"
    assert "  channel 1 (node 2): off, voltage source, set to 0 V, limit 105 uA" in ended.out
    assert ended.out[-1] == "calibration: none: the bench file names no record"
    found = json.loads(hwlearn("status", path, "--json").out[0])
    assert found["complete"] is True
    assert [one["outputs"][0]["on"] for one in found["instruments"]] == [True, False]
    assert bench.instrument("source").channels[0].settings.output


def test_off_names_outputs_and_what_they_say_now(hwlearn, rack):
    bench, path = rack
    bench.instrument("source").execute(b":SOUR:VOLT 0.25;:OUTP 1")
    ended = hwlearn("off", path)
    assert ended.code == 0
    assert ended.out[0].endswith("OFF was sent directly")
    assert ended.out[1] == "  switched off: channel 1 (node 1)"
    assert ended.out[2] == "  it says now: every output is off"
    assert ended.out[-1] == "OFF was sent to every output"
    found = json.loads(hwlearn("off", path, "--json").out[0])
    assert [one["now"] for one in found["instruments"]] == ["every output is off"] * 2
    assert found["instruments"][0]["outputs"] == ["channel 1 (node 1)"]


def test_off_of_an_instrument_that_answers_nothing_says_nothing_about_it(hwlearn, rack):
    bench, path = rack
    bench.instrument("source").execute(b":SOUR:VOLT 0.25;:OUTP 1")
    bench.faults("source").muted = True
    ended = hwlearn("off", path)
    assert ended.code == 0
    assert not bench.instrument("source").channels[0].settings.output
    assert [line for line in ended.out if "it says now" in line] == ["  it says now: every output is off"]


def test_instrument_that_cannot_be_read_is_named_with_exit_code_1(hwlearn, rack):
    bench, path = rack
    bench.faults("meter").muted = True
    ended = hwlearn("status", path)
    assert ended.code == 1
    assert any("NOT READ" in line and "no answer within" in line for line in ended.out)


def test_simulation_says_that_it_is_one(hwlearn):
    ended = hwlearn("status", "small.toml")
    assert ended.code == 0
    assert ended.out[0] == "sim: simulated; it is calculated: there is no instrument and no output"


@pytest.mark.parametrize("bench", ["virtual-smu", "virtual-board"])
def test_virtual_benches_say_that_they_are_simulated(hwlearn, bench):
    assert "simulated; virtual instruments exist only inside" in hwlearn("status", bench).out[0]


def test_dry_run_contacts_nothing_and_says_so(hwlearn, rack):
    bench, path = rack
    bench.instrument("source").execute(b":OUTP 1")
    ended = hwlearn("status", path, "--set", "backend.dry_run=true")
    assert ended.out[0] == "no instrument was read; in a dry run none is contacted"


def test_errors_in_other_tables_do_not_matter(hwlearn):
    assert hwlearn("status", "small.toml", "--set", "train.rule=gap", "--set", "network.kind=ring").code == 0
    assert hwlearn("status", "small.toml", "--set", "backend.sed=3").code == 2


def test_damaged_calibration_is_reported_and_the_instruments_are_read(hwlearn, tmp_path):
    ended = hwlearn("status", "small.toml", "--set", "calibration.file=missing.toml")
    assert ended.code == 0
    assert ended.out[0].startswith("sim: simulated")
    assert ended.out[-1].startswith("calibration: ")
    assert "missing.toml" in ended.out[-1]


def test_backend_without_a_status_says_so(hwlearn, monkeypatch):
    class Plain:
        Settings = SimBackend.Settings

        def open(self, settings, topology, limits):
            raise AssertionError("opened")

    monkeypatch.setattr(backends, "entry_points", lambda group: [Point(Plain)])
    ended = hwlearn("status", "small.toml")
    assert (ended.code, ended.out[0]) == (1, "backend 'sim' does not report the state of its instruments")


@pytest.mark.parametrize(
    ("result", "text"),
    [
        (RuntimeError("no rack"), "the state cannot be read: no rack"),
        (NetworkError("port is gone"), "port is gone"),
        (["on"], "status() returned ['on'], which are no InstrumentReports"),
        (None, "the state cannot be read"),
    ],
)
def test_status_of_a_broken_backend_is_one_line(hwlearn, monkeypatch, result, text):
    class Broken(SimBackend):
        def status(self, settings):
            if isinstance(result, BaseException):
                raise result
            return result

    monkeypatch.setattr(backends, "entry_points", lambda group: [Point(Broken)])
    ended = hwlearn("status", "small.toml")
    assert ended.code == 1
    assert len(ended.err) == 1
    assert text in ended.err[0]


def test_control_characters_of_an_instrument_are_escaped(hwlearn, monkeypatch):
    class Odd(SimBackend):
        def status(self, settings):
            return [
                InstrumentReport("a\x1b[2J", "instrument", outputs=(OutputReport("b\nc", level=float("nan")),))
            ]

    monkeypatch.setattr(backends, "entry_points", lambda group: [Point(Odd)])
    ended = hwlearn("status", "small.toml")
    assert ended.out[:2] == ["a\\x1b[2J", "  b\\nc: not known, set to nan"]
