"""Train a bench that comes with the package, with other devices, noise and split for each seed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from hwlearn.lab.bench.bench import Bench, open_bench
from hwlearn.learning.records import History

NUMBERS: Final = (
    "inference_J",
    "inference_s",
    "update_J",
    "update_s",
    "training_J",
    "training_s",
    "free_J",
    "nudged_J",
    "programming_J",
)
"""What is kept of the ledger of a training, where it has them."""


def trained_bench(name: str, seed: int, overrides: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Train a bench and return its scores and its energies.

    Returns
    -------
    dict
        ``accuracy`` or ``error_V`` (true ones, of rows that were held out if there are any), ``epochs``, and the
        figures of `NUMBERS` that the ledger has.
    """
    bench = open_bench(name, dict(overrides or {}))
    keys: dict[str, Any] = {"train.seed": seed}
    keys |= {text.partition("=")[0]: seed for text in bench.seed_keys(seed)}
    if bench.file.data.test_fraction > 0 or bench.file.data.validation_fraction > 0:
        keys["data.split_seed"] = seed
    bench = Bench(bench.file.with_(keys))
    with bench:
        history = bench.train()
        if history.stopped == "interrupted":
            raise KeyboardInterrupt
        score = bench.evaluate()
    final = score.measured if score.true is None else score.true
    scores = {"accuracy": final.accuracy, "error_V": final.rms_error_V}
    found = {key: value for key, value in scores.items() if value is not None}
    return found | {"epochs": len(history.epochs)} | _energies(history)


def training_rows(name: str) -> int:
    """Return the number of rows that a bench trains on."""
    return len(open_bench(name).data.train)


def _energies(history: History) -> dict[str, float]:
    return {
        name: float(history.energy[name]) for name in NUMBERS if isinstance(history.energy.get(name), int | float)
    }
