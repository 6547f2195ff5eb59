"""Import the public names of a package at their first use (PEP 562): ``import hwlearn`` must be fast."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import Any


def lazy_names(
    package: str, names: Mapping[str, Sequence[str]]
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """Return the module functions ``__getattr__`` and ``__dir__`` of a package that imports its names lazily.

    Assign them under ``if not TYPE_CHECKING``. A type checker that sees ``__getattr__`` accepts every name.

    Parameters
    ----------
    package : str
        The package's ``__name__``.
    names : mapping of str to sequence of str
        Module, and the names taken from it, as in ``from module import name, name``: attributes or submodules.

    Returns
    -------
    getter : callable
        Imports a name and stores it in the package, so that Python calls it only once for each name.
    lister : callable
        Returns all names of the package, imported or not.
    """
    homes = {name: module for module, taken in names.items() for name in taken}

    def getter(name: str) -> Any:
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        module = import_module(homes[name])
        found = getattr(module, name) if hasattr(module, name) else import_module(f"{homes[name]}.{name}")
        setattr(sys.modules[package], name, found)
        return found

    def lister() -> list[str]:
        return sorted({*vars(sys.modules[package]), *homes})

    return getter, lister
