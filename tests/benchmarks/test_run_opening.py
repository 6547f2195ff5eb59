"""A run of 1,000,000 measurements opens in under a second, and one step of it is read alone."""

import sys

import pytest
from run_opening import opening

pytest.importorskip("xarray", reason="the extra `data` is not installed")


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads the memory of a process in /proc")
def test_million_measurements_open_in_under_a_second(figure):
    found = opening(1_000_000, 100)
    figure(
        f"run of 1,000,000 measurements: opened in {found['open_run and to_xarray']:.2f} s (required: below 1 s)"
    )
    assert found["open_run and to_xarray"] < 1.0
    assert found["one step"] < 0.1 * found["one variable"]
    assert found["memory"] < 60  # MB above the imports; all arrays take 80 MB
    assert found["memory of one variable"] > 20  # it takes 24 MB: the measurement sees them
