"""A small bench file, and the command line run inside this process."""

import copy
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from hwlearn.cli import app


@dataclass(frozen=True)
class Ended:
    """The result of a command: exit code, and the lines of stdout and stderr."""

    code: int
    out: list[str]
    err: list[str]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bench_text: str) -> Path:
    """The working directory: a folder with the small bench in it. Runs go to its subfolder ``runs``."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HWLEARN_RUNS", raising=False)
    (tmp_path / "small.toml").write_text(bench_text, encoding="utf-8")
    return tmp_path


@pytest.fixture
def without_reports(monkeypatch: pytest.MonkeyPatch) -> None:
    """Trainings draw no report, which takes longer than the small training itself."""
    monkeypatch.setattr("hwlearn.cli.session.draw_run", lambda run: run.folder / "report.png")


@cache
def _commands() -> Any:
    return get_command(app)


@pytest.fixture
def hwlearn(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Ended]:
    """Return a function that runs a command line in that folder.

    Typer makes the commands once for all tests, as it does in a program; those of plugins are loaded each time.
    """

    def commands(_: object) -> Any:
        made = copy.copy(_commands())
        made.commands = dict(made.commands)
        return made

    monkeypatch.setattr("typer.testing._get_command", commands)

    def run(*arguments: object) -> Ended:
        result = CliRunner().invoke(app, [str(a) for a in arguments])
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return Ended(result.exit_code, result.stdout.splitlines(), result.stderr.splitlines())

    return run
