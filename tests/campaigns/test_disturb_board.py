"""A share of the campaign in which somebody else uses the board or the edge card during a training."""

import pytest
from disturb_board import CAMPAIGN


@pytest.mark.slow
@pytest.mark.parametrize("case", ["board", "edge card"])
def test_disturbances_are_named_and_not_undone(case):
    CAMPAIGN.run(count=3, cases=[case]).check()
