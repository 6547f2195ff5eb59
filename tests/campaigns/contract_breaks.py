"""Breaks of the backend contract, each through the command line: one named error, exit code 1, outputs off.

A backend returns something invalid, or fails, in the middle of ``hwlearn train``. The breaks are those of
``tests/network/test_gate.py``::

    python tests/campaigns/contract_breaks.py

Prints one row for each break, and ends with exit code 1 if one of them is not one named error.
"""

import json
import os
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from typer.testing import CliRunner

sys.path.append(str(Path(__file__).parents[1] / "network"))

import test_gate

from hwlearn.cli import app
from hwlearn.lab.bench import backends


def fails(error: Exception) -> Any:
    """Return a hook that raises an error."""

    def hook(*_: object) -> None:
        raise error

    return hook


ERRORS = {
    name: (fails(error), "")
    for name, error in {
        "ValueError": ValueError("no value"),
        "KeyError": KeyError("x"),
        "OSError": OSError("port gone"),
        "ZeroDivisionError": ZeroDivisionError(),
        "RecursionError": RecursionError("too deep"),
    }.items()
}

BREAKS: Mapping[str, Mapping[str, Any]] = {
    "breaks": test_gate.READOUTS | ERRORS,
    "programs": test_gate.PROGRAMS | ERRORS,
    "sides": test_gate.SIDES,
    "whole": test_gate.WHOLES,
    "most": test_gate.STRENGTHS,
    "narrowed": test_gate.NUDGE_LIMITS,
    "true": test_gate.TRUE_OUTPUTS | ERRORS,
}
"""Breaks by the hook of `test_gate.Broken` that makes them."""

RETURNS = {
    "breaks": "a readout",
    "programs": "programming",
    "sides": "nudged phases",
    "whole": "a sequence",
    "most": "strengths",
    "narrowed": "limits of nudges",
    "true": "true outputs",
}


@dataclass(frozen=True)
class Outcome:
    """How a training on a broken backend ended."""

    name: str
    code: int
    lines: list[str]
    closed: int
    status: str

    @property
    def kept(self) -> bool:
        """Whether it is one named error, with exit code 1, outputs off and the run marked as failed."""
        named = len(self.lines) == 1 and "test_gate.Broken" in self.lines[0] and "Traceback" not in self.lines[0]
        return self.code == 1 and named and self.closed == 1 and self.status.startswith("failed: ")


class _Point:
    """The entry point of a backend whose network breaks the contract."""

    name = "broken"

    def __init__(self, hook: str, change: Any) -> None:
        self.network: Any = None
        outer = self

        class Plugin:
            class Settings(BaseModel):
                pass

            def open(self, settings: Any, topology: Any, limits: Any) -> Any:
                outer.network = test_gate.Broken(topology, limits)
                setattr(outer.network, hook, change)
                return outer.network

        self._plugin = Plugin

    def load(self) -> type:
        """Return the backend."""
        return self._plugin


def outcome(name: str, hook: str, change: Any) -> Outcome:
    """Train on a backend that breaks the contract."""
    point = _Point(hook, change)
    plain = backends.entry_points
    backends.entry_points = lambda group: [point]  # type: ignore[assignment, return-value]
    try:
        with tempfile.TemporaryDirectory() as folder:
            before = Path.cwd()
            os.chdir(folder)
            try:
                keys = ["--set", "backend.kind=broken", "--set", "train.epochs=2"]
                ended = CliRunner().invoke(app, ["train", "regression", "--json", *keys])
                rows = CliRunner().invoke(app, ["runs", "--json"]).stdout.splitlines()
                status = json.loads(rows[-1])["status"] if rows else ""
            finally:
                os.chdir(before)
    finally:
        backends.entry_points = plain
    closed = 0 if point.network is None else point.network.was_closed
    return Outcome(name, ended.exit_code, ended.stderr.splitlines(), closed, status)


def outcomes(every: int = 1) -> Iterator[Outcome]:
    """Yield the outcome of every n-th break."""
    cases = [(hook, name, case[0]) for hook, table in BREAKS.items() for name, case in table.items()]
    for hook, name, change in cases[::every]:
        yield outcome(f"{RETURNS[hook]}: {name}", hook, change)


def main() -> None:
    """Print the table; exit with 1 if a break is not one named error."""
    found = []
    print(f"{'break':36} exit  off  status  error")
    for one in outcomes():
        found.append(one)
        text = one.lines[0].removeprefix("hwlearn: the network test_gate.Broken ") if one.lines else ""
        flag = "" if one.kept else "MISSED "
        print(
            f"{one.name:36} {one.code:4} {one.closed:4}  {one.status.split(':')[0]:6}  {flag}{text:.90}",
            flush=True,
        )
    missed = [one.name for one in found if not one.kept]
    print(f"{len(found)} breaks, {len(found) - len(missed)} named errors with exit code 1, outputs off")
    sys.exit(1 if missed else 0)


if __name__ == "__main__":
    main()
