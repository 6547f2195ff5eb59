"""A Dask cluster of this computer: points that kill their workers lose no others."""

import json
import os
import signal
import subprocess
import sys
import time
from types import SimpleNamespace

import pytest

from hwlearn.errors import NetworkError
from hwlearn.lab.sweeps.attempts import Job
from hwlearn.lab.sweeps.cluster import LOCAL, _ended, cluster_outcomes

distributed = pytest.importorskip("distributed", reason="distributed is missing: pip install hwlearn[cluster]")

EVERY = 4


def _deadly():
    """Return a function without a module, which workers need not import."""

    def run(point):
        if point["x"] % 4 == 2:
            os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(0.02)
        return {"y": point["x"]}

    return run


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")
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


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no signals of a process group")
def test_ctrl_c_is_no_business_of_the_workers(small, tmp_path):
    """Ctrl-C reaches all processes of a terminal: only the sweep itself says something."""
    command = [sys.executable, "-m", "hwlearn", "sweep", str(small), "--grid", "train.rate=0.01:0.1:200", "--json"]
    options = ["--set", "train.epochs=3000", "-o", str(tmp_path / "s"), "--cluster", LOCAL, "--workers", "2"]
    for first in ("start", "point"):
        with subprocess.Popen(
            [*command, *options],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        ) as process:
            for line in process.stdout:
                if json.loads(line)["event"] == first:
                    break
            time.sleep(2)  # after the first line the workers are starting
            os.killpg(process.pid, signal.SIGINT)
            out, err = process.communicate(timeout=120)
        assert process.returncode == 130
        assert json.loads(out.splitlines()[-1])["stopped"] == "interrupted"
        assert len(err.splitlines()) == 1, err


def _closed():
    raise distributed.comm.CommClosedError("in <TCP (closed) ConnectionPool.gather>: Stream is closed")


@pytest.mark.parametrize(("status", "lost"), [("finished", True), ("cancelled", True), ("error", False)])
def test_result_that_cannot_be_fetched_is_no_failure_of_the_point(status, lost):
    """The scheduler is gone and the client has not noticed it yet; only errors of the point itself are its own."""
    client = SimpleNamespace(status="running", scheduler=SimpleNamespace(address="tcp://127.0.0.1:8786"))
    future = SimpleNamespace(status=status, result=_closed)
    job = Job(3, {"x": 1.0})
    if lost:
        with pytest.raises(NetworkError, match=r"connection to the scheduler tcp://127\.0\.0\.1:8786 was lost"):
            _ended(distributed, client, future, job)
        return
    ended = _ended(distributed, client, future, job)
    assert ended is not None
    assert (ended.number, ended.result) == (3, None)
    assert "Stream is closed" in ended.error
