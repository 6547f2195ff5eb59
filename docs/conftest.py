"""The examples on the pages write their runs and files into a temporary folder."""

from pathlib import Path

import pytest

# settings of Sphinx; lessons and a user's repository, which tests/docs follows and runs step by step
collect_ignore_glob = ["*.py", "tutorials/*", "ci-example"]


@pytest.fixture(autouse=True)
def _own_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HWLEARN_RUNS", str(tmp_path / "runs"))
    monkeypatch.chdir(tmp_path)
