"""A small bench file that tests of the lab change, and the folder it lies in."""

from collections.abc import Callable
from pathlib import Path

import pytest


@pytest.fixture
def write(tmp_path: Path, bench_text: str) -> Callable[..., Path]:
    """Return a function that writes a file into the test's folder: the small bench unless told otherwise."""

    def put(text: str = bench_text, name: str = "small.toml") -> Path:
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return path

    return put


@pytest.fixture
def bench_path(write: Callable[..., Path]) -> Path:
    """The small bench, written."""
    return write()
