"""A small bench file that tests of the lab change, and the folder it lies in."""

from collections.abc import Callable
from pathlib import Path

import pytest

BENCH = """
[network]
kind = "random"
nodes = 14
edges = 30
inputs = 4
outputs = 3
seed = 5

[limits]
voltage = "500 mV"
drop = "1 V"
nudge = "200 mV"
current = "1 mA"
conductance = ["1 uS", "100 uS"]

[backend]
kind = "sim"

[data]
source = "teacher"
samples = 6
amplitude = "400 mV"

[train]
nudge = "current"
rate = 0.08
epochs = 5
batch = 4
"""


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """Return a function that writes a file into the test's folder: the small bench unless told otherwise."""

    def put(text: str = BENCH, name: str = "small.toml") -> Path:
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return path

    return put


@pytest.fixture
def bench_path(write: Callable[..., Path]) -> Path:
    """The small bench, written."""
    return write()
