"""Colours and style sheet of the page, light and dark."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Final


@dataclass(frozen=True)
class Palette:
    """Colours of one theme.

    Attributes
    ----------
    ink, muted, grid, panel : str
        Text, secondary text, lines of axes, background of panels.
    first, second, third, faint : str
        Series of charts.
    low, middle, high : str
        Ends and zero of a diverging scale.
    sequence : tuple of str
        A sequential scale, small to large.
    """

    ink: str
    muted: str
    grid: str
    panel: str
    first: str
    second: str
    third: str
    faint: str
    low: str
    middle: str
    high: str
    sequence: tuple[str, ...]


LIGHT: Final = Palette(
    ink="#1b2733",
    muted="#5b6770",
    grid="#e3e8ed",
    panel="#ffffff",
    first="#1f3a5f",
    second="#c8553d",
    third="#1d8478",
    faint="#a9b4bf",
    low="#2565ae",
    middle="#c9d0d6",
    high="#c8402a",
    sequence=("#440154", "#3b528b", "#21918c", "#5ec962", "#e8d21d"),
)
DARK: Final = Palette(
    ink="#e6edf3",
    muted="#9aa7b3",
    grid="#2c3640",
    panel="#161d24",
    first="#8ab8f0",
    second="#f08a6f",
    third="#58c9b9",
    faint="#5f6c78",
    low="#5aa2f2",
    middle="#3a4550",
    high="#ff7a61",
    sequence=("#6a5acd", "#4a86d8", "#2fb3a6", "#7fd46a", "#f6e53b"),
)


def style_sheet() -> str:
    """Return the style sheet of the page."""
    return files("hwlearn.lab.watch_page").joinpath("style.css").read_text(encoding="utf-8")


def between(stops: Sequence[str], share: float) -> str:
    """Return the colour at a place from 0 to 1 between evenly spaced colours; a place outside counts as the end.

    Examples
    --------
    >>> between(["#000000", "#ffffff"], 0.5), between(["#000000", "#102030"], 2.0)
    ('#808080', '#102030')
    """
    at = min(max(share if share == share else 0.0, 0.0), 1.0) * (len(stops) - 1)
    left = min(int(at), len(stops) - 2)
    a, b = (bytes.fromhex(stop[1:]) for stop in stops[left : left + 2])
    return "#" + "".join(f"{round(p + (at - left) * (q - p)):02x}" for p, q in zip(a, b, strict=True))
