"""An interrupted calibration of a simulated bench with noise gives the record of an uninterrupted one."""

import pytest
from interruptions import calibrated, calibrated_part
from noisy_benches import write_bench

import hwlearn as hl
from hwlearn.errors import SetupError
from hwlearn.lab.calibration.unfinished import UnfinishedCalibration


@pytest.mark.parametrize(
    ("backend", "kills"),
    [
        ("sim drift", [2, 9]),
        pytest.param("soft bounds failing", [1, 2], marks=pytest.mark.slow),
        pytest.param("board", [5], marks=pytest.mark.slow),
    ],
)
def test_interrupted_calibration_equals_uninterrupted_one(backend, kills, tmp_path):
    bench = write_bench(tmp_path, backend)
    whole = calibrated(bench, tmp_path / "whole.toml", [], ["noise", "lines"])
    assert calibrated(bench, tmp_path / "resumed.toml", kills, ["noise", "lines"]) == whole


@pytest.mark.slow
def test_pulses_of_simulated_devices_continue(tmp_path):
    bench = write_bench(tmp_path, "soft bounds failing")
    whole = calibrated(bench, tmp_path / "whole.toml", [], ["noise", "pulses"])
    assert calibrated(bench, tmp_path / "resumed.toml", [40, 150], ["noise", "pulses"]) == whole


@pytest.mark.slow
def test_record_of_a_finished_step_is_saved_by_the_next_part(tmp_path):
    bench, record = write_bench(tmp_path, "sim drift"), tmp_path / "c.toml"
    whole = calibrated(bench, tmp_path / "whole.toml", [], ["noise", "lines"])
    assert not calibrated_part(bench, record, 5, ["noise", "lines"])  # in the second step
    record.unlink()  # as if the process had ended before it was written
    assert calibrated(bench, record, [], ["noise", "lines"]) == whole


def test_state_of_another_simulation_is_refused(tmp_path):
    bench = hl.open_bench(write_bench(tmp_path, "sim drift"))
    other = hl.open_bench("regression")
    facts = {"topology": "t"}
    with bench, other:
        UnfinishedCalibration.open(tmp_path / "u", ["noise"], facts, bench.network.simulation)
        with pytest.raises(SetupError, match="state of the simulation does not fit this bench"):
            UnfinishedCalibration.open(tmp_path / "u", ["noise"], facts, other.network.simulation)
