"""Operating points of transistor grids: as much faster than ngspice as required, and balanced."""

import shutil

import pytest
from transistor_grids import REQUIRED, measure


@pytest.mark.slow
def test_operating_points_are_faster_than_ngspice(figure):
    pytest.importorskip("numba")
    if shutil.which("ngspice") is None:
        pytest.skip("ngspice is missing: install the package ngspice")
    for side, edges in ((11, 220), (31, 1860)):
        ratio, residual = measure(side, 5, 2, None, False)
        figure(
            f"{edges} transistors, processor time of ngspice over ours: {ratio:.0f} (required {REQUIRED[edges]:g})"
        )
        assert ratio >= REQUIRED[edges]
        assert residual <= 1e-12
