"""`hwlearn calibrate` of a crossbar whose wires differ from the declared ones."""

import json
from pathlib import Path

import numpy as np
import pytest

import hwlearn as hl
from hwlearn.calibrated.record import CalibrationRecord
from hwlearn.errors import NetworkError
from hwlearn.lab.calibration.calibrate import calibrate
from hwlearn.lab.calibration.job import CalibrationOptions
from hwlearn_sim import KirchhoffTwin

pytestmark = pytest.mark.usefixtures("without_rendering")

BENCH = """
[network]
kind = "crossbar"
rows = 4
columns = 3
wire_resistance = ["20 ohm", "30 ohm"]
[limits]
voltage = "500 mV"
drop = "1 V"
nudge = "200 mV"
current = "10 mA"
conductance = ["10 uS", "1 mS"]
[backend]
kind = "sim"
device_spread = 0.2
read_noise = "100 uV"
current_noise = "10 nA"
adc_gain = 0.02
dac_gain = 0.02
adc_offset = "5 mV"
dac_offset = "5 mV"
wire_resistance = ["30 ohm", "24 ohm"]
nudges = ["current"]
[data]
source = "teacher"
samples = 4
amplitude = "400 mV"
[train]
nudge = "current"
epochs = 2
"""
STEPS = ("lines", "edges", "verify")
QUICK = CalibrationOptions(configurations=4, patterns=10)


@pytest.fixture
def wired(folder):
    """The working directory with a crossbar whose declared wires are wrong."""
    (folder / "wired.toml").write_text(BENCH, encoding="utf-8")
    return folder


def test_wires_are_found_shown_recorded_and_used(hwlearn, wired):
    ended = hwlearn("calibrate", "wired.toml", *STEPS, "--configurations", 3, "--patterns", 8, "--json")
    found = {event["step"]: event for event in map(json.loads, ended.out) if event["event"] == "step"}
    assert [event["verdict"] for event in found.values() if event["passed"] is not True] == []
    for step in ("lines", "edges"):
        assert any("row segment (declared 20 ohm)" in str(row) for row in found[step]["rows"])
        assert Path(found[step]["figure"]).read_bytes().startswith(b"\x89PNG")
    record = CalibrationRecord.load(wired / "calibration.toml")
    lines = record.lines
    assert abs(lines.row_ohm - 30) < 4 * lines.row_sigma_ohm
    assert abs(lines.column_ohm - 24) < 4 * lines.column_sigma_ohm
    with hl.open_bench("wired.toml", {"calibration.file": "calibration.toml"}) as bench:
        assert bench.topology.wires.row_ohms == 20
        assert record.topology == bench.topology.fingerprint
        model = bench.trainer().model.topology
        np.testing.assert_allclose(1 / model.fixed_conductances, lines.segment_ohm)
        assert bench.network.topology == model
        bench.train()
    control = ("train.model=without-wires", "calibration.file=calibration.toml")
    with hl.open_bench("wired.toml", control) as bench:
        assert not len(bench.trainer().model.topology.fixed_edges)


def test_verification_of_wrong_declared_wires_fails(hwlearn, wired):
    """Devices and converters without error: only the wires are not as declared."""
    ideal = [f"backend.{name}=0" for name in ("device_spread", "adc_gain", "dac_gain", "adc_offset", "dac_offset")]
    changes = [text for change in ideal for text in ("--set", change)]
    ended = hwlearn("calibrate", "wired.toml", "verify", *changes, "--json")
    step = next(event for event in map(json.loads, ended.out) if event["event"] == "step")
    assert step["passed"] is False
    right = ("--set", "backend.wire_resistance=[20, 30]")
    ended = hwlearn("calibrate", "wired.toml", "verify", *changes, *right, "--json", "--output", "other.toml")
    step = next(event for event in map(json.loads, ended.out) if event["event"] == "step")
    assert step["passed"] is True


@pytest.mark.slow
def test_interrupted_calibration_continues_bit_for_bit(wired, monkeypatch):
    def records(path, stop_after=None):
        measured = KirchhoffTwin._measure
        count = 0

        def counted(self, inputs, drive):
            nonlocal count
            count += 1
            if count == stop_after:
                raise NetworkError("the link is lost")
            return measured(self, inputs, drive)

        monkeypatch.setattr(KirchhoffTwin, "_measure", counted)
        with hl.open_bench("wired.toml") as bench:
            job = bench.calibration_job(QUICK, wired / path)
            if stop_after is not None:
                with pytest.raises(NetworkError):
                    list(calibrate(job, STEPS[:2]))
                return None
            list(calibrate(job, STEPS[:2]))
        return CalibrationRecord.load(wired / path)

    whole = records("whole.toml")
    for stop in (4, 12):
        records("parts.toml", stop)
    parts = records("parts.toml")
    assert parts.lines == whole.lines
    assert parts.edges == whole.edges


@pytest.mark.slow
def test_new_wires_make_the_gains_invalid(wired):
    with hl.open_bench("wired.toml") as bench:
        both = bench.calibrate("edges", configurations=3, patterns=8)
        assert both.lines.row_ohm is not None
        again = bench.calibrate("lines", configurations=3, patterns=8, seed=1)
        assert again.edges is None
        assert again.lines != both.lines
