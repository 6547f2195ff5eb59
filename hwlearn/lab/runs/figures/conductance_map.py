"""The values of the edges of a network as a figure: heat maps for arrays, nodes and edges for small graphs."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np

from hwlearn.arrays import BoolArray, FloatArray, IntArray
from hwlearn.circuit.topology import Topology
from hwlearn.lab.figure_style import FAILED, FAINT, INK, SECOND, log_ticks, plain_number
from hwlearn.lab.runs.figures.graph_layout import MOST_EDGES, MOST_NODES, graph_places, grid_shape, layer_sizes
from hwlearn.lab.runs.variables import ValuesOfRun

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_SPREAD: Final = 0.09  # offset of parallel edges, in units of their length
_FLOATING: Final = "#d7dce1"


def draw_values(
    axes: Axes,
    topology: Topology,
    values: FloatArray,
    kinds: Sequence[ValuesOfRun],
    failed: BoolArray | None = None,
) -> None:
    """Draw the value of each edge as a colour.

    Crossbars, grids and large layers become heat maps with row and column numbers, other large graphs a matrix of
    node by node, and small graphs nodes and edges. Of a mixed network, the place of each value in its range is
    drawn.

    Parameters
    ----------
    axes : Axes
    topology : Topology
    values : ndarray, shape (E,)
        In edge order, in the unit of each kind.
    kinds : sequence of ValuesOfRun
    failed : ndarray of bool, shape (E,), optional
        Edges that are crossed.
    """
    if len(kinds) > 1:
        place = places_in_range(values, kinds)
        names = " or ".join(kind.parameter.name for kind in kinds)
        label = f"place of the requested {names} in its range"
        _draw_coloured(axes, topology, place, (0.0, 1.0), label, False, failed)
        return
    parameter = kinds[0].parameter
    if parameter.unit == "S":
        draw_conductances(axes, topology, values, (parameter.low, parameter.high), failed)
        return
    label, is_log = f"requested {kinds[0].label}", parameter.scale == "log"
    _draw_coloured(axes, topology, values, (parameter.low, parameter.high), label, is_log, failed)


def draw_conductances(
    axes: Axes,
    topology: Topology,
    conductances: FloatArray,
    limits: tuple[float, float],
    failed: BoolArray | None = None,
) -> None:
    """Draw each conductance (E,) in siemens as a colour between limits in siemens; see `draw_values`."""
    low, high = limits
    numbers = np.asarray(conductances) * 1e6
    _draw_coloured(axes, topology, numbers, (1e6 * low, 1e6 * high), "requested conductance (µS)", True, failed)


def draw_drops(
    axes: Axes,
    topology: Topology,
    drops: FloatArray,
    values: FloatArray,
    kinds: Sequence[ValuesOfRun],
    failed: BoolArray | None = None,
) -> None:
    """Draw the drop across each edge as a colour; in graphs of nodes and edges, wider edges conduct better.

    Parameters
    ----------
    axes : Axes
    topology, values, kinds, failed
        As `draw_values` takes them.
    drops : ndarray, shape (E,)
        Volts, not negative.
    """
    place = places_in_range(values, kinds)
    low, high = (float(place.min()), float(place.max())) if len(place) else (0.0, 0.0)
    widths = 0.8 + 4.2 * (place - low) / (high - low) if high > low else np.full(len(place), 2.0)
    most = float(drops.max()) * 1e3 if len(drops) else 0.0
    label = "root mean square drop (mV)"
    _draw_coloured(axes, topology, drops * 1e3, (0.0, most or 1.0), label, False, failed, "plasma", widths)


def places_in_range(values: FloatArray, kinds: Sequence[ValuesOfRun]) -> FloatArray:
    """Return the place (E,) of each value in the range of its kind: 0 is its low end and 1 its high end."""
    place = np.zeros(len(values))
    for kind in kinds:
        low, high = kind.parameter.low, kind.parameter.high
        edges = slice(None) if kind.edges is None else kind.edges
        some = values[edges]
        is_log = kind.parameter.scale == "log"
        place[edges] = np.log(some / low) / np.log(high / low) if is_log else (some - low) / (high - low)
    return place


def _draw_coloured(
    axes: Axes,
    topology: Topology,
    numbers: FloatArray,
    ends: tuple[float, float],
    label: str,
    is_log: bool,
    failed: BoolArray | None = None,
    colour_map: str = "viridis",
    widths: FloatArray | None = None,
) -> None:
    """Draw numbers (E,) as colours between two ends, in graphs of nodes and edges with these widths of lines."""
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import LogNorm, Normalize

    low, high = ends
    colours = ScalarMappable(LogNorm(low, high) if is_log else Normalize(low, high), colour_map)
    crossbar, grid, sizes = topology.crossbar_size, grid_shape(topology), layer_sizes(topology)
    if crossbar is not None:
        middles = _draw_crossbar(axes, topology, numbers.reshape(crossbar), colours)
    elif grid is not None:
        middles = _draw_grid(axes, topology, numbers, grid, colours)
    elif sizes is not None and topology.n_edges > MOST_EDGES:
        middles = _draw_layers(axes, sizes, numbers, colours)
    elif topology.n_nodes > MOST_NODES or topology.n_edges > MOST_EDGES:
        middles = _draw_matrix(axes, topology, numbers, colours)
    else:
        middles = _draw_graph(axes, topology, numbers, graph_places(topology), colours, widths)
    if failed is not None:
        for part, edges, places in middles:
            _cross(part, places[failed[edges]])
    bar = axes.figure.colorbar(colours, ax=axes, label=label)
    if is_log:
        ticks = log_ticks(low, high)
        bar.set_ticks(ticks.tolist(), labels=[plain_number(tick) for tick in ticks])
        bar.ax.minorticks_off()


_Middles = list[tuple["Axes", slice, FloatArray]]
"""Axes, the edges that are drawn on them, and the middle (E, 2) of each."""


def _cross(axes: Axes, places: FloatArray) -> None:
    """Put a cross on each place."""
    size = max(6.0, min(60.0, 4e3 / (1 + len(places))))
    x, y = places.T
    axes.scatter(x, y, s=size, marker="X", color=FAILED, edgecolor="white", linewidths=0.6, zorder=4)


def _image_middles(rows: int, columns: int, right: float = 0.0, down: float = 0.0) -> FloatArray:
    """Return the middle (E, 2) of each cell of an image, row by row, moved to the right and down."""
    row, column = np.divmod(np.arange(rows * columns), columns)
    return np.stack([column + right, row + down], axis=1)


def _draw_crossbar(axes: Axes, topology: Topology, numbers: FloatArray, colours: Any) -> _Middles:
    rows = len(numbers)
    axes.imshow(numbers, norm=colours.norm, cmap=colours.cmap, aspect="auto", interpolation="none")
    axes.set_xlabel(f"column   (read: {_ranges(topology.outputs - rows)})")
    axes.set_ylabel(f"row   (driven: {_ranges(topology.driven)})")
    _whole_numbers(axes)
    return [(axes, slice(None), _image_middles(*numbers.shape))]


def _draw_grid(
    axes: Axes, topology: Topology, numbers: FloatArray, shape: tuple[int, int], colours: Any
) -> _Middles:
    """Draw a lattice as an image: nodes at even rows and columns, each edge between its two nodes."""
    rows, columns = shape
    image = np.full((2 * rows - 1, 2 * columns - 1), np.nan)
    rightward = rows * (columns - 1)
    image[::2, 1::2] = numbers[:rightward].reshape(rows, columns - 1)
    image[1::2, ::2] = numbers[rightward:].reshape(rows - 1, columns)
    ends = (-0.25, columns - 0.75, rows - 0.75, -0.25)  # a node lies at its own row and column number
    axes.imshow(image, norm=colours.norm, cmap=colours.cmap, extent=ends, aspect="auto", interpolation="none")
    size = min(40.0, 4000.0 / max(shape) ** 2)
    for nodes, colour, label in _roles(topology):
        row, column = np.divmod(nodes, columns)
        axes.scatter(column, row, s=size, color=colour, label=label)
    axes.set_xlabel("column of the node")
    axes.set_ylabel("row of the node")
    _legend(axes, "lower left", 1.02)
    _whole_numbers(axes)
    level, upright = _image_middles(rows, columns - 1, right=0.5), _image_middles(rows - 1, columns, down=0.5)
    return [(axes, slice(None), np.concatenate([level, upright]))]


def _draw_layers(axes: Axes, sizes: Sequence[int], numbers: FloatArray, colours: Any) -> _Middles:
    """Draw a heat map for each pair of layers, side by side."""
    pairs = list(pairwise(sizes))
    labelled = len(pairs) <= 3  # more would leave no space for the rows of each
    gap = 0.16 if labelled else 0.3 / len(pairs)
    weights = np.sqrt([float(after) for _, after in pairs])
    widths = (1 - gap * (len(pairs) - 1)) * weights / weights.sum()
    left, start = 0.0, 0
    middles: _Middles = []
    axes.set_axis_off()
    for k, ((rows, columns), width) in enumerate(zip(pairs, widths, strict=True)):
        part = axes.inset_axes((left, 0, float(width), 1))
        edges = slice(start, start + rows * columns)
        middles.append((part, edges, _image_middles(rows, columns)))
        cells = numbers[edges].reshape(rows, columns)
        part.imshow(cells, norm=colours.norm, cmap=colours.cmap, aspect="auto", interpolation="none")
        part.set_xlabel(f"layer {k + 1}")
        _whole_numbers(part, most_columns=3 if width < 0.3 else 6)
        if labelled or k == 0:
            part.set_ylabel(f"layer {k}", labelpad=1)
        else:
            part.set_yticks([])
        left, start = left + float(width) + gap, start + rows * columns
    return middles


def _draw_matrix(axes: Axes, topology: Topology, numbers: FloatArray, colours: Any) -> _Middles:
    """Draw a large graph as a matrix of node by node, which is symmetric."""
    a, b = topology.edges.T
    nodes = topology.n_nodes
    size = max(2.5, min(60.0, (190.0 / nodes) ** 2))
    axes.scatter(
        np.concatenate([a, b]),
        np.concatenate([b, a]),
        s=size,
        c=np.concatenate([numbers, numbers]),
        norm=colours.norm,
        cmap=colours.cmap,
        marker="s",
        linewidths=0,
        rasterized=True,
    )
    axes.set(xlim=(-0.5, nodes - 0.5), ylim=(nodes - 0.5, -0.5))
    axes.set_xlabel(f"node   (driven: {_ranges(topology.driven)})")
    axes.set_ylabel(f"node   (read: {_ranges(topology.outputs)})")
    _whole_numbers(axes)
    return [(axes, slice(None), nodes.astype(float)) for nodes in (topology.edges, topology.edges[:, ::-1])]


def _draw_graph(
    axes: Axes,
    topology: Topology,
    numbers: FloatArray,
    places: FloatArray,
    colours: Any,
    widths: FloatArray | None = None,
) -> _Middles:
    """Draw nodes at their places (N, 2), and edges coloured by conductance."""
    from matplotlib.collections import LineCollection

    edges = topology.edges
    fixed = topology.all_edges[len(edges) :]
    if len(fixed):
        axes.add_collection(
            LineCollection(list(places[fixed]), colors=FAINT, linewidths=1.0, linestyles=":", label="fixed")
        )
    paths = _parallel_paths(edges, places)
    lines: Any = 2.0 if widths is None else widths
    axes.add_collection(LineCollection(paths, colors=colours.to_rgba(numbers), linewidths=lines, zorder=1.5))
    for nodes, colour, label in _roles(topology):
        x, y = places[nodes].T
        axes.scatter(x, y, s=130, color=colour, edgecolor="white", zorder=2, label=label)
    light = set(topology.driven.tolist()) | set(topology.outputs.tolist())
    for node, (x, y) in enumerate(places.tolist()):
        ink = "white" if node in light else INK
        axes.text(x, y, str(node), ha="center", va="center_baseline", fontsize=6.5, color=ink, zorder=3)
    axes.margins(0.06)
    _legend(axes, "upper left", 0.02)
    axes.set_axis_off()
    middles = np.array([path[[(len(path) - 1) // 2, len(path) // 2]].mean(axis=0) for path in paths])
    return [(axes, slice(None), middles)]


def _roles(topology: Topology) -> list[tuple[IntArray, str, str]]:
    """Return the nodes, the colour and the label of floating, driven and read nodes, those that exist."""
    driven, read = topology.driven, topology.outputs
    floating = np.setdiff1d(np.arange(topology.n_nodes), np.concatenate([driven, read]))
    roles = [(floating, _FLOATING, "floating"), (driven, INK, "driven"), (read, SECOND, "read")]
    return [role for role in roles if len(role[0])]


def _legend(axes: Axes, corner: Literal["lower left", "upper left"], height: float) -> None:
    """Put the legend in one line above or below the axes."""
    legend = axes.legend(
        frameon=False, fontsize=8, loc=corner, bbox_to_anchor=(0, height), ncols=4, borderaxespad=0
    )
    for handle in legend.legend_handles:
        if handle is not None and hasattr(handle, "set_sizes"):
            handle.set_sizes([40.0])


def _parallel_paths(edges: IntArray, places: FloatArray) -> list[FloatArray]:
    """Return the line of each edge; edges between the same two nodes become separate curves."""
    seen: dict[tuple[int, int], int] = {}
    paths = []
    for a, b in edges.tolist():
        pair = (min(a, b), max(a, b))
        number = seen.get(pair, 0)
        seen[pair] = number + 1
        start, end = places[list(pair)]
        offset = (number + 1) // 2 * (1 if number % 2 else -1) * _SPREAD
        normal = np.array([start[1] - end[1], end[0] - start[0]])
        t = np.linspace(0, 1, 1 + (15 if number else 1))[:, None]
        paths.append(start + t * (end - start) + 4 * t * (1 - t) * offset * normal)
    return paths


def _whole_numbers(axes: Axes, most_columns: int = 8) -> None:
    """Label both axes with whole numbers."""
    from matplotlib.ticker import MaxNLocator

    for axis, most in ((axes.xaxis, most_columns), (axes.yaxis, 8)):
        axis.set_major_locator(MaxNLocator(most, integer=True, steps=[1, 2, 5, 10], min_n_ticks=1))


def _ranges(numbers: IntArray) -> str:
    """Return numbers as text, runs of them shortened: ``"0-9, 12"``."""
    runs: list[list[int]] = []
    for number in sorted(numbers.tolist()):
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    shown = [str(a) if a == b else f"{a}-{b}" for a, b in runs[:4]]
    return ", ".join(shown) + (", ..." if len(runs) > 4 else "")
