"""Wrong command lines end with one line on stderr, exit code 2 and no traceback; nothing is written."""

import os
import subprocess
import sys

import pytest

# the words of the command line, and words that its message contains
WRONG = {
    "mistyped command": (["trian"], "Did you mean 'train'?"),
    "unknown command": (["nonsense"], "no such command 'nonsense'"),
    "command in capitals": (["TRAIN", "small.toml"], "no such command 'TRAIN'"),
    "mistyped root option": (["--verison"], "--version"),
    "unknown short option": (["-x"], "no such option: -x"),
    "mistyped subcommand": (["sim", "serv"], "Did you mean 'serve'?"),
    "no bench": (["train"], "missing argument"),
    "no bench to check": (["check"], "hwlearn check --help"),
    "no bench to serve": (["sim", "serve"], "hwlearn sim serve --help"),
    "no run": (["resume"], "missing argument"),
    "extra word": (["train", "small.toml", "extra"], "extra"),
    "extra words": (["runs", "a", "b"], "a b"),
    "mistyped option": (["train", "small.toml", "--sed", "3"], "--seed"),
    "option of another command": (["train", "small.toml", "-o", "f"], "no such option: -o"),
    "option without its value": (["train", "small.toml", "--seed"], "requires an argument"),
    "flag with a value": (["train", "small.toml", "--json=3"], "does not take a value"),
    "text for a number": (["train", "small.toml", "--seed", "x"], "--seed"),
    "fraction for a whole number": (["train", "small.toml", "--seed", "1.5"], "--seed"),
    "empty name": (["train", ""], "there is no bench"),
    "name with a newline": (["train", "a\nb"], "a\\nb"),
    "name with an escape": (["train", "a\x1b[31m"], "\\x1b"),
    "name of a lone surrogate": (["train", "a\udcff"], "\\udcff"),
    "very long name": (["train", "n" * 5000], "nnn"),
    "very long run": (["report", "n" * 5000], "nnn"),
    "very long folder": (["train", "small.toml", "--runs", "n" * 5000], "nnn"),
    "very long data": (["calibrate", "--from-data", "n" * 5000], "nnn"),
    "very long file": (["init", "n" * 5000], "nnn"),
    "very long data of a bench": (["train", "small.toml", "--set", f"data.source={'n' * 5000}.csv"], "nnn"),
    "folder as bench": (["train", "."], "."),
    "set without a value": (["train", "small.toml", "--set", "train.epochs"], "section.key=value"),
    "set without a key": (["train", "small.toml", "--set", "=3"], "section.key"),
    "set of half a list": (["train", "small.toml", "--set", "data.columns=["], "data.columns"),
    "runs folder is a file": (["train", "small.toml", "--runs", "small.toml"], "small.toml"),
    "wire log of a simulator": (["train", "small.toml", "--wire-log", "w.txt"], "wire_log"),
    "dry run of a simulator": (["train", "small.toml", "--dry-run"], "dry_run"),
    "run that is a file": (["report", "small.toml"], "small.toml"),
    "run that does not exist": (["resume", "20200101"], "hwlearn runs"),
    "unknown step": (["calibrate", "small.toml", "nois"], "did you mean 'noise'?"),
    "step in capitals": (["calibrate", "small.toml", "NOISE"], "NOISE"),
    "no configurations": (["calibrate", "small.toml", "--configurations", "0"], "configurations"),
    "negative patterns": (["calibrate", "small.toml", "--patterns", "-1"], "patterns"),
    "wrong unit": (["calibrate", "small.toml", "--retention", "3 V"], "'3 V' is not in s"),
    "no number of seconds": (["calibrate", "small.toml", "--retention", "nan"], "nan"),
    "data that does not exist": (["calibrate", "--from-data", "gone.csv"], "gone.csv"),
    "data and a bench": (["calibrate", "small.toml", "--from-data", "gone.csv"], "remove the bench"),
    "unknown model": (["calibrate", "--from-data", "small.toml", "--model", "nosuch"], "nosuch"),
    "too many files": (["init", "a.toml", "b.toml"], "b.toml"),
    "existing file": (["init", "small.toml"], "small.toml"),
    "address without identify": (["devices", "COM3"], "--identify"),
    "identify without address": (["devices", "--identify"], "--identify"),
    "no baud": (["devices", "--identify", "COM3", "--baud", "0"], "--baud"),
}  # fmt: skip


@pytest.mark.share(17)
@pytest.mark.parametrize(("words", "said"), WRONG.values(), ids=WRONG)
def test_wrong_command_line_is_one_line_and_exit_code_2(hwlearn, folder, words, said):
    before = sorted(folder.rglob("*"))
    ended = hwlearn(*words)
    assert ended.code == 2
    assert ended.out == []
    assert len(ended.err) == 1, ended.err
    assert ended.err[0].startswith("hwlearn: ")
    assert said in ended.err[0]
    assert ended.err[0].isprintable()
    assert sorted(folder.rglob("*")) == before


@pytest.mark.share(1)
@pytest.mark.parametrize("words", [["trian"], ["train"], [b"train", b"\xff\xfe"], ["train", "gone.toml"]], ids=str)
def test_python_m_hwlearn_says_the_same(folder, words):
    environment = os.environ | {"COLUMNS": "40", "LC_ALL": "C", "PYTHONIOENCODING": "ascii"}
    command = [sys.executable, "-m", "hwlearn", *words]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, check=False)
    assert (done.returncode, done.stdout) == (2, b"")
    assert done.stderr.startswith(b"hwlearn: ")
    assert done.stderr.count(b"\n") == 1


def test_command_without_words_shows_the_help(hwlearn):
    for words in ([], ["sim"]):
        ended = hwlearn(*words)
        assert ended.code in (0, 2)
        assert any("Usage" in line for line in [*ended.out, *ended.err])
