"""Colours, panels and axes that all figures share."""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

import numpy as np

from hwlearn.arrays import FloatArray
from hwlearn.storage.atomic_file import write_atomically

if TYPE_CHECKING:
    from matplotlib.axes import Axes

INK: Final = "#1f3a5f"
SECOND: Final = "#c8553d"
THIRD: Final = "#2a9d8f"
FAINT: Final = "#9aa5b1"
FAILED: Final = "#c8102e"

_MOST_TICKS: Final = 7
_WITHIN: Final = 1e-9  # relative: rounding at the ends of an axis


@contextmanager
def literal_text() -> Iterator[None]:
    """Draw text of this block, or of a decorated function, as it is: names with ``$`` are no formulas."""
    import matplotlib as mpl

    with mpl.rc_context({"text.parse_math": False}):
        yield


@literal_text()
def drawn(path: Path, draw: Callable[[Axes, Axes], None]) -> Path:
    """Draw a figure of two panels and write it as a PNG.

    Raises
    ------
    SetupError, StorageError
        If the file cannot be written.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 3.8), dpi=130, layout="constrained")
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2)
    draw(left, right)
    for axes in (left, right):
        axes.spines[["top", "right"]].set_visible(False)
    drawing = io.BytesIO()
    figure.savefig(drawing, format="png")
    write_atomically(path, drawing.getvalue())  # replaces a symbolic link instead of following it
    return path


def set_log_scale(axes: Axes, which: Literal["x", "y"]) -> None:
    """Make an axis logarithmic, labelled with plain numbers (70, 80) instead of powers (7x10^1)."""
    from matplotlib.ticker import FuncFormatter, Locator, NullFormatter

    class PlainLogLocator(Locator):
        """Places labels at the round numbers of `log_ticks`."""

        def __call__(self) -> list[float]:
            if self.axis is None:
                return []
            low, high = self.axis.get_view_interval()
            return self.tick_values(low, high)

        def tick_values(self, vmin: float, vmax: float) -> list[float]:
            return [float(tick) for tick in log_ticks(*sorted((vmin, vmax)))]

    axes.set(**{f"{which}scale": "log"})
    axis = axes.xaxis if which == "x" else axes.yaxis
    axis.set_major_locator(PlainLogLocator())
    axis.set_major_formatter(FuncFormatter(lambda value, _: plain_number(value)))
    axis.set_minor_formatter(NullFormatter())


def log_ticks(low: float, high: float) -> FloatArray:
    """Return 2 to 7 round numbers within a logarithmic axis from ``low`` to ``high``, both positive.

    Examples
    --------
    >>> log_ticks(66, 84).tolist()
    [70.0, 75.0, 80.0]
    >>> log_ticks(0.3, 60).tolist()
    [0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0]
    """
    if not 0 < low < high < math.inf:
        return np.zeros(0)
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    powers = np.logspace(first, last, last - first + 1)
    for leading in ((1, 2, 3, 5, 7), (1, 2, 5), (1, 3), (1,)):
        ticks = _inside(np.outer(powers, np.array(leading, dtype=np.float64)).ravel(), low, high)
        if 3 <= len(ticks) <= _MOST_TICKS:
            return ticks
    if len(ticks) > _MOST_TICKS:
        return ticks[:: -(-len(ticks) // _MOST_TICKS)]
    # less than a factor of about 3: equal steps
    step = (high - low) / 3
    unit = 10.0 ** math.floor(math.log10(step))
    step = unit * max((k for k in (1.0, 2.0, 5.0) if k * unit <= step), default=1.0)
    return _inside(step * np.arange(low // step, high // step + 2, dtype=np.float64), low, high)


def _inside(values: FloatArray, low: float, high: float) -> FloatArray:
    return values[(values >= low * (1 - _WITHIN)) & (values <= high * (1 + _WITHIN))]


def plain_number(value: float) -> str:
    """Return a number as a label: plain digits, with an exponent only beyond a million or below 1e-4.

    Examples
    --------
    >>> plain_number(70.0), plain_number(0.002), plain_number(1e-7)
    ('70', '0.002', '1e-7')
    """
    text = f"{value:.6g}"
    if "e" not in text:
        return text
    digits, power = text.split("e")
    return f"{digits}e{int(power)}"
