"""The examples on the pages record their runs in a temporary folder."""

from pathlib import Path

import pytest

collect_ignore = ["ci-example"]  # tests/docs runs it as the repository of a user


@pytest.fixture(autouse=True)
def _own_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HWLEARN_RUNS", str(tmp_path / "runs"))
