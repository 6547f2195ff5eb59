"""The examples of docs/virtual-instruments.md with other people's drivers run as they are printed."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "virtual-instruments.md"


def example(package: str) -> str:
    """Return the block of the page that imports a package."""
    blocks = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.M | re.S)
    (block,) = [block for block in blocks if f"from {package}." in block]
    return block


@pytest.mark.filterwarnings("ignore")  # deprecations of the packages and of their dependencies
@pytest.mark.parametrize("package", ["pymeasure", "qcodes"])
def test_example_with_another_driver_reads_current(package, tmp_path, monkeypatch):
    monkeypatch.setenv("QCODES_USER_PATH", str(tmp_path))
    pytest.importorskip(package, reason=f"{package} is not installed; pip install 'hwlearn[referees]'")
    names: dict[str, object] = {}
    exec(example(package), names)
    assert names["amperes"] == pytest.approx(0.55 / 2200, rel=1e-4)


def test_example_behind_an_adapter_runs(capsys):
    blocks = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.M | re.S)
    (block,) = [block for block in blocks if "PlacedAdapter(" in block]
    exec(block, {})
    assert re.fullmatch(r"PROLOGIX::127\.0\.0\.1::\d+::GPIB::24::INSTR\n", capsys.readouterr().out)
