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

_WIDTH: Final = 640.0
_MARGIN: Final = 44.0
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
    """Return a network as SVG text."""
    at, height = _pixels(places)
    parts = (
        _crossbar(topology, places, at, edges, palette)
        if places.crossbar
        else _graph(topology, at, edges, palette)
    )
    parts += _nodes(topology, at, nodes, palette)
    parts += _legend(edges, palette, height)
    title = escape(edges.scale[2])
    return (
        f'<svg viewBox="0 0 {_WIDTH:g} {height + 58:g}" role="img" aria-label="network: {title}" '
        f'font-size="11">{"".join(parts)}</svg>'
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
    radius = 12.0 if topology.n_nodes <= 40 else 9.0 if topology.n_nodes <= 80 else 6.0
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
        if radius >= 9:
            parts.append(
                f'<text x="{x:.1f}" y="{y + 3.6:.1f}" text-anchor="middle" fill="{_text_on(fill)}" '
                f'font-size="{10 if k < 100 else 8}" pointer-events="none">{k}</text>'
            )
    return parts


def _text_on(fill: str) -> str:
    """Return black or white, whichever is legible on a colour."""
    red, green, blue = bytes.fromhex(fill[1:])
    return "#000000" if 0.299 * red + 0.587 * green + 0.114 * blue > 140 else "#ffffff"


def _legend(edges: EdgeStyle, palette: Palette, height: float) -> list[str]:
    """Return what shapes mean, and the scale of the colours."""
    low, high, what = (escape(text) for text in edges.scale)
    x, y, count, width = _MARGIN, height + 4, 24, 9.0
    parts = [
        f'<rect x="{x + k * width:.1f}" y="{y:.1f}" width="{width + 0.4:.1f}" height="10" '
        f'fill="{between(edges.colours, k / (count - 1))}"/>'
        for k in range(count)
    ]
    end = x + count * width
    ink = f'fill="{palette.muted}" font-size="12.5"'
    parts += [
        f'<text x="{x:.1f}" y="{y + 26:.1f}" {ink}>{low}</text>',
        f'<text x="{end:.1f}" y="{y + 26:.1f}" text-anchor="end" {ink}>{high}</text>',
        f'<text x="{x:.1f}" y="{y + 45:.1f}" {ink}>{what}</text>',
    ]
    stroke = f'fill="{palette.middle}" stroke="{palette.ink}" stroke-width="1.6"'
    mx, my = end + 40, y + 7
    parts += [
        f'<rect x="{mx - 6:.1f}" y="{my - 6:.1f}" width="12" height="12" rx="2" {stroke}/>',
        f'<text x="{mx + 12:.1f}" y="{my + 4:.1f}" {ink}>driven</text>',
        f'<circle cx="{mx + 84:.1f}" cy="{my:.1f}" r="5.5" {stroke}/>',
        f'<circle cx="{mx + 84:.1f}" cy="{my:.1f}" r="8.5" fill="none" stroke="{palette.ink}"/>',
        f'<text x="{mx + 98:.1f}" y="{my + 4:.1f}" {ink}>read</text>',
        f'<circle cx="{mx + 154:.1f}" cy="{my:.1f}" r="5.5" fill="{palette.middle}" stroke="{palette.faint}"/>',
        f'<text x="{mx + 166:.1f}" y="{my + 4:.1f}" {ink}>free</text>',
    ]
    return parts
