"""`hwlearn calibrate` on virtual instruments: the same steps through real drivers."""

import json
import shutil

import pytest

from hwlearn.calibrated.record import CalibrationRecord
from hwlearn.lab.calibration.job import RECORD_NAME

pytestmark = pytest.mark.usefixtures("without_rendering")

QUICK = ("--configurations", 4, "--patterns", 12)


def steps(ended):
    return [line for line in map(json.loads, ended.out) if line["event"] == "step"]


@pytest.mark.slow
def test_virtual_smus_are_calibrated(hwlearn, folder):
    small = ("--set", "network.nodes=8", "--set", "network.edges=13")
    ended = hwlearn("calibrate", "virtual-smu", "noise", "edges", "verify", *small, *QUICK, "--json")
    noise, edges, verified = steps(ended)
    assert ended.code == 0
    assert noise["passed"]
    assert edges["found"]["edges"]["scale_known"]
    assert verified["found"]["verify"]["rms_V"] < 0.1 * verified["found"]["verify"]["nominal_rms_V"]
    record = CalibrationRecord.load(folder / RECORD_NAME)
    assert len(record.instruments) == 3
    assert all("2612B" in name for name in record.instruments)
    # ports differ at every start; the instruments are the same
    use = ("--set", "calibration.file=calibration.toml", "--set", "train.epochs=0")
    assert hwlearn("train", "virtual-smu", *small, *use).code == 0


@pytest.mark.skipif(shutil.which("cc") is None and shutil.which("gcc") is None, reason="needs a C compiler")
def test_virtual_board_is_calibrated(hwlearn, folder):
    small = ("--set", "backend.device_spread=0.1")
    ended = hwlearn("calibrate", "virtual-board", "noise", "lines", "edges", "verify", *small, *QUICK, "--json")
    noise, lines, edges, verified = steps(ended)
    assert noise["passed"]
    assert lines["passed"] is None
    assert edges["passed"]
    assert verified["found"]["verify"]["rms_V"] < 0.1 * verified["found"]["verify"]["nominal_rms_V"]
    assert ended.code == 0
    use = ("--set", "calibration.file=calibration.toml", "--set", "train.epochs=0")
    assert hwlearn("train", "virtual-board", *small, *use).code == 0
