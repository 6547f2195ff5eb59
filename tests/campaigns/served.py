"""Virtual benches served by a process of their own, and command lines that drive them and can be killed."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from hwlearn.lab.bench_file.file import load_bench_file
from hwlearn.lab.runs.store import Run
from hwlearn.storage.toml_text import toml_text

# serves a bench and records when its channels are live: at more than 20 mV, or any current source that is on
SERVER = """
import json, sys, time
from hwlearn.lab.bench.backends import find_backend
from hwlearn.lab.bench_file.file import load_bench_file
from hwlearn_sim.plane.plane import AnalogPlane
from hwlearn_sim.plane.sources import CurrentSource, VoltageSource

live, last_on, off_at = set(), 0.0, time.monotonic()
drive = AnalogPlane.drive

def recorded(plane, channel, source):
    global last_on, off_at
    was = bool(live)
    is_on = isinstance(source, CurrentSource) or (isinstance(source, VoltageSource) and abs(source.volts) > 0.02)
    (live.add if is_on else live.discard)(channel)
    if is_on:
        last_on = time.monotonic()
    elif was and not live:
        off_at = time.monotonic()
    drive(plane, channel, source)

AnalogPlane.drive = recorded
file = load_bench_file(sys.argv[1], sys.argv[2:])
settings = find_backend(file.tables["backend"], file.where)[1]
limits = file.limits.build()
bench = settings.bench(file.network.build(file.folder), limits)
with bench:
    kind = file.backend.kind
    arguments = (bench,) if kind == "virtual-board" else (bench, limits)
    table = {"kind": kind.removeprefix("virtual-"), **settings.driver_settings(*arguments)}
    print(json.dumps(table), flush=True)
    for line in sys.stdin:
        if line.strip() != "state":
            break
        print(json.dumps({"live": sorted(live), "last_on": last_on, "off_at": off_at}), flush=True)
