"""The names of ``import hwlearn as hl``: imported at first use, and visible to type checkers and ``dir``."""

import ast
import importlib
import importlib.abc
import importlib.util
import os
import pickle
import pkgutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import hwlearn
import hwlearn as hl
import hwlearn_drivers
import hwlearn_sim


def lazy_packages():
    """Return every package of the three that lists its names lazily."""
    found = []
    for top in (hwlearn, hwlearn_drivers, hwlearn_sim):
        walked = pkgutil.walk_packages(top.__path__, f"{top.__name__}.")
        for name in [top.__name__, *(module.name for module in walked if module.ispkg)]:
            path = Path(importlib.import_module(name).__file__)
            if "lazy_names(__name__)" in path.read_text(encoding="utf-8"):
                found.append(name)
    return found


PACKAGES = lazy_packages()


def typing_block(package):
    """Return the ``if TYPE_CHECKING`` of a package's source."""
    tree = ast.parse(Path(package.__file__).read_text(encoding="utf-8"))
    return next(node for node in tree.body if isinstance(node, ast.If))


@pytest.mark.parametrize("name", PACKAGES)
def test_lazy_names_are_those_of_the_type_checker(name):
    package = importlib.import_module(name)
    block = typing_block(package)
    assert ast.unparse(block.test) == "TYPE_CHECKING"
    typed = {alias.asname: (node.module, alias.name) for node in block.body for alias in node.names}
    assert set(typed) == set(package.__all__)
    for public, (module, inner) in typed.items():
        assert public == inner, "type checkers hand on a name only if it is imported as itself"
        home = importlib.import_module(module)
        expected = getattr(home, public, None) or importlib.import_module(f"{module}.{public}")
        assert getattr(package, public) is expected
        assert public in dir(package)
        assert public in vars(package)  # stored, so that the second access costs nothing


@pytest.mark.parametrize("name", PACKAGES)
def test_type_checkers_do_not_see_a_getattr_that_accepts_every_name(name):
    block = typing_block(importlib.import_module(name))
    assert "__getattr__" in ast.unparse(block.orelse[0])
    assert "__getattr__" not in "".join(ast.unparse(node) for node in block.body)


def test_lazy_names_are_read_from_an_archive(tmp_path):
    text = """
from typing import TYPE_CHECKING
from hwlearn.lazy import lazy_names
if TYPE_CHECKING:
    from hwlearn.units import parse_quantity as parse_quantity
else:
    __all__, __getattr__, __dir__ = lazy_names(__name__)
"""
    archive = tmp_path / "packed.zip"
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("packed_example/__init__.py", text)
    program = "from packed_example import parse_quantity; print(parse_quantity('1 V', 'V'))"
    path = os.pathsep.join([str(archive), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": path},
    )
    assert done.stdout == "1.0\n"


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


@pytest.mark.slow
def test_threads_may_use_names_first_at_the_same_time():
    code = (
        "import threading\nimport hwlearn\nfailed = []\n"
        "def use(name):\n    try:\n        getattr(hwlearn, name)\n"
        "    except BaseException as error:\n        failed.append((name, error))\n"
        "threads = [threading.Thread(target=use, args=(name,)) for name in hwlearn.__all__]\n"
        "[thread.start() for thread in threads]\n[thread.join() for thread in threads]\n"
        "assert not failed, failed\n"
    )
    for _ in range(3):
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr


def test_names_are_found_when_the_loader_returns_no_source(tmp_path, monkeypatch):
    """pytest imports a package that brings a plugin with a loader of its own, which has no `get_source`."""

    class Bare(importlib.abc.Loader):
        def exec_module(self, module):
            exec((tmp_path / "bare.py").read_text(), vars(module))

    (tmp_path / "bare.py").write_text(
        "from typing import TYPE_CHECKING\n"
        "from hwlearn.lazy import lazy_names\n"
        "if TYPE_CHECKING:\n    from hwlearn.units import format_quantity as format_quantity\n"
        "else:\n    __all__, __getattr__, __dir__ = lazy_names(__name__)\n"
    )
    spec = importlib.util.spec_from_file_location("bare", tmp_path / "bare.py", loader=Bare())
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "bare", module)
    spec.loader.exec_module(module)
    assert module.__all__ == ["format_quantity"]
    assert module.format_quantity(1.0, "V") == "1 V"
