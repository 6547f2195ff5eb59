"""What the two panels of the network show: the values of its edges, and one sample on it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from html import escape
from typing import Any, Self

import numpy as np

from hwlearn.arrays import FloatArray
from hwlearn.lab.watch_page.charts import edge_heat_map
from hwlearn.lab.watch_page.drawing import EdgeStyle, NodeStyle, network_drawing, plain_nodes
from hwlearn.lab.watch_page.theme import Palette, between
from hwlearn.lab.watch_page.wording import value_text, volts_text
from hwlearn.lab.watching.follower import RunView
from hwlearn.lab.watching.sample import SampleOnNetwork


@dataclass(frozen=True, eq=False)
class NetworkPanel:
    """Contents of a panel: a drawing, or the options of a chart, or a text if there is neither.

    Attributes
    ----------
    title, facts : str
        HTML above it.
    drawing : str or None
        SVG.
    options : mapping or None
        Of ECharts.
    empty : str
    """

    title: str
    facts: str = ""
    drawing: str | None = None
    options: dict[str, Any] | None = None
    empty: str = ""

    @classmethod
    def of_sample(cls, view: RunView, sample: SampleOnNetwork | None, palette: Palette, error: str) -> Self:
        """Return one sample on the network: drops as colours, node voltages, width by value."""
        if sample is None:
            kept = (
                "No sample was measured yet." if view.readings_kept else "This run keeps no readings of samples."
            )
            return cls("", empty=escape(error) or kept)
        reading = sample.reading
        marks = (["skipped: it contributed nothing to the gradient"] if reading.skipped else []) + (
            [f"{reading.saturated} saturated readings"] if reading.saturated else []
        )
        facts = (
            f"<b>Sample {reading.row}</b> of the training set, measured in step {reading.step} (epoch "
            f"{reading.epoch + 1}): outputs {_volts(reading.outputs)}"
            + (f"; target {escape(sample.target)}" if sample.target else "")
            + f"; cost {reading.cost:.3g}"
            + ("" if sample.inputs is None else f"; inputs {_volts(sample.inputs)}")
            + ("." if not marks else f". <b>{escape('; '.join(marks))}</b>.")
        )
        title = f"Node voltages: {escape(sample.origin)}."
        if sample.drops is None or sample.voltages is None:
            return cls(title, facts, empty="No voltages of the inner nodes.")
        return cls(title, facts, *_drops(view, sample.drops, sample.voltages, palette))


def values_panel(view: RunView, palette: Palette) -> tuple[NetworkPanel, str]:
    """Return the values of the edges as colours, and a line about them."""
    values = view.values
    if values is None:
        return NetworkPanel("", empty="Nothing was programmed yet."), ""
    shares, widths, ends, what = _scaled(view, values)
    labels = _edge_labels(view, values)
    line = f"Requested {escape(what)}, {escape(view.values_of)}."
    failed = view.failed
    if failed is not None and failed.any():
        line += " Failed edges are marked."
    places = view.definition.places
    if places is not None and places.crossbar is None:
        style = EdgeStyle(shares, widths, palette.sequence, labels, failed, (*ends, what))
        top = view.definition.topology
        return NetworkPanel(
            "", drawing=network_drawing(top, places, style, plain_nodes(top, palette), palette)
        ), line
    cells = view.definition.cells
    options = edge_heat_map(
        cells, shares, (0.0, 1.0), ends, lambda edge, _: labels[edge], palette.sequence, palette, failed
    )
    return NetworkPanel("", options=options), line


def _drops(
    view: RunView, drops: FloatArray, voltages: FloatArray, palette: Palette
) -> tuple[str | None, dict[str, Any] | None]:
    """Return a drawing or the options of a chart of the drops."""
    topology = view.definition.topology
    values = view.values
    widths = np.full(len(drops), 0.35) if values is None else _scaled(view, values)[1]
    most = float(np.max(np.abs(drops), initial=0.0)) or 1.0
    scale = (palette.low, palette.middle, palette.high)
    labels = [f"{topology.edge_name(k)}: drop {volts_text(float(drop))}" for k, drop in enumerate(drops.tolist())]
    if values is not None:
        labels = [f"{label}, {text}" for label, text in zip(labels, _value_texts(view, values), strict=True)]
    places = view.definition.places
    if places is None:

        def named(edge: int, number: float) -> str:
            return f"{topology.edge_name(edge)}: {volts_text(number)}"

        ends = (volts_text(-most), volts_text(most))
        return None, edge_heat_map(
            view.definition.cells, drops, (-most, most), ends, named, scale, palette, view.failed
        )
    highest = float(np.max(np.abs(voltages), initial=0.0)) or 1.0
    fills = [between(scale, 0.5 + 0.5 * volts / highest) for volts in voltages.tolist()]
    named_nodes = [f"{topology.names[k]}: {volts_text(float(volts))}" for k, volts in enumerate(voltages.tolist())]
    what = f"drop, first minus second node; size by value; node colours: ±{volts_text(highest)}"
    style = EdgeStyle(
        0.5 + 0.5 * drops / most,
        widths,
        scale,
        labels,
        view.failed,
        (volts_text(-most), volts_text(most), what),
    )
    return network_drawing(topology, places, style, NodeStyle(fills, named_nodes), palette), None


def _scaled(view: RunView, values: FloatArray) -> tuple[FloatArray, FloatArray, tuple[str, str], str]:
    """Return the place of each value (E,) in its range, widths, texts of both ends, and what the values are."""
    shares = np.zeros(len(values))
    kinds = view.definition.kinds
    for kind in kinds:
        one, chosen = kind.parameter, slice(None) if kind.edges is None else kind.edges
        some = values[chosen]
        if one.scale == "log" and one.low > 0:
            shares[chosen] = np.log(np.maximum(some, one.low) / one.low) / math.log(one.high / one.low)
        else:
            shares[chosen] = (some - one.low) / (one.high - one.low)
    shares = np.clip(shares, 0.0, 1.0)
    if len(kinds) == 1:
        one = kinds[0].parameter
        scale = ", logarithmic colours" if one.scale == "log" else ""
        return (
            shares,
            shares,
            (value_text(one.low, one.unit), value_text(one.high, one.unit)),
            f"{one.name}{scale}",
        )
    names = " or ".join(kind.parameter.name for kind in kinds)
    return shares, shares, ("lowest", "highest"), f"{names}, place in its range"


def _value_texts(view: RunView, values: FloatArray) -> list[str]:
    units = [""] * len(values)
    for kind in view.definition.kinds:
        for edge in range(len(values)) if kind.edges is None else kind.edges.tolist():
            units[edge] = kind.parameter.unit
    return [value_text(value, unit) for value, unit in zip(values.tolist(), units, strict=True)]


def _edge_labels(view: RunView, values: FloatArray) -> list[str]:
    topology, failed = view.definition.topology, view.failed
    return [
        f"{topology.edge_name(k)}: {text}" + (", FAILED" if failed is not None and failed[k] else "")
        for k, text in enumerate(_value_texts(view, values))
    ]


def _volts(volts: FloatArray) -> str:
    shown = ", ".join(f"{1e3 * one:.4g}" for one in volts[:8].tolist())
    return f"{shown}{', ...' if len(volts) > 8 else ''} mV"
