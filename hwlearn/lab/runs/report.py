"""The report of a run: one HTML file, or a figure with its learning curve and the values of its edges."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Literal, Protocol, cast, get_args

from hwlearn.errors import RunError
from hwlearn.lab.runs.contents import open_contents
from hwlearn.lab.runs.figures.run_figure import run_figure
from hwlearn.lab.runs.inputs import check_target

if TYPE_CHECKING:
    from matplotlib.figure import Figure


ReportFormat = Literal["html", "png", "svg"]


class StoredRun(Protocol):
    """What has a run folder: a `Run`."""

    @property
    def folder(self) -> Path:
        """The run folder."""


def draw_run(run: StoredRun, path: Path | None = None, ending: str = "png") -> Path:
    """Draw a run's learning curve and the values of its edges into a PNG and return its path.

    Only the run folder is read. Neither the data set nor the backend of the run is needed.

    Parameters
    ----------
    run : Run or StoredRun
    path : Path, optional
        Default: ``report`` with this ending in the run's folder or, if that is read-only, a file named after the
        run in the working folder. An existing file is replaced, and so is a symbolic link; its target stays as it
        is.
    ending : str
        Format of the default path.

    Raises
    ------
    RunError
        If the run is damaged, the ending of the path names no format of figures, or the file would replace a part
        of a run or what is no file.
    OSError
        If the file cannot be written.
    """
    with open_contents(run.folder) as contents:  # all of one moment, also of a run that is being written
        figure = run_figure(contents)
    return _saved(lambda file: save_figure(figure, file, ending), run, path, ending)


def write_report(run: StoredRun, path: Path | None = None, kind: ReportFormat | None = None) -> Path:
    """Write the report of a run and return its path; only the run folder is read.

    Parameters
    ----------
    run : Run or StoredRun
    path : Path, optional
        Default: ``report.html`` (``.png``, ``.svg``) as in `draw_run`.
    kind : {"html", "png", "svg"}, optional
        Unless given, the ending of the path chooses, ``.html`` without a path. HTML is the whole report in one
        file; PNG and SVG are the figure of `draw_run`.

    Raises
    ------
    RunError
        If the run is damaged, the ending of the path does not fit the format, or the file would replace a part of
        a run or what is no file.
    OSError
        If the file cannot be written.
    """
    chosen = _format(path, kind)
    if chosen != "html":
        return draw_run(run, path, chosen)
    from hwlearn.lab.runs.html_report.page import report_page  # slow to import, and not needed to draw

    with open_contents(run.folder) as contents:
        page = report_page(contents).encode("utf-8", "replace")
    return _saved(lambda file: _write_bytes(page, file), run, path, "html")


def known_format(text: str) -> ReportFormat:
    """Return a format of reports by its name.

    Raises
    ------
    RunError
        If there is no such format.
    """
    for kind in get_args(ReportFormat):
        if text.lower() == kind:
            return cast(ReportFormat, kind)
    raise RunError(f"there is no format {text!r} of reports; use one of: {', '.join(get_args(ReportFormat))}")


def _format(path: Path | None, kind: ReportFormat | None) -> str:
    """Return the format of a report: ``html``, or one of figures.

    Raises
    ------
    RunError
        If the path has another ending than the format.
    """
    ending = "" if path is None else path.suffix[1:].lower()
    ending = "html" if ending == "htm" else ending
    if kind is not None and ending and ending != kind:
        raise RunError(f"{path} ends in .{ending}, and the format is {kind}; leave one of them out")
    return kind or ending or "html"


def _saved(write: Callable[[Path], None], run: StoredRun, path: Path | None, ending: str) -> Path:
    """Write a report and return where it is."""
    if path is not None:
        write(path)
        return path
    path = run.folder / f"report.{ending}"
    try:
        write(path)
    except OSError as error:
        if error.errno not in (errno.EROFS, errno.EACCES, errno.EPERM):
            raise
        path = Path(f"{run.folder.resolve().name}-report.{ending}")
        write(path)
    return path


def _write_bytes(data: bytes, path: Path) -> None:
    """Write a new file and rename it, which replaces a symbolic link instead of following it."""
    _replaced(path, lambda file: file.write(data))


def save_figure(figure: Figure, path: Path, ending: str = "png") -> None:
    """Write a figure to a new file and rename it; the ending of the path chooses the format, else ``ending``."""
    kind = path.suffix[1:].lower() or ending
    known = figure.canvas.get_supported_filetypes()
    if kind not in known:
        raise RunError(f"cannot write {path}: {kind!r} is no format of figures; use one of: {', '.join(known)}")
    _replaced(path, lambda file: figure.savefig(file, format=kind))


def _replaced(path: Path, write: Callable[[BinaryIO], object]) -> None:
    check_target(path)
    new = path.with_name(f".{path.name}.{os.getpid()}.{time.monotonic_ns()}")
    try:
        with new.open("xb") as file:  # "x" does not follow links either
            write(file)
        new.replace(path)
    except BaseException:
        new.unlink(missing_ok=True)
        raise
