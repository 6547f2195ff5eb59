"""Two processes on one bench: the second is refused by name, and `hwlearn off` reaches the first.

A training drives a served virtual bench (SMUs over TCP or pseudo-terminals, or a board on a pseudo-terminal)
without noise. At a random moment

- ``second``: a second command or program opens the bench, and is refused with exit code 2 and the name of the
  first. The training goes on, and every stored number equals that of an undisturbed training.
- ``off``: `hwlearn off` runs. The outputs are off when it has ended, the training ends with exit code 1 and names
  the command, and the resumed run equals an undisturbed training.
- ``stopped``: the training is stopped by SIGSTOP, so that it cannot confirm, then `hwlearn off` runs. Where the
  link admits one client, the training is ended. Over TCP it is named, and goes on living.

::

    python tests/campaigns/two_processes.py --count 100
"""

from __future__ import annotations

import atexit
import functools
import json
import os
import signal
import tempfile
import time
from pathlib import Path

import numpy as np
from campaign import Campaign, at_most, every, none
from served import Command, ServedBench, commands

import hwlearn as hl
from hwlearn.errors import InUseError
from hwlearn.lab.runs.store import Run

BENCHES = {
    "smu tcp": ("virtual-smu", "backend.noise=0", "backend.wire=tcp"),
    "smu pty": ("virtual-smu", "backend.noise=0", "backend.wire=pty"),
    "board pty": ("virtual-board", "backend.read_noise=0"),
}
EPOCHS = {"smu tcp": 50, "smu pty": 40, "board pty": 200}
LATEST_S = 1.5
"""The second process comes at most so late after the beginning of the training."""
SECOND = ("train", "check", "calibrate", "devices", "program", "program")
"""What opens the bench a second time; ``program`` is Python code in the process of the campaign."""

QUICK = (
    "import hwlearn.cli.session as session; session.draw_run = lambda run: run.folder; "
    "from hwlearn.cli import main; main()"
)
"""The command line without drawing a report."""

WAITING = """
import sys, time
from pathlib import Path
from hwlearn.cli import main
import hwlearn.lab.bench.bench, hwlearn.lab.checks, hwlearn_drivers.board.backend, hwlearn_drivers.smu.backend
go = Path(sys.argv.pop())
print('{"event": "ready"}', flush=True)
while not go.exists():
    time.sleep(0.002)
main()
"""
"""The command line, which waits after its start until a file exists."""

LATE = 5
"""So many trials may come too late, after the end of the training; they are repeated."""

_folder = tempfile.TemporaryDirectory()
atexit.register(_folder.cleanup)


@functools.cache
def place() -> Path:
    """Return the folder of this campaign, with its own claims."""
    os.environ["HWLEARN_CLAIMS"] = str(Path(_folder.name) / "claims")
    os.environ["HWLEARN_RUNS"] = str(Path(_folder.name) / "runs")
    return Path(_folder.name)


@functools.cache
def served(bench: str) -> tuple[ServedBench, Path]:
    """Return the bench, served by a process of its own, and its bench file."""
    folder = place()
    one = ServedBench(*BENCHES[bench])
    atexit.register(one.close)
    file = one.write_file(folder / f"{bench.replace(' ', '-')}.toml")
    return one, file


def started(bench: str) -> Command:
    """Start a training of a bench."""
    words = ("train", str(served(bench)[1]), "--set", f"train.epochs={EPOCHS[bench]}", "--json")
    return Command(*words, program=QUICK)


def numbers(run: str) -> list[tuple]:
    """Return everything that a run stored, without its times."""
    with Run.open(run).contents() as contents:
        return [
            (table, keys[0], *sorted((name, array.tobytes()) for name, array in arrays.items()))
            for table in ("batches", "updates")
            for keys, arrays in contents.rows(table)
        ]


@functools.cache
def undisturbed(bench: str) -> list[tuple]:
    """Return what an undisturbed training stores."""
    with commands() as all_of_them:
        one = started(bench)
        all_of_them.append(one)
        run = one.wait_for_event("start")["run"]
        code, err = one.end(300)
        assert code == 0, err
        return numbers(run)


def wrong_rows(run: str, bench: str) -> int:
    """Return how many stored rows are not among those of the undisturbed training, which went on for longer."""
    wanted = set(undisturbed(bench))
    return sum(one not in wanted for one in numbers(run))


def interrupt(one: Command) -> None:
    """End a training that has lasted long enough."""
    one.send(signal.SIGINT)
    code, err = one.end()
    if code == 0:
        raise Late
    assert code == 130, err


