"""docs/bench-file.md describes every key of a bench file."""

from pathlib import Path

import pytest

from hwlearn.lab.bench_file.networks import NETWORKS
from hwlearn.lab.bench_file.sections import (
    CalibrationSection,
    DataSection,
    LimitsSection,
    RunSection,
    SafetySection,
    TrainSection,
)
from hwlearn_sim.bench.board_backend import VirtualBoardBackend
from hwlearn_sim.bench.smu_backend import VirtualSmuBackend
from hwlearn_sim.twin.backend import SimBackend

PAGE = (Path(__file__).parents[3] / "docs" / "bench-file.md").read_text(encoding="utf-8")
SECTIONS = {
    "network": list(NETWORKS.values()),
    "limits": [LimitsSection],
    "backend": [SimBackend.Settings, VirtualSmuBackend.Settings, VirtualBoardBackend.Settings],
    "data": [DataSection],
    "train": [TrainSection],
    "calibration": [CalibrationSection],
    "run": [RunSection],
    "safety": [SafetySection],
}


@pytest.mark.parametrize("section", SECTIONS)
def test_page_describes_every_key(section):
    text = PAGE.split(f"## [{section}]")[1].split("\n## ")[0]
    keys = {key for model in SECTIONS[section] for key in model.model_fields}
    missing = {key for key in keys if f"`{key}`" not in text}
    assert not missing
