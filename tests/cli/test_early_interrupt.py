"""Ctrl-C at any moment from the start of a command: one line, exit code 130, no traceback."""

import os
import random
import signal
import subprocess
import sys
import time

import pytest

pytestmark = pytest.mark.skipif(os.name == "nt", reason="Windows cannot send SIGINT to one process")

COMMANDS = {
    "train": ["train", "small.toml", "--set", "train.epochs=2000"],
    "check": ["check", "small.toml"],
    "calibrate": ["calibrate", "small.toml"],
    "runs": ["runs"],
    "help": ["train", "--help"],
    "off": ["off", "small.toml"],
    "devices": ["devices"],
}
BEGUN_S = 0.12
"""Before that, Python itself starts, whose own traceback a program cannot prevent."""


def interrupted(folder, command, seconds):
    """Start a command, send SIGINT after some time, and return exit code, stdout and stderr."""
    environment = os.environ | {"COLUMNS": "200"}
    began = time.monotonic()
    with subprocess.Popen(
        [sys.executable, "-m", "hwlearn", *command],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        time.sleep(max(0.0, began + seconds - time.monotonic()))
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
        return process.returncode, out, err


def is_of_python_itself(err):
    """Whether the traceback is of the start of Python (runpy, site), before the first line of this package."""
    return "Traceback" in err and f"{os.sep}hwlearn{os.sep}" not in err


def check_end(code, out, err):
    if is_of_python_itself(err):
        return
    assert "Traceback" not in out + err
    assert "Aborted" not in err
    assert "Exception ignored" not in err
    lines = [line for line in err.splitlines() if line.startswith("hwlearn: ")]
    if code == 130:
        assert len(lines) == 1
        assert "interrupted" in lines[0]
    else:
        assert code in (0, 1)  # it had ended before; a check may find something


@pytest.mark.share(2)
@pytest.mark.parametrize("name", COMMANDS)
def test_ctrl_c_in_the_first_seconds_is_one_line_without_a_traceback(folder, name):
    rng = random.Random(name)
    ends = [interrupted(folder, COMMANDS[name], rng.uniform(BEGUN_S, 1.5 if k % 2 else 0.5)) for k in range(3)]
    for end in ends:
        check_end(*end)
    if name == "train":
        assert {code for code, _, err in ends if not is_of_python_itself(err)} <= {130}


@pytest.mark.slow
@pytest.mark.parametrize("name", COMMANDS)
def test_ctrl_c_at_twenty_moments_of_the_first_seconds(folder, name):
    rng = random.Random(f"twenty {name}")
    for _ in range(20):
        check_end(*interrupted(folder, COMMANDS[name], rng.uniform(BEGUN_S, 1.5)))


@pytest.mark.share(3)
@pytest.mark.parametrize(
    ("words", "found"),
    [
        (["-m", "hwlearn", "train"], True),
        (["-X", "dev", "-u", "-m", "hwlearn"], True),
        (["/usr/bin/hwlearn", "train"], True),
        (["script.py", "-m", "hwlearn"], False),
        (["-c", "import hwlearn"], False),
        (["-m", "pytest", "-m", "hwlearn"], False),
        (["-m", "hwlearn.other"], False),
        ([], False),
    ],
)
def test_only_the_command_line_is_watched(words, found):
    code = f"import sys; sys.orig_argv = ['python', *{words!r}]; import signal; import hwlearn;"
    code += "print(signal.getsignal(signal.SIGINT) is not signal.default_int_handler)"
    assert run_python(code).stdout.strip() == str(found)


def run_python(code, *arguments):
    return subprocess.run([sys.executable, *arguments, "-c", code], capture_output=True, text=True, check=False)


def test_import_of_the_package_leaves_ctrl_c_to_the_program():
    code = (
        "import signal; import hwlearn; hwlearn.Topology;"
        "assert signal.getsignal(signal.SIGINT) is signal.default_int_handler"
    )
    assert run_python(code).returncode == 0


def test_handler_of_somebody_else_is_kept():
    code = (
        "import signal\n"
        "from hwlearn import early_exit\n"
        "own = lambda *_: None\n"
        "signal.signal(signal.SIGINT, own)\n"
        "early_exit.end_on_ctrl_c(); early_exit.work_begins(); early_exit.command_ended()\n"
        "assert signal.getsignal(signal.SIGINT) is own\n"
    )
    assert run_python(code).returncode == 0


def test_ctrl_c_while_imports_run_is_one_line(tmp_path):
    (tmp_path / "slow.py").write_text("import signal\nsignal.raise_signal(signal.SIGINT)\n")
    code = (
        "import sys\n"
        "from hwlearn import early_exit\n"
        f"sys.path.insert(0, {str(tmp_path)!r})\n"
        "early_exit.end_on_ctrl_c()\n"
        "early_exit.command_started()\n"
        "import slow\n"
    )
    done = run_python(code)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "hwlearn: interrupted\n")
    later = run_python(code.replace("import slow", "early_exit.work_begins()\nimport slow"))
    assert "KeyboardInterrupt" in later.stderr  # something may be on: the program must end in its own way
