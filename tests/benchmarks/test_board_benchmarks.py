"""Two-phase samples per second through the real driver, a pseudo-terminal and the real firmware.

Run with ``python -m pytest tests/benchmarks/test_board_benchmarks.py -m alone --benchmark-enable -s``. The
firmware's waits take no real time, so this measures the driver, the link and the firmware on this computer.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

import numpy as np
import pytest

import hwlearn as hl
from hwlearn.network.network import Network, TargetError
from hwlearn_sim import Imperfections, KirchhoffTwin
from hwlearn_sim.bench.board_backend import VirtualBoardBackend, VirtualBoardSettings
from hwlearn_sim.board.parts import EDGE_LAW

CROSSBAR = hl.Topology.crossbar(8, 4)
LIMITS = hl.Limits(2.0, 4.0, 0.5, 1e-2, (1.05e-5, 5e-4))
BATCH = 128
REQUIRED_PER_S = 20_000
NUDGES = {"the board computes the nudges": hl.ResistorNudge(0.5), "the host computes them": hl.ResistorNudge()}

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no pseudo-terminals")


def batch(network: Network, nudge: hl.ResistorNudge, symmetric: bool) -> Callable[[], None]:
    """Return one two-phase measurement of a batch on a programmed network."""
    rng = np.random.default_rng(0)
    network.program(np.exp(rng.uniform(np.log(2e-5), np.log(2e-4), CROSSBAR.n_edges)))
    x, error = rng.uniform(-0.5, 0.5, (BATCH, 8)), TargetError(rng.uniform(-0.1, 0.1, (BATCH, 4)))
    bound = nudge.bound(hl.Kirchhoff(CROSSBAR, np.full(CROSSBAR.n_edges, 5e-5)).output_impedance())

    def measure() -> None:
        assert not network.two_phase(x, error, bound, symmetric).skipped.any()

    return measure


def rate(measure: Callable[[], None], batches: int) -> float:
    """Return samples per second, the best of several runs."""
    measure()
    best = 0.0
    for _ in range(4):
        began = time.perf_counter()
        for _ in range(batches):
            measure()
        best = max(best, batches * BATCH / (time.perf_counter() - began))
    return best


@pytest.mark.alone
@pytest.mark.parametrize("symmetric", [True, False], ids=["symmetric", "one-sided"])
@pytest.mark.parametrize("nudge", NUDGES)
def test_two_phase_samples_over_a_pseudo_terminal(benchmark, nudge, symmetric):
    settings = VirtualBoardSettings(wire="pty", device_spread=0.1, read_noise=1e-4)
    twin = KirchhoffTwin(CROSSBAR, LIMITS, Imperfections(device_spread=0.1, read_noise_V=1e-4), edge_law=EDGE_LAW)
    in_process = rate(batch(twin, NUDGES[nudge], symmetric), 2)
    with VirtualBoardBackend().open(settings, CROSSBAR, LIMITS) as network:
        measure = batch(network, NUDGES[nudge], symmetric)
        over_wire = rate(measure, 4)
        benchmark.pedantic(measure, rounds=20)
    sides = "symmetric" if symmetric else "one-sided"
    print(
        f"\n{nudge}, {sides}: {over_wire:,.0f} two-phase samples/s over a pty (required >= {REQUIRED_PER_S:,}); "
        f"the twin in process makes {in_process:,.0f}, a ratio of {over_wire / in_process:.2f}"
    )
    if nudge == "the board computes the nudges":
        assert over_wire >= REQUIRED_PER_S
