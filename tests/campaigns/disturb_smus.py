"""Somebody else switches off, resets or changes an SMU at a random moment of a training.

A virtual bench of one model is served on TCP sockets; ``hwlearn train`` runs on it with the drivers of real
instruments; a second client sends one message to one instrument. Then:

- ``named``: exit code 1, the run is "failed", and the error names channel, node and what was changed;
- ``within batch``: no batch that began after the change was completed;
- ``on again``: outputs that were switched on after the change, as recorded by the instruments;
- ``left on``: outputs that are on after the command has ended;
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
from hwlearn_drivers.smu.network import SmuNetwork
from hwlearn_sim.bench.bench import VirtualBench
from hwlearn_sim.instruments.channel import VirtualChannel

MODELS = ("2400", "2450", "2612B", "B2902A")
KINDS = ("off", "reset", "limit", "source", "level")
TRAINING = ("train.epochs=4", "data.samples=4", "train.batch=2", "backend.noise=0")
NAMED = re.compile(
    r"(channel \d|smu[ab]) of .* at node n\d+ is not as this program left it: its? .*all outputs are off"
)

Row = Mapping[str, float]


class Served:
    """A virtual bench that this process serves, and a count of the batches that the drivers read."""

    def __init__(self, model: str, folder: Path) -> None:
        file = load_bench_file("virtual-smu", [*TRAINING, f'backend.model="{model}"'])
        settings = find_backend(file.tables["backend"], file.where)[1]
        limits = file.limits.build()
        self.model, self.folder = model, folder
        self.bench: VirtualBench = settings.bench(file.network.build(file.folder), limits).start()
        table = {"kind": "smu", **settings.driver_settings(self.bench, limits)}
        kept = {name: dict(table) for name, table in file.tables.items() if name != "backend"}
        self.path = folder / "bench.toml"
        self.path.write_text(toml_text({**kept, "backend": table}), encoding="utf-8")
        self.begun = 0
        self.late = 0  # batches that began after the change and were completed
        self.changed_at: int | None = None
        self.first = threading.Event()

    @property
    def channels(self) -> list[tuple[str, int, VirtualChannel]]:
        """Instrument, channel number and channel of every terminal."""
        listed = [one for one in self.bench.instruments if one["node"] is not None]
        return [
            (one["name"], number, self.bench.instrument(one["name"]).channels[number])
            for one in listed
            for number in range(len(one["node"]) if isinstance(one["node"], list) else 1)
        ]

    @contextmanager
    def counted(self) -> Iterator[None]:
        """Count the batches."""
        read = SmuNetwork._read_batch

        def counted(network, *args):
            self.begun += 1
            self.first.set()
            number = self.begun
            readout = read(network, *args)
            self.late += self.changed_at is not None and number > self.changed_at
            return readout

        with mock.patch.object(SmuNetwork, "_read_batch", counted):
            yield

    def run(self, *command: str) -> tuple[int, str, Run]:
        """Run a command line; return exit code, error and run."""
        runs = self.folder / "runs"
        with self.counted(), mock.patch("hwlearn.cli.session.draw_run", lambda run: run.folder):
            ended = CliRunner(env={"HWLEARN_RUNS": str(runs)}).invoke(app, [*command, "--json"])
        return ended.exit_code, ended.stderr, Run(max(runs.iterdir(), key=lambda one: one.stat().st_ctime))

    def send(self, name: str, message: str) -> None:
        """Send a message from a second client, and wait until it was executed."""
        port = int(self.bench.address(name).split("::")[2])
        with socket.create_connection(("127.0.0.1", port), timeout=20) as client:
            question = "print(1)" if self.model == "2612B" else "*IDN?"
            client.sendall(f"{message}\n{question}\n".encode())
            client.recv(200)


def message(model: str, kind: str, number: int, channel: VirtualChannel) -> str:
    """Return the message that changes a channel."""
    n, node, state = number + 1, "smu" + "ab"[number], channel.settings
    turned = "current" if state.function == "voltage" else "voltage"
    word, volts, amperes = turned[:4].upper(), state.levels["voltage"] + 0.02, state.levels["current"] + 1e-5
    scpi = {
        "2400": {
            "off": ":OUTP 0",
            "limit": ":SENS:CURR:PROT 7e-4;:SENS:VOLT:PROT 0.3",
            "source": f":SOUR:FUNC {word}",
            "level": f":SOUR:VOLT {volts};:SOUR:CURR {amperes}",
        },
        "2450": {
            "off": ":OUTP 0",
            "limit": ":SOUR:VOLT:ILIM 7e-4;:SOUR:CURR:VLIM 0.3",
            "source": f":SOUR:FUNC {word}",
            "level": f":SOUR:VOLT {volts};:SOUR:CURR {amperes}",
        },
        "B2902A": {
            "off": f":OUTP{n} 0",
            "limit": f":SENS{n}:CURR:PROT 7e-4;:SENS{n}:VOLT:PROT 0.3",
            "source": f":SOUR{n}:FUNC:MODE {word}",
            "level": f":SOUR{n}:VOLT {volts};:SOUR{n}:CURR {amperes}",
        },
        "2612B": {
            "off": f"{node}.source.output=0",
            "limit": f"{node}.source.limiti=7e-4 {node}.source.limitv=0.3",
            "source": f"{node}.source.func={int(turned == 'voltage')}",
            "level": f"{node}.source.levelv={volts} {node}.source.leveli={amperes}",
        },
    }[model]
    return scpi.get(kind) or ("reset()" if model == "2612B" else "*RST")


@cache
def undisturbed(model: str) -> tuple[float, list[Mapping[str, np.ndarray]], np.ndarray]:
    """Return duration, readings of every step and final conductances of an undisturbed training."""
    with tempfile.TemporaryDirectory() as folder:
        served = Served(model, Path(folder))
        began: list[float] = []
        threading.Thread(target=lambda: began.append((served.first.wait(60), time.monotonic())[1])).start()
        code, error, run = served.run("train", str(served.path))
        seconds = time.monotonic() - began[0]
        assert code == 0, error
        served.bench.close()
        return seconds, [dict(run.readings(step)) for step in range(run.steps())], run.conductances()


def trial(model: str, rng: np.random.Generator) -> Row:
    """Disturb one training; repeat if it ended before."""
    seconds, rows, final = undisturbed(model)
    kind, share = str(rng.choice(KINDS)), float(rng.uniform(0, 0.9))
    while True:
        with tempfile.TemporaryDirectory() as folder:
            row = _disturbed(Served(model, Path(folder)), kind, share * seconds, rng, rows, final)
        if row is not None:
            return row
        share *= 0.6


def _disturbed(served, kind, wait_s, rng, rows, final) -> Row | None:
    name, number, channel = served.channels[int(rng.integers(len(served.channels)))]
    before: list[int] = []

    def disturb() -> None:
        served.first.wait(60)
        time.sleep(wait_s)
        served.send(name, message(served.model, kind, number, channel))
        served.changed_at = served.begun
        before.extend(len(one.switched) for _, _, one in served.channels)

    thread = threading.Thread(target=disturb)
    thread.start()
    code, error, run = served.run("train", str(served.path))
    too_late = served.changed_at is None or (code == 0 and served.begun == served.changed_at)
    thread.join()
    try:
        if too_late:
            return None
        on_again = sum(
            list(one.switched)[start:].count(True)
            for (_, _, one), start in zip(served.channels, before, strict=True)
        )
        left_on = sum(one.settings.output for _, _, one in served.channels)
        stored = [dict(run.readings(step)) for step in range(run.steps())]
        wrong = sum(not _equal(found, rows[step]) for step, found in enumerate(stored))
        named = code == 1 and run.status.startswith("failed: ") and NAMED.search(error) is not None
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
    "disturb_smus",
    trial,
    MODELS,
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
