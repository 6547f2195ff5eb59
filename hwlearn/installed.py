"""What is installed: versions and entry points of packages, each read once.

`importlib.metadata` reads the files of every package at each call, which takes longer than opening a bench.
"""

from __future__ import annotations

import functools
import importlib
import importlib.metadata
import sys
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

from hwlearn.errors import SetupError


@functools.cache
def version(package: str) -> str:
    """Return the version of a package, as it was when this process first asked.

    Raises
    ------
    importlib.metadata.PackageNotFoundError
        If it is not installed.
    """
    return importlib.metadata.version(package)


def extra_module(name: str, extra: str, purpose: str) -> Any:
    """Return a module of a package that only an extra of hwlearn installs.

    Raises
    ------
    SetupError
        If it is not installed.
    """
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] != name.partition(".")[0]:
            raise  # of a package that this one needs
        raise SetupError(
            f"{purpose} needs the package {name.partition('.')[0]}, which is not installed; install the extra "
            f"`{extra}`: pip install 'hwlearn[{extra}]'"
        ) from None


def entry_points(group: str) -> list[EntryPoint]:
    """Return the entry points of a group. They are read again after a folder of ``sys.path`` has changed.

    Raises
    ------
    Exception
        Of any kind, if the files of one package are damaged.
    """
    return list(_entry_points(group, tuple((path, _changed(path)) for path in sys.path)))


@functools.lru_cache(maxsize=32)
def _entry_points(group: str, _folders: tuple[tuple[str, int], ...]) -> tuple[EntryPoint, ...]:
    return tuple(importlib.metadata.entry_points(group=group))


def _changed(path: str) -> int:
    """Return when a folder of packages last changed; 0 if it does not exist."""
    try:
        return Path(path).stat().st_mtime_ns
    except OSError:
        return 0
