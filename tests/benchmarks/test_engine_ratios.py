"""Required speed ratios of the engine to its peers, with equal answers.

``python -m pytest tests/benchmarks/test_engine_ratios.py -m ""`` measures every ratio (minutes), and
``python tests/benchmarks/measure_engine.py`` writes them to docs/performance.md.
"""

import importlib.util
import os

import pytest
from ratios import alone
from ratios.rows import ROWS

CASES = [
    pytest.param(row, fast, id=f"{row.key}-{'fast' if fast else 'plain'}", marks=pytest.mark.slow)
    for row in ROWS
    if row.elsewhere is None
    for fast in ((False, True) if row.by_numba else (False,))
]
TRIES = 3
"""Other programs can disturb a run, so the best of several runs counts."""


def busy() -> bool:
    """Return whether other programs need processor time besides this test, which needs all cores."""
    return hasattr(os, "getloadavg") and os.getloadavg()[0] > (os.cpu_count() or 1) + 0.5


@pytest.mark.parametrize(("row", "fast"), CASES)
def test_ratio(row, fast, figure):
    if fast and importlib.util.find_spec("numba") is None:
        pytest.skip("the extra `fast` (numba) is not installed")
    for _ in range(TRIES):
        try:
            found = alone.run(row.key, fast=fast)
        except LookupError as missing:
            pytest.skip(str(missing))
        missed = row.shortfall(found, fast=fast)
        if missed is None:
            break
    how = "with numba" if fast else "without numba"
    reached = f"{row.quantity} {found[row.quantity]:.3g} (required {row.required(fast=fast)})"
    figure(f"{row.work}, {how}, against {row.peer}: {reached}")
    if missed is not None and fast and busy():
        pytest.skip(f"{missed}; but the machine is busy: load average {os.getloadavg()[0]:.1f}")
    assert missed is None, missed
