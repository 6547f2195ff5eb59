"""Unattended sessions: the log file, and commands after the end, however the session ends."""

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time

import pytest

from hwlearn.cli.unattended.end_command import EndCommand
from hwlearn.cli.unattended.log_file import LogFile
from hwlearn_sim.twin.twin import KirchhoffTwin

pytestmark = pytest.mark.usefixtures("without_reports")

NOTE = """
import json, os, sys
found = {k: v for k, v in os.environ.items() if k.startswith("HWLEARN_")}
with open("notes.txt", "a", encoding="utf-8") as file:
    file.write(json.dumps([sys.argv[1:], found]) + "\\n")
print("on stdout")
sys.exit(9)
"""


@pytest.fixture
def note(folder):
    """A command line that appends its arguments and the variables to notes.txt, and fails."""
    (folder / "note it.py").write_text(NOTE, encoding="utf-8")
    return f"'{sys.executable}' 'note it.py'"


def notes(folder):
    return [json.loads(line) for line in (folder / "notes.txt").read_text(encoding="utf-8").splitlines()]


def test_commands_run_after_the_end_and_change_nothing(hwlearn, folder, note):
    ended = hwlearn(
        "train", "small.toml", "--json", "--on-end", f"{note} 'a b'", "--on-failure", f"{note} failure"
    )
    assert ended.code == 0
    assert [json.loads(line)["event"] for line in ended.out][-1] == "end"
    assert any("--on-end: " in line and "ended with exit code 9" in line for line in ended.err)
    ((words, found),) = notes(folder)
    (run,) = (folder / "runs").iterdir()
    assert words == ["a b"]
    assert {name: found[f"HWLEARN_{name}"] for name in ("RUN", "STATUS", "EXIT_CODE", "OUTPUTS", "COMMAND")} == {
        "RUN": str(run),
        "STATUS": "finished",
        "EXIT_CODE": "0",
        "OUTPUTS": "off",
        "COMMAND": "train",
    }


def test_refused_request_runs_the_command_for_failures_first(hwlearn, folder, note):
    changes = ("--set", "train.epochs=-1")
    ended = hwlearn("train", "small.toml", *changes, "--on-end", f"{note} end", "--on-failure", f"{note} failure")
    assert ended.code == 2
    assert [words for words, _ in notes(folder)] == [["failure"], ["end"]]
    found = notes(folder)[0][1]
    assert (found["HWLEARN_STATUS"], found["HWLEARN_EXIT_CODE"], found["HWLEARN_RUN"]) == ("refused", "2", "")
    assert "train.epochs" in found["HWLEARN_MESSAGE"]


def test_outputs_that_may_be_on_are_named_to_the_command(hwlearn, folder, note, monkeypatch):
    def stuck(self):
        raise RuntimeError("no answer")

    def closed_terminal(text, err=False):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(KirchhoffTwin, "_close", stuck)
    assert hwlearn("train", "small.toml", "--json", "--on-failure", note).code == 1
    monkeypatch.setattr("hwlearn.cli.outcome.typer.echo", closed_terminal)
    assert hwlearn("train", "small.toml", "--json", "--on-failure", note).code == 1
    for _, found in notes(folder):
        assert (found["HWLEARN_OUTPUTS"], found["HWLEARN_STATUS"]) == ("may be on", "failed")


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (["--on-end", "no-such-program x"], "there is no program 'no-such-program'. No shell is used"),
        (["--on-failure", ""], "--on-failure needs a command"),
        (["--on-end", "'half"], "cannot be split into words"),
        (["--log-file", "no/such/folder.txt"], "cannot write the log file"),
        (["--log-file", "."], "it is not a regular file"),
    ],
)
def test_what_cannot_work_is_refused_before_anything_is_applied(hwlearn, folder, monkeypatch, options, text):
    monkeypatch.setattr(KirchhoffTwin, "__init__", None)  # must not be reached
    ended = hwlearn("train", "small.toml", *options)
    assert (ended.code, len(ended.err)) == (2, 1)
    assert text in ended.err[0]
    assert not (folder / "runs").exists()


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--log-file", "no/such/folder.txt"], [["failure"], ["end"]]),
        (["--on-end", "no-such-program"], [["failure"]]),
        (["--on-failure", "no-such-program"], [["end"]]),
    ],
)
def test_refused_option_runs_the_commands_that_work(hwlearn, folder, note, options, expected):
    usual = ["--on-failure", f"{note} failure", "--on-end", f"{note} end"]
    ended = hwlearn("train", "small.toml", *usual, *options)
    assert ended.code == 2
    assert [words for words, _ in notes(folder)] == expected
    for _, found in notes(folder):
        assert (found["HWLEARN_STATUS"], found["HWLEARN_OUTPUTS"]) == ("refused", "not touched")
        assert options[1].split("/")[0] in found["HWLEARN_MESSAGE"]
    assert not (folder / "runs").exists()


