"""Shares of the campaigns on mixed benches."""

import mixed_benches
import mixed_requests
import pytest
import scanner_faults
from campaign import commit_seed


@pytest.mark.slow
def test_fault_of_one_instrument_is_named_and_the_others_are_off():
    """Every fourth case; which ones depends on the commit."""
    seed = commit_seed()
    mixed_benches.CAMPAIGN.run(count=1, seed=seed, cases=mixed_benches.CAMPAIGN.cases[seed % 4 :: 4]).check()


@pytest.mark.slow
def test_random_requests_stay_within_the_limits():
    mixed_requests.CAMPAIGN.run(count=1).check()


@pytest.mark.slow
def test_fault_of_a_scanner_or_its_board_is_named_and_all_is_off():
    scanner_faults.CAMPAIGN.run(count=1).check()
