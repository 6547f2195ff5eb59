"""A Dask cluster of this computer: points that kill their workers lose no others."""

import os
import signal
import sys
import time

import pytest

from hwlearn.lab.sweeps.attempts import Job
from hwlearn.lab.sweeps.cluster import LOCAL, cluster_outcomes

pytest.importorskip("distributed", reason="distributed is missing: pip install hwlearn[cluster]")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL"),
]

EVERY = 4


def _deadly():
    """Return a function without a module, which workers need not import."""

    def run(point):
        if point["x"] % 4 == 2:
            os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(0.02)
        return {"y": point["x"]}

    return run


def test_points_that_kill_their_workers_fail_and_all_others_are_computed():
    """So many kills that a worker is lost again while it starts, which Dask takes for a lost one."""
    jobs = [Job(k, {"x": k}) for k in range(20)]
    found = {one.number: one for one in cluster_outcomes(_deadly(), jobs, LOCAL, 2, 1)}
    assert sorted(found) == list(range(20))
    for number, outcome in found.items():
        if number % EVERY == 2:
            assert outcome.result is None
            assert "its worker was killed in each of 2 attempts" in outcome.error
        else:
            assert (outcome.result, outcome.error) == (f'{{"y": {number}}}', None)
