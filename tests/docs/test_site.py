"""The documentation site: every public name is in the reference, and the site builds without a warning."""

from __future__ import annotations

import importlib
import importlib.util
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from hwlearn.lab.bench.json_schema import bench_schema

DOCS = Path(__file__).parents[2] / "docs"
PACKAGES = ("hwlearn", "hwlearn.circuit.elements", "hwlearn.calibration", "hwlearn.testing", "hwlearn_sim")
ELSEWHERE = {
    "hwlearn": {"elements", "loops", "subsets", "HwlearnError"},
    "hwlearn.circuit.elements": {"OHMIC", "AnyElement"},
}
"""Modules, and names on another page or with no page of their own."""


@pytest.mark.parametrize("package", PACKAGES)
def test_every_public_name_is_in_the_reference(package):
    text = (DOCS / "reference" / "index.md").read_text(encoding="utf-8")
    listed = set()
    for module, block in re.findall(r"currentmodule:: (\S+)\n.*?\n\n(.*?)```", text, re.DOTALL):
        if module == package:
            listed |= set(block.split())
    assert listed == set(importlib.import_module(package).__all__) - ELSEWHERE.get(package, set())


@pytest.mark.slow
@pytest.mark.skipif(
    importlib.util.find_spec("sphinx") is None, reason="Sphinx is missing: pip install -e '.[docs]'"
)
def test_site_builds_without_a_warning(tmp_path):
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-b", "html", str(DOCS), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "C/d(theta)" in (tmp_path / "reference" / "generated" / "hwlearn.Kirchhoff.html").read_text()
    assert json.loads((tmp_path / "bench.schema.json").read_text()) == bench_schema()
    theory = (tmp_path / "theory.html").read_text(encoding="utf-8")
    assert theory.count("<math") > 50
    loaded = re.findall(r"""<(?:script|link|img)[^>]*(?:src|href)=["'](https?:[^"']+)""", theory)
    assert loaded == []  # formulas need no script, and no page needs the network
