"""Forecast of the size of a run, before its first measurement.

A batch is computed in the model, as the rule would measure it, and packed as the recorder packs it. So the
forecast knows which readings the rule takes, how many there are, and how well they can be compressed.
"""

from __future__ import annotations

import math
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from hwlearn.arrays import FloatArray
from hwlearn.circuit.kirchhoff import Kirchhoff
from hwlearn.errors import HwlearnError
from hwlearn.lab.bench.recipes import make_targets
from hwlearn.lab.runs.packing import Packed, packed_batch, packed_update
from hwlearn.learning.observer import shifted
from hwlearn.learning.records import Step
from hwlearn.learning.rules import Gradient
from hwlearn.learning.rules.rule import GradientRequest
from hwlearn.network.network import Network
from hwlearn.network.nudges import OutputDrive
from hwlearn.network.paired import PairedNetwork
from hwlearn.network.readings import Programmed, Readout

if TYPE_CHECKING:
    from hwlearn.lab.bench.bench import Bench

MOST_STEPS_BYTES: Final = 64_000_000
"""With ``[run] conductances = "auto"``, every step is kept if that takes less than this, uncompressed."""

_PAGE: Final = 4096
_ROW: Final = 45
"""Bytes of the columns beside the arrays, and of the row itself."""
_EPOCH: Final = 1450
"""Bytes of the scores, the health and the energy of an epoch."""
_PICTURE: Final = (105_000, 350, 150_000)
"""Bytes of a report: of the figure, of each batch in its learning curve, and at most of the curve."""
_SPREAD: Final = 0.3
"""Relative change of the values by training."""
_SKIPPED: Final = 0.25
"""Share of samples that a nudging rule skips, because their errors are too small to resolve, on average over a
training whose readings have a finite resolution; a skipped sample repeats its free reading."""


@dataclass(frozen=True, slots=True)
class SizeForecast:
    """Size that a run is expected to have, and what its disk has free.

    Attributes
    ----------
    total : int
        Bytes of the run folder at the end.
    more : int
        Bytes that the training still adds.
    free : int
        Free bytes of its disk.
    """

    total: int
    more: int
    free: int

    @property
    def fits(self) -> bool:
        """Whether the disk can hold the run."""
        return self.more <= self.free

    def text(self) -> str:
        """Return the forecast in one line.

        Examples
        --------
        >>> SizeForecast(32_400_000, 32_000_000, 78_000_000_000).text()
        'about 32 MB at the end; its disk has 78 GB free'
        """
        return f"about {_bytes(self.total)} at the end; its disk has {_bytes(self.free)} free"

    def warning(self) -> str:
        """Return what to do if the disk cannot hold the run."""
        return (
            f"the run needs about {_bytes(self.more)} more, but its disk has only {_bytes(self.free)} free: free "
            "some space, choose another disk with --runs, or keep less with [run] keep and conductances"
        )


def kept_conductances(bench: Bench) -> str:
    """Return whether conductances of all ``"steps"`` are kept, or of the last step of all ``"epochs"``."""
    chosen = bench.file.run.conductances
    if chosen != "auto":
        return chosen
    return "steps" if _steps(bench) * bench.topology.n_edges * 24 <= MOST_STEPS_BYTES else "epochs"


def forecast_size(bench: Bench, folder: Path, steps_done: int = 0) -> SizeForecast | None:
    """Return the forecast of a run.

    Parameters
    ----------
    bench : Bench
        Open; nothing is measured.
    folder : Path
        The run folder.
    steps_done : int
        Updates that the run has already.

    Returns
    -------
    SizeForecast or None
        None if the model cannot compute a batch.
    """
    try:
        with np.errstate(all="ignore"):
            batch, update = _packed_step(bench)
    except (HwlearnError, ArithmeticError, ValueError, MemoryError):  # a forecast must not end a training
        return None
    every_step = kept_conductances(bench) == "steps"
    picture, point, most = _PICTURE
    steps, epochs = _steps(bench), bench.file.train.epochs
    to_do = max(0, steps - steps_done)
    updates = steps if every_step else epochs
    share = to_do / steps if steps else 0.0
    e = bench.topology.n_edges
    growth = to_do * (_ROW if bench.file.run.keep == "summary" else batch)
    growth += share * (updates * update + epochs * _EPOCH)
    fixed = 0.0 if steps_done else 24.0 * e + _states(bench) + picture + min(most, steps * point)
    has = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    return SizeForecast(round(has + growth + fixed), round(growth + fixed), shutil.disk_usage(folder).free)


def _states(bench: Bench) -> float:
    """Return the bytes of the states of optimizer and network, of which only the last is stored."""
    return 8.0 * bench.topology.n_edges * (5 + 1 / 8)


def _steps(bench: Bench) -> int:
    samples = len(bench.data.train)
    return bench.file.train.epochs * math.ceil(samples / (bench.file.train.batch or samples))


