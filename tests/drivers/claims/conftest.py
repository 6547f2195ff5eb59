"""A folder of claims for each test."""

import pytest


@pytest.fixture(autouse=True)
def claims_here(tmp_path, monkeypatch):
    """The folder of the claims of one test."""
    monkeypatch.setenv("HWLEARN_CLAIMS", str(tmp_path / "claims"))
    return tmp_path / "claims"
