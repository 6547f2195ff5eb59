"""The uncalibrated test bench: 20 % device error, 5 mV offsets, 2 % gain errors, 1 mV noise, 12 bits."""

from collections.abc import Callable

import numpy as np
import pytest
from edge_coverage import FLAWS

import hwlearn as hl
from hwlearn_sim import Imperfections, KirchhoffTwin

STEP = 2.0 / 4096
"""One step of the 12-bit converters over +-1 V."""


@pytest.fixture
def raw_flaws() -> Callable[..., Imperfections]:
    """Return a function that makes the imperfections of an uncalibrated bench."""

    def make(**other) -> Imperfections:
        return Imperfections(**(FLAWS | other))

    return make


@pytest.fixture
def raw_bench(bench_limits, raw_flaws) -> Callable[..., tuple[KirchhoffTwin, hl.Kirchhoff]]:
    """Return a function that makes a twin and its nominal model: ``size`` = nodes, edges, inputs, outputs."""

    def make(seed, size=(14, 30, 4, 3), options=None, **other):
        top = hl.Topology.random(size[0], size[1], inputs=size[2], outputs=size[3], seed=100 + seed)
        twin = KirchhoffTwin(top, bench_limits, raw_flaws(**other), seed=seed, **(options or {}))
        return twin, hl.Kirchhoff(top, np.full(top.n_edges, 5e-5))

    return make


@pytest.fixture
def true_log_gains() -> Callable[[KirchhoffTwin], np.ndarray]:
    """Return a function that returns the true log-gains (E,), true over reached, for comparison only."""

    def log_gains(twin):
        reached = twin.program(np.full(twin.topology.n_edges, 5e-5)).reached
        return np.log(twin.true_conductances / reached)

    return log_gains


@pytest.fixture
def make(small, bench_limits) -> Callable[..., KirchhoffTwin]:
    """Return a function that makes a twin of the small network with the given imperfections."""

    def made(seed=0, settle_s=50e-6, **flaws):
        return KirchhoffTwin(small[0], bench_limits, Imperfections(**flaws), seed=seed, settle_s=settle_s)

    return made
