"""Campaign: 95 % intervals of the wire segments and devices of a crossbar cover 93 to 97 %, or are distrusted.

Another crossbar for each seed: segments of 0.5 to 20 ohm that differ from the declared ones by up to 50 %, row
and column apart; devices up to 100 uS or up to 1 mS, over two decades, with a spread of 20 %; 0.1 to 1 mV read
noise; converters with 2 % and 5 mV. The case names readings and flaws: sources with a resistance of up to 5 ohm,
0.5 % write noise, 5 % spread from segment to segment, or all of these. Everything is estimated from 6
configurations, as the step ``lines`` does it.

``wires`` counts the intervals of the mean segment of rows and columns, of benches where the step trusts and
measures them; ``shape`` and ``edges`` count the gains of the devices, without and with their common scale, of
benches that it trusts. The intervals of one bench are not independent: the 95 % interval of a coverage is that of
Wilson with as many independent intervals as the scatter from bench to bench shows. Settings of the estimate were
chosen on seeds below 1000; the figures are for seeds from 50000 on::

    python tests/campaigns/wire_coverage.py --seeds 200 --cases voltages "voltages sources"
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from campaign import Campaign, Column, mean_within, shown

import hwlearn as hl
from hwlearn.calibration.edges import CampaignSettings, EdgeFit
from hwlearn.calibration.wires import measure_wires
from hwlearn.lab.calibration.verdicts import edge_verdict
from hwlearn_sim import Imperfections, KirchhoffTwin

READINGS = {
    "voltages": {"nudges": (), "current_readout": False},
    "currents": {"nudges": ("clamp", "current"), "current_readout": True},
}
FIRST_SEED, SEEDS, PATTERNS = 50_000, 200, 16
COLUMNS = ("wires", "shape", "edges")


@dataclass(frozen=True)
class Case:
    """What the seed does not draw: size, readings, write noise and spread of the segments in %, largest source."""

    rows: int = 6
    columns: int = 5
    readings: str = "currents"
    write: float = 0.0
    spread: float = 0.0
    source_ohm: float = 0.0


FLAWS = {
    "": {},
    " sources": {"source_ohm": 5},
    " write": {"write": 0.5},
    " spread": {"spread": 5},
    " all": {"write": 0.5, "spread": 5, "source_ohm": 5},
}
SIZES = {"": (6, 5), "8x8 ": (8, 8), "16x16 ": (16, 16)}
CASES = {
    f"{size}{readings}{flaws}": Case(*SIZES[size], readings=readings, **FLAWS[flaws])
    for size in SIZES
    for readings in READINGS
    for flaws in FLAWS
}


def bench(case: Case, seed: int) -> tuple[KirchhoffTwin, KirchhoffTwin]:
    """Return a twin, and the same twin without write noise: its devices have the mean gains."""
    rng = np.random.default_rng([seed, 14])
    declared = np.exp(rng.uniform(math.log(0.5), math.log(20.0)))
    high = float(rng.choice([1e-4, 1e-3]))
    top = hl.Topology.crossbar(case.rows, case.columns, wire_resistance=declared)
    limits = hl.Limits(voltage=0.5, drop=1.0, nudge=0.2, current=1e-2, conductance=(high / 100, high))
    flaws = {
        "device_spread": 0.2,
        "read_noise_V": float(np.exp(rng.uniform(math.log(1e-4), math.log(1e-3)))),
        "current_noise_A": 1e-8,
        "adc_bits": 14,
        "adc_range_V": 1.0,
        "dac_bits": 14,
        "dac_range_V": 1.0,
        "adc_gain": 0.02,
        "adc_offset_V": 5e-3,
        "dac_gain": 0.02,
        "dac_offset_V": 5e-3,
        "wire_resistance_ohm": tuple((declared * (1 + rng.uniform(-0.5, 0.5, 2))).tolist()),
        "wire_spread": case.spread / 100,
        "source_resistance_ohm": float(rng.uniform(0, case.source_ohm)),
    }
    made = partial(KirchhoffTwin, top, limits, seed=seed, **READINGS[case.readings])
    return made(Imperfections(write_noise=case.write / 100, **flaws)), made(Imperfections(**flaws))


def estimated(case: Case, seed: int) -> tuple[EdgeFit, np.ndarray, np.ndarray]:
    """Return the estimate, the true mean log-gains (E,), and the logarithms (2,) of the true mean segments."""
    twin, mean = bench(case, seed)
    fit = measure_wires(twin, CampaignSettings(seed=seed, patterns=PATTERNS))
    reached = mean.program(np.full(mean.topology.n_edges, 5e-5)).reached
    return fit, np.log(mean.true_conductances / reached), np.log(true_segments(mean)).mean(axis=1)


def true_segments(twin: KirchhoffTwin) -> np.ndarray:
    """Return the true ohms (2, M N) of row and column segments; for comparison only."""
    count = twin.topology.n_edges
    return 1 / twin._circuit.fixed_conductances[: 2 * count].reshape(2, count)


def measured(name: str, seed: int) -> Mapping[str, float]:
    """Return the shares of intervals that contain the truth; NaN if they are distrusted or not measurable."""
    fit, gains, segments = estimated(CASES[name], seed)
    wires = fit.wires
    assert wires is not None
    off = fit.log_gains - gains
    beside = off - fit.shape_weights @ off
    of_wires = np.log(wires.ohm) - segments
    trusted, _ = edge_verdict(fit, 0.0)
    inside = {
        "wires": np.abs(of_wires) < 1.96 * wires.sigma_ohm / wires.ohm,
        "shape": np.abs(beside) < 1.96 * fit.shape_sigma,
        "edges": np.abs(off) < 1.96 * fit.gain_sigma / fit.gains,
    }
    share = {what: float(np.mean(each)) if trusted else math.nan for what, each in inside.items()}
    if not wires.determined:
        share["wires"] = math.nan
    return {
        **share,
        "distrusted": 0.0 if trusted else 1.0,
        "not measurable": 0.0 if wires.determined else 1.0,
        "sigma %": 100 * float(np.max(wires.sigma_ohm / wires.ohm)),
    }


def trial(case: str, rng: np.random.Generator) -> Mapping[str, float]:
    """Return the coverage of a new bench."""
    return measured(case, int(rng.integers(FIRST_SEED, 2**31)))


def _of_trusted(asked: Column) -> Column:
    """Return a column that counts trials that are not NaN only."""

    def holds(values: np.ndarray) -> bool:
        kept = values[~np.isnan(values)]
        if (kept == 1).all():
            # no scatter to judge by; few benches are all inside by chance
            return 0.97 ** len(kept) > 1e-4
        return len(kept) < 2 or asked.holds(kept)

    return Column(asked.asked, lambda values: np.nanmean(values) if len(values) else math.nan, holds)


CAMPAIGN = Campaign(
    "wire_coverage",
    trial,
    list(CASES),
    {
        "wires": _of_trusted(mean_within(0.93, 0.97, alarm=1e-4)),
        "shape": _of_trusted(mean_within(0.93, 0.97, alarm=1e-4)),
        "distrusted": shown(),
        "not measurable": shown(),
    },
    SEEDS,
)


def interval(shares: np.ndarray, intervals: int) -> tuple[float, float, float]:
    """Return a coverage and its 95 % interval, from the shares of benches (B,) with so many intervals each.

    Wilson's score interval. The intervals of a bench may depend on each other: the number of independent ones is
    between that of benches and that of intervals, and follows from the variance of the shares.
    """
    if not len(shares):
        return math.nan, math.nan, math.nan
    n, share, variance = len(shares), float(shares.mean()), float(shares.var())
    each = share * (1 - share) / variance if variance > 0 else 1.0
    count = n * min(max(each, 1.0), intervals)
    z = 1.96
    centre = (share + z**2 / (2 * count)) / (1 + z**2 / count)
    half = z / (1 + z**2 / count) * math.sqrt(share * (1 - share) / count + z**2 / (4 * count**2))
    return share, centre - half, centre + half


def line(case: str, rows: Sequence[Mapping[str, float]], seconds: float = math.nan) -> tuple[str, bool]:
    """Return one line of the table, and whether wires and shape are within 93 to 97 %."""
    cells, good = [], True
    for name in COLUMNS:
        values = np.array([row[name] for row in rows])
        each = 2 if name == "wires" else CASES[case].rows * CASES[case].columns
        share, low, high = interval(values[~np.isnan(values)], each)
        cells.append(f"{100 * share:5.1f} ({100 * low:4.1f} to {100 * high:5.1f})")
        good &= name == "edges" or math.isnan(share) or 0.93 <= share <= 0.97
    counts = [int(sum(row[name] for row in rows)) for name in ("distrusted", "not measurable")]
    sigma = float(np.median([row["sigma %"] for row in rows]))
    text = f"{case:23}{len(rows):4d}  {'  '.join(cells)}  {counts[0]:10d}  {counts[1]:14d}  {sigma:14.2f}"
    return f"{text}  {seconds:6.2f}", good


def main() -> None:
    """Print the table; exits with 1 if a coverage of wires or shape is outside 93 to 97 %."""
    parser = argparse.ArgumentParser(prog="wire_coverage.py", description=__doc__.partition("\n")[0])
    parser.add_argument("--seeds", type=int, default=SEEDS, help="benches of each row")
    parser.add_argument("--first", type=int, default=FIRST_SEED, help="first seed")
    parser.add_argument("--cases", nargs="+", choices=CASES, default=list(CASES))
    given = parser.parse_args()
    print("95 % intervals, coverage in % with its 95 % interval; required 93 to 97 (wires, shape)")
    header = "  ".join(f"{name:>21}" for name in COLUMNS)
    print(f"{'case':23}   n  {header}  distrusted  not measurable  median sigma %  s/seed")
    good = True
    for case in given.cases:
        began = time.process_time()
        rows = [measured(case, seed) for seed in range(given.first, given.first + given.seeds)]
        text, within = line(case, rows, (time.process_time() - began) / given.seeds)
        print(text, flush=True)
        good &= within
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
