"""A virtual bench that this process serves, and a bench file with which other processes drive it."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

from hwlearn.lab.bench.backends import find_backend
from hwlearn.lab.bench_file.file import load_bench_file, read_tables
from hwlearn.storage.toml_text import toml_text
from hwlearn_sim.bench.smu_backend import VirtualSmuSettings
from hwlearn_sim.plane.sources import VoltageSource

PATIENCE_S = 60.0


class SharedBench:
    """A served virtual bench without noise; ``smu`` or ``board``, over ``tcp`` or ``pty``."""

    def __init__(self, folder: Path, kind: str, wire: str, model: str = "2612B", **train: object):
        self.folder, self.kind = folder, kind
        quiet = ["backend.noise=0"] if kind == "smu" else ["backend.read_noise=0"]
        changes = [f"backend.wire={wire}", *quiet, *([f'backend.model="{model}"'] if kind == "smu" else [])]
        file = load_bench_file(f"virtual-{kind}", changes)
        _, _, tables = read_tables(f"virtual-{kind}", changes)
        settings = find_backend(tables["backend"], "bench")[1]
        topology, limits = file.network.build(file.folder), file.limits.build()
        self.bench = settings.bench(topology, limits)
        self.bench.start()
        if isinstance(settings, VirtualSmuSettings):
            backend = settings.driver_settings(self.bench, limits)
        else:
            backend = settings.driver_settings(self.bench)
        tables["backend"] = {"kind": kind, **backend}
        tables["train"] |= train
        self.path = folder / "bench.toml"
        self.path.write_text(toml_text(tables), encoding="utf-8")
        self.names = [row["name"] for row in self.bench.instruments]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.bench.close()

    @property
    def on(self) -> list[str]:
        """Outputs that are on; of a board, those that drive."""
        if self.kind == "smu":
            units = [self.bench.instrument(name) for name in self.names if name.startswith("smu")]
            return [channel.label for unit in units for channel in unit.channels if channel.settings.output]
        sources = [(channel.label, channel.source) for channel in self.bench.plane.channels()]
        return [
            label for label, source in sources if isinstance(source, VoltageSource) and abs(source.volts) > 0.01
        ]

    def goes(self, on: bool, seconds: float = PATIENCE_S) -> float:
        """Wait until an output is on, or all are off; return the seconds that this took."""
        began = time.monotonic()
        while bool(self.on) != on:
            assert time.monotonic() - began < seconds, f"on: {self.on}"
            time.sleep(0.001)
        return time.monotonic() - began

    def start(self, *arguments: object) -> subprocess.Popen[str]:
        """Start a command line."""
        command = [sys.executable, "-m", "hwlearn", *map(str, arguments)]
        return subprocess.Popen(
            command, cwd=self.folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ
        )

    def run(self, *arguments: object) -> tuple[int, str, str]:
        """Run a command line; return its exit code, stdout and stderr."""
        process = self.start(*arguments)
        out, err = process.communicate(timeout=PATIENCE_S)
        return process.returncode, out, err

    def rows(self, run: str) -> list[tuple]:
        """Return the stored batches and updates of a run without their times, or only those of some steps."""
        with closing(sqlite3.connect(Path(run) / "run.sqlite")) as data:
            batches = data.execute("SELECT step, epoch, cost, skipped, arrays FROM batches ORDER BY step")
            updates = data.execute("SELECT step, arrays FROM updates ORDER BY step")
            return [*batches.fetchall(), *updates.fetchall()]


def json_lines(text: str) -> list[dict]:
    """Return the lines of JSON output."""
    return [json.loads(line) for line in text.splitlines() if line.startswith("{")]
