"""A share of the campaign in which somebody else changes an SMU during a training."""

import pytest
from disturb_smus import CAMPAIGN


@pytest.mark.slow
def test_changes_by_somebody_else_are_named_and_not_undone():
    CAMPAIGN.run(count=2).check()
