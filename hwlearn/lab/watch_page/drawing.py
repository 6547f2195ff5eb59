"""A small network as SVG: edges coloured by drop or value, with width by conductance, and nodes by voltage."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Final

import numpy as np

from hwlearn.arrays import BoolArray, FloatArray
from hwlearn.circuit.topology import Topology
from hwlearn.lab.watch_page.theme import Palette, between
from hwlearn.lab.watching.layout import NetworkPlaces

_WIDTH: Final = 480.0
_MARGIN: Final = 24.0
_SPREAD: Final = 12.0
"""Pixels between parallel edges."""


@dataclass(frozen=True, eq=False)
class EdgeStyle:
    """How edges are drawn.

    Attributes
    ----------
    shares : ndarray, shape (E,)
        Place of the colour of each edge in the scale, 0 to 1.
    widths : ndarray, shape (E,)
        0 to 1, thin to thick.
    colours : sequence of str
        The scale.
    labels : sequence of str
        Text of each edge for the pointer.
    failed : ndarray of bool, shape (E,), or None
        Edges that are drawn dashed.
    scale : tuple of str
        Texts of both ends of the scale and what it is.
    """

    shares: FloatArray
    widths: FloatArray
    colours: Sequence[str]
    labels: Sequence[str]
    failed: BoolArray | None
    scale: tuple[str, str, str]


@dataclass(frozen=True, eq=False)
class NodeStyle:
    """How nodes are drawn.

    Attributes
    ----------
    fills : sequence of str
    labels : sequence of str
        Text of each node for the pointer.
    """

    fills: Sequence[str]
    labels: Sequence[str]


def network_drawing(
    topology: Topology, places: NetworkPlaces, edges: EdgeStyle, nodes: NodeStyle, palette: Palette
) -> str:
    """Return a network as SVG, and its legend, as HTML."""
    at, height = _pixels(places)
    parts = (
        _crossbar(topology, places, at, edges, palette)
        if places.crossbar
        else _graph(topology, at, edges, palette)
    )
    parts += _nodes(topology, at, nodes, palette)
    title = escape(edges.scale[2])
    return (
        f'<svg viewBox="0 0 {_WIDTH:g} {height:g}" role="img" aria-label="network: {title}">{"".join(parts)}</svg>'
        f"{_legend(edges, palette)}"
    )


def plain_nodes(topology: Topology, palette: Palette) -> NodeStyle:
    """Return the nodes coloured by what they are: driven, read or free."""
    driven, read = set(topology.driven.tolist()), set(topology.outputs.tolist())
    fills = [
        palette.first if k in driven else palette.second if k in read else palette.middle
        for k in range(topology.n_nodes)
    ]
    return NodeStyle(fills, [f"{topology.names[k]}: {_role(k, driven, read)}" for k in range(topology.n_nodes)])


def _role(node: int, driven: set[int], read: set[int]) -> str:
    return "driven" if node in driven else "read" if node in read else "free"


def _pixels(places: NetworkPlaces) -> tuple[FloatArray, float]:
    """Return the places (N, 2) in pixels, and the height."""
    low, high = places.nodes.min(axis=0), places.nodes.max(axis=0)
    extent = np.where(high > low, high - low, 1.0)
    inner = _WIDTH - 2 * _MARGIN
    height = inner * float(np.clip(extent[1] / extent[0], 0.35, 0.8))
    at = (places.nodes - low) / extent * [inner, height] + _MARGIN
    if high[1] == low[1]:
        at[:, 1] = _MARGIN + height / 2
    return at, height + 2 * _MARGIN


def _crossbar(
    topology: Topology, places: NetworkPlaces, at: FloatArray, edges: EdgeStyle, palette: Palette
) -> list[str]:
    """Return the lines of a crossbar and its devices at the crossings."""
    rows, columns = places.crossbar or (0, 0)
    last_x, top = float(at[rows:, 0].max()), float(at[:rows, 1].min())
    parts = [_path(f"M{x:.1f} {y:.1f}H{last_x + 14:.1f}", palette.faint, 1.2) for x, y in at[:rows].tolist()]
    parts += [_path(f"M{x:.1f} {y:.1f}V{top - 14:.1f}", palette.faint, 1.2) for x, y in at[rows:].tolist()]
    step = min((last_x - float(at[0, 0])) / max(columns, 1), (float(at[rows, 1]) - top) / max(rows, 1))
    for k, (a, b) in enumerate(topology.edges.tolist()):
        row, column = min(a, b), max(a, b)
        size = step * (0.24 + 0.62 * float(edges.widths[k]))
        x, y = float(at[column, 0]), float(at[row, 1])
        colour = between(edges.colours, float(edges.shares[k]))
        mark = f' stroke="{palette.high}" stroke-width="2"' if edges.failed is not None and edges.failed[k] else ""
        parts.append(
            f'<rect x="{x - size / 2:.1f}" y="{y - size / 2:.1f}" width="{size:.1f}" height="{size:.1f}" rx="2" '
            f'fill="{colour}"{mark}><title>{escape(edges.labels[k])}</title></rect>'
        )
    return parts


def _graph(topology: Topology, at: FloatArray, edges: EdgeStyle, palette: Palette) -> list[str]:
    """Return the edges as lines; parallel ones as curves."""
    parts = [
        _path(_line(at, int(a), int(b), 0.0), palette.faint, 1.0, ' stroke-dasharray="2 3"')
        for a, b in topology.fixed_edges.tolist()
    ]
    seen: dict[tuple[int, int], int] = {}
    for k, (a, b) in enumerate(topology.edges.tolist()):
        pair = (min(a, b), max(a, b))
        number = seen.get(pair, 0)
        seen[pair] = number + 1
        offset = (number + 1) // 2 * (1 if number % 2 else -1) * _SPREAD
        dashed = ' stroke-dasharray="5 4"' if edges.failed is not None and edges.failed[k] else ""
        colour, width = between(edges.colours, float(edges.shares[k])), 1.4 + 5.0 * float(edges.widths[k])
        parts.append(_path(_line(at, *pair, offset), colour, width, dashed, edges.labels[k]))
    return parts


def _line(at: FloatArray, a: int, b: int, offset: float) -> str:
    (x, y), (u, v) = at[a].tolist(), at[b].tolist()
    if not offset:
        return f"M{x:.1f} {y:.1f}L{u:.1f} {v:.1f}"
    length = float(np.hypot(u - x, v - y)) or 1.0
    p, q = (x + u) / 2 + 2 * offset * (y - v) / length, (y + v) / 2 + 2 * offset * (u - x) / length
    return f"M{x:.1f} {y:.1f}Q{p:.1f} {q:.1f} {u:.1f} {v:.1f}"


def _path(line: str, colour: str, width: float, more: str = "", label: str = "") -> str:
    title = f"<title>{escape(label)}</title>" if label else ""
    return (
        f'<path d="{line}" fill="none" stroke="{colour}" stroke-width="{width:.1f}" stroke-linecap="round"{more}>'
        f"{title}</path>"
    )


def _nodes(topology: Topology, at: FloatArray, nodes: NodeStyle, palette: Palette) -> list[str]:
    driven, read = set(topology.driven.tolist()), set(topology.outputs.tolist())
    radius = 10.5 if topology.n_nodes <= 40 else 8.0 if topology.n_nodes <= 80 else 5.0
    parts = []
    for k, (x, y) in enumerate(at.tolist()):
        edge = palette.ink if k in driven or k in read else palette.faint
        fill, label = nodes.fills[k], f"<title>{escape(nodes.labels[k])}</title>"
        stroke = f'fill="{fill}" stroke="{edge}" stroke-width="1.8"'
        if k in driven:
            size = 1.75 * radius
            parts.append(
                f'<rect x="{x - size / 2:.1f}" y="{y - size / 2:.1f}" width="{size:.1f}" height="{size:.1f}" '
                f'rx="2" {stroke}>{label}</rect>'
            )
        else:
            parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius:.1f}" {stroke}>{label}</circle>')
            if k in read:
                ring = f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius + 3.5:.1f}" fill="none" '
                parts.append(f'{ring}stroke="{palette.ink}" stroke-width="1.4" pointer-events="none"/>')
        if radius >= 8:
            parts.append(
                f'<text x="{x:.1f}" y="{y + 3.6:.1f}" text-anchor="middle" fill="{_text_on(fill)}" '
                f'font-size="{10 if k < 100 else 8}" pointer-events="none">{k}</text>'
            )
    return parts


def _text_on(fill: str) -> str:
    """Return black or white, whichever is legible on a colour."""
    red, green, blue = bytes.fromhex(fill[1:])
    return "#000000" if 0.299 * red + 0.587 * green + 0.114 * blue > 140 else "#ffffff"


def _legend(edges: EdgeStyle, palette: Palette) -> str:
    """Return what colours and shapes mean, as HTML."""
    low, high, what = (escape(text) for text in edges.scale)
    stops = ",".join(edges.colours)
    stroke = f'fill="{palette.middle}" stroke="{palette.ink}" stroke-width="1.6"'
    shapes = (
        ("driven", f'<rect x="3" y="3" width="12" height="12" rx="2" {stroke}/>'),
        (
            "read",
            f'<circle cx="9" cy="9" r="5" {stroke}/>'
            f'<circle cx="9" cy="9" r="8" fill="none" stroke="{palette.ink}"/>',
        ),
        ("free", f'<circle cx="9" cy="9" r="6" fill="{palette.middle}" stroke="{palette.faint}"/>'),
    )
    keys = "".join(
        f'<span class="w-key"><svg width="18" height="18" viewBox="0 0 18 18">{shape}</svg>{name}</span>'
        for name, shape in shapes
    )
    return (
        f'<div class="w-legend"><span class="w-scale"><span>{low}</span>'
        f'<i style="background:linear-gradient(90deg,{stops})"></i><span>{high}</span></span>'
        f'<span>{what}</span><span class="w-keys">{keys}</span></div>'
    )
