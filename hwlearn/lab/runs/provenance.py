"""Where the numbers of a run come from: versions, platform, command line, instruments, git commit, time zone."""

from __future__ import annotations

import platform
import shlex
import sqlite3
import sys
from datetime import datetime
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from typing import Any, Final

from hwlearn.errors import SetupError
from hwlearn.installed import entry_points, version
from hwlearn.storage.text_file import read_text

_PACKAGES: Final = ("hwlearn", "numpy", "scipy", "cvxopt", "numba", "pyvisa", "pyvisa-py", "pyserial", "pydantic")


def now() -> str:
    """Return the present time in ISO 8601, with time zone."""
    return datetime.now().astimezone().isoformat(timespec="milliseconds")


def package_versions() -> dict[str, str]:
    """Return the versions of Python, SQLite, the platform and the packages that readings may depend on."""
    found = {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "sqlite": sqlite3.sqlite_version,
    }
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:  # of an extra that is not installed
            continue
    return found


def backend_version(kind: str) -> dict[str, str]:
    """Return the version of the package that has a backend, by the name of the package; empty for our own."""
    for entry in entry_points("hwlearn.backends"):
        if entry.name == kind and entry.dist is not None and entry.dist.name != "hwlearn":
            return {entry.dist.name: entry.dist.version}
    return {}


def session_facts() -> dict[str, Any]:
    """Return what is known of this process before the hardware is opened."""
    return {
        "versions": package_versions(),
        "host": platform.node(),
        "command": shlex.join([Path(sys.argv[0]).name or "python", *sys.argv[1:]]),
        "folder": str(Path.cwd()),
        "git_commit": git_commit(Path.cwd()),
    }


def git_commit(folder: Path) -> str | None:
    """Return the commit that is checked out in a folder or in one above it; None if there is none.

    The files of git are read; the program need not be installed. Changes that are not committed are not noticed.
    """
    try:
        for place in (folder.resolve(), *folder.resolve().parents):
            dot_git = place / ".git"
            if dot_git.is_file():  # a worktree or a submodule: "gitdir: PATH"
                dot_git = place / _text(dot_git).partition(":")[2].strip()
            if (dot_git / "HEAD").is_file():
                return _head(dot_git)
    except (OSError, SetupError):
        return None
    return None


def _text(path: Path) -> str:
    return read_text(path, "file of git", SetupError)


def _head(dot_git: Path) -> str | None:
    head = _text(dot_git / "HEAD").strip()
    if not head.startswith("ref:"):
        return head or None
    name = head.partition(":")[2].strip()
    common = dot_git / "commondir"
    shared = dot_git / _text(common).strip() if common.is_file() else dot_git
    for place in (dot_git, shared):
        if (place / name).is_file():
            return _text(place / name).strip() or None
    packed = shared / "packed-refs"
    for line in _text(packed).splitlines() if packed.is_file() else ():
        commit, _, ref = line.partition(" ")
        if ref.strip() == name:
            return commit
    return None