class Waiting(Command):
    """A command that is ready to run at once."""

    def __init__(self, *words: str) -> None:
        self.go = place() / f"go-{time.monotonic_ns()}"
        super().__init__(*words, str(self.go), program=WAITING)

    def run(self) -> tuple[int, str]:
        """Let it run; return exit code and stderr."""
        self.go.touch()
        return self.end()


class Late(Exception):
    """The training had ended before the second process did anything."""


def words_of(bench: str, how: str) -> list[str]:
    """Return the command line that opens a bench."""
    one, file = served(bench)
    if how != "devices":
        return [how, str(file)]
    backend = one.backend
    address = backend["address"] if bench.startswith("board") else backend["channels"][0]["address"]
    return ["devices", "--json", "--identify", address]


def open_second(bench: str, how: str, other: Waiting | None, first: Command) -> bool:
    """Open the bench a second time; return whether that is refused by name, and nothing else."""
    name = f"process {first.process.pid} of user"
    if other is None:
        try:
            hl.open_bench(served(bench)[1]).open().close()
        except InUseError as error:
            return name in str(error)
    else:
        code, err = other.run()
        if how == "devices" and code == 1 and name in "".join(other.lines):
            return True
        if how != "devices" and code == 2 and name in err:
            return True
    return False


def trial(case: str, rng: np.random.Generator) -> dict[str, float]:
    """Run one trial of a case such as ``off, smu tcp``."""
    for _ in range(LATE):
        try:
            return attempt(*case.split(", "), rng)
        except Late:
            continue
    raise Late


def attempt(what: str, bench: str, rng: np.random.Generator) -> dict[str, float]:
    """Run one trial; raise `Late` if the training was faster."""
    how = str(rng.choice(SECOND)) if what == "second" else "off"
    delay = rng.uniform(0, LATEST_S)
    undisturbed(bench)
    with commands() as all_of_them:
        other = None if how == "program" else Waiting(*words_of(bench, how), *(["--json"] if how == "off" else []))
        all_of_them += [] if other is None else [other]
        first = started(bench)
        all_of_them.append(first)
        if other is not None:
            other.wait_for_event("ready")
        run = first.wait_for_event("start")["run"]
        time.sleep(delay)
        if what == "second":
            refused = open_second(bench, how, other, first)
            interrupt(first)
            return row(refused, wrong=wrong_rows(run, bench))
        assert other is not None
        return switched_off(what, bench, run, first, other)


def switched_off(what: str, bench: str, run: str, first: Command, off: Waiting) -> dict[str, float]:
    """Switch off during a training, and resume it."""
    one = served(bench)[0]
    if what == "stopped":
        os.kill(first.process.pid, signal.SIGSTOP)
        assert first.stopped()
    began = time.monotonic()
    code, err = off.run()
    took = time.monotonic() - began
    assert code == 0, err
    ways = {instrument["way"] for instrument in json.loads(off.lines[-1])["instruments"]}
    left_on = bool(one.state()["live"])
    if what == "stopped":
        ended = first.process.poll() is not None
        as_asked = (ways, ended) == (({"owner ended"}, True) if bench.endswith("pty") else ({"direct"}, False))
        if not ended:
            os.kill(first.process.pid, signal.SIGCONT)
    else:
        as_asked = ways <= {"owner", "direct and owner"}
    code, err = first.end(120)
    if code == 0 and what == "off":
        raise Late
    named = what == "stopped" or (code == 1 and f"requested by process {off.process.pid} " in err)
    left_on = left_on or bool(one.state()["live"])
    with commands() as all_of_them:
        resumed = Command("resume", run, "--json", program=QUICK)
        all_of_them.append(resumed)
        for _ in range(2):
            resumed.wait_for_event("epoch")
        interrupt(resumed)
    return row(named, as_asked, left_on, wrong_rows(run, bench), took)


def row(
    refused: bool, way: bool = True, on: bool = False, wrong: int = 0, seconds: float = 0.0
) -> dict[str, float]:
    """Return the values of one trial."""
    return {"named": refused, "way": way, "left on": on, "wrong rows": wrong, "seconds of off": seconds}


CAMPAIGN = Campaign(
    "two_processes",
    trial,
    [
        *(f"second, {bench}" for bench in BENCHES),
        *(f"off, {bench}" for bench in BENCHES),
        *(f"stopped, {bench}" for bench in BENCHES),
    ],
    {"named": every(), "way": every(), "left on": none(), "wrong rows": none(), "seconds of off": at_most(10.0)},
    count=100,
)

if __name__ == "__main__":
    CAMPAIGN.main()