def test_words_of_windows_keep_their_backslashes(mocker):
    mocker.patch("hwlearn.cli.unattended.end_command.shutil.which", lambda name: name)
    command = EndCommand.parse("--on-end", r'C:\tools\mail.exe "two words" C:\a\b', windows=True)
    assert command.words[1:] == ("two words", r"C:\a\b")
    assert command.words[0].endswith(r"C:\tools\mail.exe")


def test_endless_command_is_killed_with_its_children(tmp_path, monkeypatch):
    sleeper = "import time; time.sleep(60)"
    child = f"import subprocess, sys; p = subprocess.Popen([sys.executable, '-c', {sleeper!r}]); "
    child += "open('pid', 'w').write(str(p.pid)); p.wait()"
    (tmp_path / "child.py").write_text(child, encoding="utf-8")
    command = EndCommand.parse("--on-end", f"'{sys.executable}' '{tmp_path / 'child.py'}'")
    monkeypatch.chdir(tmp_path)
    began = time.monotonic()
    assert command.run({}, 1.0).endswith("was killed after 1 s")
    assert time.monotonic() - began < 20
    if os.name != "nt":
        pid = int((tmp_path / "pid").read_text(encoding="utf-8"))
        deadline = time.monotonic() + 10
        while _is_running(pid):
            assert time.monotonic() < deadline
            time.sleep(0.01)


def _is_running(pid):
    found = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return found.stdout.strip() not in ("", "Z", "Zs")


def test_ctrl_c_ends_an_endless_command(tmp_path):
    command = EndCommand.parse("--on-end", f"'{sys.executable}' -c 'import time; time.sleep(60)'")
    timer = threading.Timer(0.5, lambda: signal.raise_signal(signal.SIGINT))
    timer.start()
    assert "was killed (KeyboardInterrupt)" in command.run({}, 50)
    timer.join()


def test_log_has_time_stamps_and_is_appended(hwlearn, folder):
    for _ in range(2):
        assert hwlearn("train", "small.toml", "--log-file", "log.txt", "--note", "two\nlines").code == 0
    hwlearn("train", "small.toml", "--log-file", "log.txt", "--set", "train.rate=x")
    lines = (folder / "log.txt").read_text(encoding="utf-8").splitlines()
    assert all(re.match(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d\d:\d\d \S", line) for line in lines)
    assert sum(" epoch 5 of 5: rms error " in line for line in lines) == 2
    assert sum(line.endswith(" finished, exit code 0") for line in lines) == 2
    assert " refused, exit code 2: " in lines[-1]


def test_log_on_a_full_disk_does_not_stop_the_session(hwlearn, folder, monkeypatch):
    write = LogFile._write

    def full(self, text):
        if "epoch 2" in text:
            raise OSError(28, "No space left on device")
        write(self, text)

    monkeypatch.setattr(LogFile, "_write", full)
    ended = hwlearn("train", "small.toml", "--log-file", "log.txt")
    assert ended.code == 0
    assert [line for line in ended.err if "the log file log.txt ends here" in line]
    assert "epoch 1 of 5" in (folder / "log.txt").read_text(encoding="utf-8").splitlines()[-1]


def test_calibration_is_logged_and_ends_with_a_command(hwlearn, folder, note):
    ended = hwlearn("calibrate", "small.toml", "noise", "--log-file", "log.txt", "--on-end", note)
    assert ended.code == 0
    assert " step noise: " in (folder / "log.txt").read_text(encoding="utf-8")
    assert notes(folder)[0][1]["HWLEARN_COMMAND"] == "calibrate"


PROGRAM = """
import sys, time
from hwlearn_sim import KirchhoffTwin
close, measure = KirchhoffTwin._close, KirchhoffTwin._measure
def closing(self):
    close(self)
    open("closed", "w").close()
def slow(self, inputs, drive):
    time.sleep(0.01)
    return measure(self, inputs, drive)
KirchhoffTwin._close, KirchhoffTwin._measure = closing, slow
from hwlearn.cli import main
main()
"""


@pytest.mark.share(1)
@pytest.mark.skipif(os.name == "nt", reason="Windows cannot send these signals to one process")
@pytest.mark.parametrize(
    ("name", "status"), [("SIGTERM", "terminated"), ("SIGHUP", "terminated"), ("SIGINT", "interrupted")]
)
def test_signal_runs_the_command_after_outputs_are_off_and_the_run_is_closed(folder, name, status):
    safe = "test -f closed && test ! -f $HWLEARN_RUN/run.sqlite-wal"
    seen = f"{safe} && echo $HWLEARN_STATUS $HWLEARN_EXIT_CODE > seen"
    words = ["train", "small.toml", "--json", "--set", "train.epochs=5000", "--on-failure", f'sh -c "{seen}"']
    with subprocess.Popen([sys.executable, "-c", PROGRAM, *words], stdout=subprocess.PIPE) as process:
        for _ in range(3):
            process.stdout.readline()
        process.send_signal(getattr(signal, name))
        process.stdout.read()
    assert process.returncode == (130 if name == "SIGINT" else 128 + getattr(signal, name))
    assert (folder / "seen").read_text(encoding="utf-8").split() == [status, str(process.returncode)]
