"""Processes of this computer: what becomes of points that they cannot run."""

import signal
import sys
from pathlib import Path
from types import ModuleType

import pytest

from hwlearn.lab.sweeps.attempts import Job
from hwlearn.lab.sweeps.local import local_outcomes


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_ctrl_c_is_blocked_in_processes_from_their_first_moment():
    def blocked(point):
        lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
        (mask,) = [int(line.split()[1], 16) for line in lines if line.startswith("SigBlk")]
        return {"blocked": bool(mask >> (signal.SIGINT - 1) & 1)}

    (found,) = local_outcomes(blocked, [Job(0, {})], 1, 0)
    assert found.result == '{"blocked": true}'
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, ())


@pytest.fixture
def only_here(monkeypatch):
    """A function of a module that other processes do not have."""
    module = ModuleType("a_module_that_is_not_installed")
    exec("def double(point):\n    return {'y': 2 * point['x']}", module.__dict__)
    monkeypatch.setitem(sys.modules, module.__name__, module)
    return module.double


def test_a_function_that_processes_cannot_import_fails_each_point_with_the_reason(only_here):
    found = list(local_outcomes(only_here, [Job(0, {"x": 1}), Job(1, {"x": 2})], 1, 2))
    assert [one.number for one in found] == [0, 1]
    for one in found:
        assert one.result is None
        assert one.error == (
            "a process cannot load the function: ModuleNotFoundError: No module named "
            "'a_module_that_is_not_installed'"
        )
        assert one.attempts == 1
