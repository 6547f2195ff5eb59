"""Options of the charts, for ECharts: learning curve, outputs beside targets, heat maps."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np

from hwlearn.arrays import BoolArray, FloatArray
from hwlearn.lab.watch_page.theme import Palette
from hwlearn.lab.watch_page.wording import score_unit, score_value
from hwlearn.lab.watching.follower import RunView
from hwlearn.lab.watching.layout import EdgeCells
from hwlearn.lab.watching.readings import PredictedOutputs

Options = dict[str, Any]

_FONT: Final = 'system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif'
_DIGITS: Final = "value => typeof value === 'number' ? Number(value.toPrecision(4)) : value"
"""A function of the browser that shortens the numbers beside the pointer."""
_SMALL: Final = "value => value && Math.abs(value) < 0.001 ? value.toExponential() : value"
"""The same for the numbers of an axis: 0.00001 is written 1e-5."""
_ROWS: Final = {"train": "training", "validation": "validation", "test": "test"}


def _base(palette: Palette) -> Options:
    return {
        "animation": False,
        "textStyle": {"fontFamily": _FONT, "color": palette.ink},
        "tooltip": {
            "confine": True,
            "backgroundColor": palette.panel,
            "borderColor": palette.grid,
            "textStyle": {"color": palette.ink, "fontSize": 13},
        },
    }


def _axis(palette: Palette, name: str, kind: str = "value", **more: Any) -> Options:
    return {
        "type": kind,
        "name": name,
        "nameLocation": "middle",
        "nameGap": 30,
        "nameTextStyle": {"color": palette.muted, "fontSize": 13},
        "axisLabel": {"color": palette.muted, "fontSize": 12, "hideOverlap": True},
        "axisLine": {"show": True, "onZero": False, "lineStyle": {"color": palette.faint}},
        "axisTick": {"show": True, "lineStyle": {"color": palette.faint}},
        "splitLine": {"show": False},
        **more,
    }


def learning_curve(view: RunView, palette: Palette) -> Options:
    """Return the cost of the batches, and the measured and true scores of the epochs."""
    classifies, scale = view.classifies, view.definition.scale
    unit = score_unit(classifies, scale)
    kind = "accuracy" if classifies else "rms error"
    series: list[Options] = [_costs(view, palette)]
    colours = {"train": palette.first, "validation": palette.second, "test": palette.third}
    for how, kept in (("measured", "measured"), ("true", "true")):
        for rows, label in _ROWS.items():
            points = []
            for epoch in view.epochs:
                scores = epoch.measured if how == "measured" else epoch.true
                if rows in scores:
                    value = score_value(scores[rows], scale)
                    if math.isfinite(value) and (classifies or value > 0):
                        points.append([epoch.number + 1, value])
            if points:
                line = {"width": 2.2, "type": "solid" if how == "measured" else [2, 4], "color": colours[rows]}
                series.append(_line(f"{label}, {kept}", points, line, colours[rows]))
    smallest = [value for one in series[1:] for _, value in one["data"]]
    score_scale = _scale(smallest)
    if classifies:
        score_scale = {"min": max(0, math.floor(min(smallest, default=0) / 10) * 10), "max": 100}
    last = max(view.epochs_done, math.ceil(view.at_epoch(view.steps - 1)) if view.steps else 0, 1)
    base = _base(palette)
    base["tooltip"] |= {"trigger": "axis", ":valueFormatter": _DIGITS}
    return {
        **base,
        "legend": {
            "top": 0,
            "left": 0,
            "right": 0,
            "itemWidth": 22,
            "itemHeight": 8,
            "textStyle": {"color": palette.ink, "fontSize": 12.5},
            "data": [one["name"] for one in series],
        },
        "grid": {"left": 62, "right": 62, "top": 52, "bottom": 46},
        "xAxis": _axis(palette, "epoch", min=0, max=last, minInterval=1),
        "yAxis": [
            _axis(
                palette,
                "cost of a batch" + ("" if classifies else " (V²)"),
                nameGap=46,
                position="left",
                axisLabel={"color": palette.muted, "fontSize": 12, ":formatter": _SMALL},
                **_scale([cost for _, cost in series[0]["data"]]),
            ),
            _axis(
                palette,
                f"{kind} ({unit})",
                nameGap=44,
                position="right",
                splitLine={"show": True, "lineStyle": {"color": palette.grid}},
                **score_scale,
            ),
        ],
        "series": series,
    }


def _scale(values: Sequence[float]) -> Options:
    """Return kind and ends of an axis of positive numbers: whole decades, or from 0 if they are within one."""
    found = [value for value in values if value > 0 and math.isfinite(value)]
    if not found or max(found) < 10 * min(found):
        return {"type": "value", "min": 0}
    low, high = 10.0 ** math.floor(math.log10(min(found))), 10.0 ** math.ceil(math.log10(max(found)))
    return {"type": "log", "min": low, "max": high}


def _costs(view: RunView, palette: Palette) -> Options:
    name = "cost of a batch" if view.stride == 1 else f"cost of every {view.stride}th batch"
    points = [[round(view.at_epoch(step), 4), cost] for step, cost, _ in view.costs.tolist() if cost > 0]
    line = {"width": 1, "color": palette.faint}
    return _line(name, points, line, palette.faint) | {"yAxisIndex": 0, "z": 1}


def _line(name: str, points: list[list[float]], line: Options, colour: str) -> Options:
    return {
        "type": "line",
        "name": name,
        "data": points,
        "yAxisIndex": 1,
        "z": 3,
        "showSymbol": len(points) == 1,
        "symbolSize": 6,
        "lineStyle": line,
        "itemStyle": {"color": colour},
        "emphasis": {"disabled": True},
    }


def predicted_against_target(
    found: PredictedOutputs, palette: Palette, chosen: int | None, noun: str = "output"
) -> Options:
    """Return outputs against target volts, or counts of classes taken for classes."""
    return _confusion(found, palette) if found.classes else _scatter(found, palette, chosen, noun)


def _scatter(found: PredictedOutputs, palette: Palette, chosen: int | None, noun: str) -> Options:
    targets, scored = 1e3 * np.asarray(found.targets, dtype=np.float64), 1e3 * found.scored
    both = np.concatenate([targets.ravel(), scored.ravel()])
    both = both[np.isfinite(both)]
    low, high = (float(both.min()), float(both.max())) if both.size else (0.0, 1.0)
    step = _round_step((high - low) / 6 or 1.0)
    low, high = math.floor(low / step) * step, math.ceil(high / step) * step
    ends: Options = {"min": round(low, 9), "max": round(high, 9), "interval": step}
    colours = [palette.first, palette.second, palette.third, palette.low, palette.high, palette.faint]
    count = scored.shape[1]
    series: list[Options] = []
    for k in range(count):
        data = []
        for row, x, y in zip(found.rows.tolist(), targets[:, k].tolist(), scored[:, k].tolist(), strict=True):
            text = f"sample {row}, {noun} {k}: {y:.4g} mV, target {x:.4g} mV"
            mark = {"symbolSize": 15, "itemStyle": {"borderColor": palette.ink, "borderWidth": 2}}
            data.append({"value": [x, y], "name": text, "row": row} | (mark if row == chosen else {}))
        series.append(
            {
                "type": "scatter",
                "name": f"{noun} {k}",
                "data": data,
                "symbolSize": 8 if len(found.rows) <= 200 else 5,
                "itemStyle": {"color": colours[k % len(colours)], "opacity": 0.85},
                "emphasis": {"disabled": True},
            }
        )
    exact = {"type": "line", "name": "exact", "data": [[low, low], [high, high]], "showSymbol": False, "z": 1}
    exact |= {"lineStyle": {"color": palette.faint, "width": 1.5, "type": "dashed"}, "tooltip": {"show": False}}
    exact |= {"itemStyle": {"color": palette.faint}, "silent": True, "emphasis": {"disabled": True}}
    options = _base(palette)
    options["tooltip"] |= {"trigger": "item", "formatter": "{b}"}
    return options | {
        "legend": {
            "top": 0,
            "left": 0,
            "type": "scroll",
            "textStyle": {"color": palette.ink, "fontSize": 12.5},
            "itemWidth": 16,
            "itemHeight": 9,
        },
        "grid": {"left": 62, "right": 20, "top": 40, "bottom": 46},
        "xAxis": _axis(palette, "target (mV)", **ends),
        "yAxis": _axis(
            palette,
            "measured output (mV)",
            **ends,
            nameGap=46,
            splitLine={"show": True, "lineStyle": {"color": palette.grid}},
        ),
        "series": [*series, exact],
    }


def _round_step(step: float) -> float:
    """Return 1, 2 or 5 times a power of 10, not smaller than a step."""
    unit = 10.0 ** math.floor(math.log10(step))
    return next(k * unit for k in (1, 2, 5, 10) if k * unit >= step * (1 - 1e-9))


def _confusion(found: PredictedOutputs, palette: Palette) -> Options:
    table = found.confusion()
    names = [*found.classes, *(f"output {k}" for k in range(len(found.classes), len(table)))]
    totals = table.sum(axis=1, keepdims=True)
    shares = table / np.maximum(totals, 1)
    data = []
    for true in range(len(table)):
        for taken in range(len(table)):
            count = int(table[true, taken])
            share = float(shares[true, taken])
            right = true == taken
            text = (
                f"{count} of {int(totals[true, 0])} samples of class {names[true]} were taken for {names[taken]}"
            )
            colour = palette.panel if share > 0.5 and len(table) <= 12 else palette.ink
            data.append(
                {
                    "value": [taken, true, round(share if right else -math.sqrt(share), 4)],
                    "name": text,
                    "label": {"show": count > 0, "formatter": str(count), "color": colour},
                }
            )
    options = _base(palette)
    options["tooltip"] |= {"formatter": "{b}"}
    names_axis = {"data": names, "splitArea": {"show": False}, "axisTick": {"show": False}}
    letters = max(len(name) for name in names) * len(names)
    labels = {"color": palette.muted, "fontSize": 12, "interval": 0, "rotate": 35 if letters > 45 else 0}
    longest = min(110, 16 + 7 * max(len(name) for name in names))
    return options | {
        "grid": {"left": longest + 34, "right": 16, "top": 10, "bottom": 50},
        "xAxis": _axis(palette, "class with the largest output", "category", **names_axis, axisLabel=labels),
        "yAxis": _axis(
            palette, "class of the sample", "category", inverse=True, nameGap=longest + 8, **names_axis
        ),
        "visualMap": {
            "show": False,
            "min": -1,
            "max": 1,
            "inRange": {"color": [palette.high, palette.panel, palette.low]},
        },
        "series": [
            {
                "type": "heatmap",
                "data": data,
                "label": {"show": True, "fontSize": 14 if len(table) <= 6 else 11},
                "itemStyle": {"borderColor": palette.grid, "borderWidth": 1},
                "emphasis": {"disabled": True},
            }
        ],
    }


def edge_heat_map(
    cells: EdgeCells,
    numbers: FloatArray,
    ends: tuple[float, float],
    end_labels: tuple[str, str],
    label_of: Callable[[int, float], str],
    colours: Sequence[str],
    palette: Palette,
    failed: BoolArray | None = None,
) -> Options:
    """Return the numbers (E,) of the edges as coloured cells between two ends.

    Parameters
    ----------
    label_of : callable
        Text of an edge and its number, for the pointer.
    failed : ndarray of bool, shape (E,), optional
        Edges that get a frame, unless cells are blocks of edges.
    """
    whole = "" if cells.block == 1 else f"mean of a block of {cells.block} x {cells.block}, from "
    frame = {"itemStyle": {"borderColor": palette.high, "borderWidth": 2.5}}
    data = []
    for row, column, number, edge in cells.mean(numbers):
        framed = failed is not None and cells.block == 1 and bool(failed[edge])
        item = {"value": [column, row, round(number, 9)], "name": whole + label_of(edge, number)}
        data.append(item | frame if framed else item)
    options = _base(palette)
    options["tooltip"] |= {"formatter": "{b}"}
    lines = {"splitArea": {"show": False}, "axisTick": {"show": False}}
    spaced = {"color": palette.muted, "fontSize": 12, "interval": -(-cells.rows // 14) - 1}
    unit = f", in blocks of {cells.block}" if cells.block > 1 else ""
    return options | {
        "grid": {"left": 58, "right": 86, "top": 12, "bottom": 46},
        "xAxis": _axis(palette, cells.column_label + unit, "category", data=list(range(cells.columns)), **lines),
        "yAxis": _axis(
            palette,
            cells.row_label + unit,
            "category",
            data=list(range(cells.rows)),
            inverse=True,
            nameGap=38,
            axisLabel=spaced,
            **lines,
        ),
        "visualMap": {
            "min": ends[0],
            "max": ends[1],
            "calculable": False,
            "orient": "vertical",
            "right": 4,
            "top": "middle",
            "itemHeight": 190,
            "itemWidth": 14,
            "text": [end_labels[1], end_labels[0]],
            "textStyle": {"color": palette.muted, "fontSize": 12},
            "inRange": {"color": list(colours)},
        },
        "series": [{"type": "heatmap", "data": data, "progressive": 0, "emphasis": {"disabled": True}}],
    }
