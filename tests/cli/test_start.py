"""The start of the command line: what it imports, ``python -m hwlearn``, the help text and shell completion."""

import shlex
import shutil
import subprocess
import sys

import pytest

HEAVY = "numpy scipy matplotlib pydantic pyvisa serial sqlite3 networkx"


def modules_after(code):
    """Run code in a new interpreter and return its output and the heavy modules that it imported."""
    report = f"\nimport sys\nprint('HEAVY', *sorted(set({HEAVY!r}.split()) & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code + report], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    out, _, heavy = done.stdout.rpartition("HEAVY")
    return out, heavy.split()


def test_import_hwlearn_loads_no_heavy_module():
    assert modules_after("import hwlearn")[1] == []


def test_help_loads_no_heavy_module():
    code = (
        "import sys\nfrom hwlearn.cli import main\nsys.argv = ['hwlearn', '--help']\n"
        "try:\n    main()\nexcept SystemExit as end:\n    assert not end.code"
    )
    out, heavy = modules_after(code)
    for command in ("train", "resume", "runs", "report", "calibrate", "check", "init", "off", "devices", "sim"):
        assert command in out
    assert heavy == []


def test_plugin_imported_before_the_command_line_is_still_mounted():
    code = (
        "import hwlearn_sim.commands\nfrom hwlearn.cli import app\nfrom typer.testing import CliRunner\n"
        "result = CliRunner().invoke(app, ['sim', '--help'])\nprint(result.output)\nassert result.exit_code == 0"
    )
    out, _ = modules_after(code)
    assert "serve" in out


def test_python_m_hwlearn():
    done = subprocess.run(
        [sys.executable, "-m", "hwlearn", "--version"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0
    assert done.stdout.startswith("hwlearn 0.")


def test_help_offers_shell_completion(hwlearn):
    assert "--install-completion" in "\n".join(hwlearn("--help").out)


def test_completion_proposes_commands(hwlearn, monkeypatch):
    monkeypatch.setenv("_HWLEARN_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", "hwlearn re")
    monkeypatch.setenv("COMP_CWORD", "1")
    assert hwlearn().out == ["resume", "report"]


@pytest.mark.parametrize("command", ["", "train", "report", "calibrate", "off", "devices", "sim", "sim serve"])
def test_flags_have_no_type_in_the_help(hwlearn, command):
    text = "\n".join(hwlearn(*command.split(), "--help").out)
    assert "<bool>" not in text
    assert "--help" in text


def test_mistyped_command_of_a_plugin_is_suggested(hwlearn):
    ended = hwlearn("devces")
    assert ended.code == 2
    assert "Did you mean 'devices'?" in "\n".join(ended.err)


@pytest.mark.share(1)
@pytest.mark.parametrize(
    "settings",
    [
        'kind = "board"\naddress = "socket://127.0.0.1:9"\ndry_run = true',
        'kind = "smu"\nchannels = [{ address = "socket://127.0.0.1:9", node = 0, model = "2450" }]\n'
        "edges = 1e-5\ndry_run = true",
    ],
    ids=["board", "smu"],
)
def test_off_does_not_wait_for_scipy(tmp_path, settings):
    bench = tmp_path / "bench.toml"
    bench.write_text(f"[backend]\n{settings}\n")
    code = (
        "import sys\nfrom hwlearn.cli import main\n"
        f"sys.argv = ['hwlearn', 'off', {str(bench)!r}]\n"
        "try:\n    main()\nexcept SystemExit as end:\n    assert not end.code"
    )
    out, heavy = modules_after(code)
    assert "OFF was sent to every output" in out
    assert not {"scipy", "matplotlib", "networkx"} & set(heavy)


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash on this computer")
def test_completion_installed_by_python_m_is_for_the_command():
    # the completion is for the shell that is found among the parents of the process
    command = ["bash", "-c", f"{shlex.quote(sys.executable)} -m hwlearn --show-completion; true"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "_hwlearn_completion" in done.stdout, done.stderr
    assert "python" not in done.stdout
