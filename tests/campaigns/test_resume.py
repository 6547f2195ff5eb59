"""A share of the campaign of resumed runs."""

import pytest
from resume import CAMPAIGN


@pytest.mark.slow
def test_resumed_runs_are_equal():
    CAMPAIGN.run(count=1, cases=["train mixed", "train vteam", "kill sim writes", "calibrate board"]).check()
