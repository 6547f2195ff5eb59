"""A share of `watched_runs`: a large run is opened and followed without reading it whole."""

import sys

import pytest

if not sys.platform.startswith("linux"):
    pytest.skip("bytes that were read are counted by Linux only", allow_module_level=True)

from watched_runs import watched


@pytest.mark.slow
def test_following_a_large_run_reads_a_bounded_part_of_it(tmp_path):
    found = watched(200_000, tmp_path, more=10)
    assert found.size_MB > 20
    assert found.opened.megabytes < 0.4 * found.size_MB
    assert max(one.megabytes for one in found.followed) < 0.5
    assert found.peak_MB < 50
