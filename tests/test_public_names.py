"""The names of ``import hwlearn as hl``: imported at first use, and visible to type checkers and ``dir``."""

import ast
import importlib
import pickle
from pathlib import Path

import pytest

import hwlearn as hl

LAB = ["hwlearn.lab.bench", "hwlearn.lab.bench_file", "hwlearn.lab.data", "hwlearn.lab.runs"]
PACKAGES = ["hwlearn", "hwlearn.network", *LAB, "hwlearn_sim", "hwlearn_sim.devices"]


def typed_names(package):
    """Return the names that the package imports for type checkers, each with its module."""
    tree = ast.parse(Path(package.__file__).read_text(encoding="utf-8"))
    block = next(node for node in tree.body if isinstance(node, ast.If))
    return {name.name: node.module for node in block.body for name in node.names}


@pytest.mark.parametrize("name", PACKAGES)
def test_lazy_names_are_those_of_the_type_checker(name):
    package = importlib.import_module(name)
    typed = typed_names(package)
    assert set(typed) == set(package.__all__)
    for public, module in typed.items():
        home = importlib.import_module(module)
        expected = getattr(home, public, None) or importlib.import_module(f"{module}.{public}")
        assert getattr(package, public) is expected
        assert public in dir(package)
        assert public in vars(package)  # stored, so that the second access costs nothing


@pytest.mark.parametrize("name", PACKAGES)
def test_type_checkers_do_not_see_a_getattr_that_accepts_every_name(name):
    tree = ast.parse(Path(importlib.import_module(name).__file__).read_text(encoding="utf-8"))
    hidden = next(node for node in tree.body if isinstance(node, ast.If) and isinstance(node.test, ast.UnaryOp))
    assert ast.unparse(hidden.test) == "not TYPE_CHECKING"
    assert "__getattr__" in ast.unparse(hidden)
    assert "__getattr__" not in "".join(ast.unparse(node) for node in tree.body if node is not hidden)


def test_star_import_hands_on_every_public_name():
    names = {}
    exec("from hwlearn import *", names)
    assert set(hl.__all__) <= set(names)


def test_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'hwlearn' has no attribute 'Topologie'"):
        hl.Topologie  # noqa: B018
    assert not hasattr(hl, "Topologie")


def test_public_classes_can_be_pickled():
    assert pickle.loads(pickle.dumps(hl.Limits)) is hl.Limits
