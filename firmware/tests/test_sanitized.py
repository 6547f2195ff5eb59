"""Other tests of the host library, repeated with AddressSanitizer and UBSan."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from .rig import FIRMWARE

SUBJECTS = [
    "wire",
    "errors",
    "blocks",
    "limits",
    "nudge_limit",
    "overrun",
    "sequences",
    "two_phase",
    "values",
    "watchdog",
    "eeprom",
    "edges",
]  # test_fuzz runs streams of the reference model on the sanitized library


def run_sanitized(sanitized: dict[str, str], subjects: list[str], *more: str) -> None:
    here = Path(__file__).parent
    files = [str(here / f"test_{subject}.py") for subject in subjects]
    options = ["-p", "no:cacheprovider", "-p", "no:randomly", "--tb=short", "-x", *more]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options, *files],
        cwd=FIRMWARE.parent, env=sanitized, text=True, capture_output=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, (done.stdout + done.stderr)[-6000:]
    assert "skipped" not in done.stdout


@pytest.mark.slow
def test_other_test_files_pass_with_sanitizers(sanitized: dict[str, str]) -> None:
    run_sanitized(sanitized, SUBJECTS)


@pytest.mark.slow
def test_levels_under_ten_thousand_records_pass_with_sanitizers(
    sanitized: dict[str, str], request: pytest.FixtureRequest
) -> None:
    run_sanitized(sanitized, ["values"], "-m", "slow", *(["--full"] if request.config.getoption("--full") else []))
