"""What codes of edges mean: the simulator and the drivers agree, and the nearest code is the nearest."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwlearn.errors import SetupError
from hwlearn.network.edge_codes import EvenSteps, Rheostat
from hwlearn_sim.code_laws import LinearLaw, RheostatLaw

PAIRS = [
    (RheostatLaw(100e3, 130.0, 256), Rheostat(100e3, 130.0, 256)),
    (LinearLaw(1e-6, 1e-4, 1024), EvenSteps(1e-6, 1e-4, 1024)),
]


@pytest.mark.parametrize(("mine", "drivers"), PAIRS)
@given(st.lists(st.floats(1e-7, 1e-2), min_size=1, max_size=20))
def test_both_wings_take_the_code_whose_conductance_is_nearest(mine, drivers, siemens):
    targets = np.array(siemens)
    table = mine.siemens(np.arange(mine.positions))
    found = mine.nearest(targets)
    best = np.abs(table[:, None] - targets).min(axis=0)
    np.testing.assert_allclose(np.abs(table[found] - targets), best, rtol=1e-9, atol=1e-18)
    np.testing.assert_allclose(drivers.siemens(drivers.nearest(targets)), table[found], rtol=1e-12)


@pytest.mark.parametrize("make", [lambda: RheostatLaw(0.0, 130.0), lambda: LinearLaw(1e-4, 1e-6)])
def test_laws_that_make_no_sense(make):
    with pytest.raises(SetupError):
        make()
