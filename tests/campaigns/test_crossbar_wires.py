"""A share of the campaign `crossbar_wires`."""

import pytest
from crossbar_wires import CAMPAIGN


@pytest.mark.slow
def test_loop_with_wires_is_as_accurate_as_without(figure):
    table = CAMPAIGN.run(count=3)
    table.check()
    ratios = table.of("32 ohm", "ratio")
    figure(f"16 x 16 crossbar, 32 ohm segments, in the loop: {ratios.mean():.2f} times the error with ideal lines")
    # the model that does not know the wires, without the loop, is the control
    assert table.of("32 ohm", "without, alone").min() > 2 * ratios.max()
