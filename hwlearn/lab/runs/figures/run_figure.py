"""The figure of a run: its learning curve and the values of its edges."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from hwlearn.circuit.topology import Topology
from hwlearn.lab.bench_file.file import load_bench_file
from hwlearn.lab.data.scaling import OutputScale
from hwlearn.lab.figure_style import FAINT, INK, SECOND, THIRD, literal_text, set_log_scale
from hwlearn.lab.runs.contents import RunContents
from hwlearn.lab.runs.figures.conductance_map import draw_values
from hwlearn.lab.runs.reading import reported_damage
from hwlearn.lab.runs.variables import ValuesOfRun, stored_values, value_facts
from hwlearn.lab.runs.views.failures import failed_edges
from hwlearn.learning.records import Epoch
from hwlearn.learning.scoring import Score

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_ROWS = {"train": ("training", INK), "validation": ("validation", SECOND), "test": ("test", THIRD)}

_MOST_POINTS = 1500
"""Points of a curve; more are not visible, and make a figure large."""


@literal_text()
def run_figure(contents: RunContents) -> Figure:
    """Return a figure of a run with its learning curve and the values of its edges.

    Raises
    ------
    RunError
        If the run is damaged.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 4.4), dpi=150, layout="constrained")
    FigureCanvasAgg(figure)
    curve, values = figure.subplots(1, 2, width_ratios=[1.1, 1])
    contents.verify()
    draw_learning_curve(curve, contents)
    topology, kinds = graph_of_run(contents)
    draw_values(values, topology, contents.values(), kinds, failed_edges(contents))
    figure.suptitle(_title(contents), fontsize=11, color=INK, x=0.01, ha="left")
    return figure


def graph_of_run(contents: RunContents) -> tuple[Topology, Sequence[ValuesOfRun]]:
    """Return the graph of a run, and what the values of its edges are."""
    graph = contents.constants("topology")
    if graph is None:  # format 1
        file = load_bench_file(contents.folder / "bench.toml")
        topology, limits = file.topology(), file.limits.build()
        return topology, stored_values({"values": value_facts(topology, limits)})
    with reported_damage(contents.folder):
        topology = Topology(
            contents.facts["nodes"],
            graph["edges"],
            graph["inputs"],
            graph["output_nodes"],
            contents.facts["ground"],
            names=contents.facts["node_names"],
            fixed_edges=graph["fixed_edges"],
            fixed_conductances=graph["fixed_conductances"],
        )
    return topology, contents.kinds_of_values()


def draw_learning_curve(axes: Axes, run: RunContents) -> None:
    """Draw the cost of each batch, and the accuracy or the rms error of each epoch."""
    epochs = run.epochs()
    classifies = draw_costs(axes, run, epochs)
    axes.spines["top"].set_visible(False)
    both = [axes]
    if epochs:
        other = axes.twinx()
        other.spines["top"].set_visible(False)
        draw_scores(other, run, epochs, classifies)
        both = [other, axes]
    handles = [pair for one in both for pair in zip(*one.get_legend_handles_labels(), strict=True)]
    both[0].legend(
        *zip(*handles, strict=True),
        frameon=False,
        fontsize=8,
        ncols=3,
        handlelength=1.6,
        columnspacing=1.2,
        loc="lower left",
        bbox_to_anchor=(-0.1, 1.0),
    )


