"""The package that `hwlearn init --backend-package` writes: as docs/own-backend.md shows it, and it works."""

from __future__ import annotations

import importlib
import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from hwlearn.errors import SetupError
from hwlearn.lab.package_template import package_files, write_package

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "own-backend.md"


def test_page_shows_the_files_that_are_written():
    blocks = re.findall(r"^`([\w/.]+)`:\n\n```python\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.M | re.S)
    assert len(blocks) == 4
    files = package_files("ladder")
    for name, text in blocks:
        assert text == files[name], f"docs/own-backend.md shows another {name}"


def test_page_works(tmp_path, monkeypatch):
    write_package("ladder", tmp_path / "made")
    monkeypatch.syspath_prepend(tmp_path / "made")
    monkeypatch.syspath_prepend(tmp_path / "made" / "tests")
    before = set(sys.modules)
    try:
        contract = importlib.import_module("test_contract")
        stand_in = importlib.import_module("stand_in")
        for name in (
            "test_readings_agree_with_the_reported_conductances",
            "test_outputs_are_off_if_the_hardware_answers_nothing",
            "test_off_from_another_process_and_status",
        ):
            test = contract.TestContract()
            with stand_in.StandIn(contract.TOPOLOGY) as test.hardware:
                getattr(test, name)()
                test.close_networks()
                test.hardware.shutdown()
    finally:
        for name in set(sys.modules) - before:
            if name.partition(".")[0] in ("hwlearn_ladder", "test_contract", "stand_in"):
                del sys.modules[name]


@pytest.mark.parametrize(
    "name", ["", "My-Board", "9lives", "class", "a b", "../x", "a" * 60, "äh", "x_", "_x", "a\n"]
)
def test_name_that_no_package_can_have_is_refused(tmp_path, name):
    with pytest.raises(SetupError, match="cannot be named"):
        write_package(name, tmp_path / "made")
    assert not (tmp_path / "made").exists()


def test_installed_backend_and_existing_folder_are_refused(tmp_path):
    with pytest.raises(SetupError, match="is installed already"):
        write_package("smu", tmp_path / "made")
    (tmp_path / "made").mkdir()
    with pytest.raises(SetupError, match="already exists"):
        write_package("ladder", tmp_path / "made")
    assert list((tmp_path / "made").iterdir()) == []


def test_every_word_of_the_template_is_filled_in():
    for place, text in package_files("two_words").items():
        assert not re.search("NAME|PACKAGE|CLASS", place + text), place
    assert "class TwoWordsBackend:" in package_files("two_words")["hwlearn_two_words/backend.py"]


def test_template_passes_the_linter(tmp_path):
    ruff = Path(sys.executable).with_name("ruff")
    if not ruff.exists():
        pytest.skip("ruff is not installed")
    write_package("ladder", tmp_path / "made")
    for command in (["check", "--ignore", "I"], ["format", "--check"]):
        line = [ruff, *command, "--isolated", "--line-length", "115", "."]
        subprocess.run(line, check=True, cwd=tmp_path / "made")


@pytest.mark.slow
def test_package_installs_with_pip_and_passes_its_own_tests(tmp_path):
    if find_spec("hatchling") is None or find_spec("pip") is None:
        pytest.skip("hatchling or pip is not installed")
    made, site = tmp_path / "made", tmp_path / "site"
    write_package("ladder", made)
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run([*pip, "--target", site, made], check=True, cwd=tmp_path)
    paths = [str(site), *(str(ROOT / part) for part in ("", "drivers", "sim")), os.environ.get("PYTHONPATH", "")]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "HWLEARN_CLAIMS": str(tmp_path / "claims")}
    listed = [sys.executable, "-m", "hwlearn", "check", str(made / "bench.toml"), "--json"]
    checked = subprocess.run(listed, env=env, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert "cannot open /dev/ttyACM0" in checked.stderr
    assert "plugin" not in checked.stderr  # it is a report of the plugin, not a defect
    tests = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "-o",
        "pythonpath=tests",
        made / "tests",
    ]
    done = subprocess.run(tests, env=env, cwd=made, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout[-3000:]
    assert re.search(r"\d\d passed", done.stdout)
