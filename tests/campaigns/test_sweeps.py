"""A share of the campaign of sweeps."""

import sys

import pytest
from sweeps import CAMPAIGN

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="finds the processes of workers as Linux has them"),
]


@pytest.mark.parametrize("case", ["worker killed", "scheduler killed", "sweep killed"])
def test_killed_sweep_loses_no_finished_point_and_resumes_to_an_equal_table(case):
    pytest.importorskip("distributed")
    pytest.importorskip("psutil")
    CAMPAIGN.run(count=1, cases=[case]).check()
