"""The report of a run: a PNG with its learning curve and the values of its edges."""

from __future__ import annotations

import errno
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

from hwlearn.errors import RunError
from hwlearn.lab.runs.figures.run_figure import run_figure
from hwlearn.lab.runs.store import Run

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def draw_run(run: Run, path: Path | None = None) -> Path:
    """Draw a run's learning curve and the values of its edges into a PNG and return its path.

    Only the run folder is read. Neither the data set nor the backend of the run is needed.

    Parameters
    ----------
    run : Run
    path : Path, optional
        Default: ``report.png`` in the run's folder or, if that is read-only, a file named after the run in the
        working folder. An existing file is replaced, and so is a symbolic link; its target stays as it is.

    Raises
    ------
    RunError
        If the run is damaged, or the ending of the path names no format of figures.
    OSError
        If the file cannot be written.
    """
    with run.contents() as contents:  # all of one moment, also of a run that is being written
        figure = run_figure(contents)
    return _saved(figure, run, path)


def _saved(figure: Figure, run: Run, path: Path | None) -> Path:
    """Write a figure and return where it is."""
    if path is not None:
        save_figure(figure, path)
        return path
    path = run.folder / "report.png"
    try:
        save_figure(figure, path)
    except OSError as error:
        if error.errno not in (errno.EROFS, errno.EACCES, errno.EPERM):
            raise
        path = Path(f"{run.folder.resolve().name}-report.png")
        save_figure(figure, path)
    return path


def save_figure(figure: Figure, path: Path) -> None:
    """Write a figure to a new file and rename it, which replaces a symbolic link instead of following it."""
    kind = path.suffix[1:].lower() or "png"
    known = figure.canvas.get_supported_filetypes()
    if kind not in known:
        raise RunError(f"cannot write {path}: {kind!r} is no format of figures; use one of: {', '.join(known)}")
    new = path.with_name(f".{path.name}.{os.getpid()}.{time.monotonic_ns()}")
    try:
        with new.open("xb") as file:  # "x" does not follow links either
            figure.savefig(file, format=kind)
        new.replace(path)
    except BaseException:
        new.unlink(missing_ok=True)
        raise
