"""Trainings on virtual source-measure units whose cables fail: exit codes, states, messages, and resuming."""

import json

import pytest

from hwlearn.lab.runs.recorder import RunRecorder
from hwlearn_sim.bench.bench import VirtualBench
from hwlearn_sim.wire.faults import KINDS

pytestmark = pytest.mark.usefixtures("without_reports")

ALWAYS = 1000
"""Number of replies with a fault: more than the rest of a training has."""


@pytest.fixture
def fails_after_step(monkeypatch):
    """Return a function that makes the cable of one instrument fail after the second update of a training."""
    served = []
    start, on_step = VirtualBench.start, RunRecorder.on_step

    def kept(bench):
        served.append(bench)
        return start(bench)

    monkeypatch.setattr(VirtualBench, "start", kept)

    def set_fault(kind, count=ALWAYS):
        def fail(recorder, step):
            on_step(recorder, step)
            if step.number != 1 or kind is None:
                return
            bench = served[-1]
            if kind == "gone":
                bench._servers["smu1"].close()
            elif kind == "muted":
                bench.faults("smu1").muted = True
            else:
                bench.faults("smu1").inject(kind, count=count, seconds=0.01)

        monkeypatch.setattr(RunRecorder, "on_step", fail)

    return set_fault


def trained(hwlearn, model, *command):
    driver = '{ nplc = 0.01, timeout = "1 s" }'
    changes = [f'backend.model="{model}"', f"backend.driver={driver}", "train.epochs=5", "data.samples=2"]
    return hwlearn(*command, *(word for change in changes for word in ("--set", change)), "--json")


@pytest.mark.share(3)
@pytest.mark.parametrize(
    "model",
    [
        pytest.param("2612B", marks=pytest.mark.slow),
        "2450",
        pytest.param("2400", marks=pytest.mark.slow),
        pytest.param("B2902A", marks=pytest.mark.slow),
    ],
)
@pytest.mark.parametrize("kind", [*KINDS, "muted", "gone"])
def test_training_with_a_failing_cable_ends_with_both_causes_and_can_be_resumed(
    hwlearn, fails_after_step, kind, model
):
    fails_after_step(kind)
    ended = trained(hwlearn, model, "train", "virtual-smu")
    row = json.loads(hwlearn("runs", "--json").out[-1])
    if kind in ("late", "fragmented"):  # no fault: every reply arrives in time
        assert (ended.code, row["status"]) == (0, "finished")
        return
    assert ended.code == 1
    assert row["status"].startswith("failed: ")
    line = ended.err[-1]
    assert "could not convert" not in line
    assert f"all stored measurements are kept, continue with: hwlearn resume {row['run']}" in line
    if "OUTPUTS MAY BE ON" in line:
        first, _, _ = line.partition("OUTPUTS MAY BE ON")
        assert first.removeprefix("hwlearn: ").strip(), "the message does not say what happened first"
        assert "OUTPUTS MAY BE ON" in row["status"]
    if kind in ("muted", "gone"):
        assert "OUTPUTS MAY BE ON" in line
    fails_after_step(None)
    ended = hwlearn("resume", row["run"], "--json")
    assert ended.code == 0
    assert json.loads(ended.out[-1])["epochs"] == 5
