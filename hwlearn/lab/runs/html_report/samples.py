"""The samples of the last epoch of a run: predicted against target, and the worst ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self

import numpy as np

from hwlearn.arrays import FloatArray, IntArray
from hwlearn.lab.figure_style import FAINT, INK, SECOND
from hwlearn.lab.runs.contents import RunContents
from hwlearn.lab.runs.html_report.bench_of_run import BenchOfRun

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_MOST_SAMPLES: Final = 20_000
_MOST_POINTS: Final = 1200
_MOST_NUMBERED: Final = 12
"""Classes up to which the cells of a confusion matrix have numbers."""


@dataclass(frozen=True, eq=False)
class LastSamples:
    """Samples of the last epoch whose readings were kept, as they were measured before each update.

    Attributes
    ----------
    epoch : int
        From 0.
    rows : ndarray of int, shape (S,)
        Rows of the data set if the data is known, else of the training set.
    costs : ndarray, shape (S,)
    scored : ndarray, shape (S, n_scored)
        Measured volts that are compared with targets: outputs, or differences of two.
    targets : ndarray or None
        Target volts (S, n_scored), or class numbers (S,); None if the data is not known.
    classes : tuple of str
        Names of the classes; empty for volts.
    of_data : bool
        Whether the rows are those of the data set.
    cut : bool
        Whether there were more samples than are read for a report.
    """

    epoch: int
    rows: IntArray
    costs: FloatArray
    scored: FloatArray
    targets: FloatArray | IntArray | None
    classes: tuple[str, ...]
    of_data: bool
    cut: bool

    @classmethod
    def of(cls, contents: RunContents, bench: BenchOfRun | None) -> Self | None:
        """Return the samples of a run; None if it has kept none."""
        done = contents.count_epochs()
        for epoch in (done - 1, done):  # the last complete one, else the one that was begun
            kept = _kept(contents, epoch) if epoch >= 0 else None
            if kept is not None:
                return cls._known(epoch, kept, bench)
        return None

    @classmethod
    def _known(cls, epoch: int, kept: _Kept, bench: BenchOfRun | None) -> Self:
        rows, outputs, costs, cut = kept
        if bench is None or bench.data is None or bench.cost is None or bench.targets is None:
            return cls(epoch, rows, costs, outputs, None, (), False, cut)
        data = bench.data
        rows = data.train[rows]
        scored = bench.cost.scored(outputs)
        targets = data.targets[rows] if data.classifies else bench.targets[rows]
        return cls(epoch, rows, costs, scored, targets, data.classes, True, cut)

    @property
    def predicted(self) -> IntArray:
        """Class numbers (S,) with the largest score."""
        return np.asarray(self.scored.argmax(axis=1))

    def worst(self, most: int = 10) -> IntArray:
        """Return the places of the samples with the largest cost, the worst first."""
        return np.asarray(np.argsort(-self.costs, kind="stable")[:most])

    @property
    def kind_of_rows(self) -> str:
        """What the row numbers count."""
        return "rows of the data, from 0" if self.of_data else "rows of the training set, from 0"

    def table(self) -> tuple[list[str], list[list[str]]]:
        """Return heading and records of the worst samples."""
        records: list[list[str]] = []
        if self.targets is None:
            head = ["row", "measured outputs (mV)", "cost"]
            for k in self.worst():
                outputs = ", ".join(_millivolts(v) for v in self.scored[k, :6])
                records.append([str(self.rows[k]), outputs, f"{self.costs[k]:.4g}"])
        elif self.classes:
            head = ["row", "predicted", "target", "predicted (mV)", "target (mV)", "cost"]
            for k in self.worst():
                found, due = int(self.predicted[k]), int(self.targets[k])
                volts = [_millivolts(self.scored[k, c]) for c in (found, due)]
                names = [_short(self._name(c), 24) for c in (found, due)]
                records.append([str(self.rows[k]), *names, *volts, f"{self.costs[k]:.4g}"])
        else:
            head = ["row", "output", "predicted (mV)", "target (mV)", "difference (mV)", "cost"]
            for k in self.worst():
                error = self.scored[k] - self.targets[k]
                at = int(np.abs(error).argmax())
                volts = [_millivolts(v) for v in (self.scored[k, at], self.targets[k, at], error[at])]
                records.append([str(self.rows[k]), str(at), *volts, f"{self.costs[k]:.4g}"])
        return head, records

    def draw(self, axes: Axes) -> None:
        """Draw predicted against target: a confusion matrix for classes, points for volts."""
        if self.targets is None:
            raise ValueError("the targets are not known")
        if self.classes:
            self._draw_confusion(axes)
        else:
            self._draw_points(axes)

    def confusion(self) -> IntArray:
        """Return the number of samples of each class (row) that were predicted as each class (column)."""
        count = max(len(self.classes), self.scored.shape[1])
        found = np.zeros((count, count), dtype=np.int64)
        np.add.at(found, (np.asarray(self.targets, dtype=np.int64), self.predicted), 1)
        return found

    def _name(self, k: int) -> str:
        return self.classes[k] if k < len(self.classes) else f"output {k}"

    def _draw_confusion(self, axes: Axes) -> None:
        found = self.confusion()
        share = found / np.maximum(found.sum(axis=1, keepdims=True), 1)
        image = axes.imshow(share, cmap="Blues", vmin=0, vmax=1, interpolation="none", aspect="auto")
        if len(found) <= _MOST_NUMBERED:
            short = [_short(self._name(k), 12) for k in range(len(found))]
            turned = 30 if max(map(len, short)) > 4 and len(found) > 3 else 0
            axes.set_xticks(range(len(found)), short, rotation=turned, ha="right" if turned else "center")
            axes.set_yticks(range(len(found)), short)
            for (i, j), number in np.ndenumerate(found):
                if number:
                    ink = "white" if share[i, j] > 0.55 else INK
                    axes.text(j, i, str(number), ha="center", va="center", color=ink, fontsize=8)
        axes.set_xlabel("predicted class")
        axes.set_ylabel("target class")
        axes.figure.colorbar(image, ax=axes, label="share of the class")

    def _draw_points(self, axes: Axes) -> None:
        due, found = 1e3 * np.asarray(self.targets), 1e3 * self.scored
        low, high = float(min(due.min(), found.min())), float(max(due.max(), found.max()))
        axes.plot([low, high], [low, high], color=FAINT, linewidth=1, zorder=1, label="predicted = target")
        each = max(1, _MOST_POINTS // max(1, due.shape[1]))
        chosen = np.unique(np.concatenate([np.linspace(0, len(due) - 1, each).astype(int), self.worst(5)]))
        axes.plot(due[chosen].ravel(), found[chosen].ravel(), ".", color=INK, markersize=4, alpha=0.6)
        worst = self.worst(1)
        axes.plot(
            due[worst].ravel(), found[worst].ravel(), "o", color=SECOND, fillstyle="none", label="worst sample"
        )
        axes.set_xlabel("target (mV)")
        axes.set_ylabel("predicted, measured (mV)")
        axes.legend(frameon=False, fontsize=8, loc="best")


def _short(name: str, most: int) -> str:
    return name if len(name) <= most else f"{name[: most - 1]}…"


def _millivolts(volts: float) -> str:
    return f"{1e3 * volts:.4g}"


_Kept = tuple[IntArray, FloatArray, FloatArray, bool]


def _kept(contents: RunContents, epoch: int) -> _Kept | None:
    """Return rows, outputs, costs of an epoch, and whether there are more; None if none were kept."""
    rows, outputs, costs, count = [], [], [], 0
    cut = False
    for _, arrays in contents.rows("batches", "WHERE epoch = ? ORDER BY step", epoch):
        volts = arrays.get("outputs", arrays.get("free_voltages"))
        if volts is None or "samples" not in arrays or "costs" not in arrays:
            continue
        if count >= _MOST_SAMPLES:
            cut = True
            break
        rows.append(arrays["samples"].astype(np.int64))
        outputs.append(volts)
        costs.append(arrays["costs"])
        count += len(volts)
    if not count:
        return None
    return np.concatenate(rows), np.concatenate(outputs), np.concatenate(costs), cut
