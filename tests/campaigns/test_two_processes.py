"""A share of the campaign of two processes on one bench."""

import sys

import pytest
from two_processes import CAMPAIGN

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="needs pseudo-terminals, SIGSTOP and /proc"),
]


@pytest.mark.parametrize("case", ["second, smu tcp", "off, board pty", "stopped, smu pty"])
def test_second_process_is_refused_and_off_reaches_the_first(case):
    CAMPAIGN.run(count=1, cases=[case]).check()
