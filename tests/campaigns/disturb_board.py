"""Somebody else uses the board, or changes the edge card of an SMU bench, at a random moment of a training.

A virtual bench is served on TCP sockets; ``hwlearn train`` runs on it with the drivers of real instruments; a
second client sends one disturbance. Then:

- ``named``: exit code 1, the run is "failed", and the error says that somebody else used the board or card;
- ``within batch``: no batch that began after the disturbance was completed;
- ``on again``: updates of the board's DACs, or SMU outputs that were switched on, after the disturbance was found
  by the first batch after it;
- ``left on``: whether an output is on after the command has ended;
- ``wrong rows``: stored steps that differ from those of an undisturbed training;
- ``resumed``: ``hwlearn resume`` then ends like the undisturbed training.
"""

from __future__ import annotations

import re
import socket
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from unittest import mock

import numpy as np
from campaign import Campaign, every, none
from typer.testing import CliRunner

from hwlearn.cli import app
from hwlearn.lab.bench.backends import find_backend
from hwlearn.lab.bench_file.file import load_bench_file
from hwlearn.lab.runs.store import Run
from hwlearn.storage.toml_text import toml_text
from hwlearn_drivers.board.board import Board
from hwlearn_drivers.smu.network import SmuNetwork
from hwlearn_drivers.transport.blocks import decode_codes, encode_block, encode_codes
from hwlearn_sim.bench.bench import VirtualBench

CAN = "\x18"
KINDS = {
    "off": ("OUTP OFF", f"{CAN}OUTP OFF", CAN),
    "limit": ("SOUR:LIM:VOLT 1.4", "SOUR:LIM:NUDG 0.4", "SOUR:LIM:EDGE 100,150"),
    "setting": ("SYST:WDOG 9000", "SEQ:SETT 0", "SEQ:AVER 1", "SEQ:SIDE 1"),
    "edges": ("EDGE:CODE 3,77", "EDGE:CODE 3,77;CODE 30,78", "EDGE:CODE 31,20"),
    "and back": ("SEQ:SETT 0;SETT 200", "SEQ:AVER 1;AVER 4", "SYST:WDOG 50;WDOG 2000"),
    "drive": ("SOUR:VOLT 0,0.5", "SOUR:VOLT 15,1", "ROUT:CLOS 1"),
    "reset": ("*RST",),
    "restart": ("SYST:REB", "SYST:REB\n*ESR?", "*CLS\nSYST:REB\n*CLS"),
}
"""Messages of the second client of the board."""

BENCHES = {
    "board": ("virtual-board", "backend.wire='tcp'", "backend.read_noise=0", "train.epochs=4"),
    "edge card": (
        "virtual-smu", "backend.model='2450'", "backend.noise=0", "data.samples=4", "train.batch=2",
        "train.epochs=4",
    ),
}  # fmt: skip
NAMED = {
    "board": re.compile(r"somebody else used REFBOARD at .* is void|REFBOARD at .* has restarted on its own"),
    "edge card": re.compile(r"somebody else changed EDGE CARD at .* were set to codes .*all outputs are off"),
}  # fmt: skip
COUNTED = {"board": (Board, "sequence"), "edge card": (SmuNetwork, "_read_batch")}

Row = Mapping[str, float]


