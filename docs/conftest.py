"""The examples on the pages record their runs in a temporary folder."""

from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def _own_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HWLEARN_RUNS", str(tmp_path / "runs"))