"""


COMMAND_LINE = """
import hwlearn.cli.session
hwlearn.cli.session.draw_run = lambda run: run.folder / "report.png"  # drawing takes longer than these trainings
from hwlearn.cli import main
main()
"""

IN_TERMINAL = """
import os, sys
os.open(sys.argv.pop(1), os.O_RDWR)  # the first terminal that the leader of a session opens becomes its own
"""


class ServedBench:
    """A shipped virtual bench in a process of its own.

    Parameters
    ----------
    name : str
        ``"virtual-smu"``, ``"virtual-board"``, ``"declared-board"`` or another virtual one.
    *changes : str
        Overrides of its keys.
    """

    def __init__(self, name: str, *changes: str) -> None:
        self._file = load_bench_file(name, changes)
        self._process = subprocess.Popen(
            [sys.executable, "-c", SERVER, name, *changes],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self.backend: Mapping[str, Any] = self._answer()

    def _answer(self) -> Mapping[str, Any]:
        assert self._process.stdout is not None
        return json.loads(self._process.stdout.readline())

    def state(self) -> Mapping[str, Any]:
        """Return the live channels, and when one was last switched on and the last one off."""
        assert self._process.stdin is not None
        self._process.stdin.write("state\n")
        self._process.stdin.flush()
        return self._answer()

    def write_file(self, path: Path, **tables: Mapping[str, Any]) -> Path:
        """Write the bench file with which the real drivers open this bench, with tables replaced or added."""
        kept = {name: dict(table) for name, table in self._file.tables.items() if name != "backend"}
        path.write_text(toml_text({**kept, "backend": dict(self.backend), **tables}), encoding="utf-8")
        return path

    def seconds_until_off(self, since: float, longest: float = 10.0) -> float:
        """Return how long after a time (monotonic) the last channel was switched off; infinity if it was not."""
        while time.monotonic() < since + longest:
            state = self.state()
            if not state["live"]:
                return max(0.0, state["off_at"] - since)
            time.sleep(0.02)
        return float("inf")

    def was_on_after(self, moment: float) -> bool:
        """Whether a channel was switched on, or changed while it was on, after a time."""
        return bool(self.state()["last_on"] > moment)

    def close(self) -> None:
        """Stop serving."""
        self._process.stdin.close()
        self._process.wait(20)
        self._process.stdout.close()


class Command:
    """A command line in a session of its own.

    Parameters
    ----------
    *arguments : str or Path
        Of ``hwlearn``.
    program : str, optional
        Python source to run instead of the command line itself.
    terminal : int, optional
        Slave end of a pseudo-terminal that becomes the controlling terminal of the program.
    """

    def __init__(
        self,
        *arguments: str | Path,
        program: str = COMMAND_LINE,
        terminal: int | None = None,
    ) -> None:
        if terminal is not None:
            program, arguments = IN_TERMINAL + program, (os.ttyname(terminal), *arguments)
        self.process = subprocess.Popen(
            [sys.executable, "-c", program, *map(str, arguments)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            # a group in the session of the campaign, because Ctrl-Z does not stop an orphaned group
            **({"process_group": 0} if terminal is None else {"start_new_session": True}),
        )
        self.lines: list[str] = []

    def wait_for_event(self, name: str) -> Mapping[str, Any]:
        """Read JSON lines up to one with this event, and return it."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line)
            event = json.loads(line)
            if event.get("event") == name:
                return event
        assert self.process.stderr is not None
        raise RuntimeError(f"the command ended before {name!r}: {self.process.stderr.read()}")

    def send(self, number: int) -> float:
        """Send a signal; return when."""
        now = time.monotonic()
        self.process.send_signal(number)
        return now

    def stopped(self, longest: float = 5.0) -> bool:
        """Wait until the process is stopped."""
        ends = time.monotonic() + longest
        while time.monotonic() < ends:
            with contextlib.suppress(OSError):
                if process_state(self.process.pid) == "T":
                    return True
            time.sleep(0.01)
        return False

    def stopped_or_ended(self) -> bool:
        """Wait until the process is stopped (true) or has ended."""
        return self.process.poll() is None and self.stopped()

    def guardian(self) -> int | None:
        """Return the process number of its guardian."""
        for child in children(self.process.pid):
            with contextlib.suppress(OSError):
                if b"guardian" in Path(f"/proc/{child}/cmdline").read_bytes():
                    return child
        return None

    def end(self, longest: float = 60.0) -> tuple[int, str]:
        """Wait for the end; return exit code and stderr, and keep the lines of stdout."""
        out, err = self.process.communicate(timeout=longest)
        self.lines += out.splitlines(keepends=True)
        return self.process.returncode, err

    def kill(self) -> None:
        """Kill it, whatever state it is in."""
        with contextlib.suppress(OSError):
            self.process.kill()
        with contextlib.suppress(subprocess.TimeoutExpired, ValueError):
            self.process.communicate(timeout=20)


def process_state(pid: int) -> str:
    """Return the state letter of a process, Linux: R, S, D, T (stopped), Z (zombie)."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def children(pid: int) -> list[int]:
    """Return the child processes of a process (Linux)."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError, IndexError):
                if int((entry / "stat").read_text().rpartition(")")[2].split()[1]) == pid:
                    found.append(int(entry.name))
    return found


def is_gone(pid: int, longest: float = 5.0) -> bool:
    """Wait until a process has ended; one that waits for its parent to look (zombie) has."""
    ends = time.monotonic() + longest
    while time.monotonic() < ends:
        try:
            if process_state(pid) == "Z":
                return True
        except OSError:
            return True
        time.sleep(0.02)
    return False


@contextlib.contextmanager
def commands() -> Iterator[list[Command]]:
    """Give a list to which started commands are added; all of them are killed at the end."""
    started: list[Command] = []
    try:
        yield started
    finally:
        for command in started:
            command.kill()


def acknowledged(lines: Sequence[str]) -> list[int]:
    """Return the numbers of the epochs that a command printed."""
    events = [json.loads(line) for line in lines if line.endswith("\n")]
    return [event["number"] for event in events if event.get("event") == "epoch"]


def rows_of(run: Run) -> list[tuple[int, float, bytes]]:
    """Return every committed batch and update of a run, for comparing runs bit for bit."""
    rows, costs = [], run.batch_costs()
    for step in range(run.steps()):
        readings = run.readings(step)
        data = b"".join(name.encode() + readings[name].tobytes() for name in sorted(readings))
        rows.append((step, float(costs[step]), data + run.conductances(step).tobytes()))
    return rows
