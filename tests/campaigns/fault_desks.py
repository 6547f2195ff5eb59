"""Five mixed benches on one small network, served by this process for a command line that trains on them.

Each has three or four instruments. One of them can be made late, mute, reset or gone at a chosen reply, or a relay
of the matrix can be stuck.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from unittest import mock

import numpy as np
from typer.testing import CliRunner
from wire_judge import Recorder

import hwlearn as hl
from hwlearn.cli import app
from hwlearn.errors import HwlearnError
from hwlearn.lab.runs.store import Run
from hwlearn.storage.toml_text import toml_text
from hwlearn_drivers.bench.opened import OpenedBench
from hwlearn_drivers.declared.declaration import BOARDS
from hwlearn_drivers.roles.values import Crosspoint
from hwlearn_drivers.transport.transport import Transport
from hwlearn_sim.bench.bench import VirtualBench
from hwlearn_sim.bench.mixed import VirtualMixedSettings
from hwlearn_sim.wire.faults import Fault

LIMITS: Final = hl.Limits(voltage=0.5, drop=1.0, nudge=0.2, current=1e-3, conductance=(12e-6, 1e-3))
TOPOLOGY: Final = hl.Topology.random(7, 12, inputs=3, outputs=2, seed=2)
SCANNERS: Final = {"34970A": 101, "34980A": 1001, "2700": 101}
"""Models of the scanner, and the first channel of each."""

CLOSES: Final = {"34970A": b"ROUT:CLOS (@120)", "34980A": b"ROUT:CLOS (@1040)", "2700": b"*CLS"}
"""How somebody else closes a channel of a scanner; a 2700 closes none while it scans."""

KINDS: Final = ("late", "too late", "mute", "reset", "gone")
RELAYS: Final = ("does not move", "stuck open", "stuck closed")
DAQ_KINDS: Final = ("gone", "reset", "write fails")
PLACES: Final = {
    "scan": ("board", "scan", "card"),
    "declared": ("board", "smu", "card"),
    "matrix": ("smu", "matrix", "card"),
    "daq": ("out", "smu", "card"),
    "several": ("smu1", "smu2", "smu3", "card"),
}
"""Instruments of each bench."""

_PATIENT_S: Final = 6.0  # of the instruments that are well: the computer may be busy
_SHORT_S, _LATE_S, _TOO_LATE_S = 0.2, 0.03, 0.6  # of the faulty one; a reading may take 0.2 s longer
_SCAN_S = 2.0  # a scan may take so much longer
_PROCESS_S, _PROCESS_TOO_LATE_S = 1.0, 1.6  # in a process of its own, whose transports cannot be reached

_CARD: Final = {"name": "card", "model": "edge-card", "linear": ["12 uS", "1 mS"], "positions": 4096}
_A, _B, _C = TOPOLOGY.inputs.tolist()
_Y, _Z = TOPOLOGY.outputs.tolist()


def settings(bench: str, folder: Path, scanner: str = "34970A") -> VirtualMixedSettings:
    """Return the tables of a bench; a board's protocol is written into the folder."""
    text = (BOARDS / "example.toml").read_text(encoding="ascii")
    text = text.replace('timeout = "1 s"', f'timeout = "{_PROCESS_S} s"')
    (folder / "board.toml").write_text(text, encoding="ascii")
    board = {"name": "board", "model": "declared", "protocol": str(folder / "board.toml")}
    smu = {"name": "smu", "model": "2450", "voltage_sigma": "50 uV"}
    more: dict[str, Any] = {}
    if bench == "scan":
        first = SCANNERS[scanner]
        scan = {"name": "scan", "model": scanner, "high_impedance": True, "voltage_sigma": "10 uV"}
        instruments = [board, scan, _CARD]
        terminals = [
            *(
                {"node": node, "source": f"board:{k}", "read": f"scan:{first + k}"}
                for k, node in enumerate((_A, _B, _C))
            ),
            *({"node": node, "read": f"scan:{first + 10 + k}"} for k, node in enumerate((_Y, _Z))),
        ]
    elif bench == "declared":
        instruments = [board, smu, _CARD]
        behind = {"source": "board:8", "resistance": 1e4, "switch": "board:sw0"}
        terminals = [
            {"node": _A, "source": "board:0", "read": "board:1"},
            {"node": _B, "source": "board:1"},
            {"node": _C, "source": "board:2"},
            {"node": _Y, "read": "board:0", "nudge": behind},
            {"node": _Z, "read": "smu:a", "nudge": "smu:a"},
        ]
    elif bench == "matrix":
        matrix = {"name": "matrix", "model": "707B", "cards": {"1": "7174A"}}
        instruments = [
            {"name": "smu", "model": "2612B", "voltage_sigma": "50 uV"},
            {**matrix, "max_voltage": 200.0, "max_current": 1.0},
            _CARD,
        ]
        terminals = []
        more["matrix"] = {
            "instrument": "matrix",
            "rows": {"A": {"source": "smu:a"}, "B": {"read": "smu:b"}, "H": "ground"},
            "columns": {TOPOLOGY.names[node]: k + 1 for k, node in enumerate((_A, _B, _C, _Y, _Z))},
            "read_inputs": True,
        }
    elif bench == "daq":
        lines = ["port0/line0", "port0/line1"]
        instruments = [{"name": "out", "model": "nidaqmx", "product": "PCI-6733", "lines": lines}, smu, _CARD]
        instruments.append({"name": "smu0", "model": "2400", "voltage_sigma": "50 uV"})
        terminals = [
            *({"node": node, "source": f"out:ao{k}"} for k, node in enumerate((_A, _B, _C))),
            {"node": _Y, "read": "smu0:a", "nudge": "smu0:a"},
            {"node": _Z, "read": "smu:a", "nudge": "smu:a"},
        ]
    else:
        instruments = [
            {"name": "smu1", "model": "2612B", "voltage_sigma": "50 uV"},
            {"name": "smu2", "model": "B2902A", "voltage_sigma": "50 uV"},
            {"name": "smu3", "model": "2400", "voltage_sigma": "50 uV"},
            _CARD,
        ]
        terminals = [
            {"node": _A, "source": "smu1:a", "read": "smu1:a"},
            {"node": _B, "source": "smu1:b", "read": "smu1:b"},
            {"node": _C, "source": "smu2:1", "read": "smu2:1"},
            {"node": _Y, "read": "smu2:2", "nudge": "smu2:2"},
            {"node": _Z, "read": "smu3:a", "nudge": "smu3:a"},
        ]
    return VirtualMixedSettings(
        instruments=instruments, terminals=terminals, edges={"programmer": "card"}, noise=0.0, **more
    )


