"""The guardian: how soon outputs are off after a program is killed or stopped, on served virtual instruments.

Each trial trains through the real drivers with ``[safety] guardian = true``, and after a random time kills or
stops the program. ``s`` is the time from the signal until the last channel of the bench is off.
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
from campaign import Campaign, Column, at_most, every, none
from served import COMMAND_LINE, Command, ServedBench, commands, is_gone

FORKING = """
import os, threading, time
def fork_later():
    time.sleep(1.0)
    if not os.fork():
        time.sleep(6.0)
        os._exit(0)
threading.Thread(target=fork_later, daemon=True).start()
"""
"""Before the command line: a forked child that keeps every pipe open after its parent's death."""

BENCHES = {
    "smu": ("virtual-smu",),
    "2400": ("virtual-smu", 'backend.model="2400"'),
    "board": ("virtual-board", "backend.wire=tcp"),
    "board-pty": ("virtual-board", "backend.wire=pty"),
}
CASES = [
    "KILL smu",
    "KILL 2400",
    "KILL board",
    "KILL board-pty",
    "STOP smu",
    "STOP board",
    "FORK+KILL smu",
    "guardian smu",
]
LONG = {"epochs": 5000}


@cache
def bench(name: str) -> ServedBench:
    """Return a served bench; all trials share it."""
    return ServedBench(*BENCHES[name])


def trial(case: str, rng: np.random.Generator) -> Mapping[str, float]:
    """Train, disturb, and look at the outputs, the messages and the processes that are left."""
    what, name = case.split()
    served = bench(name)
    with tempfile.TemporaryDirectory() as folder, commands() as started:
        file = served.write_file(Path(folder) / "b.toml", safety={"guardian": True})
        arguments = ("train", file, "--json", "--runs", folder, "--set", f"train.epochs={LONG['epochs']}")
        command = (
            Command(*arguments, program=FORKING + COMMAND_LINE) if what == "FORK+KILL" else Command(*arguments)
        )
        started.append(command)
        command.wait_for_event("epoch")
        time.sleep((1.2 if what == "FORK+KILL" else 0.0) + rng.uniform(0, 0.5))
        guardian = command.guardian()
        assert guardian is not None, "there is no guardian"
        if what == "guardian":
            return lost_guardian(served, command, guardian)
        at = command.send(signal.SIGSTOP if what == "STOP" else signal.SIGKILL)
        seconds = served.seconds_until_off(at)
        named = on_again = 0
        if what == "STOP":
            time.sleep(rng.uniform(0, 0.5))
            resumed = command.send(signal.SIGCONT)
            code, err = command.end()
            named = int(code == 1 and "outputs were switched off" in err and "hwlearn resume" in err)
            time.sleep(0.3)
            on_again = int(served.was_on_after(resumed + 0.2) or bool(served.state()["live"]))
        else:
            named = 1
            time.sleep(0.2)
            on_again = int(served.was_on_after(at + seconds))
        left = int(not is_gone(guardian, 10.0))
        return {"median_s": seconds, "s": seconds, "named": named, "on again": on_again, "left": left}


def lost_guardian(served: ServedBench, command: Command, guardian: int) -> Mapping[str, float]:
    """Kill the guardian: the program must end with a named error, all outputs off."""
    at = time.monotonic()
    os.kill(guardian, signal.SIGKILL)
    code, err = command.end()
    seconds = served.seconds_until_off(at)
    named = int(code == 1 and "guardian" in err and "ended by itself" in err and "hwlearn resume" in err)
    return {"median_s": seconds, "s": seconds, "named": named, "on again": 0, "left": int(not is_gone(guardian))}


CAMPAIGN = Campaign(
    "guardian",
    trial,
    CASES,
    {
        "median_s": Column("", np.median, lambda values: True),
        "s": at_most(2.0),
        "named": every(),
        "on again": none(),
        "left": none(),
    },
    count=50,
)

if __name__ == "__main__":
    if sys.platform != "linux":
        sys.exit("this campaign finds processes in /proc, which only Linux has")
    CAMPAIGN.main()
