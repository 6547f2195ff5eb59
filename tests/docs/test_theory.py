"""Every formula of docs/theory.md names functions and tests that exist."""

from __future__ import annotations

import ast
import importlib
import re

import pytest
from lesson import ROOT

PAGE = (ROOT / "docs" / "theory.md").read_text(encoding="utf-8")
SECTIONS = dict(re.findall(r"^## (.+?)\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL))


def named(place):
    """Return what a dotted name names."""
    parts = place.split(".")
    for count in range(len(parts), 0, -1):
        try:
            found = importlib.import_module(".".join(parts[:count]))
        except ModuleNotFoundError:
            continue
        for part in parts[count:]:
            found = getattr(found, part)
        return found
    raise AttributeError(place)


@pytest.mark.parametrize("title", SECTIONS)
def test_section_names_code_and_tests_that_exist(title):
    text = SECTIONS[title]
    code = re.findall(r"\{py:\w+\}`([^`]+)`", text)
    tests = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", text)
    assert code, "no function"
    assert tests, "no test"
    for place in code:
        assert callable(named(place)), place
    for file, name in tests:
        tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
        functions = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
        assert name in functions, f"{file}::{name}"


def test_every_formula_is_in_a_section():
    assert sum(text.count("$$") for text in SECTIONS.values()) == PAGE.count("$$") >= 20
