"""A small bench file for sweeps."""

from pathlib import Path

import pytest


@pytest.fixture
def small(tmp_path: Path, bench_text: str) -> Path:
    """The small bench with few epochs, so that a point takes some milliseconds."""
    path = tmp_path / "small.toml"
    path.write_text(bench_text.replace("epochs = 5", "epochs = 2"), encoding="utf-8")
    return path
