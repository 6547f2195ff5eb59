"""A share of a test's cases: spread over their kinds, and each case in its turn."""

from __future__ import annotations

import pytest
from shares import cases_of_share


@pytest.mark.parametrize(("total", "share"), [(20, 10), (24, 4), (7, 3), (1, 4), (5, 5), (62, 1)])
def test_share_has_its_number_of_cases_and_each_case_its_turn(total, share):
    shares = [cases_of_share(total, share, commit) for commit in range(total)]
    assert {len(chosen) for chosen in shares} == {min(share, total)}
    assert set.union(*shares) == set(range(total))


@pytest.mark.parametrize("commit", range(3))
def test_half_of_twenty_seeds_has_all_of_ten_kinds(commit):
    assert {seed % 10 for seed in cases_of_share(20, 10, commit)} == set(range(10))
