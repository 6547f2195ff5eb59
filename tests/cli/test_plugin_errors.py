"""An error inside an installed plugin is one line with a hint for its user, and a traceback for its author."""

import sys

import pytest
from typer.testing import CliRunner

from hwlearn import cli

MODULE = """
import typer
from pydantic import field_validator
from hwlearn.quantities import Section
from hwlearn_sim import KirchhoffTwin

PLACE = {place!r}


def fail(place):
    if place == PLACE:
        raise ZeroDivisionError("rack voltage is zero")


fail("import")


class Network(KirchhoffTwin):
    def _measure(self, inputs, drive):
        fail("measure")
        return super()._measure(inputs, drive)

    def _program(self, conductances):
        fail("program")
        return super()._program(conductances)

    def _close(self):
        fail("close")
        super()._close()

    @property
    def instruments(self):
        if self.measurements:
            fail("instruments")
        return ()


class Backend:
    class Settings(Section):
        address: str = "rack 9"

    def __init__(self):
        fail("constructor")

    def check(self, settings):
        fail("check")

    def open(self, settings, topology, limits):
        fail("open")
        return Network(topology, limits)

    def off(self, settings):
        fail("off")

    def status(self, settings):
        fail("status")
        return []


app = typer.Typer()


@app.callback()
def root() -> None:
    pass


@app.command()
def scan() -> None:
    fail("command")
"""


@pytest.fixture
def plugin(tmp_path, monkeypatch):
    """Return a function that installs a plugin whose code fails at one place."""

    def install(place):
        (tmp_path / "rack9.py").write_text(MODULE.format(place=place))
        folder = tmp_path / "rack_nine-2.5.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: rack-nine\nVersion: 2.5\n")
        points = "[hwlearn.backends]\nrack9 = rack9:Backend\n[hwlearn.commands]\nrack9 = rack9:app\n"
        (folder / "entry_points.txt").write_text(points)
        monkeypatch.syspath_prepend(tmp_path)
        monkeypatch.delitem(sys.modules, "rack9", raising=False)

    yield install
    sys.modules.pop("rack9", None)


COMMANDS = {
    "import": ("check", 2),
    "constructor": ("check", 2),
    "check": ("check", 1),
    "open": ("train", 1),
    "measure": ("train", 1),
    "program": ("train", 1),
    "close": ("train", 1),
    "off": ("off", 1),
    "status": ("status", 1),
}


@pytest.mark.share(4)
@pytest.mark.usefixtures("without_reports")
@pytest.mark.parametrize("place", COMMANDS)
def test_error_inside_a_plugin_is_one_line_that_names_it(hwlearn, plugin, place):
    plugin(place)
    name, code = COMMANDS[place]
    ended = hwlearn(name, "small.toml", "--set", "backend.kind=rack9")
    assert ended.code == code
    assert len(ended.err) == 1
    assert "rack voltage is zero" in ended.err[0]
    hint = (
        "; this is an error of the plugin rack-nine 2.5, not of hwlearn: report it to its authors, its traceback"
    )
    assert ended.err[0].count(f"{hint} is shown with --debug") == 1


@pytest.mark.share(3)
@pytest.mark.usefixtures("without_reports")
@pytest.mark.parametrize("place", COMMANDS)
def test_author_gets_the_traceback(hwlearn, plugin, place):
    plugin(place)
    ended = hwlearn(COMMANDS[place][0], "small.toml", "--set", "backend.kind=rack9", "--debug")
    text = "\n".join(ended.err)
    assert "Traceback (most recent call last):" in text
    assert 'raise ZeroDivisionError("rack voltage is zero")' in text
    assert ended.err[-1].startswith("hwlearn: ")
    assert "its traceback is above" in ended.err[-1]


def test_error_of_a_plugin_command_is_one_line(plugin, monkeypatch, capsys):
    plugin("command")
    monkeypatch.setattr(sys, "argv", ["hwlearn", "rack9", "scan"])
    monkeypatch.setattr(cli.signal, "signal", lambda *_: None)
    with pytest.raises(SystemExit) as end:
        cli.main()
    assert end.value.code == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(
        "hwlearn: ZeroDivisionError: rack voltage is zero; this is an error of the plugin rack-nine"
    )


@pytest.mark.usefixtures("without_reports")
def test_error_of_hwlearn_that_a_plugin_raises_is_its_report(hwlearn, plugin, tmp_path):
    plugin("open")
    path = tmp_path / "rack9.py"
    report = "raise NetworkError('rack 9 is locked') from ValueError('door')"
    text = path.read_text().replace('raise ZeroDivisionError("rack voltage is zero")', report)
    path.write_text(f"from hwlearn.errors import NetworkError\n{text}")
    ended = hwlearn("train", "small.toml", "--set", "backend.kind=rack9")
    assert (ended.code, ended.err) == (1, ["hwlearn: rack 9 is locked"])


def test_errors_of_hwlearn_itself_have_no_hint(hwlearn, plugin):
    plugin("nowhere")
    ended = hwlearn("train", "small.toml", "--set", "train.rule=gap", "--set", "backend.kind=rack9")
    assert ended.code == 2
    assert "plugin" not in ended.err[0]


def test_every_command_has_the_option():
    runner = CliRunner()
    names = ["train", "resume", "runs", "report", "check", "calibrate", "status", "off", "init", "devices"]
    for command in [*([name] for name in names), ["sim", "serve"]]:
        assert "--debug" in runner.invoke(cli.app, [*command, "--help"], env={"COLUMNS": "200"}).output, command
