"""A share of the campaign `edge_coverage`."""

import numpy as np
import pytest
from edge_coverage import CAMPAIGN, measured


@pytest.mark.slow
@pytest.mark.parametrize("case", ["voltages 1 %", "currents 0.2 %"])
def test_intervals_cover_where_programming_does_not_repeat(case, figure):
    table = CAMPAIGN.run(count=6, cases=[case])
    table.check()
    shape = table.of(case, "shape")
    figure(f"95 % intervals, {case} write noise, {len(shape)} benches: cover {100 * np.nanmean(shape):.1f} %")


def test_intervals_widen_with_the_programming_noise():
    found = measured(1, "voltages", 2.0)
    assert found["shape"] > 0.75
    assert abs(found["z"]) < 4
