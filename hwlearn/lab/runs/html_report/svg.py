"""Figures of matplotlib as SVG elements inside an HTML page."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from hwlearn.html_text import escaped

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_STYLE: Final[Any] = {
    "svg.fonttype": "none",  # text stays text: it can be searched and read aloud
    "text.parse_math": False,  # a unit or a name with dollar signs is no formula
    "font.size": 9,
    "axes.edgecolor": "#8a94a0",
    "axes.linewidth": 0.8,
    "axes.labelcolor": "#333d48",
    "xtick.color": "#5b6770",
    "ytick.color": "#5b6770",
    "axes.spines.top": False,
    "axes.spines.right": False,
}


@contextmanager
def figure_style() -> Iterator[None]:
    """Draw the figures of this block in the style of the report."""
    import matplotlib as mpl

    with mpl.rc_context(_STYLE), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # characters without a glyph are drawn by the browser
        yield


def drawn_svg(
    name: str, title: str, description: str, draw: Callable[[Axes], None], size: tuple[float, float] = (4.7, 3.5)
) -> str:
    """Draw axes and return them as an SVG element.

    Parameters
    ----------
    name : str
        Different for each figure of a page; the ids of the element begin with it.
    title, description : str
        What the figure is and shows, for readers who cannot see it.
    draw : callable
        Receives the axes.
    size : (float, float)
        Width and height in inches.
    """
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    with figure_style():
        figure = Figure(figsize=size, layout="constrained")
        FigureCanvasSVG(figure)
        draw(figure.subplots())
        drawing = io.StringIO()
        figure.savefig(drawing, format="svg", transparent=True)
    return _inlined(drawing.getvalue(), name, title, description)


def _inlined(drawing: str, name: str, title: str, description: str) -> str:
    """Return a drawing without its prolog, with ids of its own and no link to anywhere else."""
    box = re.search(r'viewBox="([^"]+)"', drawing)
    body = drawing[drawing.index("<svg") :]
    body = body[body.index(">") + 1 : body.rindex("</svg>")]
    body = re.sub(r"<!--.*?-->|<metadata>.*?</metadata>|<style[^>]*>.*?</style>", "", body, flags=re.DOTALL)
    body = re.sub(r'(?<=\s)id="([^"]+)"', rf'id="{name}-\1"', body)
    body = re.sub(r"url\(#([^)]+)\)", rf"url(#{name}-\1)", body)
    body = re.sub(r'xlink:href="#([^"]+)"', rf'href="#{name}-\1"', body)
    body = re.sub(r'xlink:href="data:', 'href="data:', body)
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="{box[1] if box else "0 0 1 1"}" role="img" '
        f'aria-labelledby="{name}-title {name}-text">'
    )
    described = (
        f'<title id="{name}-title">{escaped(title)}</title><desc id="{name}-text">{escaped(description)}</desc>'
    )
    body = re.sub(r">\s+<", "><", body).strip()
    return f"{head}{described}{body}</svg>"
