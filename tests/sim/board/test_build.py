"""Compiling the firmware as a host library: caching, and one-line errors."""

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


@pytest.fixture(autouse=True)
def _no_optimisation(monkeypatch) -> None:
    """Compile three times as fast: these tests check the cache, not the speed of the library."""
    monkeypatch.setattr(board_build, "FLAGS", ("-O0", *board_build.FLAGS[1:]))


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    """A copy of the firmware's sources that a test may damage."""
    copy = tmp_path / "firmware"
    for folder in ("core", "hal", "boards/host"):
        shutil.copytree(firmware_folder() / folder, copy / folder)
    return copy


def test_library_is_compiled_once_and_again_after_a_source_change(sources, tmp_path):
    cache = tmp_path / "cache"
    first = host_library(sources, cache)
    made = first.stat().st_mtime_ns
    assert host_library(sources, cache) == first
    assert first.stat().st_mtime_ns == made, "the library was compiled again"
    header = sources / "core" / "board.h"
    header.write_text(header.read_text() + "\n")
    second = host_library(sources, cache)
    assert second != first
    assert sorted(file.name for file in cache.iterdir()) == sorted([first.name, second.name]), (
        "temporary files were left"
    )
    board = NativeBoard(second)
    board.power_on()
    board.receive(b"*IDN?\n")
    assert board.transmit().startswith(b"hwlearn,REFBOARD,0,")


@pytest.mark.slow
def test_two_processes_can_build_at_the_same_time(tmp_path):
    code = (
        "import sys; from pathlib import Path; from hwlearn_sim.board import build\n"
        f"build.FLAGS = {board_build.FLAGS!r}\n"
        "print(build.host_library(cache=Path(sys.argv[1])))"
    )
    both = [
        subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    found = {process.communicate(timeout=120)[0].strip() for process in both}
    assert len(found) == 1
    assert [str(file) for file in tmp_path.iterdir()] == list(found)


def test_missing_compiler_error_names_the_package_to_install(monkeypatch, tmp_path):
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.setattr(shutil, "which", lambda _: None)
    with pytest.raises(SetupError, match=r"C compiler.*install") as caught:
        host_library(cache=tmp_path)
    assert "\n" not in str(caught.value)


def test_compiler_is_taken_from_environment(monkeypatch, tmp_path):
    monkeypatch.setattr(board_build, "_compile", lambda compiler, sources, library: library.touch())
    monkeypatch.setenv("CC", f"{shutil.which('cc')} -DSOMETHING=1")
    first = host_library(cache=tmp_path)
    monkeypatch.setenv("CC", f"{shutil.which('cc')} -DSOMETHING=2")
    assert host_library(cache=tmp_path) != first


def test_compile_error_is_one_line(sources, tmp_path):
    (sources / "core" / "board.c").write_text("int broken(void) { return nothing; }\n")
    with pytest.raises(SetupError, match=r"cannot compile.*board\.c:1") as caught:
        host_library(sources, tmp_path / "cache")
    assert "\n" not in str(caught.value)
    assert list((tmp_path / "cache").iterdir()) == []


def test_unwritable_cache_is_refused(tmp_path):
    file = tmp_path / "file"
    file.write_text("")
    with pytest.raises(SetupError, match="cannot be compiled into"):
        host_library(cache=file / "cache")


def test_firmware_sources_are_found_in_an_installed_package(monkeypatch, sources, tmp_path):
    package = tmp_path / "site" / "lib" / "python" / "hwlearn_sim"
    (package / "board").mkdir(parents=True)
    monkeypatch.setattr(board_build, "__file__", str(package / "board" / "build.py"))
    with pytest.raises(SetupError, match="install hwlearn again"):
        firmware_folder()
    sources.rename(package / "firmware")
    assert firmware_folder() == (package / "firmware").resolve()
    assert "host_receive" in host_header()
