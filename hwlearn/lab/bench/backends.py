"""Backends are plugins: where a network is, by name, through the entry-point group ``hwlearn.backends``."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import entry_points
from typing import Any

from pydantic import BaseModel

from hwlearn.errors import SetupError, closest
from hwlearn.lab.bench_file.sections import BackendSection, checked_section
from hwlearn.network.backend import Backend

GROUP = "hwlearn.backends"


def backend_names() -> list[str]:
    """Return the kinds of backend that are installed."""
    return sorted({point.name for point in entry_points(group=GROUP)})


def find_backend(table: Mapping[str, Any], where: str) -> tuple[Backend, BaseModel]:
    """Return the backend of a ``[backend]`` table and its checked settings.

    Parameters
    ----------
    table : mapping
        ``kind`` and that backend's own settings.
    where : str
        How messages name the bench.

    Raises
    ------
    SetupError
        If no such backend is installed, it cannot be loaded, or a setting is wrong.
    """
    kind = checked_section(BackendSection, table, "backend", where).kind
    points = [point for point in entry_points(group=GROUP) if point.name == kind]
    if not points:
        known = backend_names()
        raise SetupError(
            f"{where}: unknown backend.kind = {kind!r}{closest(kind, known)}; installed are: {', '.join(known)}"
        )
    try:
        backend: Backend = points[0].load()()
    except (ImportError, AttributeError) as error:
        raise SetupError(f"{where}: backend {kind!r} cannot be loaded: {error}") from error
    settings = {key: value for key, value in table.items() if key != "kind"}
    return backend, checked_section(backend.Settings, settings, "backend", where)
