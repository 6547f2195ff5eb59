"""A share of the guardian campaign."""

import sys

import pytest
from guardian import CAMPAIGN

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="finds processes in /proc, which only Linux has"),
]


@pytest.mark.parametrize("case", ["KILL smu", "STOP smu", "guardian smu"])
def test_guardian_switches_off(case):
    CAMPAIGN.run(count=1, cases=[case]).check()