def _packed_step(bench: Bench) -> tuple[float, float]:
    """Return the bytes that a batch and an update take in the database."""
    trainer, data, train = bench.trainer(), bench.data, bench.file.train
    rows = np.random.default_rng(0).permutation(data.train)[: train.batch or len(data.train)]
    targets = make_targets(bench.file, data, trainer.cost, bench.topology.n_outputs)[rows]
    # equal values would give equal readings, which a trained network does not have
    ranges = bench.limits.ranges(bench.topology)
    spread = np.exp(_SPREAD * np.random.default_rng(1).standard_normal(bench.topology.n_edges))
    model = trainer.model.with_values(ranges.clipped(trainer.model.values * spread))
    stand_in: Network = ModelNetwork(bench.network, model, train.readout != "outputs")
    if train.readout == "edges":
        stand_in = PairedNetwork(stand_in, ModelNetwork(bench.network, model, reads_nodes=True))
    request = GradientRequest(stand_in, model, data.inputs[rows], targets, trainer.cost)
    gradient = trainer.rule.gradient(request)
    share = len(data.train) / (math.ceil(len(data.train) / len(rows)) * len(rows))  # the last batch is smaller
    keep = bench.file.run.keep
    size = _row_bytes(packed_batch(rows, gradient, keep))
    if bench.network.resolution > 0:
        all_skipped = _row_bytes(packed_batch(rows, _skipped(gradient), keep))
        size += _SKIPPED * (all_skipped - size)
    programmed = stand_in.program(model.values)
    step = Step(0, 0, rows, gradient, model.values, programmed, {})
    return share * size, _row_bytes(packed_update(step, kept_conductances(bench) == "steps"))


def _skipped(gradient: Gradient) -> Gradient:
    """Return a gradient of which every sample was skipped: its nudged phases repeat the free phase."""
    readings = dict(gradient.readings)
    for name in readings:
        phase, _, kind = name.partition("_")
        if phase in ("plus", "minus") and f"free_{kind}" in readings:
            readings[name] = readings[f"free_{kind}"]
    if "strength" in readings:
        readings["strength"] = np.zeros_like(readings["strength"])
    return replace(gradient, readings=readings)


def _row_bytes(packed: Packed) -> float:
    """Return the bytes of a row in a table: short rows share pages, a long one has pages of its own."""
    sizes = [share * len(packed.data) + _ROW for share in (0.94, 1.0, 1.06)]  # those of a training vary
    alone = [_PAGE / ((_PAGE - 12) // size) if size <= _PAGE - 35 else size + 0.15 * _PAGE for size in sizes]
    return sum(alone) / len(alone)


def _bytes(number: float) -> str:
    """Return a number of bytes as text: ``"32 MB"``."""
    units = ["kB", "MB", "GB", "TB"]
    number /= 1000
    while number >= 1000 and len(units) > 1:
        number /= 1000
        del units[0]
    unit = units[0]
    return f"{number:.2g} {unit}" if number < 10 else f"{number:.0f} {unit}"


class ModelNetwork(Network):
    """A network that answers with what the model of another one computes, in the steps of its converters.

    Parameters
    ----------
    network : Network
        Its limits, nudges, resolution and step of conductances are used; nothing is measured.
    model : Kirchhoff
    reads_nodes : bool
        Whether the internal nodes are read as well.
    """

    has_any_values = True

    def __init__(self, network: Network, model: Kirchhoff, reads_nodes: bool) -> None:
        super().__init__(network.topology, network.limits, network.nudges, resolution=network.resolution)
        self._model, self._step, self._reads_nodes = model, network.conductance_step_S, reads_nodes

    def _measure(self, inputs: FloatArray, drive: OutputDrive | None) -> Readout:
        volts = self._model.solve(inputs)[:, self.topology.outputs]
        currents = np.zeros_like(volts)
        if drive is not None:
            moved = shifted(self._model, volts, drive, inputs)
            impedance = np.broadcast_to(self._model.output_impedance(inputs), (len(volts), *2 * (volts.shape[1],)))
            currents = np.asarray(np.linalg.solve(impedance, (moved - volts)[:, :, None])[:, :, 0], np.float64)
            volts = moved
        nodes = _stepped(self._model.observe(inputs, volts), self.resolution) if self._reads_nodes else None
        return Readout(_stepped(volts, self.resolution), currents, nodes=nodes)

    def _program(self, values: FloatArray) -> Programmed:
        reached = values if self.topology.has_three_terminals else _stepped(values, self._step)
        return Programmed(values, reached, np.zeros(len(values), dtype=bool))

    def _close(self) -> None:
        pass


def _stepped(values: FloatArray, step: float | None) -> FloatArray:
    """Return values rounded to the steps of a converter."""
    return values if not step else step * np.rint(values / step)