class Served:
    """A virtual bench that this process serves, and a count of the batches that the drivers read."""

    def __init__(self, case: str, folder: Path) -> None:
        name, *changes = BENCHES[case]
        file = load_bench_file(name, changes)
        settings = find_backend(file.tables["backend"], file.where)[1]
        limits = file.limits.build()
        self.case, self.folder = case, folder
        self.bench: VirtualBench = settings.bench(file.network.build(file.folder), limits).start()
        arguments = (self.bench,) if case == "board" else (self.bench, limits)
        table = {"kind": name.removeprefix("virtual-"), **settings.driver_settings(*arguments)}
        kept = {key: dict(value) for key, value in file.tables.items() if key != "backend"}
        self.path = folder / "bench.toml"
        self.path.write_text(toml_text({**kept, "backend": table}), encoding="utf-8")
        self.begun = 0
        self.late = 0  # batches that began after the disturbance and were completed
        self.changed_at: int | None = None
        self.first = threading.Event()

    @contextmanager
    def counted(self) -> Iterator[None]:
        """Count the batches."""
        owner, name = COUNTED[self.case]
        read = getattr(owner, name)

        def counted(one, *args):
            self.begun += 1
            self.first.set()
            number = self.begun
            result = read(one, *args)
            self.late += self.changed_at is not None and number > self.changed_at
            return result

        with mock.patch.object(owner, name, counted):
            yield

    def run(self, *command: str) -> tuple[int, str, Run]:
        """Run a command line; return exit code, error and run."""
        runs = self.folder / "runs"
        with self.counted(), mock.patch("hwlearn.cli.session.draw_run", lambda run: run.folder):
            ended = CliRunner(env={"HWLEARN_RUNS": str(runs)}).invoke(app, [*command, "--json"])
        return ended.exit_code, ended.stderr, Run(max(runs.iterdir(), key=lambda one: one.stat().st_ctime))

    def disturb(self, rng: np.random.Generator) -> None:
        """Send one disturbance from a second client, and wait until it was executed."""
        port = int(self.bench.address("board" if self.case == "board" else "edges").split("::")[2])
        with socket.create_connection(("127.0.0.1", port), timeout=20) as client:
            if self.case == "board":
                kind = str(rng.choice(list(KINDS)))
                for line in str(rng.choice(KINDS[kind])).split("\n"):  # bytes after a restart would be lost
                    client.sendall(line.encode() + b"\n")
                    client.sendall(b"*OPC?\n" if "REB" not in line else b"")
                    if "REB" in line:
                        time.sleep(0.02)
                        client.sendall(b"*OPC?\n")
                    while b"1\n" not in client.recv(200):
                        pass
                return
            client.sendall(b"EDGE:DATA?\n")
            reply = client.recv(4)
            size = 2 + int(chr(reply[1]))
            while len(reply) < size or len(reply) < size + int(reply[2:size]) + 1:
                reply += client.recv(4096)
            codes = decode_codes(reply[size:-1])
            places = rng.choice(len(codes), int(rng.integers(1, 4)), replace=False)
            codes[places] ^= rng.integers(1, 512, len(places)).astype(np.uint16)
            client.sendall(b"EDGE:DATA " + encode_block(encode_codes(codes)) + b"\n*IDN?\n")
            client.recv(200)

    def switched_on(self) -> int:
        """Return how many times something was driven: DAC updates of the board, or SMU outputs switched on."""
        if self.case == "board":
            return int(self.bench.board("board").controller.loads)
        return sum(list(channel.switched).count(True) for channel in self._channels())

    def left_on(self) -> bool:
        """Whether an output is on."""
        if self.case == "board":
            return not self.bench.board("board").is_safe
        return any(channel.settings.output for channel in self._channels())

    def _channels(self):
        smus = [one["name"] for one in self.bench.instruments if one["name"] != "edges"]
        return [channel for name in smus for channel in self.bench.instrument(name).channels]


@cache
def undisturbed(case: str) -> tuple[float, list[Mapping[str, np.ndarray]], np.ndarray]:
    """Return duration, readings of every step and final conductances of an undisturbed training."""
    with tempfile.TemporaryDirectory() as folder:
        served = Served(case, Path(folder))
        began: list[float] = []
        threading.Thread(target=lambda: began.append((served.first.wait(60), time.monotonic())[1])).start()
        code, error, run = served.run("train", str(served.path))
        seconds = time.monotonic() - began[0]
        assert code == 0, error
        served.bench.close()
        return seconds, [dict(run.readings(step)) for step in range(run.steps())], run.conductances()


def trial(case: str, rng: np.random.Generator) -> Row:
    """Disturb one training; repeat earlier if it ended before."""
    seconds, rows, final = undisturbed(case)
    share = float(rng.uniform(0, 0.9))
    while True:
        with tempfile.TemporaryDirectory() as folder:
            row = _disturbed(Served(case, Path(folder)), share * seconds, rng, rows, final)
        if row is not None:
            return row
        share *= 0.6


def _disturbed(served: Served, wait_s: float, rng: np.random.Generator, rows, final) -> Row | None:
    before: list[int] = []
    failed: list[Exception] = []

    def disturb() -> None:
        served.first.wait(60)
        time.sleep(wait_s)
        try:
            served.disturb(rng)
        except Exception as error:
            failed.append(error)
        before.append(served.switched_on())
        served.changed_at = served.begun

    thread = threading.Thread(target=disturb)
    thread.start()
    code, error, run = served.run("train", str(served.path))
    too_late = served.changed_at is None or (code == 0 and served.begun == served.changed_at)
    thread.join()
    try:
        if failed:
            raise failed[0]
        if too_late:
            return None
        on_again = served.switched_on() - before[0]
        left_on = served.left_on()
        stored = [dict(run.readings(step)) for step in range(run.steps())]
        wrong = sum(not _equal(found, rows[step]) for step, found in enumerate(stored))
        named = code == 1 and run.status.startswith("failed: ") and NAMED[served.case].search(error) is not None
        late = served.late
        served.changed_at = None
        code, _, run = served.run("resume", str(run.folder))
        resumed = code == 0 and run.steps() == len(rows) and np.array_equal(run.conductances(), final)
        return {
            "named": named,
            "within batch": late == 0,
            "on again": on_again,
            "left on": left_on,
            "wrong rows": wrong,
            "resumed": resumed,
        }
    finally:
        served.bench.close()


def _equal(found: Mapping[str, np.ndarray], wanted: Mapping[str, np.ndarray]) -> bool:
    return found.keys() == wanted.keys() and all(np.array_equal(found[key], wanted[key]) for key in found)


CAMPAIGN = Campaign(
    "disturb_board",
    trial,
    tuple(BENCHES),
    {
        "named": every(),
        "within batch": every(),
        "on again": none(),
        "left on": none(),
        "wrong rows": none(),
        "resumed": every(),
    },
    count=60,
)

if __name__ == "__main__":
    CAMPAIGN.main()
