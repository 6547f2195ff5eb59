"""Resumed runs on simulated benches with noise against uninterrupted ones, bit for bit.

A trial draws a bench, its training and up to three interruptions, and compares everything that the run store has.
``train``: an exception at a random event, before or after it is committed. ``kill``: SIGKILL or SIGINT at a random
moment of ``hwlearn train`` and ``hwlearn resume``. ``calibrate``: an exception after a random answer.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import numpy as np
from campaign import Campaign, none, shown
from interruptions import calibrated, interrupted_run, new_run, train_part, unequal_rows
from noisy_benches import BACKENDS, write_bench

from hwlearn.lab.runs.store import Run

_CLI: Final = [sys.executable, "-m", "hwlearn"]
_RULES: Final = (
    {},
    {"nudge": "current"},
    {"optimizer": "momentum", "rate": 0.01, "anneal": 0.1},
    {"rule": "spsa", "optimizer": "sgd", "rate": 0.1},
    {"rule": "analytic", "optimizer": "sign", "rate": 0.02, "subset": 0.5, "subset_kind": "random"},
    {"subset": 0.3, "patience": 1, "epochs": 5},
)


def trial(case: str, rng: np.random.Generator) -> Mapping[str, float]:
    """Run one trial of a case such as ``train 2612B``."""
    how, backend = case.split(" ", 1)
    with tempfile.TemporaryDirectory() as folder:
        return {"train": _train, "kill": _kill, "calibrate": _calibrate}[how](backend, rng, Path(folder))


def _bench(backend: str, rng: np.random.Generator, folder: Path) -> Path:
    rule = dict(_RULES[int(rng.integers(len(_RULES)))])
    if backend == "board":
        rule.pop("nudge", None)
    keep = str(rng.choice(["best", "last"]))
    data = f"seed = {rng.integers(100)}\nvalidation_fraction = {rng.choice([0.0, 0.3])}"
    return write_bench(folder, backend, data=data, keep=keep, seed=int(rng.integers(100)), **rule)


def _row(whole: Run, resumed: Run, result: object, other: object, interruptions: int) -> Mapping[str, float]:
    unequal = unequal_rows(whole, resumed)
    return {"unequal values": len(unequal), "unequal results": result != other, "interruptions": interruptions}


def _train(backend: str, rng: np.random.Generator, folder: Path) -> Mapping[str, float]:
    bench = _bench(backend, rng, folder)
    whole, resumed = new_run(bench, folder / "runs"), new_run(bench, folder / "runs")
    kills = [(int(rng.integers(0, 30)), bool(rng.integers(2))) for _ in range(rng.integers(1, 4))]
    return _row(whole, resumed, train_part(whole), interrupted_run(resumed, kills), len(kills))


def _calibrate(backend: str, rng: np.random.Generator, folder: Path) -> Mapping[str, float]:
    bench = write_bench(folder, backend)
    memristive = backend.startswith(("soft", "vteam"))
    steps = ("noise", "pulses", "edges") if memristive else ("noise", "lines", "converters", "edges", "verify")
    kills = [int(k) for k in rng.integers(0, 80, rng.integers(1, 4))]
    whole = calibrated(bench, folder / "whole.toml", [], steps)
    resumed = calibrated(bench, folder / "resumed.toml", kills, steps)
    unequal = sum(whole.get(key) != resumed.get(key) for key in whole.keys() | resumed.keys())
    return {"unequal values": unequal, "unequal results": 0, "interruptions": len(kills)}


def _kill(backend: str, rng: np.random.Generator, folder: Path) -> Mapping[str, float]:
    bench = _bench(backend, rng, folder)
    whole = new_run(bench, folder / "whole")
    result = train_part(whole)
    assert result is not None
    interruptions, command = 0, [*_CLI, "train", str(bench), "--runs", str(folder / "runs"), "--json"]
    for _ in range(3):
        sent = _interrupted(command, folder, rng)
        runs = [run for run in Run.all(folder / "runs") if run.meta("format") is not None]
        if runs:
            command = [*_CLI, "resume", str(runs[0].folder), "--json"]
        if not sent:
            break
        interruptions += 1
    else:
        done = subprocess.run(command, capture_output=True, timeout=300)
        if done.returncode and b"there is nothing to resume" not in done.stderr:
            raise RuntimeError(done.stderr.decode()[-300:])
    (resumed,) = Run.all(folder / "runs")
    answer = {"evaluation": resumed.meta("result"), "conductances": resumed.conductances().tolist()}
    wanted = {"evaluation": result["evaluation"], "conductances": result["conductances"]}
    return _row(whole, resumed, json.loads(json.dumps(wanted)), answer, interruptions)


def _interrupted(command: list[str], folder: Path, rng: np.random.Generator) -> bool:
    """Run a command and end it at a random moment after its first event; return whether it was ended."""
    with (folder / "events.txt").open("wb") as events:
        process = subprocess.Popen(command, stdout=events, stderr=subprocess.PIPE)
    end = time.monotonic() + 120
    while process.poll() is None and time.monotonic() < end and not (folder / "events.txt").stat().st_size:
        time.sleep(0.005)
    time.sleep(float(rng.exponential(0.3)))
    with contextlib.suppress(ProcessLookupError):
        os.kill(process.pid, int(rng.choice([signal.SIGKILL, signal.SIGINT])))
    _, errors = process.communicate(timeout=120)
    if b"there is nothing to resume" in errors:  # the kill before came after the last step
        return False
    if process.returncode not in (0, 130, -signal.SIGKILL):
        raise RuntimeError(f"{' '.join(command)} ended with {process.returncode}: {errors.decode()[-300:]}")
    return process.returncode != 0


CAMPAIGN: Final = Campaign(
    name="resume",
    trial=trial,
    cases=[
        *(f"train {backend}" for backend in BACKENDS),
        *(f"kill {backend}" for backend in ("sim writes", "soft bounds failing", "mixed", "board")),
        *(f"calibrate {backend}" for backend in ("sim drift", "soft bounds failing", "2612B", "board")),
    ],
    columns={"unequal values": none(), "unequal results": none(), "interruptions": shown()},
    count=20,
)

if __name__ == "__main__":
    CAMPAIGN.main()
