"""Which installed plugin raised an error, and the hint for its user."""

from __future__ import annotations

import traceback
from importlib.metadata import distributions
from types import TracebackType
from typing import Final

import typer

from hwlearn.errors import HwlearnError

_GROUPS: Final = ("hwlearn.backends", "hwlearn.commands", "hwlearn.device_fits")
_OWN: Final = ("hwlearn", "hwlearn_drivers", "hwlearn_sim")

_debug = False


def show_tracebacks(requested: bool) -> None:
    """Print the traceback of every error that ends a command, because ``--debug`` was given."""
    global _debug
    _debug = requested


def print_traceback(error: BaseException) -> None:
    """Print the traceback of an error and of its causes to stderr if ``--debug`` was given."""
    if _debug:
        typer.echo("".join(traceback.format_exception(error)).rstrip(), err=True)


def plugin_hint(error: BaseException) -> str:
    """Return which plugin an error comes from and what to do; empty if it comes from none; see `plugin_of`."""
    found = plugin_of(error)
    if found is None:
        return ""
    remedy = "its traceback is above" if _debug else "its traceback is shown with --debug"
    return f"; this is an error of the plugin {found}, not of hwlearn: report it to its authors, {remedy}"


def plugin_of(error: BaseException) -> str | None:
    """Return name and version of the installed plugin that let an error escape which is none of hwlearn's.

    An error of hwlearn that a plugin raises itself is its report to the user, and no defect.
    """
    at: BaseException | None = error
    plugins: dict[str, str] = {}
    while at is not None:
        packages = _packages(at.__traceback__)
        plugins = plugins or _plugins()
        if isinstance(at, HwlearnError):
            if packages and packages[-1] in plugins and packages[-1] not in _OWN:
                return None
        else:
            for package in reversed(packages):
                if package in plugins and package not in _OWN:
                    return plugins[package]
        at = at.__cause__ or at.__context__
    return None


def _packages(trace: TracebackType | None) -> list[str]:
    """Return the top package of each frame, the outermost first."""
    names = []
    while trace is not None:
        names.append(str(trace.tb_frame.f_globals.get("__name__", "")).partition(".")[0])
        trace = trace.tb_next
    return names


def _plugins() -> dict[str, str]:
    """Return name and version of each installed plugin, by the top package of its entry points."""
    found = {}
    for package in distributions():
        try:
            points = [point for point in package.entry_points if point.group in _GROUPS]
            if not points:
                continue
            text = f"{package.metadata['Name']} {package.version}"
        except Exception:  # one damaged package must not hide the error of another
            continue
        found.update({point.value.partition(":")[0].partition(".")[0]: text for point in points})
    return found
