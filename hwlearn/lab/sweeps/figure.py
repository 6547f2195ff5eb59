"""The figure of a sweep: a score along one or two axes of its grid."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from hwlearn.arrays import FloatArray
from hwlearn.errors import RunError, closest
from hwlearn.lab.figure_style import FAINT, INK, SECOND, THIRD, set_log_scale
from hwlearn.lab.sweeps.columns import table_columns
from hwlearn.lab.sweeps.table import PointRow
from hwlearn.lab.sweeps.trained_point import SEED

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PREFERRED: Final = ("accuracy", "rms_error_V", "cost")

_COLOURS: Final = (INK, SECOND, THIRD, "#e9a23b", "#7b5ea7", FAINT)
_LABELS: Final = {"rms_error_V": "rms error in V", "true_rms_error_V": "true rms error in V"}
_MOST_NAMED: Final = 12
"""Values of an axis that an error names."""
_FEW: Final = 3
"""With so many values, the second axis is a line for each; with more on both axes, it is a map."""


def sweep_figure(
    rows: Sequence[PointRow],
    axes: Mapping[str, Sequence[Any]],
    title: str,
    score: str | None = None,
    where: Mapping[str, Any] | None = None,
) -> Figure:
    """Return a figure of a score: a line for one axis of more than one value, lines or a map for two.

    Parameters
    ----------
    rows : sequence of PointRow
    axes : mapping of str to sequence
        Values of the grid by key, the seed left out.
    title : str
    score : str, optional
        A column of numbers. Default: the measured accuracy, else the rms error, else the cost.
    where : mapping of str to value, optional
        Only points with these values.

    Raises
    ------
    RunError
        If no point is finished, there is no such score, or more than two axes are left.
    """
    rows, axes = _selected(rows, axes, where or {})
    finished = [row for row in rows if row.status == "finished"]
    if not finished:
        raise RunError("no point of the sweep is finished, so there is nothing to draw")
    columns = table_columns(finished)
    name = _score(columns, score)
    label = _text(_LABELS.get(name, name))
    drawn = [key for key, values in axes.items() if len(values) > 1] or list(axes)[:1]
    if len(drawn) > 2:
        raise RunError(
            f"the grid has {len(drawn)} axes ({', '.join(drawn)}); a figure has two: fix the others, for example "
            f"plot(where={{{drawn[2]!r}: {axes[drawn[2]][0]!r}}})"
        )
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 4.2), dpi=130, layout="constrained")
    FigureCanvasAgg(figure)
    panel = figure.subplots()
    values = np.array([np.nan if value is None else value for value in columns[name]], dtype=np.float64)
    drawn.sort(key=lambda key: (not _is_numeric(axes[key]), -len(axes[key])))
    if not drawn:
        _draw_seeds(panel, finished, values)
    elif len(drawn) == 2 and len(axes[drawn[1]]) > _FEW:
        _draw_map(panel, finished, values, axes, drawn, label)
    else:
        _draw_lines(panel, finished, values, axes, drawn)
    if not (len(drawn) == 2 and len(axes[drawn[1]]) > _FEW):
        panel.set_ylabel(label)
        panel.spines[["top", "right"]].set_visible(False)
    panel.set_title(_text(title), fontsize=10)
    return figure


def _selected(
    rows: Sequence[PointRow], axes: Mapping[str, Sequence[Any]], where: Mapping[str, Any]
) -> tuple[list[PointRow], dict[str, Sequence[Any]]]:
    seeds = list(dict.fromkeys(row.point[SEED] for row in rows if SEED in row.point))
    known = {**axes, SEED: seeds} if seeds else axes
    for key, value in where.items():
        if key not in known:
            raise RunError(
                f"the sweep has no axis {key!r}{closest(key, list(known))}; its axes are: {', '.join(known)}"
            )
        if value not in known[key]:
            values = ", ".join(str(other) for other in known[key][:_MOST_NAMED])
            more = ", ..." if len(known[key]) > _MOST_NAMED else ""
            raise RunError(f"no point of the sweep has {key} = {value!r}; its values are: {values}{more}")
    left = {key: values for key, values in axes.items() if key not in where}
    chosen = [row for row in rows if all(row.point.get(key) == value for key, value in where.items())]
    return chosen, left


def _score(columns: Mapping[str, Sequence[Any]], score: str | None) -> str:
    numbers = [name for name, values in columns.items() if _is_numeric([v for v in values if v is not None])]
    if score is None:
        score = next((name for name in PREFERRED if name in numbers), None)
        if score is None:
            raise RunError(f"choose what to draw; the numbers are: {', '.join(numbers)}")
    if score not in numbers:
        raise RunError(
            f"the sweep has no numbers {score!r}{closest(score, numbers)}; it has: {', '.join(numbers)}"
        )
    return score


def _draw_lines(
    panel: Axes,
    rows: Sequence[PointRow],
    values: FloatArray,
    axes: Mapping[str, Sequence[Any]],
    drawn: Sequence[str],
) -> None:
    """Draw the mean over the seeds as a line, and each point as a dot."""
    key, second = drawn[0], drawn[1] if len(drawn) > 1 else None
    at, numeric = _positions(axes[key])
    for k, value in enumerate([None] if second is None else axes[second]):
        colour = _COLOURS[k % len(_COLOURS)]
        of_line = [second is None or row.point[second] == value for row in rows]
        x = np.array([at[list(axes[key]).index(row.point[key])] for row in rows])[of_line]
        y = values[of_line]
        panel.plot(x, y, ".", color=colour, alpha=0.35, markersize=5, markeredgewidth=0)
        places = [place for place in at if (x == place).any()]
        means = [float(np.mean(y[x == place])) for place in places]
        label = None if second is None else f"{_text(second)} = {_text(value)}"
        panel.plot(places, means, "o-", color=colour, markersize=4, linewidth=1.5, label=label)
    panel.set_xlabel(_text(key))
    if not numeric:
        panel.set_xticks(at, [_text(value) for value in axes[key]])
    elif _is_geometric(at):
        set_log_scale(panel, "x")
    if second is not None:
        panel.legend(frameon=False, fontsize=8)


def _draw_map(
    panel: Axes,
    rows: Sequence[PointRow],
    values: FloatArray,
    axes: Mapping[str, Sequence[Any]],
    drawn: Sequence[str],
    label: str,
) -> None:
    """Draw the mean over the seeds as a colour for each pair of values."""
    x, y = (list(axes[key]) for key in drawn)
    sums, counts = np.zeros((len(y), len(x))), np.zeros((len(y), len(x)))
    for row, value in zip(rows, values, strict=True):
        if np.isfinite(value):
            place = y.index(row.point[drawn[1]]), x.index(row.point[drawn[0]])
            sums[place] += value
            counts[place] += 1
    with np.errstate(invalid="ignore"):
        means = np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)
    picture = panel.imshow(means, origin="lower", aspect="auto", cmap="viridis")
    panel.set_xticks(range(len(x)), [_text(value) for value in x], rotation=0 if len(x) <= 8 else 90)
    panel.set_yticks(range(len(y)), [_text(value) for value in y])
    panel.set(xlabel=_text(drawn[0]), ylabel=_text(drawn[1]))
    panel.get_figure(root=True).colorbar(picture, ax=panel, label=label)  # type: ignore[union-attr]


def _draw_seeds(panel: Axes, rows: Sequence[PointRow], values: FloatArray) -> None:
    """Draw a dot for each seed of a sweep without a grid."""
    panel.plot([row.point.get("seed", row.number) for row in rows], values, "o", color=INK, markersize=4)
    panel.set_xlabel("seed")


def _positions(values: Sequence[Any]) -> tuple[list[float], bool]:
    if _is_numeric(values):
        return [float(value) for value in values], True
    return [float(k) for k in range(len(values))], False


def _is_numeric(values: Sequence[Any]) -> bool:
    return bool(values) and all(isinstance(v, int | float) and not isinstance(v, bool) for v in values)


def _is_geometric(values: Sequence[float]) -> bool:
    """Return whether at least three values have about equal ratios, and not equal steps."""
    at = np.sort(np.array(values, dtype=np.float64))
    if len(at) < 3 or not (at > 0).all():
        return False
    ratios, steps = np.diff(np.log(at)), np.diff(at)
    return bool(np.ptp(ratios) < 0.2 * ratios.mean() and np.ptp(steps) > 0.2 * steps.mean())


def _text(value: Any) -> str:
    """Return a value, or a name of the user, as text that matplotlib does not read as a formula."""
    return f"{value:.4g}" if isinstance(value, float) else str(value).replace("$", r"\$")
