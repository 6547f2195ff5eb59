"""Commands and backends of other installed packages."""

import json
import sys
from importlib.metadata import EntryPoint

import pytest
import typer
from typer.testing import CliRunner

from hwlearn import cli
from hwlearn.cli import command_group
from hwlearn.errors import NetworkError, SetupError
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
    assert (ended.code, ended.err) == (1, ["hwlearn: OUTPUTS MAY BE ON: bench small: port is gone"])


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
    assert (ended.code, ended.err) == (1, ["hwlearn: OUTPUTS MAY BE ON: bench small: OFF failed: port gone"])


@pytest.mark.parametrize(
    ("raised", "text"),
    [
        (SystemExit(0), "OFF failed: it exits with 0"),
        (KeyboardInterrupt(), "OFF failed: KeyboardInterrupt"),
        (RuntimeError(), "OFF failed: RuntimeError"),
        (NetworkError("two\nlines"), "two lines"),
        (SetupError("no such rack"), "no such rack"),
        (GeneratorExit(), "OFF failed: GeneratorExit"),
    ],
)
def test_anything_that_off_raises_ends_with_1_and_outputs_may_be_on(hwlearn, monkeypatch, raised, text):
    class Board(SimBackend):
        def off(self, settings):
            raise raised

    monkeypatch.setattr(backends, "entry_points", lambda group: [Point("sim", Board)])
    ended = hwlearn("off", "small.toml")
    assert (ended.code, ended.err) == (1, [f"hwlearn: OUTPUTS MAY BE ON: bench small: {text}"])


@pytest.mark.parametrize("returned", [True, 3, "off", [1, 2], iter(())])
def test_off_may_return_anything(hwlearn, monkeypatch, returned):
    class Board(SimBackend):
        def off(self, settings):
            return returned

    monkeypatch.setattr(backends, "entry_points", lambda group: [Point("sim", Board)])
    assert hwlearn("off", "small.toml").out == ["OFF was sent to every output"]


BROKEN = [
    ImportError("no rack9"),
    SystemExit(3),
    KeyboardInterrupt(),
    RuntimeError("bad"),
    SyntaxError("bad syntax"),
]


@pytest.mark.parametrize("raised", BROKEN, ids=lambda error: type(error).__name__)
def test_backend_that_cannot_be_loaded_leaves_outputs_on_and_says_so(hwlearn, monkeypatch, raised):
    monkeypatch.setattr(backends, "entry_points", lambda group: [Point("sim", raised)])
    ended = hwlearn("off", "small.toml")
    assert ended.code == 1
    assert ended.err[0].startswith("hwlearn: OUTPUTS MAY BE ON: OFF was not sent: bench small: ")


@pytest.mark.parametrize("raised", [*BROKEN, None], ids=lambda error: type(error).__name__)
def test_off_of_a_backend_loads_no_other_plugin(hwlearn, monkeypatch, mounted, raised):
    sent = []

    class Board(SimBackend):
        def off(self, settings):
            sent.append(settings.seed)

    class Hangs(Point):
        def load(self):
            raise AssertionError("loaded")  # an import that never ends would not end here either

    other = Hangs("rack", None) if raised is None else Point("rack", raised)
    mounted.append(Point("bad", raised or SystemExit(5)))
    monkeypatch.setattr(backends, "entry_points", lambda group: [other, Point("sim", Board), Point("smu", raised)])
    assert hwlearn("off", "small.toml").code == 0
    assert sent == [0]


def test_package_with_damaged_entry_points_does_not_prevent_off(hwlearn, tmp_path, monkeypatch):
    folder = tmp_path / "damaged-1.0.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: damaged\nVersion: 1.0\n")
    (folder / "entry_points.txt").write_text("[hwlearn.backends]\nnothing here\n")
    monkeypatch.syspath_prepend(tmp_path)
    ended = hwlearn("off", "small.toml")
    assert (ended.code, ended.out) == (0, ["backend 'sim' has no outputs to switch off"])


def test_another_package_cannot_replace_a_backend(monkeypatch):
    ours = EntryPoint("sim", "hwlearn_sim.twin.backend:SimBackend", backends.GROUP)
    theirs = EntryPoint("sim", "rack9:Backend", backends.GROUP)
    monkeypatch.setattr(backends, "entry_points", lambda group: [theirs, ours])
    assert isinstance(backends.find_backend({"kind": "sim"}, "bench b")[0], SimBackend)
