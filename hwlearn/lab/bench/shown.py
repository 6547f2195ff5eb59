"""What a bench looks like in a notebook."""

from __future__ import annotations

from collections.abc import Iterator

from hwlearn.lab.bench_file.file import BenchFile
from hwlearn.lab.data.loading import Data


def bench_facts(file: BenchFile, data: Data) -> Iterator[tuple[str, str]]:
    """Yield what a bench file and its data say, in a few lines."""
    train = file.train
    yield "backend", file.backend.kind + (" (dry run: commands are printed, not sent)" if file.is_dry_run else "")
    split = (("training", data.train), ("validation", data.validation), ("test", data.test))
    what = f"{len(data.classes)} classes" if data.classifies else "target voltages"
    yield "data", f"{what}; " + ", ".join(f"{len(rows):,} {name}" for name, rows in split if len(rows)) + " rows"
    nudge = f", {train.nudge} nudge" if train.rule == "gep" else ""
    yield "training", f"{train.rule}{nudge}, {train.optimizer} at rate {train.rate:g}, {train.epochs} epochs"
    if file.calibration.file is not None:
        yield "calibration", str(file.calibration.file)
