"""The learning curves of several runs in one figure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from hwlearn.lab.figure_style import INK, literal_text, set_log_scale
from hwlearn.lab.runs.views.comparison import ComparedRun

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D


@literal_text()
def overlay_figure(compared: Sequence[ComparedRun]) -> Figure:
    """Return a figure with the measured score of each run, by epoch and by measured samples.

    Runs that learn classes and runs that learn voltages have rows of their own.
    """
    from matplotlib import colormaps
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    kinds = [kind for kind in (True, False) if any(run.classifies is kind for run in compared)]
    figure = Figure(figsize=(11, 0.6 + 3.6 * len(kinds) + 0.22 * len(compared)), dpi=150, layout="constrained")
    FigureCanvasAgg(figure)
    all_axes = figure.subplots(len(kinds), 2, squeeze=False)
    colours = colormaps["tab10" if len(compared) <= 10 else "turbo"]
    for row, kind in zip(all_axes, kinds, strict=True):
        for k, run in enumerate(compared):
            if run.classifies is kind:
                colour = colours(k if len(compared) <= 10 else k / (len(compared) - 1))
                _draw(row, run, colour)
        _label(row, kind)
    _add_legend(figure, [line for row in all_axes for line in row[0].lines])
    figure.suptitle(f"{len(compared)} runs", fontsize=11, color=INK, x=0.01, ha="left")
    return figure


def _add_legend(figure: Figure, lines: Sequence[Line2D]) -> None:
    """Name all lines below the figure, also those whose name begins with "_": matplotlib leaves these out."""
    numbers = [str(k) for k in range(len(lines))]
    legend = figure.legend(lines, numbers, loc="outside lower left", frameon=False, fontsize=8)
    for text, line in zip(legend.get_texts(), lines, strict=True):
        text.set_text(str(line.get_label()))


def _draw(row: Sequence[Axes], run: ComparedRun, colour: object) -> None:
    epochs, measurements, values = run.curve()
    factor = 100 if run.classifies else 1e3
    rows = "validation" if run.epochs and run.epochs[-1].validation is not None else "training"
    shown = [factor * value for value in values]
    for axes, at in zip(row, (epochs, measurements), strict=True):
        axes.plot(
            at,
            shown,
            color=colour,
            linewidth=1.4,
            marker="o" if len(at) == 1 else None,
            label=f"{run.name} ({rows})",
        )


def _label(row: Sequence[Axes], classifies: bool) -> None:
    for axes, label in zip(row, ("epoch", "measured samples"), strict=True):
        axes.set_xlabel(label)
        axes.spines[["top", "right"]].set_visible(False)
        if not classifies and any(line.get_ydata().size for line in axes.lines):  # type: ignore[union-attr]
            set_log_scale(axes, "y")
    row[0].set_ylabel("accuracy, measured (%)" if classifies else "rms error, measured (mV)")
