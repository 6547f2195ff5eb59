"""Random kills and signals: outputs off, nothing acknowledged lost, resumed runs equal to uninterrupted ones.

A training runs through the twin, or through the real drivers on virtual source-measure units, on the virtual
board or on a declared board, which another process serves. After a random number of epochs and a random time it
receives a signal, or the terminal in which it runs is closed. Then the run is resumed until it is finished, and
its rows are compared bit for bit with those of a run that nothing disturbed.

With noise, instruments of another process never give the same readings twice, so the rows of ``smu``, ``board``
and ``declared`` are compared with the noise off. The twin has its noise on. 50 kills of each of the four::

    python tests/campaigns/kills.py --count 50 --case "twin KILL" --case "smu KILL" --case "board KILL" \
        --case "declared KILL"
"""

from __future__ import annotations

import os
import signal
import sys
import tempfile
import time
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import numpy as np
from campaign import Campaign, Column, at_most, every, none, shown
from served import Command, ServedBench, acknowledged, commands, is_gone, rows_of

from hwlearn.lab.runs.store import Run

SIGNALS = ("KILL", "TERM", "INT", "HUP", "QUIT", "ABRT", "TSTP", "terminal")
EPOCHS = {"twin": 300, "smu": 25, "board": 4, "declared": 8}
SERVED = {
    "smu": ("virtual-smu", "backend.noise=0.0"),
    "board": ("virtual-board", "backend.read_noise=0.0", "backend.wire=tcp"),
    "declared": ("declared-board", "backend.read_noise=0.0"),
}
TWIN = ("data.samples=6", "backend.read_noise=0.2 mV")


@cache
def bench(name: str) -> ServedBench | None:
    """Return a served bench; all trials share it, and it starts from the same devices in each."""
    return ServedBench(*SERVED[name]) if name in SERVED else None


def arguments(name: str, folder: Path) -> list[str | Path]:
    """Return the command that trains a bench."""
    served = bench(name)
    file = "regression" if served is None else served.write_file(folder / "b.toml", safety={"guardian": True})
    changes = [f"train.epochs={EPOCHS[name]}", *(TWIN if served is None else ())]
    return ["train", file, "--json", "--runs", folder, *(word for change in changes for word in ("--set", change))]


@cache
def undisturbed(name: str) -> list[tuple[int, float, bytes]]:
    """Return the rows of a run that nothing disturbs."""
    with tempfile.TemporaryDirectory() as folder, commands() as started:
        started.append(Command(*arguments(name, Path(folder))))
        run = Path(started[0].wait_for_event("start")["run"])
        code, err = started[0].end(300)
        assert code == 0, err
        return rows_of(Run.open(run))


def trial(case: str, rng: np.random.Generator) -> Mapping[str, float]:
    """Disturb one training, look at the outputs, resume it, and compare."""
    name, what = case.split()
    whole, served = undisturbed(name), bench(name)
    with tempfile.TemporaryDirectory() as place, commands() as started:
        folder = Path(place)
        terminal = os.openpty() if what == "terminal" else None
        command = Command(*arguments(name, folder), terminal=None if terminal is None else terminal[1])
        started.append(command)
        run = Path(command.wait_for_event("start")["run"])
        for _ in range(int(rng.integers(0, 4))):
            command.wait_for_event("epoch")
        time.sleep(rng.uniform(0, 0.3))
        guardian = command.guardian()
        if terminal is None:
            at = command.send(getattr(signal, f"SIG{what}"))
        else:
            at = time.monotonic()
            for end in terminal:
                os.close(end)
        if what == "TSTP" and command.stopped_or_ended():
            off = 0.0 if served is None else served.seconds_until_off(at)
            command.send(signal.SIGCONT)
        else:
            off = 0.0 if served is None else served.seconds_until_off(at)
        code, _ = command.end()
        printed = acknowledged(command.lines)
        stored = {epoch.number for epoch in Run.open(run).epochs()}
        status = Run.open(run).status
        ended = int(code == 0 or status not in ("running", "created"))
        finished = resumed(started, run)
        rows = rows_of(Run.open(run))
        return {
            "median_s": off,
            "off_s": off,
            "lost": len(set(printed) - stored),
            "midway": int(status != "finished"),
            "ended": ended,
            "resumed": finished,
            "equal": int(rows == whole),
            "left": int(guardian is not None and not is_gone(guardian)),
        }


def resumed(started: list[Command], run: Path) -> int:
    """Resume a run; return whether it finished."""
    if Run.open(run).status == "finished":
        return 1
    started.append(Command("resume", run, "--json"))
    code, _ = started[-1].end(300)
    return int(code == 0 and Run.open(run).status == "finished")


CAMPAIGN = Campaign(
    "kills",
    trial,
    [f"{name} {what}" for name in EPOCHS for what in SIGNALS],
    {
        "median_s": Column("", np.median, lambda values: True),
        "off_s": at_most(2.0),
        "lost": none(),
        "midway": shown(),  # trials that were disturbed before their training had ended
        "ended": every(),
        "resumed": every(),
        "equal": every(),
        "left": none(),
    },
    count=10,  # of each of 32 cases: 320
)

if __name__ == "__main__":
    if sys.platform != "linux":
        sys.exit("this campaign finds processes in /proc, which only Linux has")
    CAMPAIGN.main()
