"""A share of the campaign of kills."""

import sys

import pytest
from kills import CAMPAIGN

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="finds processes in /proc, which only Linux has"),
]


@pytest.mark.parametrize("case", ["twin KILL", "declared KILL", "smu QUIT", "smu TSTP"])
def test_killed_training_is_safe_and_resumes(case):
    CAMPAIGN.run(count=1, cases=[case]).check()
