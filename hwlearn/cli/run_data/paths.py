"""Paths as a person reads and copies them."""

from __future__ import annotations

from pathlib import Path


def shown_path(path: str | Path) -> str:
    """Return a path from the working folder if it is in it, else as it is.

    Examples
    --------
    >>> shown_path(Path.cwd() / "runs")
    'runs'
    """
    try:
        return str(Path(path).relative_to(Path.cwd()))
    except (ValueError, OSError):  # elsewhere, or the working folder is gone
        return str(path)
