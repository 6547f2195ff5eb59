"""A small bench file in a folder of its own, for tests of the lab."""

from collections.abc import Callable
from pathlib import Path

import pytest


@pytest.fixture
def write(tmp_path: Path, bench_text: str) -> Callable[..., Path]:
    """Return a function that writes a file into the folder of the test; by default the small bench."""

    def put(text: str = bench_text, name: str = "small.toml") -> Path:
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return path

    return put


@pytest.fixture
def bench_path(write: Callable[..., Path]) -> Path:
    """Path of the small bench file."""
    return write()
