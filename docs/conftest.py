"""The examples on the pages write their runs and files into a temporary folder."""

from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def _own_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HWLEARN_RUNS", str(tmp_path / "runs"))
    monkeypatch.chdir(tmp_path)
