"""Fixtures: the host library, built if missing, and boards on it.

With HWLEARN_BOARD_LIBRARY set, these tests run against that library instead (the sanitized one, for instance).
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from shares import pytest_addoption as pytest_addoption
from shares import pytest_collection as pytest_collection
from shares import pytest_collection_modifyitems as pytest_collection_modifyitems
from shares import pytest_configure as pytest_configure
from shares import seeds as seeds

from .record import FLAWED, PLAIN, Record
from .rig import FIRMWARE, Rig

NewRig = Callable[..., Rig]


def make(target: str) -> None:
    """Run make in the firmware folder; skip without make or a C compiler, fail with its output."""
    if shutil.which("make") is None:
        pytest.skip("make is not installed")
    if shutil.which(os.environ.get("CC", "cc")) is None and shutil.which("gcc") is None:
        pytest.skip("no C compiler is installed")
    done = subprocess.run(["make", "-C", str(FIRMWARE), target], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.fail(f"make {target} failed:\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}")


@pytest.fixture(scope="session")
def host_library() -> Path:
    """Return the host library, or the one given by HWLEARN_BOARD_LIBRARY."""
    chosen = os.environ.get("HWLEARN_BOARD_LIBRARY")
    if chosen:
        return Path(chosen)
    make("host")
    return FIRMWARE / "build" / "host" / "libhwlearn_board.so"


@pytest.fixture(scope="session")
def sanitized() -> dict[str, str]:
    """Return an environment in which Python can load the library with AddressSanitizer and UBSan."""
    make("asan")
    asan = subprocess.run(
        [shutil.which("gcc") or "cc", "-print-file-name=libasan.so"], capture_output=True, text=True, check=True
    ).stdout.strip()
    if not Path(asan).is_absolute():
        pytest.skip("gcc has no libasan here")
    # options of this pytest run, such as coverage, must not apply to the run that it starts
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(("PYTEST_", "COV_", "COVERAGE_"))}
    return {
        **inherited,
        "LD_PRELOAD": asan,
        "ASAN_OPTIONS": "detect_leaks=0:abort_on_error=0:exitcode=77",
        "UBSAN_OPTIONS": "halt_on_error=1:print_stacktrace=1:exitcode=77",
        "HWLEARN_BOARD_LIBRARY": str(FIRMWARE / "build" / "asan" / "libhwlearn_board.so"),
    }


@pytest.fixture
def new_rig(host_library: Path) -> NewRig:
    """Return a function that returns a board: `new_rig(record)`, None for a blank one."""

    def new(record: Record | None = PLAIN) -> Rig:
        return Rig(host_library, record)

    return new


@pytest.fixture
def rig(new_rig: NewRig) -> Rig:
    """Return a board with ideal converters and limits of 2 V and 0.5 V nudge."""
    return new_rig(PLAIN)


@pytest.fixture
def flawed_rig(new_rig: NewRig) -> Rig:
    """Return a board with converter errors, a record that contains them, and limits of 1 V and 0.2 V nudge."""
    return new_rig(FLAWED)
