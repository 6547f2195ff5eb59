"""A share of the campaign `wire_coverage`."""

import numpy as np
import pytest
from wire_coverage import CAMPAIGN, measured


@pytest.mark.slow
@pytest.mark.parametrize("case", ["voltages", "currents all"])
def test_intervals_of_wires_cover(case, figure):
    table = CAMPAIGN.run(count=6, cases=[case])
    table.check()
    shape = table.of(case, "shape")
    figure(f"95 % intervals, wired crossbars, {case}, {len(shape)} benches: cover {100 * np.nanmean(shape):.1f} %")


def test_gains_of_a_bench_with_wrong_wires_are_covered():
    assert measured("voltages", 1)["shape"] > 0.75