def bench_file(bench: str, backend: Mapping[str, Any], folder: Path) -> Path:
    """Write a bench file that trains for a few batches, and its data; return its path."""
    rng = np.random.default_rng(5)
    x = np.round(rng.uniform(-0.4, 0.4, (4, 3)), 3)
    if bench == "matrix":  # one voltage besides 0 V
        x = 0.4 * np.array([[1, 0, 0], [1, 0, 1], [0, 1, 1], [1, 1, 0]], dtype=float)
    g = rng.uniform(1e-4, 5e-4, TOPOLOGY.n_edges)
    np.savez(folder / "data.npz", inputs=x, targets=hl.Kirchhoff(TOPOLOGY, g).solve(x)[:, TOPOLOGY.outputs])
    nudged = bench in ("several", "daq")
    tables = {
        "network": {"kind": "random", "nodes": 7, "edges": 12, "inputs": 3, "outputs": 2, "seed": 2},
        "limits": {
            "voltage": LIMITS.voltage,
            "drop": LIMITS.drop,
            "nudge": LIMITS.nudge,
            "current": LIMITS.current,
            "conductance": list(LIMITS.conductance),
        },
        "backend": {"kind": "bench", **backend},
        "data": {"source": "data.npz", "encoding": "plain"},
        "train": {
            **({"rule": "gep", "nudge": "clamp", "strength": 0.1} if nudged else {"rule": "analytic"}),
            "cost": "mse",
            "optimizer": "adam",
            "rate": 0.05,
            "epochs": 1,
            "batch": 2,
            "seed": 0,
        },
    }
    path = folder / "bench.toml"
    path.write_text(toml_text(tables), encoding="utf-8")
    return path


