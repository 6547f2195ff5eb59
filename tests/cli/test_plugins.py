"""Commands and backends that other packages bring."""

import json
import sys

import pytest
import typer
from typer.testing import CliRunner

from hwlearn import cli
from hwlearn.errors import NetworkError
from hwlearn.lab.bench import backends
from hwlearn_sim.twin.backend import SimBackend


class Point:
    """An installed entry point."""

    def __init__(self, name, thing):
        self.name, self._thing = name, thing

    def load(self):
        if isinstance(self._thing, Exception):
            raise self._thing
        return self._thing


@pytest.fixture
def mounted(monkeypatch):
    """Mount a plugin's commands for the test."""
    groups = list(cli.app.registered_groups)
    ours = typer.Typer()

    @ours.command()
    def hello() -> None:
        typer.echo("hello")

    @ours.command()
    def fail() -> None:
        raise NetworkError("no reply from the rack")

    cli.mount([Point("rack", ours), Point("broken", ImportError("No module named 'rack9'"))])
    yield
    cli.app.registered_groups[:] = groups


def test_commands_of_a_plugin(capsys, mounted):
    assert CliRunner().invoke(cli.app, ["rack", "hello"]).stdout == "hello\n"
    assert "'broken' cannot be loaded: No module named 'rack9'" in capsys.readouterr().err
    assert CliRunner().invoke(cli.app, ["off", "--help"]).exit_code == 0


def test_errors_of_a_plugin_are_one_line_too(capsys, mounted, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["hwlearn", "rack", "fail"])
    monkeypatch.setattr(cli.signal, "signal", lambda *_: None)
    capsys.readouterr()
    with pytest.raises(SystemExit) as end:
        cli.main()
    assert end.value.code == 1
    assert capsys.readouterr().err == "hwlearn: no reply from the rack\n"


def test_off_is_sent_without_opening_anything(hwlearn, monkeypatch, mocker):
    sent = []

    class Board(SimBackend):
        def off(self, settings):
            sent.append(settings.seed)

    opened = mocker.spy(Board, "open")
    monkeypatch.setattr(backends, "entry_points", lambda group: [Point("sim", Board)])
    ended = hwlearn("off", "small.toml", "--set", "backend.seed=3", "--json")
    assert json.loads(ended.out[0])["off"] is True
    assert hwlearn("off", "small.toml").out == ["OFF was sent to every output"]
    assert sent == [3, 0]
    # a file that could not train still switches off
    assert hwlearn("off", "small.toml", "--set", "train.rule=gap", "--set", "network.kind=ring").code == 0
    assert hwlearn("off", "small.toml", "--set", "backend.sed=3").code == 2
    assert sent == [3, 0, 0]
    assert opened.call_count == 0
    mocker.patch.object(Board, "off", side_effect=NetworkError("port is gone"))
    ended = hwlearn("off", "small.toml")
    assert (ended.code, ended.err) == (1, ["hwlearn: port is gone"])
