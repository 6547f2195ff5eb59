"""Campaign: errors of the bench `crossbar-wires`, with and without knowing the wires, in the loop and not.

Each seed has other targets, devices, offsets and noise. The targets are the outputs of the same array with other
conductances, so an error of zero could be achieved. In the loop, GEP measures both phases on the bench. Without
the loop, the model is trained alone, on a network that is the model, and its conductances are then programmed. All
errors are true ones, rms over patterns and outputs, of the array with its wires; the baseline is the same bench
with ideal lines. Settings of the bench were chosen on seeds 0 to 4::

    python tests/campaigns/crossbar_wires.py --seeds 10 --first 100 --segment 2 --spread 0 0.2
"""

from __future__ import annotations

import argparse
import itertools
import math
import sys
import time
from collections.abc import Mapping

import numpy as np
from campaign import Campaign, Column, shown
from scipy.stats import t as student

import hwlearn as hl
from hwlearn_sim import KirchhoffTwin

BENCH = "crossbar-wires"
FIRST_SEED, SEEDS = 100, 10
LARGEST_RATIO = 1.2
BASELINE = "ideal lines, loop"
CASES = {
    "wires, loop, model with wires": ("declared", True),
    "wires, loop, model without": ("without-wires", True),
    "wires, model with wires alone": ("declared", False),
    "wires, model without alone": ("without-wires", False),
}


def opened(seed: int, segment_ohm: float, spread: float, model: str, changes: Mapping[str, object]) -> hl.Bench:
    """Return the bench with everything random by a seed."""
    keys = {
        "network.wire_resistance": segment_ohm,
        "backend.device_spread": spread,
        "backend.seed": seed,
        "data.seed": seed,
        "train.model": model,
    }
    return hl.open_bench(BENCH, {**keys, **changes})


def trained_alone(bench: hl.Bench) -> hl.History:
    """Train the model of a bench on an ideal network that is the model; no reading of the bench is used."""
    trainer = bench.trainer()
    train, data = bench.file.train, bench.data
    alone = hl.Trainer(
        KirchhoffTwin(trainer.model.topology, bench.limits),
        hl.Analytic(),
        trainer.cost,
        trainer.optimizer,
        model=trainer.model,
        seed=train.seed,
    )
    return alone.fit(data.inputs, data.targets, hl.Schedule(train.epochs, train.batch, train.anneal))


def error_mV(bench: hl.Bench, in_loop: bool) -> float:
    """Return the true rms error in mV after a training."""
    with bench:
        history = bench.train(record=False) if in_loop else trained_alone(bench)
        found = bench.evaluate(history).true
    assert found is not None
    assert found.rms_error_V is not None
    return 1e3 * found.rms_error_V


def measured(seed: int, segment_ohm: float, spread: float, **changes: object) -> dict[str, float]:
    """Return the errors in mV of all cases for a seed."""
    found = {BASELINE: error_mV(opened(seed, 0.0, spread, "declared", changes), True)}
    for name, (model, in_loop) in CASES.items():
        found[name] = error_mV(opened(seed, segment_ohm, spread, model, changes), in_loop)
    return found


def interval(values: np.ndarray) -> tuple[float, float, float]:
    """Return the geometric mean of positive values, and its 95 % interval by Student's t of their logarithms."""
    logs = np.log(values)
    half = student.ppf(0.975, len(logs) - 1) * logs.std(ddof=1) / math.sqrt(len(logs)) if len(logs) > 1 else np.inf
    return float(np.exp(logs.mean())), float(np.exp(logs.mean() - half)), float(np.exp(logs.mean() + half))


def trial(case: str, rng: np.random.Generator) -> Mapping[str, float]:
    """Return the ratio of the errors with wires and with ideal lines, for a smaller array of longer segments."""
    # 16 x 16 with 32 ohm has the same drop along a line as 64 x 64 with 2 ohm
    small = {"network.rows": 16, "network.columns": 16, "data.samples": 8, "train.epochs": 150}
    seed, segment_ohm = int(rng.integers(FIRST_SEED, 2**31)), float(case.split()[0])
    ideal = error_mV(opened(seed, 0.0, 0.2, "declared", small), True)
    wired = error_mV(opened(seed, segment_ohm, 0.2, "declared", small), True)
    alone = error_mV(opened(seed, segment_ohm, 0.0, "without-wires", small), False)
    return {"ratio": wired / ideal, "without, alone": alone / ideal}


def _geometric(values: np.ndarray) -> float:
    return interval(values)[0]


CAMPAIGN = Campaign(
    "crossbar_wires",
    trial,
    ["32 ohm"],
    {
        "ratio": Column(f"<= {LARGEST_RATIO}", _geometric, lambda values: interval(values)[1] <= LARGEST_RATIO),
        "without, alone": shown(),
    },
    SEEDS,
)


def main() -> None:
    """Print the table; exits with 1 if the loop with wires is more than 1.2 times as wrong as without wires."""
    parser = argparse.ArgumentParser(prog="crossbar_wires.py", description=__doc__.partition("\n")[0])
    parser.add_argument("--seeds", type=int, default=SEEDS, help="seeds of each row")
    parser.add_argument("--first", type=int, default=FIRST_SEED, help="first seed")
    parser.add_argument("--segment", type=float, nargs="+", default=[2.0], help="ohms of a segment of wire")
    parser.add_argument("--spread", type=float, nargs="+", default=[0.0, 0.2], help="spread of the devices")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="other keys of the bench")
    given = parser.parse_args()
    changes = dict(item.split("=", 1) for item in given.set)
    good = True
    for segment, spread in itertools.product(given.segment, given.spread):
        began, rows = time.monotonic(), []
        for seed in range(given.first, given.first + given.seeds):
            rows.append(measured(seed, segment, spread, **{key: _value(text) for key, text in changes.items()}))
        errors = {name: np.array([row[name] for row in rows]) for name in rows[0]}
        print(f"segments of {segment:g} ohm, device spread {100 * spread:g} %, seeds from {given.first}")
        print(f"  {'':32} {'true rms error in mV':>24}  {'ratio to ideal lines':>22}")
        for name, values in errors.items():
            cells = ["{:6.3f} ({:.3f} to {:.3f})".format(*interval(values))]
            cells.append("{:6.3f} ({:.3f} to {:.3f})".format(*interval(values / errors[BASELINE])))
            print(f"  {name:32} {cells[0]:>24}  {cells[1]:>22}")
        print(f"  {(time.monotonic() - began) / given.seeds:.0f} s a seed", flush=True)
        good &= interval(errors["wires, loop, model with wires"] / errors[BASELINE])[0] <= LARGEST_RATIO
    sys.exit(0 if good else 1)


def _value(text: str) -> object:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


if __name__ == "__main__":
    main()
