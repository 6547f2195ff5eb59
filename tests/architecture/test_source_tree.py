"""The source tree keeps to its design: no circles of imports, small files, one name for one thing."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import import_cycles
import source_rules
from source_tree import Module, imports, modules


@pytest.mark.slow
def test_no_modules_import_each_other():
    assert import_cycles.cycles() == []


@pytest.mark.parametrize(
    "rule",
    [
        source_rules.long_files_without_a_reason,
        source_rules.crowded_folders,
        source_rules.name_families,
        source_rules.class_names_used_twice,
        source_rules.private_attributes_of_others,
        source_rules.settings_read_by_guess,
        source_rules.text_files_read_elsewhere,
    ],
    ids=lambda rule: rule.__name__,
)
def test_source_tree_keeps_rule(rule):
    assert rule() == []


def parsed(text: str, name: str = "hwlearn.example") -> Module:
    return Module(name, source_rules.ROOT / "hwlearn" / "example.py", ast.parse(text))


def test_lazy_and_typing_imports_count_as_imports():
    text = (
        "from typing import TYPE_CHECKING\n"
        "if TYPE_CHECKING:\n    from hwlearn.network.network import Network\n"
        "def later():\n    from hwlearn.circuit import topology\n"
    )
    assert imports(parsed(text)) == {"hwlearn.network.network", "hwlearn.circuit.topology"}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("def f(other):\n    return other._hidden\n", 1),
        ("class A:\n    def f(self, other):\n        self._own = 1\n        return other._own\n", 0),
        ("class A:\n    def _own(self):\n        return self._network._own()\n", 1),
        ("from hwlearn.circuit.topology import _secret\n", 1),
    ],
    ids=["other object", "same class", "part of itself", "import"],
)
def test_private_attributes_of_others_are_found(monkeypatch, text, found):
    monkeypatch.setattr(source_rules, "modules", lambda: {"hwlearn.example": parsed(text)})
    assert len(source_rules.private_attributes_of_others()) == found


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("from pathlib import Path\nPath('a').read_text(encoding='utf-8')\n", 1),
        ("with open('a') as file:\n    pass\n", 1),
        ("path.open('r', encoding='latin-1')\n", 1),
        ("import csv\ncsv.reader(lines)\n", 1),
        ("import tomllib\ntomllib.loads(text)\n", 1),
        ("np.loadtxt(path)\n", 1),
        ("from hwlearn.storage.text_file import read_text\nread_text(path, 'a', E)\n", 0),
        ("path.open('rb')\nBench.open()\nnetwork.open(settings, topology)\npath.open('x')\n", 0),
        ("Path('/proc/locks').read_text()\n", 0),
    ],
)
def test_readers_of_text_files_are_found(monkeypatch, text, found):
    monkeypatch.setattr(source_rules, "modules", lambda: {"hwlearn.example": parsed(text)})
    assert len(source_rules.text_files_read_elsewhere()) == found


def test_every_module_is_read():
    assert {"hwlearn", "hwlearn_drivers.commands", "hwlearn_sim.twin.twin"} <= set(modules())
