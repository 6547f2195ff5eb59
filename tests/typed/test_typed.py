"""A user's program is checked with the installed package by mypy --strict and by pyright."""

from __future__ import annotations

import json
import os
import runpy
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

PROGRAM = Path(__file__).with_name("program.py")
ROOT = Path(__file__).resolve().parents[2]
KNOWN = {"hwlearn": 0.94, "hwlearn_sim": 0.88, "hwlearn_drivers": 0.87}
"""Least share of all symbols, also internal ones, whose type pyright knows; it only rises."""


@pytest.fixture(scope="module")
def user(tmp_path_factory):
    """Return the environment of a user: a wheel of this package, and the other packages of this environment."""
    pytest.importorskip("hatchling", reason="hatchling, which builds the wheel, is not installed")
    folder = tmp_path_factory.mktemp("user")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    venv.create(folder / "venv", with_pip=False)
    python = folder / "venv" / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
    ask = "import sysconfig; print(sysconfig.get_path('purelib'))"
    packages = Path(subprocess.check_output([python, "-c", ask], text=True).strip())
    (wheel,) = folder.glob("*.whl")
    zipfile.ZipFile(wheel).extractall(packages)
    (packages / "others.pth").write_text(sysconfig.get_path("purelib"))
    shutil.copy(PROGRAM, folder / "program.py")
    return folder, python


def pyright(user, *arguments):
    """Run pyright and return its JSON output; skip if there is none, or no Node.js for it."""
    pytest.importorskip("pyright", reason="pyright is not installed: pip install 'pyright[nodejs]'")
    folder, python = user
    found = f"{python.parent}{os.pathsep}{os.environ['PATH']}"
    # --verifytypes looks for the first python of PATH
    done = subprocess.run(
        [sys.executable, "-m", "pyright", "--outputjson", *arguments],
        cwd=folder,
        env={**without_paths(), "PATH": found},
        capture_output=True,
        text=True,
    )
    if done.returncode not in (0, 1):
        pytest.skip(f"pyright cannot run here: {(done.stderr or done.stdout).strip().splitlines()[-1]}")
    return json.loads(done.stdout)


def without_paths():
    return {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "MYPYPATH")}


def test_program_does_what_it_says():
    runpy.run_path(str(PROGRAM), run_name="__main__")


@pytest.mark.slow
def test_mypy_strict(user):
    pytest.importorskip("mypy", reason="mypy is not installed")
    folder, python = user
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--python-executable", python, "program.py"],
        cwd=folder,
        env=without_paths(),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow
def test_pyright_strict(user):
    (user[0] / "pyrightconfig.json").write_text('{"typeCheckingMode": "strict"}')
    found = pyright(user, "--pythonpath", str(user[1]), "program.py")["generalDiagnostics"]
    assert [f"{one['range']['start']['line'] + 1}: {one['message']}" for one in found] == []


@pytest.mark.slow
@pytest.mark.parametrize("package", KNOWN)
def test_types_of_public_names_are_known(package, user, figure):
    found = pyright(user, "--verifytypes", package, "--ignoreexternal")["typeCompleteness"]
    public = [one for one in found["symbols"] if one["name"].count(".") == 1]
    figure(f"types known to pyright, {package}: {100 * found['completenessScore']:.1f} % of all symbols")
    assert [one["name"] for one in public if not one["isTypeKnown"]] == []
    assert len(public) >= {"hwlearn": 50, "hwlearn_sim": 7, "hwlearn_drivers": 0}[package]
    assert found["completenessScore"] >= KNOWN[package]
