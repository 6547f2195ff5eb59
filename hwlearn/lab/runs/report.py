"""Pictures of a run: learning curve and conductance map."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hwlearn.arrays import FloatArray
from hwlearn.circuit.topology import Topology
from hwlearn.lab.figure_style import FAINT, INK, SECOND, THIRD
from hwlearn.lab.runs.store import Run
from hwlearn.learning.records import Score

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def draw_run(run: Run, path: Path | None = None) -> Path:
    """Draw a run's learning curve and its conductances into a PNG and return where it lies.

    Parameters
    ----------
    run : Run
    path : Path, optional
        ``report.png`` in the run's folder unless given.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    path = run.folder / "report.png" if path is None else path
    bench = run.bench()
    figure = Figure(figsize=(11, 4.2), dpi=150, layout="constrained")
    FigureCanvasAgg(figure)
    curve, conductances = figure.subplots(1, 2, width_ratios=[1.1, 1])
    draw_learning_curve(curve, run)
    low, high = bench.limits.conductance
    draw_conductances(conductances, bench.topology, run.conductances(), (low, high))
    figure.suptitle(_title(run), fontsize=11, color=INK, x=0.01, ha="left")
    figure.savefig(path)
    return path


def draw_learning_curve(axes: Axes, run: Run) -> None:
    """Draw the cost of each batch, and accuracy or rms error of each epoch."""
    costs = run.batch_costs()
    epochs = run.epochs()
    per_epoch = max(1, len(costs) // max(1, len(epochs)))
    at = (np.arange(len(costs)) + 1) / per_epoch
    axes.plot(at, np.maximum(costs, 1e-300), color=FAINT, linewidth=0.8, label="cost of each batch")
    axes.set_yscale("log")
    axes.set_xlabel("epoch")
    axes.set_ylabel("cost (V²)" if epochs and epochs[0].train.accuracy is None else "cost", color="#5b6770")
    axes.spines["top"].set_visible(False)
    if epochs:
        other = axes.twinx()
        other.spines["top"].set_visible(False)
        number = [epoch.number + 1 for epoch in epochs]
        figure, label = _figure_of(epochs[0].train)
        for name, called, colour in (("train", "training", INK), ("validation", "validation", SECOND)):
            seen = [(n, score) for n, e in zip(number, epochs, strict=True) if (score := getattr(e, name))]
            _draw_scores(other, seen, figure, f"{called}, measured", colour)
        for name, called, colour in (
            ("train", "training", INK),
            ("validation", "validation", SECOND),
            ("test", "test", THIRD),
        ):
            known = [
                (n, scores[name]) for n, scores in zip(number, run.true_scores(), strict=True) if name in scores
            ]
            _draw_scores(other, known, figure, f"{called}, true", colour, linestyle=":")
        _mark_result(other, run, number[-1], figure)
        other.set_ylabel(label, color=INK)
        if epochs[0].train.accuracy is None:
            other.set_yscale("log")
        handles = [pair for axis in (other, axes) for pair in zip(*axis.get_legend_handles_labels(), strict=True)]
        other.legend(
            *zip(*handles, strict=True),
            frameon=False,
            fontsize=8,
            ncols=3,
            loc="lower left",
            bbox_to_anchor=(0, 1.0),
        )


def draw_conductances(
    axes: Axes, topology: Topology, conductances: FloatArray, limits: tuple[float, float]
) -> None:
    """Draw a crossbar as a matrix, any other graph as nodes and edges coloured by conductance."""
    from matplotlib import colormaps
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import LogNorm

    low, high = limits
    norm, colours = LogNorm(low * 1e6, high * 1e6), colormaps["viridis"]
    shape = crossbar_shape(topology)
    if shape is not None:
        axes.imshow(conductances.reshape(shape) * 1e6, norm=norm, cmap=colours, aspect="auto")
        axes.set_xlabel("column")
        axes.set_ylabel("row")
    else:
        at = _layout(topology)
        edges = colours(norm(conductances * 1e6))
        for (a, b), colour in zip(topology.edges, edges, strict=True):
            axes.plot(*at[[a, b]].T, color=colour, linewidth=1.8, zorder=1)
        for nodes, colour, name in (
            (np.arange(topology.n_nodes), "#d7dce1", None),
            (topology.driven, INK, "driven"),
            (topology.outputs, SECOND, "read"),
        ):
            x, y = at[nodes].T
            axes.scatter(x, y, s=46, color=colour, edgecolor="white", zorder=2, label=name)
        axes.legend(frameon=False, fontsize=8, loc="upper left", bbox_to_anchor=(0, 0.02), ncols=2)
        axes.set_axis_off()
    axes.figure.colorbar(ScalarMappable(norm, colours), ax=axes, label="conductance asked (µS)")


def crossbar_shape(topology: Topology) -> tuple[int, int] | None:
    """Return (rows, columns) if the edges are those of a crossbar in order, else None."""
    rows = int(topology.edges[-1, 0]) + 1
    columns = topology.n_nodes - rows
    if rows < 1 or columns < 1 or rows * columns != topology.n_edges:
        return None
    row, column = np.divmod(np.arange(topology.n_edges), columns)
    same = (topology.edges == np.stack([row, rows + column], axis=1)).all()
    return (rows, columns) if same else None


def _layout(topology: Topology) -> FloatArray:
    """Return places (N, 2) for the nodes: spectral coordinates, then a few spring steps to spread them."""
    n = topology.n_nodes
    a, b = topology.all_edges.T
    laplacian = np.zeros((n, n))
    np.add.at(laplacian, (a, a), 1.0)
    np.add.at(laplacian, (b, b), 1.0)
    np.add.at(laplacian, (a, b), -1.0)
    np.add.at(laplacian, (b, a), -1.0)
    place = np.linalg.eigh(laplacian)[1][:, 1:3]
    if place.shape[1] < 2:
        place = np.stack([np.arange(n), np.zeros(n)], axis=1)
    place = place / np.abs(place).max() + 0.01 * np.random.default_rng(0).standard_normal((n, 2))
    joined = (laplacian < 0).astype(float)
    k = 1.0 / np.sqrt(n)
    for heat in np.linspace(0.1, 0.005, 120):
        apart = place[:, None] - place[None]
        far = np.maximum(np.linalg.norm(apart, axis=2), 1e-3)
        push = (apart * (k**2 / far**2 - joined * far / k)[:, :, None]).sum(axis=1)
        length = np.maximum(np.linalg.norm(push, axis=1, keepdims=True), 1e-9)
        place = place + push / length * np.minimum(length, heat)
    return np.asarray(place)


def _figure_of(score: Score) -> tuple[Any, str]:
    if score.accuracy is not None:
        return lambda s: 100 * s.accuracy, "accuracy (%)"
    return lambda s: 1e3 * s.rms_error_V, "rms error (mV)"


def _draw_scores(
    axes: Axes, points: Sequence[tuple[int, Score]], figure: Any, label: str, colour: str, linestyle: str = "-"
) -> None:
    if points:
        at, scores = zip(*points, strict=True)
        axes.plot(at, [figure(score) for score in scores], linestyle, color=colour, linewidth=1.6, label=label)


def _mark_result(axes: Axes, run: Run, epoch: int, figure: Any) -> None:
    """Mark the closing measurement of the test rows (or of the training rows, if none are held out)."""
    result = run.meta("result")
    if result is not None:
        name, colour = ("test", THIRD) if result["held_out"] else ("training", INK)
        value = figure(Score(**result["measured"]))
        axes.scatter(
            [epoch], [value], color=colour, edgecolor="white", zorder=3, s=44, label=f"{name} at the end, measured"
        )


def _title(run: Run) -> str:
    parts = [f"{run.meta('bench')} on {run.meta('backend')}", f"seed {run.meta('seed')}", f"run {run.name}"]
    if run.meta("status") != "finished":
        parts.append(str(run.meta("status")))
    return "   ·   ".join(parts)
