"""The figures of a report: curves, values of the edges, drops, predicted against target."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from hwlearn.arrays import BoolArray, FloatArray
from hwlearn.circuit.kirchhoff import Kirchhoff
from hwlearn.circuit.topology import Topology
from hwlearn.errors import HwlearnError
from hwlearn.lab.figure_style import FAINT, INK
from hwlearn.lab.runs.contents import RunContents
from hwlearn.lab.runs.figures.conductance_map import draw_drops, draw_values, places_in_range
from hwlearn.lab.runs.figures.graph_layout import is_drawn_as_graph
from hwlearn.lab.runs.figures.run_figure import draw_costs, draw_scores
from hwlearn.lab.runs.html_report.bench_of_run import BenchOfRun
from hwlearn.lab.runs.html_report.svg import drawn_svg
from hwlearn.lab.runs.variables import ValuesOfRun
from hwlearn.lab.runs.views.failures import failed_edges
from hwlearn.learning.records import Epoch

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_MOST_SOLVED: Final = 64
"""Samples of which the drops are averaged."""
_MOST_NODES: Final = 20_000
"""Nodes up to which the circuit is solved for a report."""


@dataclass(frozen=True)
class Drawn:
    """A figure: the SVG element, its caption, and whether it takes the whole width."""

    svg: str
    caption: str
    is_wide: bool = False


def learning_curves(contents: RunContents, epochs: list[Epoch]) -> list[Drawn]:
    """Return the curves of the score and of the cost."""
    from matplotlib.ticker import MaxNLocator

    if not len(contents.batch_costs()):
        return []
    found = []
    classifies = not epochs or epochs[0].train.accuracy is not None
    if epochs:

        def scores(axes: Axes) -> None:
            draw_scores(axes, contents, epochs, classifies)
            axes.set_xlabel("epoch")
            axes.xaxis.set_major_locator(MaxNLocator(8, integer=True, min_n_ticks=1))
            _legend_above(axes)

        what = "accuracy" if classifies else "rms error"
        kinds = "Solid lines are measured" + (
            "; dotted lines are true values, which only the simulation knows."
            if any(contents.true_scores())
            else "."
        )
        text = f"{what} by epoch, from {_score(epochs[0], classifies)} to {_score(epochs[-1], classifies)}"
        found.append(
            Drawn(
                drawn_svg("score", "Learning curve", text, scores),
                f"Score by epoch. {kinds} Training samples are scored as they were measured before each update.",
            )
        )

    def costs(axes: Axes) -> None:
        draw_costs(axes, contents, epochs)
        for line in axes.lines:
            line.set_color(INK)

    text = f"cost of {len(contents.batch_costs())} batches in the order in which they were measured"
    caption = "Measured mean cost of each batch. Of many batches: median and extremes of equal groups."
    found.append(Drawn(drawn_svg("cost", "Cost of each batch", text, costs), caption))
    return found


def value_figures(
    contents: RunContents, topology: Topology, values: FloatArray, kinds: tuple[ValuesOfRun, ...]
) -> list[Drawn]:
    """Return a map of the values of the edges, and how they are distributed at the beginning and at the end."""
    names = " and ".join(f"{kind.parameter.name}s" for kind in kinds)
    text = f"map of the {names} of {topology.n_edges} edges at the end of the run"
    failed = failed_edges(contents)
    found = [
        Drawn(
            drawn_svg(
                "values", f"Map of {names}", text, lambda axes: draw_values(axes, topology, values, kinds, failed)
            ),
            f"Requested {names} of {topology.n_edges:,} edges at the end, {_kind_of_map(topology)}."
            f"{_crossed(failed)}",
        )
    ]
    initial = contents.constants("initial")

    def histogram(axes: Axes) -> None:
        edges = np.linspace(0, 1, 26)
        ends = [(values, "at the end", INK)]
        if initial:
            ends.insert(0, (np.asarray(initial["requested"], dtype=np.float64), "initial", FAINT))
        for numbers, label, colour in ends:
            place = np.clip(places_in_range(numbers, kinds), 0, 1)
            filled = label == "at the end"
            axes.hist(
                place,
                edges.tolist(),
                histtype="stepfilled" if filled else "step",
                color=colour,
                alpha=0.75 if filled else 1,
                linewidth=1.4,
                label=label,
            )
        axes.set_xlabel(_range_label(kinds))
        axes.set_ylabel("edges")
        axes.set_xlim(0, 1)
        if len(kinds) == 1:
            _label_range(axes, kinds[0])
        _legend_above(axes)

    text = f"histogram of the {names} of all edges over their range, initial and at the end"
    found.append(
        Drawn(
            drawn_svg("spread", f"Distribution of {names}", text, histogram),
            "How the edges use their range. Edges at an end of it can move in one direction only.",
        )
    )
    return found


def deviation_figure(contents: RunContents, kinds: tuple[ValuesOfRun, ...]) -> list[Drawn]:
    """Return a histogram of reached minus requested values of the last update; empty if all are equal."""
    last = next((arrays for _, arrays in contents.rows("updates", "ORDER BY step DESC LIMIT 1")), {})
    if "reached" not in last or len(kinds) != 1:
        return []
    requested, reached, parameter = last["requested"], last["reached"], kinds[0].parameter
    is_relative = parameter.scale == "log" and bool((requested > 0).all())
    numbers = 100 * (reached / requested - 1) if is_relative else reached - requested
    numbers = numbers[np.isfinite(numbers)]
    if not numbers.any():
        return []
    unit = "%" if is_relative else parameter.unit

    def draw(axes: Axes) -> None:
        axes.hist(numbers, 25, color=INK, alpha=0.75)
        axes.set_xlabel(f"reached minus requested {parameter.name} ({unit})")
        axes.set_ylabel("edges")

    text = f"histogram over {len(numbers)} edges, from {numbers.min():.3g} to {numbers.max():.3g} {unit}"
    caption = "How well the last update was programmed: values that the network reports against requested ones."
    return [Drawn(drawn_svg("deviation", "Programming of the last update", text, draw), caption)]


def drop_figure(
    contents: RunContents,
    bench: BenchOfRun | None,
    topology: Topology,
    values: FloatArray,
    kinds: tuple[ValuesOfRun, ...],
) -> Drawn | str:
    """Return the network with the root mean square drop of each edge, or why it cannot be drawn."""
    if bench is None:
        return "The drops are not drawn: the bench file of the run cannot be read here."
    if bench.data is None:
        return f"The drops are not drawn: {bench.missing}."
    if topology.n_nodes > _MOST_NODES:
        return f"The drops are not drawn: the network has {topology.n_nodes:,} nodes."
    train = bench.data.train
    rows = train[np.linspace(0, len(train) - 1, min(_MOST_SOLVED, len(train))).astype(int)]
    try:
        model = Kirchhoff(bench.topology, values)
        drops = model.drops(model.solve(bench.data.inputs[rows]))[:, : topology.n_edges]
    except HwlearnError as error:
        return f"The drops are not drawn: {error}."
    size = np.sqrt(np.mean(drops**2, axis=0))
    is_graph = is_drawn_as_graph(topology)
    wider = "a higher place in its range" if len(kinds) > 1 else f"a higher {kinds[0].parameter.name}"
    width = f" A wider line: {wider}." if is_graph else ""
    most, failed = int(size.argmax()), failed_edges(contents)
    text = (
        f"network of {topology.n_nodes} nodes and {topology.n_edges} edges; the largest drop, "
        f"{1e3 * size[most]:.3g} mV, is that of edge {most}"
    )

    def draw(axes: Axes) -> None:
        draw_drops(axes, topology, size, values, kinds, failed)

    return Drawn(
        drawn_svg("network", "Network with its drops", text, draw, (6.4, 4.6) if is_graph else (4.7, 3.5)),
        f"Root mean square drop across each edge over {len(rows)} training samples in the free phase, computed by "
        f"the circuit model with the requested values.{width}{_crossed(failed)}",
        is_graph,
    )


def _crossed(failed: BoolArray | None) -> str:
    count = 0 if failed is None else int(failed.sum())
    return f" Edges that missed their targets are crossed: {count:,}." if count else ""


def _kind_of_map(topology: Topology) -> str:
    if topology.crossbar_size is not None:
        return f"a crossbar of {topology.crossbar_size[0]} x {topology.crossbar_size[1]}"
    return "as nodes and edges" if is_drawn_as_graph(topology) else "as a map"


def _range_label(kinds: tuple[ValuesOfRun, ...]) -> str:
    if len(kinds) > 1:
        return "place in the range of each kind"
    parameter = kinds[0].parameter
    return "conductance (µS)" if parameter.unit == "S" else f"{parameter.name} ({parameter.unit})"


def _label_range(axes: Axes, kind: ValuesOfRun) -> None:
    """Label places in a range with values."""
    parameter = kind.parameter
    low, high = parameter.low, parameter.high
    factor = 1e6 if parameter.unit == "S" else 1.0
    places = np.linspace(0, 1, 5)
    is_log = parameter.scale == "log"
    numbers = low * (high / low) ** places if is_log else low + (high - low) * places
    axes.set_xticks(places.tolist(), [f"{factor * number:.3g}" for number in numbers])


def _legend_above(axes: Axes) -> None:
    axes.legend(
        frameon=False,
        fontsize=8,
        ncols=2,
        handlelength=1.6,
        columnspacing=1.2,
        loc="lower left",
        bbox_to_anchor=(-0.02, 1.0),
        borderaxespad=0.2,
    )


def _score(epoch: Epoch, classifies: bool) -> str:
    score = epoch.validation or epoch.train
    if classifies:
        return f"{100 * (score.accuracy or 0):.1f} %"
    return f"{1e3 * (score.rms_error_V or 0):.3g} mV"