@dataclass(frozen=True)
class Ended:
    """How a command ended: exit code, what it printed, and the rows that it stored."""

    code: int
    text: str
    rows: tuple[Mapping[str, np.ndarray], ...]

    @property
    def complaints(self) -> str:
        """What went wrong, without what went well."""
        found = []
        for line in self.text.splitlines():
            told = json.loads(line) if line.startswith("{") else {"result": "fail", "found": line}
            if told.get("result") == "fail":
                found.append(str(told["found"]))
        return "\n".join(found)


class Desk:
    """A served bench with a bench file for it. A context manager."""

    def __init__(self, bench: str, folder: Path, scanner: str = "34970A", process: bool = False) -> None:
        self.bench, self.folder, self.process, self.scanner = bench, folder, process, scanner
        table = settings(bench, folder, scanner)
        self.virtual: VirtualBench = table.bench(TOPOLOGY, LIMITS).start()
        self.recorder = Recorder(self.virtual)
        drivers = {**table.driver_settings(self.virtual, LIMITS), "timeout": _PROCESS_S if process else _PATIENT_S}
        self.log = folder / "wire.log"
        self.path = bench_file(bench, {**drivers, "wire_log": str(self.log)}, folder)
        self.faulty = ""
        self.struck = threading.Event()
        if bench == "matrix":
            # two contacts in a loop drive up to 70 uA by their thermal voltages, with every source at 0 V
            self.relays.noticed_A = 1e-4

    def __enter__(self) -> Desk:
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(HwlearnError):
            self.virtual.close()

    @property
    def relays(self) -> Any:
        """The relays of the matrix."""
        return self.virtual.instrument("matrix").relays

    def replies(self, name: str) -> int:
        """Return how many replies, or calls of a DAQ device, there were so far."""
        if self.bench == "daq" and name == "out":
            return len(self.virtual.instrument(name).written)
        return self.virtual.faults(name).replies

    def port(self, name: str) -> str:
        """Return what names an instrument in every message."""
        return self.virtual.address(name).split("::")[2] if "::" in self.virtual.address(name) else name

    # --- faults -------------------------------------------------------------------------------------

    def arm(self, name: str, kind: str, at: int, rng: np.random.Generator) -> None:
        """Let a fault happen at the reply with this number."""
        self.faulty = "" if kind in RELAYS else name
        if kind in RELAYS:
            self._arm_relay(kind, at, rng)
        elif self.bench == "daq" and name == "out":
            self.virtual.instrument(name).inject(kind, at, of="write")
            self.struck.set()
        else:
            self._at_reply(name, at, lambda: self._strike(name, kind, bool(rng.random() < 0.5)))

    def _at_reply(self, name: str, at: int, act: Callable[[], Fault | None]) -> None:
        faults = self.virtual.faults(name)
        original = faults.next

        def following() -> Fault | None:
            due = not self.struck.is_set() and faults.replies >= at
            found = original()
            if not due:
                return found
            self.struck.set()
            return act()

        faults.next = following  # type: ignore[method-assign]

    def _strike(self, name: str, kind: str, power: bool) -> Fault | None:
        faults = self.virtual.faults(name)
        if self.bench == "scan" and kind != "late":  # at the same time somebody closes a channel by hand
            scanner = self.virtual.instrument("scan")
            with scanner.lock:
                type(scanner)._execute(scanner, CLOSES[self.scanner])
        if kind == "late":
            return Fault("late", _LATE_S)
        if kind == "too late":
            late_s = _PROCESS_TOO_LATE_S if self.process else _TOO_LATE_S
            return Fault("late", late_s + (_SCAN_S if name == "scan" else 0.0))
        if kind == "mute":
            faults.muted = True
            return Fault("dropped")
        if kind == "gone":
            faults.muted = True
            threading.Thread(target=self.virtual._servers[name].close, daemon=True).start()
        elif power:  # it loses its supply, and comes back with its power-on settings
            before = len(self.relays.hot_moves) if name == "matrix" else 0
            self.virtual.instrument(name).reset()
            if name == "matrix":
                del self.relays.hot_moves[before:]  # relays that fall open are the fault, no move of the program
        return Fault("reset")

    def _arm_relay(self, kind: str, at: int, rng: np.random.Generator) -> None:
        """Let a relay of an input be stuck, from a reply of the matrix on."""
        column = str(rng.integers(1, 4))

        def act() -> None:
            self.relays.set_fault(Crosspoint("A", column), kind)

        self._at_reply("matrix", at, act)

    # --- the command --------------------------------------------------------------------------------

    def run(self, *command: str) -> Ended:
        """Run ``hwlearn`` with the bench file, in this process or in one of its own."""
        runs = self.folder / "runs"
        words = [command[0], str(self.path), *command[1:], "--json"]
        if self.process:
            environment = {**os.environ, "HWLEARN_RUNS": str(runs)}
            ended = subprocess.run(
                [sys.executable, "-m", "hwlearn", *words],
                capture_output=True,
                text=True,
                timeout=120,
                env=environment,
            )
            code, text = ended.returncode, ended.stdout + ended.stderr
        else:
            with self._impatient(), mock.patch("hwlearn.cli.session.draw_run", lambda run: run.folder):
                result = CliRunner(env={"HWLEARN_RUNS": str(runs)}).invoke(app, words)
            code, text = result.exit_code, result.output
            if result.exception is not None and not isinstance(result.exception, SystemExit):
                raise result.exception
        found = sorted(runs.iterdir()) if runs.is_dir() else []
        run = Run(found[-1]) if found else None
        rows = () if run is None else tuple(dict(run.readings(step)) for step in range(run.steps()))
        return Ended(code, text, rows)

    @contextmanager
    def _impatient(self) -> Iterator[None]:
        """Give the faulty instrument a short time-out, and all others a long one."""
        port = f"::{self.port(self.faulty)}::" if self.faulty else ""
        initialise = Transport.__init__

        def opened(transport: Transport, name: str, *args: Any, **options: Any) -> None:
            initialise(transport, name, *args, **options)
            transport.timeout_s = _SHORT_S if port and port in name else _PATIENT_S

        with mock.patch.object(Transport, "__init__", opened):
            yield

    # --- hidden state -------------------------------------------------------------------------------

    def on(self, names: Sequence[str]) -> list[str]:
        """Return which of these instruments are on, after three seconds at the latest: OFF has no reply."""
        deadline = time.monotonic() + 3
        while (left := [one for one in names if self._is_on(one)]) and time.monotonic() < deadline:
            time.sleep(0.005)
        return left

    def _is_on(self, name: str) -> bool:
        virtual = self.virtual.instrument(name)
        if name == "board":
            return not virtual.hardware.is_off
        if name == "matrix":
            return bool(virtual.relays.closed - virtual.relays.faults.keys())  # one that is stuck cannot open
        if name == "out":
            return not virtual.is_off
        if name == "scan":
            return bool(virtual.closed)
        return name != "card" and any(channel.settings.output for channel in virtual.channels)


@dataclass(frozen=True)
class Undisturbed:
    """A training without a fault.

    Attributes
    ----------
    opening, replies : mapping of str to int
        How many replies each instrument sent until the bench was open, and until it was closed.
    rows : tuple of mapping
        What was stored.
    """

    opening: Mapping[str, int]
    replies: Mapping[str, int]
    rows: tuple[Mapping[str, np.ndarray], ...]


def undisturbed(bench: str, scanner: str, folder: Path, *command: str) -> Undisturbed:
    """Run a command without a fault."""
    with Desk(bench, folder, scanner) as desk:
        opened: dict[str, int] = {}
        counted: dict[str, int] = {}
        initialise, close = OpenedBench.__init__, OpenedBench._close

        def opening(network: OpenedBench, *args: Any, **options: Any) -> None:
            opened.update({name: desk.replies(name) for name in PLACES[bench]})
            initialise(network, *args, **options)

        def closing(network: OpenedBench) -> None:
            counted.update({name: desk.replies(name) for name in PLACES[bench]})
            close(network)

        with mock.patch.multiple(OpenedBench, __init__=opening, _close=closing):
            ended = desk.run(*command)
        assert ended.code == 0, ended.text
        return Undisturbed(opened, counted, ended.rows)
