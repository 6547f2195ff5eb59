"""Cables that fail during a training: exit code 1, state "failed", both causes, and the run resumes.

Eight faults on the cable of one instrument, at a random step, of four families of source-measure units that this
process serves. Late and fragmented replies are no faults, because they arrive in time: the training finishes.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from unittest.mock import patch

import numpy as np
from campaign import Campaign, every, shown
from typer.testing import CliRunner

from hwlearn.cli import app
from hwlearn.lab.runs.recorder import RunRecorder
from hwlearn_sim.bench.bench import VirtualBench
from hwlearn_sim.wire.faults import KINDS

MODELS = ("2400", "2450", "2612B", "B2902A")
HARMLESS = ("late", "fragmented")
ALWAYS = 1000  # replies with a fault: more than the rest of a training has
DRIVER = 'backend.driver={ nplc = 0.01, timeout = "1 s" }'


def command(*arguments: str) -> tuple[int, list[str], str]:
    """Run a command line; return its exit code, the lines of stdout, and stderr."""
    with patch("hwlearn.cli.session.draw_run", lambda run: run.folder / "report.png"):
        ended = CliRunner().invoke(app, list(arguments))
    return ended.exit_code, ended.stdout.splitlines(), ended.stderr


def trial(case: str, rng: np.random.Generator) -> Mapping[str, float]:
    """Train with a fault that begins at a random step, then resume without it."""
    model, kind = case.split()
    served: list[VirtualBench] = []
    at, smu = int(rng.integers(0, 3)), f"smu{rng.integers(1, 3)}"
    start, on_step = VirtualBench.start, RunRecorder.on_step

    def kept(bench):
        served.append(bench)
        return start(bench)

    def fail(recorder, step):
        on_step(recorder, step)
        if step.number == at and kind == "gone":
            served[-1]._servers[smu].close()
        elif step.number == at and kind == "muted":
            served[-1].faults(smu).muted = True
        elif step.number == at:
            served[-1].faults(smu).inject(kind, count=ALWAYS, seconds=0.01)

    changes = [f'backend.model="{model}"', DRIVER, "train.epochs=5", "data.samples=2"]
    words = [word for change in changes for word in ("--set", change)]
    with tempfile.TemporaryDirectory() as folder:
        with patch.object(VirtualBench, "start", kept), patch.object(RunRecorder, "on_step", fail):
            code, _, err = command("train", "virtual-smu", *words, "--json", "--runs", folder)
        err = err.splitlines()[-1] if err else ""  # before it may be critical messages of the log
        row = json.loads(command("runs", "--json", "--runs", folder)[1][-1])
        on = "OUTPUTS MAY BE ON" in err
        if kind in HARMLESS:
            return {"code": code == 0, "state": row["status"] == "finished", "causes": 1, "on": on, "resumes": 1}
        first = err.removeprefix("hwlearn: ").partition("OUTPUTS MAY BE ON")[0].strip()
        resumed, out, _ = command("resume", row["run"], "--json")
        return {
            "code": code == 1,
            "state": row["status"].startswith("failed: ") and ("OUTPUTS MAY BE ON" in row["status"]) == on,
            "causes": bool(first) and f"continue with: hwlearn resume {row['run']}" in err,
            "on": on,
            "resumes": resumed == 0 and json.loads(out[-1])["epochs"] == 5,
        }


CAMPAIGN = Campaign(
    "cable_faults",
    trial,
    [f"{model} {kind}" for model in MODELS for kind in (*KINDS, "muted", "gone")],
    {"code": every(), "state": every(), "causes": every(), "on": shown(), "resumes": every()},
    count=5,
)

if __name__ == "__main__":
    CAMPAIGN.main()
