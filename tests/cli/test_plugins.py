"""Commands and backends of other installed packages."""

import json
import sys

import pytest
import typer
from typer.testing import CliRunner

from hwlearn import cli
from hwlearn.cli import command_group
from hwlearn.errors import NetworkError
from hwlearn.lab.bench import backends
from hwlearn_sim.twin.backend import SimBackend


class Point:
    """An installed entry point that loads a given object."""

    def __init__(self, name, thing):
        self.name, self._thing = name, thing

    def load(self):
        if isinstance(self._thing, BaseException):
            raise self._thing
        return self._thing


@pytest.fixture
def mounted(monkeypatch):
    """Install the commands of a working and of a broken plugin for the test."""
    ours = typer.Typer()

    @ours.command()
    def hello() -> None:
        typer.echo("hello")

    @ours.command()
    def fail() -> None:
        raise NetworkError("no reply from the rack")

    points = [
        Point("rack", ours),
        Point("ping", lambda: typer.echo("pong")),
        Point("broken", ImportError("No module named 'rack9'")),
    ]
    monkeypatch.setattr(command_group, "entry_points", lambda group: points)
    return points


def test_commands_of_a_plugin(mounted):
    assert CliRunner().invoke(cli.app, ["rack", "hello"]).stdout == "hello\n"
    assert CliRunner().invoke(cli.app, ["ping"]).stdout == "pong\n"


def test_broken_plugin_is_reported_when_called_and_in_the_help(mounted):
    ended = CliRunner().invoke(cli.app, ["broken", "scan", "--all"])
    assert (ended.exit_code, ended.stdout) == (2, "")
    assert ended.stderr == "hwlearn: the command 'broken' cannot be loaded: No module named 'rack9'\n"
    listed = CliRunner().invoke(cli.app, ["--help"])
    assert listed.exit_code == 0
    assert "cannot be loaded" in listed.stdout


def test_own_commands_do_not_load_plugins(mounted, mocker, hwlearn):
    load = mocker.spy(Point, "load")
    ended = hwlearn("off", "small.toml")
    assert (ended.code, ended.err) == (0, [])
    assert load.call_count == 0


def test_plugin_cannot_replace_a_command_of_hwlearn(monkeypatch, hwlearn):
    monkeypatch.setattr(command_group, "entry_points", lambda group: [Point("off", lambda: typer.echo("pong"))])
    assert hwlearn("off", "small.toml").out == ["backend 'sim' has no outputs to switch off"]


def test_error_of_a_plugin_is_reported_in_one_line(capsys, mounted, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["hwlearn", "rack", "fail"])
    monkeypatch.setattr(cli.signal, "signal", lambda *_: None)
    capsys.readouterr()
    with pytest.raises(SystemExit) as end:
        cli.main()
    assert end.value.code == 1
    assert capsys.readouterr().err == "hwlearn: no reply from the rack\n"


def test_off_writes_without_opening_the_bench(hwlearn, monkeypatch, mocker):
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
    # errors in other tables do not prevent the shutdown
    assert hwlearn("off", "small.toml", "--set", "train.rule=gap", "--set", "network.kind=ring").code == 0
    assert hwlearn("off", "small.toml", "--set", "backend.sed=3").code == 2
    assert sent == [3, 0, 0]
    assert opened.call_count == 0
    mocker.patch.object(Board, "off", side_effect=NetworkError("port is gone"))
    ended = hwlearn("off", "small.toml")
    assert (ended.code, ended.err) == (1, ["hwlearn: port is gone"])


def test_plugin_that_exits_at_import_affects_no_other_command(mounted):
    mounted.append(Point("exits", SystemExit(3)))
    listed = CliRunner().invoke(cli.app, ["--help"])
    assert listed.exit_code == 0
    assert "ping" in listed.stdout
    ended = CliRunner().invoke(cli.app, ["exits"])
    assert (ended.exit_code, ended.stderr) == (
        2,
        "hwlearn: the command 'exits' cannot be loaded: it exits with 3\n",
    )


def test_off_that_fails_is_reported_in_one_line(hwlearn, monkeypatch):
    class Board(SimBackend):
        def off(self, settings):
            raise OSError("port gone")

    monkeypatch.setattr(backends, "entry_points", lambda group: [Point("sim", Board)])
    ended = hwlearn("off", "small.toml")
    assert (ended.code, ended.err) == (1, ["hwlearn: bench small: OFF failed: port gone"])
