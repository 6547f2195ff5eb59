"""Charts of the study as SVG."""

from __future__ import annotations

import io

from hwlearn.lab.figure_style import set_log_scale
from hwlearn.study.study import StudyChart

_COLOURS = ("#1f3a5f", "#c8553d", "#2a9d8f", "#e9a23b", "#7a5195", "#6c757d", "#3d85c6", "#a23b72")
_STYLES = ("-", "--", ":", "-.")


def chart_svg(chart: StudyChart) -> str:
    """Return a chart as SVG text; equal charts give equal text."""
    import matplotlib as mpl
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    with mpl.rc_context({"svg.hashsalt": chart.name, "svg.fonttype": "none", "font.family": "sans-serif"}):
        figure = Figure(figsize=(8.6, 4.2), layout="constrained")
        FigureCanvasSVG(figure)
        axes = figure.subplots()
        for which in ("x", "y"):
            if which in chart.log:
                set_log_scale(axes, which)
        for k, line in enumerate(chart.lines):
            colour = _COLOURS[k % len(_COLOURS)]
            style = _STYLES[k // len(_COLOURS) % len(_STYLES)]
            axes.plot(line.x, line.y, style, color=colour, marker="o", markersize=3, label=line.name)
            axes.fill_between(line.x, line.low, line.high, color=colour, alpha=0.12, linewidth=0)
        axes.set_title(chart.title, fontsize=10)
        axes.set_xlabel(chart.x_label)
        axes.set_ylabel(chart.y_label)
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(fontsize=8, frameon=False, loc="center left", bbox_to_anchor=(1.01, 0.5))
        out = io.StringIO()
        figure.savefig(out, format="svg", metadata={"Date": None})
    return "\n".join(line.rstrip() for line in out.getvalue().splitlines()) + "\n"