def draw_costs(axes: Axes, run: RunContents, epochs: Sequence[Epoch]) -> bool:
    """Draw the cost of each batch, and return whether the run learns classes.

    Of very many batches, the line has their median and the area their extremes, in groups of equal size.
    """
    from matplotlib.ticker import MaxNLocator

    costs = run.batch_costs()
    per_epoch = max(1, len(costs) // max(1, len(epochs)))
    classifies = not epochs or epochs[0].train.accuracy is not None
    shown = np.where(costs > 0, costs, np.nan)  # a logarithmic axis has no place for 0
    size = -(-len(shown) // _MOST_POINTS) or 1
    if size > 1:
        groups = np.full(-(-len(shown) // size) * size, np.nan)
        groups[: len(shown)] = shown
        rows = groups.reshape(-1, size)
        known = ~np.isnan(rows).all(axis=1)
        at, rows = (np.flatnonzero(known) + 1) * size / per_epoch, rows[known]
        ends = np.nanmin(rows, axis=1), np.nanmax(rows, axis=1)
        axes.fill_between(at, *ends, color=FAINT, alpha=0.3, linewidth=0)
        shown = np.nanmedian(rows, axis=1)
    else:
        at = (np.arange(len(shown)) + 1) / per_epoch
    alone = "o" if len(shown) == 1 else None  # a line of one point is invisible
    axes.plot(at, shown, color=FAINT, linewidth=0.8, marker=alone, markersize=3, label="cost of each batch")
    if np.isfinite(shown).any():
        set_log_scale(axes, "y")
    else:
        axes.set_yticks([])
    axes.set_xlabel("epoch")
    axes.set_ylabel("cost" if classifies else "cost (V²)", color="#5b6770")
    axes.xaxis.set_major_locator(MaxNLocator(8, integer=True, min_n_ticks=1))
    return classifies


def draw_scores(axes: Axes, run: RunContents, epochs: Sequence[Epoch], classifies: bool) -> None:
    """Draw the accuracy or the rms error of each epoch: measured and, of a simulation, true."""
    scale = OutputScale.from_facts(run.meta("target_scale"))
    value = _accuracy if classifies else partial(_rms_error, scale)
    all_true = run.true_scores()
    step = -(-len(epochs) // _MOST_POINTS)
    chosen = sorted({*range(0, len(epochs), step), len(epochs) - 1})
    number = [epochs[k].number + 1 for k in chosen]
    for name in ("train", "validation"):
        scores = [getattr(epochs[k], name) for k in chosen]
        measured = [(n, score) for n, score in zip(number, scores, strict=True) if score]
        _draw_scores(axes, measured, value, name, "measured")
    true = [(n, all_true[k]) for n, k in zip(number, chosen, strict=True)]
    for name in _ROWS:
        _draw_scores(axes, [(n, known[name]) for n, known in true if name in known], value, name, "true")
    _mark_result(axes, run, number[-1], value)
    unit = "mV" if scale is None else scale.unit or "in units of the targets"
    of = "" if run.meta("output_pairs") is None else " of differences"
    axes.set_ylabel("accuracy (%)" if classifies else f"rms error{of} ({unit})", color=INK)
    if not classifies:
        set_log_scale(axes, "y")


def _accuracy(score: Score) -> float:
    return 100 * (np.nan if score.accuracy is None else score.accuracy)


def _rms_error(scale: OutputScale | None, score: Score) -> float:
    """Return the rms error in mV, or in the user's own unit."""
    volts = np.nan if score.rms_error_V is None else score.rms_error_V
    return 1e3 * volts if scale is None else scale.error(volts)


def _draw_scores(
    axes: Axes, points: Sequence[tuple[int, Score]], value: Callable[[Score], float], rows: str, how: str
) -> None:
    if points:
        name, colour = _ROWS[rows]
        at, scores = zip(*points, strict=True)
        axes.plot(
            at,
            [value(score) for score in scores],
            "-" if how == "measured" else ":",
            color=colour,
            linewidth=1.6,
            marker="o" if len(points) == 1 else None,
            markersize=4,
            label=f"{name}, {how}",
        )


def _mark_result(axes: Axes, run: RunContents, epoch: int, value: Callable[[Score], float]) -> None:
    """Mark the final measurement of the test rows (of the training rows, if none are held out)."""
    result = run.meta("result")
    if result is not None:
        name, colour = _ROWS["test" if result["held_out"] else "train"]
        axes.scatter(
            [epoch],
            [value(Score(**result["measured"]))],
            color=colour,
            edgecolor="white",
            zorder=3,
            s=44,
            label=f"{name}, final measurement",
        )


def _title(contents: RunContents) -> str:
    facts, name = contents.facts, contents.folder.resolve().name
    parts = [f"{facts.get('bench')} on {facts.get('backend')}", f"seed {facts.get('seed')}", f"run {name}"]
    if contents.meta("dry_run"):
        parts.append("DRY RUN: no measurements")
    if contents.meta("status") != "finished":
        parts.append(contents.status().removeprefix("dry run, "))
    return "   ·   ".join(parts)
