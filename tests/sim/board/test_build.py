"""The firmware as a library: found, compiled once, and one line when that cannot be."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from hwlearn.errors import SetupError
from hwlearn_sim.board import build as board_build
from hwlearn_sim.board.build import firmware_folder, host_header, host_library
from hwlearn_sim.board.native import NativeBoard


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    """A copy of the firmware's sources, to spoil."""
    copy = tmp_path / "firmware"
    for folder in ("core", "hal", "boards/host"):
        shutil.copytree(firmware_folder() / folder, copy / folder)
    return copy


def test_compiled_once_and_anew_when_a_source_changes(sources, tmp_path):
    cache = tmp_path / "cache"
    first = host_library(sources, cache)
    made = first.stat().st_mtime_ns
    assert host_library(sources, cache) == first
    assert first.stat().st_mtime_ns == made, "it was compiled again"
    header = sources / "core" / "board.h"
    header.write_text(header.read_text() + "\n")
    second = host_library(sources, cache)
    assert second != first
    assert sorted(file.name for file in cache.iterdir()) == sorted([first.name, second.name]), "scratch was left"
    board = NativeBoard(second)
    board.power_on()
    board.receive(b"*IDN?\n")
    assert board.transmit().startswith(b"hwlearn,REFBOARD,0,")


def test_two_processes_may_build_at_once(tmp_path):
    code = "import sys; from pathlib import Path; from hwlearn_sim.board.build import host_library\n"
    code += "print(host_library(cache=Path(sys.argv[1])))"
    both = [
        subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    found = {process.communicate(timeout=120)[0].strip() for process in both}
    assert len(found) == 1
    assert [str(file) for file in tmp_path.iterdir()] == list(found)


def test_without_a_compiler_it_says_what_to_install(monkeypatch, tmp_path):
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.setattr(shutil, "which", lambda _: None)
    with pytest.raises(SetupError, match=r"no C compiler.*install") as caught:
        host_library(cache=tmp_path)
    assert "\n" not in str(caught.value)


def test_the_compiler_is_that_of_the_environment(monkeypatch, tmp_path):
    monkeypatch.setenv("CC", f"{shutil.which('cc')} -DSOMETHING=1")
    first = host_library(cache=tmp_path)
    monkeypatch.setenv("CC", f"{shutil.which('cc')} -DSOMETHING=2")
    assert host_library(cache=tmp_path) != first


def test_sources_that_do_not_compile_are_told_in_one_line(sources, tmp_path):
    (sources / "core" / "board.c").write_text("int broken(void) { return nothing; }\n")
    with pytest.raises(SetupError, match=r"does not compile.*board\.c:1") as caught:
        host_library(sources, tmp_path / "cache")
    assert "\n" not in str(caught.value)
    assert list((tmp_path / "cache").iterdir()) == []


def test_a_cache_that_cannot_be_written(tmp_path):
    file = tmp_path / "file"
    file.write_text("")
    with pytest.raises(SetupError, match="cannot be compiled into"):
        host_library(cache=file / "cache")


def test_an_installed_package_brings_the_sources(monkeypatch, sources, tmp_path):
    package = tmp_path / "site" / "lib" / "python" / "hwlearn_sim"
    (package / "board").mkdir(parents=True)
    monkeypatch.setattr(board_build, "__file__", str(package / "board" / "build.py"))
    with pytest.raises(SetupError, match="install hwlearn again"):
        firmware_folder()
    sources.rename(package / "firmware")
    assert firmware_folder() == (package / "firmware").resolve()
    assert "host_receive" in host_header()
