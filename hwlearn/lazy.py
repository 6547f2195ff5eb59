"""Import the public names of a package at their first use (PEP 562): ``import hwlearn`` must be fast."""

from __future__ import annotations

import ast
import linecache
import sys
import threading
from collections.abc import Callable, Iterator
from importlib import import_module
from typing import Any

_IMPORTING = threading.RLock()
"""Held during an import: threads that first use names at the same time would find numpy half imported."""


def lazy_names(package: str) -> tuple[list[str], Callable[[str], Any], Callable[[], list[str]]]:
    """Return ``__all__``, ``__getattr__`` and ``__dir__`` of a package that imports its names lazily.

    The package lists its names once, as imports for type checkers::

        if TYPE_CHECKING:
            from hwlearn.network.limits import Limits as Limits
        else:
            __all__, __getattr__, __dir__ = lazy_names(__name__)

    Parameters
    ----------
    package : str
        The package's ``__name__``. Its source must be readable, from a folder or an archive.

    Returns
    -------
    names : list of str
        The listed names.
    getter : callable
        Imports a name and stores it in the package, so that Python calls it only once for each name.
    lister : callable
        Returns all names of the package, imported or not.
    """
    homes = dict(_listed(package))

    def getter(name: str) -> Any:
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        with _IMPORTING:
            module = import_module(homes[name])
            found = getattr(module, name) if hasattr(module, name) else import_module(f"{homes[name]}.{name}")
            setattr(sys.modules[package], name, found)
        return found

    def lister() -> list[str]:
        return sorted({*vars(sys.modules[package]), *homes})

    return sorted(homes), getter, lister


def _listed(package: str) -> Iterator[tuple[str, str]]:
    """Yield each name and its module from the block ``if TYPE_CHECKING:`` of a package's source."""
    for block in ast.parse(_source(package)).body:
        if isinstance(block, ast.If) and ast.unparse(block.test) == "TYPE_CHECKING":
            for node in block.body:
                if isinstance(node, ast.ImportFrom):
                    yield from ((alias.name, str(node.module)) for alias in node.names)


def _source(package: str) -> str:
    """Return the source of a package: from its file, or from its loader if it is not in a file."""
    module = sys.modules[package]
    source = "".join(linecache.getlines(str(module.__file__), vars(module)))
    if not source:
        raise ImportError(f"{package} cannot list its public names: its source is not readable")
    return source
