"""What counts against the time that a script may use."""

from __future__ import annotations

import gc
import time

import pytest

from hwlearn_sim.instruments.tsp.script.sandbox import Sandbox, ScriptLimits


@pytest.mark.slow
def test_garbage_collection_of_a_large_program_does_not_count():
    sandbox = Sandbox(lambda text: True, lambda error: None, ScriptLimits(seconds=0.1))
    heap = [[k] for k in range(500_000)]
    sandbox.publish("collect", lambda: gc.collect() * 0)
    start = time.thread_time()
    sandbox.run("for k = 1, 8 do collect() end")
    assert time.thread_time() - start > 0.1
    assert len(heap) == 500_000
